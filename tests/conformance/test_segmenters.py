"""What every segmenter of the table promises; a new one is picked up unedited.

A segmenter with a network brings ``tests/masks/small_<name>.py`` with ``write_weights(folder) -> path``; one
whose package is optional is skipped where that is not installed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.segment import AUTO, SEGMENTERS, open_segmenter, segmenter_names
from vinpaint_cli.types import MAX_CANDIDATES, Box, Segmenter

MASKS = Path(__file__).parent.parent / "masks"
OPTIONAL = {"sam2": "sam2"}
HEIGHT, WIDTH = 60, 90
FIRST, LAST = (0.0, 0.0), (WIDTH - 0.01, HEIGHT - 0.01)

pytestmark = pytest.mark.filterwarnings("ignore")  # what optional packages say of their own dependencies


def scene(deep: bool = False, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An orange disc on blue grain."""
    rgb = np.random.default_rng(4).normal((60, 90, 150), 6, (height, width, 3))
    rgb[disc(height, width)] += (150, 50, -100)
    eight = np.clip(rgb, 0, 255).astype(np.uint8)
    return eight.astype(np.uint16) * 257 if deep else eight


def disc(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.hypot(x - width * 0.4, y - height * 0.5) < 0.28 * height


def small_weights(name: str, folder: Path) -> str | None:
    maker = MASKS / f"small_{name}.py"
    if not maker.exists():
        return None
    spec = importlib.util.spec_from_file_location(maker.stem, maker)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.write_weights(folder))


@pytest.fixture(scope="module", params=SEGMENTERS.targets)
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    name = request.param
    package = OPTIONAL.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"segmenter {name!r} needs the optional package {package}")
    return open_segmenter(name, small_weights(name, tmp_path_factory.mktemp(name)), "cpu")


def is_probability(plane: np.ndarray, height: int = HEIGHT, width: int = WIDTH) -> bool:
    right = plane.shape == (height, width) and plane.dtype == np.float32
    return right and bool(np.isfinite(plane).all() and plane.min() >= 0 and plane.max() <= 1)


def test_it_says_its_name(segmenter: Segmenter) -> None:
    assert isinstance(segmenter, Segmenter)
    assert segmenter.name in SEGMENTERS.targets  # type: ignore[attr-defined]
    assert segmenter_names() == (AUTO, *SEGMENTERS.targets)


@pytest.mark.parametrize("deep", [False, True])
def test_it_gives_a_probability_for_every_pixel(segmenter: Segmenter, deep: bool) -> None:
    rgb = scene(deep)
    before = rgb.copy()
    for points, labels, box in (
        ([(36.0, 30.0)], [True], None),
        ([], [], Box(18, 12, 56, 48)),
        ([(36.0, 30.0), (80.0, 5.0)], [True, False], Box(18, 12, 56, 48)),
    ):
        assert is_probability(segmenter.segment(rgb, points, labels, box, [rgb])[0].probability)
    assert np.array_equal(rgb, before)


def test_candidates_are_few_and_the_surest_is_first(segmenter: Segmenter) -> None:
    for points, box in (([(36.0, 30.0)], None), ([], Box(18, 12, 56, 48))):
        found = segmenter.segment(scene(), points, [True] * len(points), box, [scene()])
        assert 1 <= len(found) <= MAX_CANDIDATES
        confidences = [one.confidence for one in found]
        assert confidences == sorted(confidences, reverse=True)
        assert all(0 <= value <= 1 for value in confidences)


def test_eight_and_sixteen_bits_mean_the_same(segmenter: Segmenter) -> None:
    shallow = segmenter.segment(scene(), [(36, 30)], [True], None)[0].probability
    deep = segmenter.segment(scene(deep=True), [(36, 30)], [True], None)[0].probability
    assert np.abs(shallow - deep).mean() < 0.01


def test_the_same_question_has_the_same_answer(segmenter: Segmenter) -> None:
    rgb, other = scene(), scene()[::-1].copy()
    neighbours = [np.roll(rgb, 2, 1)]
    first = segmenter.segment(rgb, [(36, 30)], [True], None, neighbours)[0].probability
    refined = segmenter.refine(rgb, first)
    segmenter.segment(other, [(5, 5)], [True], Box(2, 2, 40, 40))
    assert np.array_equal(segmenter.segment(rgb, [(36, 30)], [True], None, neighbours)[0].probability, first)
    assert np.array_equal(segmenter.refine(rgb, first), refined)


