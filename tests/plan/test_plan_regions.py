from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.plan.segments import region_of_interest
from vinpaint_cli.types import Box


@st.composite
def frames_with_holes(draw: st.DrawFn) -> tuple[list[Box], int, int]:
    width, height = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    boxes = []
    for _ in range(draw(st.integers(1, 4))):
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        boxes.append(Box(x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))))
    return boxes, width, height


@given(
    frames_with_holes(), st.sampled_from([1, 2, 4, 8]), st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 300)
)
def test_region_lies_in_the_frame_and_holds_every_hole(
    case: tuple[list[Box], int, int], multiple: int, context: float, minimum: int
) -> None:
    holes, width, height = case
    region = region_of_interest(
        holes, width, height, context=context, margin=8, minimum=minimum, multiple=multiple
    )
    assert Box(0, 0, width, height).contains(region)
    assert all(region.contains(hole) for hole in holes)
    assert region.width >= min(minimum, width)
    assert region.height >= min(minimum, height)
    assert region.x0 % multiple == 0
    assert region.y0 % multiple == 0
    assert region.x1 % multiple == 0 or region.x1 == width
    assert region.y1 % multiple == 0 or region.y1 == height


def test_border_grows_with_the_hole_and_not_with_its_way() -> None:
    still = region_of_interest([Box(800, 500, 1000, 600)], 1920, 1080, margin=32)
    assert still == Box(600, 400, 1200, 700)
    moving = region_of_interest([Box(200, 500, 400, 600), Box(800, 500, 1000, 600)], 1920, 1080, margin=32)
    assert moving == Box(0, 400, 1200, 700)


def test_small_holes_get_the_least_border() -> None:
    assert region_of_interest([Box(300, 300, 310, 310)], 640, 640) == Box(204, 204, 406, 406)
    large = region_of_interest([Box(1900, 1000, 1910, 1010)], 3840, 2160)
    assert large == Box(1640, 740, 2170, 1270)


def test_holes_outside_the_frame_do_not_count() -> None:
    with_stray = region_of_interest([Box(50, 50, 60, 60), Box(2000, 0, 2100, 40)], 853, 480)
    assert with_stray == region_of_interest([Box(50, 50, 60, 60)], 853, 480)
    with pytest.raises(ValueError, match="no hole inside"):
        region_of_interest([Box(2000, 0, 2100, 40), Box(5, 5, 5, 9)], 853, 480)
