"""What every mask source owes its callers, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vinpaint_cli.errors import MaskError
from vinpaint_cli.masks.grammar import parse_range
from vinpaint_cli.masks.sources.options import open_mask
from vinpaint_cli.masks.sources.shapes import (
    BoxMask,
    DilatedMask,
    HoleSource,
    InvertMask,
    TimeLimitedMask,
    UnionMask,
)
from vinpaint_cli.types import Box, Frame, MaskSource

SIZE = WIDTH, HEIGHT = 46, 34
FRAMES = 8
TICK = Fraction(1, 25)
Build = Callable[[Path], HoleSource]


def pictures() -> list[np.ndarray]:
    """Frames whose white square moves, so that a wrong order shows."""
    made = [np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(FRAMES)]
    for index, picture in enumerate(made):
        picture[4:12, 3 + 4 * index : 9 + 4 * index] = 255
    return made


def image(tmp_path: Path) -> HoleSource:
    Image.fromarray(pictures()[2]).save(tmp_path / "mask.png")
    return open_mask(str(tmp_path / "mask.png"), SIZE)


def folder(tmp_path: Path) -> HoleSource:
    (tmp_path / "masks").mkdir(exist_ok=True)
    for index, picture in enumerate(pictures()):
        Image.fromarray(picture).save(tmp_path / "masks" / f"{index}.png")
    return open_mask(str(tmp_path / "masks"), SIZE)


def video(tmp_path: Path) -> HoleSource:
    path = tmp_path / "mask.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        container.mux(stream.encode())
    return open_mask(str(path), SIZE)


def box(tmp_path: Path) -> HoleSource:
    return BoxMask(Box(5, 6, 20, 15), WIDTH, HEIGHT, when=parse_range("f2-f6"), time_base=TICK)


SOURCES: dict[str, Build] = {
    "box": box,
    "image": image,
    "folder": folder,
    "video": video,
    "union": lambda path: UnionMask([image(path), folder(path), box(path)]),
    "inverted": lambda path: InvertMask(folder(path)),
    "dilated": lambda path: DilatedMask(folder(path), 3),
    "limited": lambda path: TimeLimitedMask(
        folder(path), parse_range("0.08-f6"), WIDTH, HEIGHT, time_base=TICK
    ),
    "all at once": lambda path: TimeLimitedMask(
        UnionMask([DilatedMask(InvertMask(folder(path)), 2), box(path)]),
        parse_range("f1-"),
        WIDTH,
        HEIGHT,
        time_base=TICK,
    ),
}
LIMITED = {"folder", "video", "union", "inverted", "dilated", "all at once"}


def frame(index: int) -> Frame:
    return Frame(index, index, 1, None, lambda native: native)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> HoleSource:
    return SOURCES[request.param](tmp_path)


def test_it_answers_with_a_bool_array_of_the_frame(source: HoleSource) -> None:
    assert isinstance(source, MaskSource)
    seen = [source.at(frame(index)) for index in range(FRAMES)]
    assert {(hole.shape, hole.dtype) for hole in seen} == {((HEIGHT, WIDTH), np.dtype(np.bool_))}
    assert any(hole.any() for hole in seen)
    assert not all(hole.all() for hole in seen)


def test_it_gives_the_same_answer_each_time_and_may_be_asked_again(source: HoleSource) -> None:
    first = [source.at(frame(index)) for index in range(FRAMES)]
    for index in (7, 0, 3, 3, 2, 6, 1):
        assert np.array_equal(source.at(frame(index)), first[index])


def test_what_the_caller_does_to_an_answer_stays_with_the_caller(source: HoleSource) -> None:
    for index in (0, 3, 3):
        before = source.at(frame(index))
        kept = before.copy()
        before[:] = ~before
        assert np.array_equal(source.at(frame(index)), kept)


@pytest.mark.parametrize("kind", SOURCES)
def test_two_of_a_kind_agree(kind: str, tmp_path: Path) -> None:
    first, second = SOURCES[kind](tmp_path), SOURCES[kind](tmp_path)
    for index in range(FRAMES):
        assert np.array_equal(first.at(frame(index)), second.at(frame(index)))


@pytest.mark.parametrize("kind", SOURCES)
def test_it_accepts_its_own_length_and_no_other(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)
    source.check_count(FRAMES)
    if kind in LIMITED | {"limited"}:
        with pytest.raises(MaskError, match=f"{FRAMES} frames but the video has {FRAMES + 1}"):
            source.check_count(FRAMES + 1)
    else:
        source.check_count(FRAMES + 1)


@pytest.mark.parametrize("kind", sorted(LIMITED))
def test_beyond_its_end_it_does_not_guess(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="--mask-hold"):
        SOURCES[kind](tmp_path).at(frame(FRAMES))


def test_it_keeps_its_words_in_a_tuple(source: HoleSource) -> None:
    assert source.warnings == ()