def test_it_leaves_the_common_random_numbers_alone(segmenter: Segmenter) -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    segmenter.segment(scene(), [(36, 30)], [True], None)
    assert np.random.random() == expected


def test_every_point_is_honoured(segmenter: Segmenter) -> None:
    points = [(36.4, 30.9), FIRST, LAST, (40.0, 30.0), (37.0, 30.0), (70.0, 10.0)]
    labels = [True, False, True, False, True, False]
    found = segmenter.segment(scene(), points, labels, Box(10, 5, 60, 50))[0].probability
    for (x, y), label in zip(points, labels, strict=True):
        assert (found[int(y), int(x)] > 0.5) == label


@pytest.mark.parametrize("point", [FIRST, LAST, (0.0, HEIGHT - 1.0), (WIDTH - 1.0, 30.0)])
def test_a_point_on_the_border_is_a_point(segmenter: Segmenter, point: tuple[float, float]) -> None:
    found = segmenter.segment(scene(), [point], [True], None, [scene()])[0].probability
    assert is_probability(found)
    assert found[int(point[1]), int(point[0])] > 0.5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (3, 2), (16, 16), (7, 300)])
def test_a_tiny_picture_is_a_picture(segmenter: Segmenter, height: int, width: int) -> None:
    rgb = scene(height=height, width=width)
    neighbours = [rgb, rgb[::-1].copy()]
    found = segmenter.segment(rgb, [(width / 2, height / 2)], [True], None, neighbours)[0].probability
    assert is_probability(found, height, width)
    assert is_probability(
        segmenter.segment(rgb, [], [], Box(0, 0, 1, 1), neighbours)[0].probability, height, width
    )
    assert is_probability(segmenter.refine(rgb, found), height, width)


@pytest.mark.parametrize("value", [0, 255])
def test_a_plain_picture_is_a_picture(segmenter: Segmenter, value: int) -> None:
    rgb = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    assert is_probability(segmenter.segment(rgb, [(36, 30)], [True], None, [rgb, rgb])[0].probability)
    assert is_probability(segmenter.segment(rgb, [], [], Box(5, 5, 60, 50), [rgb])[0].probability)


@pytest.mark.parametrize("box", [Box(0, 0, WIDTH, HEIGHT), Box(-50, -50, 200, 200), Box(80, 50, 120, 90)])
def test_a_box_may_fill_the_frame_or_reach_beyond(segmenter: Segmenter, box: Box) -> None:
    assert is_probability(segmenter.segment(scene(), [], [], box, [scene()])[0].probability)


@pytest.mark.parametrize(
    ("points", "labels", "box", "error"),
    [
        ([], [], None, UsageError),
        ([(5, 5)], [False], None, UsageError),
        ([(5, 5)], [], None, UsageError),
        ([(5.1, 5), (5.9, 5.5)], [True, False], None, UsageError),
        ([(WIDTH, 5)], [True], None, MaskError),
        ([(5, -0.1)], [True], None, MaskError),
        ([(float("nan"), 5)], [True], None, MaskError),
        ([], [], Box(5, 5, 5, 9), MaskError),
        ([], [], Box(WIDTH, 0, WIDTH + 9, 9), MaskError),
    ],
)
def test_what_points_at_nothing_is_refused(
    segmenter: Segmenter, points: list, labels: list, box: Box | None, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        segmenter.segment(scene(), points, labels, box)
    assert "\n" not in str(caught.value)


def test_refining_takes_hard_and_soft_priors(segmenter: Segmenter) -> None:
    hard = disc().astype(np.float32)
    for prior in (hard, 0.2 + 0.6 * hard, np.ones_like(hard)):
        before = prior.copy()
        assert is_probability(segmenter.refine(scene(), prior))
        assert np.array_equal(prior, before)


def test_refining_nothing_gives_nothing(segmenter: Segmenter) -> None:
    assert not segmenter.refine(scene(), np.zeros((HEIGHT, WIDTH), np.float32)).any()
    assert not segmenter.refine(scene(), np.full((HEIGHT, WIDTH), 0.4, np.float32)).any()
