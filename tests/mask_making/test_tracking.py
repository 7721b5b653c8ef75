"""From clicks to masks on every frame, with a segmenter and a tracker whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes
from clip_factory import texture as film_texture
from moving_disc import memory_info

from vinpaint_cli.errors import Interrupted, MaskError, UsageError
from vinpaint_cli.mask_making.prompt_masks import segment_frame
from vinpaint_cli.mask_making.tracking import Tools, TrackedMasks, find_hole, track_masks, write_masks
from vinpaint_cli.masks.grammar import TimePoint, time_range
from vinpaint_cli.masks.prompts import Prompt, PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions, build_mask
from vinpaint_cli.masks.track import Tracked
from vinpaint_cli.pipeline.plan import object_bounds
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.types import Box, Candidate, Frame, FrameSource, VideoInfo
from vinpaint_cli.video.source.read import open_source

WIDTH, HEIGHT = 64, 48
TICK = Fraction(1, 1000)


@dataclass
class Film:
    """Pictures in memory with times of their own, one shot."""

    pictures: list[np.ndarray]
    pts: list[int]

    @property
    def info(self) -> VideoInfo:
        return memory_info(WIDTH, HEIGHT, TICK)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        for index in range(len(self.pictures))[start:stop]:
            yield Frame(index, self.pts[index], 40, self.pictures[index], lambda native: native)


def square(index: int, left: int = 4, top: int = 10) -> np.ndarray:
    """Where the object is on a frame: 12 pixels wide, two further right each frame."""
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[top : top + 12, left + 2 * index : left + 2 * index + 12] = True
    return hole


@pytest.fixture
def film(tmp_path: Path) -> FrameSource:
    """Ten frames in one shot, 40 ms each."""
    return open_source(make_clip(tmp_path / "film.mkv", frames=10, size=(WIDTH, HEIGHT)))


@dataclass
class PointSegmenter:
    """A disc around each point of the object, less one around each other point; remembers its questions."""

    radius: float = 5
    confidence: float = 1
    name: str = "points"
    asked: list[tuple[tuple[tuple[float, float], ...], Box | None, int]] = field(default_factory=list)

    def segment(
        self,
        rgb: np.ndarray,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[np.ndarray] = (),
    ) -> list[Candidate]:
        self.asked.append((tuple(points), box, len(neighbours)))
        found = np.zeros(rgb.shape[:2], np.bool_)
        y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
        for wanted in (True, False):
            for (px, py), label in zip(points, labels, strict=True):
                if label is wanted:
                    found[np.hypot(x - px, y - py) <= self.radius] = wanted
        if box is not None and not points:
            found[box.slices()] = True
        whole = np.ones_like(found)
        return [Candidate(mask.astype(np.float32), self.confidence) for mask in (found, whole)]

    def refine(self, rgb: np.ndarray, prior: np.ndarray) -> np.ndarray:
        return prior


@dataclass
class NearestTracker:
    """Each frame has the nearest prompt mask, less sure the farther; remembers what it was given."""

    given: list[tuple[range, dict[int, int]]] = field(default_factory=list)

    def track(
        self,
        source: FrameSource,
        shot: range,
        prompt_masks: Mapping[int, np.ndarray],
        tick: Callable[[], None] = lambda: None,
    ) -> Iterator[Tracked]:
        self.given.append((shot, {index: int(hole.sum()) for index, hole in sorted(prompt_masks.items())}))
        for index in reversed(shot):
            nearest = min(prompt_masks, key=lambda prompt: (abs(prompt - index), prompt))
            tick()
            yield Tracked(index, prompt_masks[nearest], 1 - abs(nearest - index) / 10)


def tools() -> Tools:
    return Tools(PointSegmenter(), NearestTracker(), "points", "nearest")


def follow(
    source: FrameSource, using: Tools | None = None, label: int | None = None, **prompts: tuple[str, ...]
) -> TrackedMasks:
    return track_masks(
        source, PromptOptions(**prompts), SilentListener(), tools=using or tools(), label=label
    )


def disc(x: float, y: float, radius: float = 5) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(columns - x, rows - y) <= radius


def drawn(path: Path, hole: np.ndarray) -> str:
    path.write_bytes(png_bytes((hole * 255).astype(np.uint8)))
    return str(path)


def test_one_click_gives_a_mask_and_a_confidence_on_every_frame(film: FrameSource) -> None:
    found = follow(film, clicks=("20,24@f4",))
    assert found.count == len(found.confidence) == 10
    assert all(np.array_equal(found.masks.hole(index), disc(20, 24)) for index in range(10))
    assert found.confidence == tuple(1 - abs(index - 4) / 10 for index in range(10))
    assert (found.prompt_frames, found.segmenter, found.tracker) == ((4,), "points", "nearest")
    assert found.prompts == (Prompt(1, TimePoint(frame=4), ((20, 24),), (True,)),)


def test_points_and_box_of_one_frame_are_asked_about_at_once(film: FrameSource) -> None:
    using = tools()
    follow(film, using, clicks=("20,24@0.16",), excludes=("9,9@f4",), boxes=("2,2,40,40@f4",))
    assert using.segmenter.asked == [(((20, 24), (9, 9)), Box(2, 2, 42, 42), 4)]  # type: ignore[attr-defined]


def test_every_frame_that_was_pointed_at_is_a_prompt_frame(film: FrameSource) -> None:
    using = tools()
    found = follow(film, using, clicks=("20,24", "40,24@f9"))
    assert found.prompt_frames == (0, 9)
    assert [sorted(prompt_masks) for _, prompt_masks in using.tracker.given] == [[0, 9]]  # type: ignore[attr-defined]
    assert np.array_equal(found.masks.hole(7), disc(40, 24))


def test_objects_are_followed_apart_and_united(film: FrameSource) -> None:
    using = tools()
    found = follow(film, using, clicks=("20,24", "2:40,24@f9"))
    assert len(using.tracker.given) == 2  # type: ignore[attr-defined]
    both = disc(20, 24) | disc(40, 24)
    assert all(np.array_equal(found.masks.hole(index), both) for index in range(10))
    assert found.confidence[3] == pytest.approx(min(0.7, 0.4))


def test_times_are_exact_whatever_the_rate() -> None:
    pts = [0, 33, 67, 400, 433, 467]
    film = Film([film_texture(0, WIDTH, HEIGHT)] * 6, [5000 + moment for moment in pts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vinpaint_cli.pipeline.scan.small_rgb", lambda frame, width: frame.rgb)
        for written, frame in (("0.033", 1), ("0.0669", 2), ("0.3994", 2), ("0.4", 3), ("0:0.45", 4)):
            assert follow(film, clicks=(f"20,24@{written}",)).prompt_frames == (frame,)
        for late in ("0.6", "f6"):
            with pytest.raises(UsageError, match="last frame is f5"):
                follow(film, clicks=(f"20,24@{late}",))


def two_shots(path: Path) -> FrameSource:
    """Eight frames each of two textures that have nothing in common."""
    import cv2

    folder = path / "frames"
    folder.mkdir()
    for index in range(16):
        picture = film_texture(0, WIDTH, HEIGHT, seed=3 * (index >= 8))
        picture = picture if index < 8 else 255 - picture[::-1]
        cv2.imwrite(str(folder / f"{index:02d}.png"), picture)
    return open_source(folder)


def test_a_cut_ends_an_object_and_the_other_shot_is_named(tmp_path: Path) -> None:
    source, using = two_shots(tmp_path), tools()
    found = follow(source, using, clicks=("20,24@f9",))
    assert found.shots == (range(8), range(8, 16))
    assert [shot for shot, _ in using.tracker.given] == [range(8, 16)]  # type: ignore[attr-defined]
    assert not any(found.masks.hole(index).any() for index in range(8))
    assert found.confidence[:8] == (1.0,) * 8
    assert found.notes[0].startswith("object 1 has no mask in f0 to f7: nothing points at it")
    assert "--click X,Y@f0" in found.notes[0]


def test_neighbours_are_of_the_same_shot(tmp_path: Path) -> None:
    source, using = two_shots(tmp_path), tools()
    follow(source, using, clicks=("20,24@f7", "20,24@f8", "20,24@f10", "20,24@f0"))
    counts = [neighbours for _, _, neighbours in using.segmenter.asked]  # type: ignore[attr-defined]
    assert counts == [2, 2, 2, 4]


def test_not_this_alone_corrects_the_mask_followed_to_there(film: FrameSource) -> None:
    using = tools()
    found = follow(film, using, boxes=("10,10,30,20",), excludes=("34,15@f6",))
    first, second = using.tracker.given  # type: ignore[attr-defined]
    assert list(first[1]) == [0]
    assert list(second[1]) == [0, 6]
    assert second[1][6] < first[1][0], "the correction made the mask smaller"
    assert found.masks.hole(0)[15, 34]
    assert not found.masks.hole(6)[15, 34]
    assert not found.masks.hole(9)[15, 34]
    points, box, _ = using.segmenter.asked[-1]  # type: ignore[attr-defined]
    assert box == Box(10, 10, 40, 30)
    assert points[1] == (34, 15)
    assert np.hypot(points[0][0] - 34, points[0][1] - 15) > 9


def test_nothing_is_followed_that_a_range_of_time_does_not_need(film: FrameSource) -> None:
    using = tools()
    options = PromptOptions(clicks=("20,24@f6",))
    when = time_range("f1", "f4")
    found = track_masks(film, options, SilentListener(), tools=using, when=when)
    assert [span for span, _ in using.tracker.given] == [range(1, 7)]  # type: ignore[attr-defined]
    assert not any(found.masks.hole(index).any() for index in (0, 7, 8, 9))
    assert [index for index, value in enumerate(found.confidence) if value < 1] == [1, 2, 3]


def test_not_this_where_nothing_is_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--not on frame f3 corrects nothing.*\(f0 to f7\)"):
        follow(two_shots(tmp_path), clicks=("20,24@f9",), excludes=("9,9@f3",))


def test_drawn_masks_are_prompt_masks_as_they_are(film: FrameSource, tmp_path: Path) -> None:
    using = tools()
    masks = [drawn(tmp_path / f"{index}.png", square(index)) for index in (2, 7)]
    found = follow(film, using, from_frames=(f"{masks[0]}@f2", f"{masks[1]}@0.28"))
    assert using.segmenter.asked == []  # type: ignore[attr-defined]
    assert found.prompt_frames == (2, 7)
    for index in (2, 7):
        assert np.array_equal(found.masks.hole(index), square(index))


def test_drawn_and_pointed_at_on_one_frame_is_refused(film: FrameSource, tmp_path: Path) -> None:
    mask = drawn(tmp_path / "mask.png", square(2))
    with pytest.raises(UsageError, match="both drawn and pointed at on frame f2"):
        follow(film, clicks=("20,24@f2",), from_frames=(f"{mask}@f2",))


def test_labels_of_a_drawn_mask(film: FrameSource, tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    path.write_bytes(png_bytes((square(0) * 2 + square(0, top=30) * 1).astype(np.uint8)))
    assert np.array_equal(follow(film, label=2, from_frames=(str(path),)).masks.hole(0), square(0))


def test_a_fix_is_its_frame_and_a_prompt_mask(film: FrameSource, tmp_path: Path) -> None:
    using = tools()
    fixed = drawn(tmp_path / "fixed.png", square(6))
    found = follow(film, using, clicks=("20,24", "20,24@f6"), fixes=(f"f6={fixed}",))
    assert found.prompt_frames == (0, 6)
    assert len(using.segmenter.asked) == 1, "the fix stands for the click"  # type: ignore[attr-defined]
    assert np.array_equal(found.masks.hole(6), square(6))
    assert np.array_equal(found.masks.hole(9), square(6))
    assert found.confidence[6] == 1


def test_a_fix_of_several_objects_holds_for_its_frame_alone(film: FrameSource, tmp_path: Path) -> None:
    fixed = drawn(tmp_path / "fixed.png", square(6))
    found = follow(film, clicks=("20,24", "2:40,24"), fixes=(f"f6={fixed}",))
    assert np.array_equal(found.masks.hole(6), square(6))
    assert np.array_equal(found.masks.hole(7), disc(20, 24) | disc(40, 24))
    assert any("--fix holds for its own frame alone" in line for line in found.notes)
    with pytest.raises(UsageError, match="last frame is f9"):
        follow(film, clicks=("20,24",), fixes=(f"f10={fixed}",))


def test_nothing_found_under_a_click_is_said(film: FrameSource) -> None:
    using = Tools(PointSegmenter(radius=-1), NearestTracker(), "points", "nearest")
    with pytest.raises(MaskError, match=r"nothing is found where object 1 .* frame f3.*--box-prompt"):
        follow(film, using, clicks=("20,24@f3",))


def test_another_candidate_is_taken_when_asked_for(film: FrameSource) -> None:
    found = track_masks(film, PromptOptions(clicks=("20,24",), candidate=2), SilentListener(), tools=tools())
    assert found.masks.hole(4).all()
    with pytest.raises(
        MaskError, match=r"no candidate 3 where object 1 .* f0, but 2 in all; give --candidate 2"
    ):
        track_masks(film, PromptOptions(clicks=("20,24",), candidate=3), SilentListener(), tools=tools())


def test_frames_of_low_confidence_are_named_worst_first(film: FrameSource) -> None:
    (note,) = follow(film, clicks=("20,24",)).notes
    assert "uncertain in f5 to f9 (0.10)" in note
    assert "--click X,Y@f9" in note
    assert follow(film, clicks=("20,24@f3", "20,24@f7")).notes == ()


def test_what_is_followed_is_no_surer_than_the_frame_it_came_from(film: FrameSource, tmp_path: Path) -> None:
    using = Tools(PointSegmenter(confidence=0.5), NearestTracker(), "grabcut", "nearest")
    mask = drawn(tmp_path / "9.png", square(9))
    found = follow(film, using, clicks=("20,24",), from_frames=(f"{mask}@f9",))
    assert found.confidence[:3] == pytest.approx((0.5, 0.45, 0.4))
    assert found.confidence[7:] == pytest.approx((0.8, 0.9, 1.0)), "a drawn mask is right"
    (note,) = found.notes
    assert "uncertain in f0 to f4 (0.30)" in note
    assert note.count("@f4") == 3
    assert "--fix f4=MASK, or --segmenter sam after `vinpaint weights pull" in note


def test_it_is_the_same_every_time(film: FrameSource) -> None:
    one, other = (follow(film, clicks=("20,24",), excludes=("22,24@f5",)) for _ in range(2))
    assert one.confidence == other.confidence
    assert all(np.array_equal(one.masks.hole(index), other.masks.hole(index)) for index in range(10))


@pytest.mark.parametrize("stage", ["shots", "track"])
def test_a_listener_can_stop_it_at_any_stage(film: FrameSource, stage: str) -> None:
    class Impatient(SilentListener):
        name = ""

        def stage(self, name: str, total: int | None):  # type: ignore[no-untyped-def]  # a stand-in
            self.name = name
            return self

        def __enter__(self) -> Impatient:
            return self

        def __exit__(self, *error: object) -> None: ...

        def advance(self, n: int = 1) -> bool:
            return self.name != stage

    with pytest.raises(Interrupted):
        track_masks(film, PromptOptions(clicks=("20,24",)), Impatient(), tools=tools())


def test_which_segmenter_auto_took_is_said(film: FrameSource) -> None:
    class Listener(SilentListener):
        heard: list[str] = []  # noqa: RUF012  # one test's

        def note(self, text: str) -> None:
            self.heard.append(text)

    track_masks(film, PromptOptions(clicks=("20,24",)), Listener(), tools=tools())
    track_masks(film, PromptOptions(clicks=("20,24",), segmenter="grabcut"), Listener(), tools=tools())
    assert Listener.heard == ["segmenter: points"]


def test_one_frame_alone_can_be_segmented(film: FrameSource) -> None:
    prompts = [Prompt(1, TimePoint(frame=9), ((20, 24),), (True,)), Prompt(1, TimePoint(frame=9), (), ())]
    segmenter = PointSegmenter()
    assert np.array_equal(segment_frame(film, 9, prompts, segmenter)[0].probability > 0.5, disc(20, 24))
    assert segmenter.asked[0][2] == 2
    with pytest.raises(MaskError, match="no frame f10"):
        segment_frame(film, 10, prompts, segmenter)


def test_written_as_a_video_it_is_the_same_mask(film: FrameSource, tmp_path: Path) -> None:
    found = follow(film, clicks=("20,24", "40,24@f9"))
    write_masks(film, found, tmp_path / "tracked.mkv")
    spec = MaskOptions(prompts=PromptOptions(clicks=("20,24",)), dilate=2)
    direct = build_mask(spec, film.info, tracked=found)
    back, again = find_hole(film, replace(spec, tracked=str(tmp_path / "tracked.mkv")))
    assert again is None, "what is written need not be followed again"
    for frame in film.frames():
        assert np.array_equal(back.at(frame), direct.at(frame))
        assert direct.at(frame).sum() > found.at(frame).sum()


def test_frames_beyond_a_range_of_time_do_not_bring_an_object_back(tmp_path: Path) -> None:
    hole = Box(0, 0, 4, 4)
    holes = [None, None, hole, None, hole, None]
    pointed = PromptOptions(clicks=("1,1",))
    assert object_bounds(MaskOptions(prompts=pointed, start="f2", end="f5"), holes) == [2, 5]
    assert object_bounds(MaskOptions(prompts=pointed, end="f5"), holes) == [5]
    assert object_bounds(MaskOptions(tracked="masks.mkv", start="f2"), holes) == [2]
    assert object_bounds(MaskOptions(prompts=pointed), holes) == []
    assert object_bounds(MaskOptions(boxes=("1,1,2,2",), start="f2", end="f5"), holes) == [], (
        "it comes and goes"
    )
    for mask, bounds in (("logo.png", []), ("hole.mkv", [2, 5]), (str(tmp_path), [2, 5])):
        options = MaskOptions(masks=(mask,), start="f2", end="f5")
        assert object_bounds(options, holes) == [], "masks say where it is"
        assert object_bounds(replace(options, shadows=True), holes) == bounds
    assert object_bounds(MaskOptions(prompts=pointed, end="f5"), [None]) == []
