"""The main job, end to end, on clips small enough to compare sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scenes import block, pan, psnr

from vinpaint_cli.errors import InputError, Interrupted, OutOfMemoryError, OutputError, UsageError
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.masks.sources.shapes import feather
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.output import default_output
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.run import remove
from vinpaint_cli.types import EncodeOptions, Progress

FFV1 = EncodeOptions(codec="ffv1")
BOX = 24, 16, 40, 32


def boxed(*boxes: str, **options: object) -> RemoveOptions:
    return RemoveOptions(mask=MaskOptions(boxes=boxes or ("24,16,16,16",)), **options)  # type: ignore[arg-type]


def planes(path: Path) -> list[list[np.ndarray]]:
    """Samples of every plane of every frame, as stored."""
    with av.open(str(path)) as container:
        return [[_samples(plane, frame) for plane in frame.planes] for frame in container.decode(video=0)]


def _samples(plane: av.video.plane.VideoPlane, frame: av.VideoFrame) -> np.ndarray:
    wide = frame.format.components[0].bits > 8
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows.view("<u2")[:, : plane.width] if wide else rows[:, : plane.width]


def block_any(touched: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which samples of a plane of ``shape`` have a touched pixel among those they stand for."""
    fy, fx = (round(full / part) for full, part in zip(touched.shape, shape, strict=True))
    padded = np.zeros((shape[0] * fy, shape[1] * fx), bool)
    padded[: touched.shape[0], : touched.shape[1]] = touched
    return padded.reshape(shape[0], fy, shape[1], fx).any(axis=(1, 3))


def is_red(picture: np.ndarray) -> np.ndarray:
    """Where an RGB picture ``(h, w, 3)`` of 8 bits is red: bool ``(h, w)``."""
    return (picture[..., 0] > 200) & (picture[..., 1:].max(-1) < 60)


@pytest.mark.parametrize("step", [1, 7])
def test_what_has_a_mask_per_frame_does_not_come_back_from_beyond_the_range(
    tmp_path: Path, step: int
) -> None:
    """A red block walks through; where the range ends it is still there, with a mask."""
    (tmp_path / "walk").mkdir()
    (tmp_path / "masks").mkdir()
    clip = np.repeat(pan(1, 72, 104, (5, 0)), 12, 0)
    for t, picture in enumerate(clip):
        mask = np.zeros((72, 104), np.uint8)
        mask[20:44, 4 + step * t : 20 + step * t] = 255
        picture[mask > 0] = 255, 0, 0
        cv2.imwrite(str(tmp_path / "walk" / f"{t:03d}.png"), picture[..., ::-1])
        cv2.imwrite(str(tmp_path / "masks" / f"{t:03d}.png"), mask)
    mask_options = MaskOptions(masks=(str(tmp_path / "masks"),), dilate=1, start="f4", end="f7")
    remove(tmp_path / "walk", tmp_path / "out", RemoveOptions(mask=mask_options))
    result, truth = read_pictures(tmp_path / "out"), pan(1, 72, 104, (5, 0))[0]
    # One pixel a frame reveals nothing: what is made up there need not be the truth, but it must not be red.
    assert all(psnr(result[t], truth) > (65 if step > 1 else 20) for t in range(4, 7))
    assert not any((is_red(result[t]) & ~is_red(truth)).any() for t in range(4, 7))
    assert all(np.array_equal(result[t], clip[t]) for t in (3, 7))


def write_pan(folder: Path, frames: int = 12, size: tuple[int, int] = (72, 104)) -> np.ndarray:
    clip = pan(frames, *size, (5, 0))
    folder.mkdir()
    for index, picture in enumerate(clip):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture[..., ::-1])
    return clip


def read_pictures(folder: Path) -> np.ndarray:
    return np.stack([cv2.imread(str(path))[..., ::-1] for path in sorted(folder.iterdir())])


@pytest.mark.parametrize(
    ("pix_fmt", "size"),
    [("yuv420p", (64, 48)), ("yuv420p", (65, 47)), ("yuv422p10le", (64, 48)), ("yuv444p", (63, 48))],
)
def test_outside_the_feathered_hole_every_sample_is_the_source(
    clip: Callable[..., Path], tmp_path: Path, pix_fmt: str, size: tuple[int, int]
) -> None:
    source = clip(pix_fmt=pix_fmt, size=size, codec="ffv1", frames=5)
    target = tmp_path / "out.mkv"
    remove(source, target, boxed(feather=3, encode=FFV1))
    touched = feather(block(size[1], size[0], BOX), 3) > 0
    changed = 0
    for before, after in zip(planes(source), planes(target), strict=True):
        for one, other in zip(before, after, strict=True):
            reach = block_any(touched, one.shape)
            assert np.array_equal(one[~reach], other[~reach])
            changed += int((one[reach] != other[reach]).sum())
    assert changed > 0


def test_a_pan_is_filled_with_what_other_frames_show(tmp_path: Path) -> None:
    truth = write_pan(tmp_path / "in")
    hole = block(72, 104, (44, 28, 62, 46))
    for path in (tmp_path / "in").iterdir():
        picture = cv2.imread(str(path))
        picture[hole] = (0, 0, 255)
        cv2.imwrite(str(path), picture)
    report = remove(tmp_path / "in", tmp_path / "out", boxed("44,28,18,18"))
    result = read_pictures(tmp_path / "out")
    assert psnr(result[:, hole], truth[:, hole]) > 33
    assert report.by_propagation > 0.85
    assert report.by_propagation + report.by_method == pytest.approx(1, abs=1e-3)
    assert report.frames == report.hole_frames == 12
    assert report.hole_pixels == 12 * int(hole.sum())
    assert set(report.seconds) >= {"scan", "read", "propagate", "encode"}


def test_segments_join_without_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pan(tmp_path / "in", 20)
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.LONGEST_SEGMENT", 9)
    report = remove(tmp_path / "in", tmp_path / "out", boxed("44,28,18,18"))
    assert report.segments >= 3
    before, after = read_pictures(tmp_path / "in"), read_pictures(tmp_path / "out")
    filled = [
        not np.array_equal(a[28:46, 44:62], b[28:46, 44:62]) for a, b in zip(before, after, strict=True)
    ]
    assert all(filled)


def test_time_limits_the_work(clip: Callable[..., Path], tmp_path: Path) -> None:
    source, target = clip(codec="ffv1", frames=8), tmp_path / "out.mkv"
    mask = MaskOptions(boxes=("24,16,16,16",), start="f3", end="f5")
    report = remove(source, target, RemoveOptions(mask=mask, encode=FFV1))
    same = [
        all(np.array_equal(a, b) for a, b in zip(x, y, strict=True))
        for x, y in zip(planes(source), planes(target), strict=True)
    ]
    assert same == [True, True, True, False, False, True, True, True]
    assert report.hole_frames == 2


def test_a_rotated_clip_is_edited_where_a_person_sees_it(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip("in.mov", size=(64, 48), rotation=90, frames=3, codec="prores_ks", pix_fmt="yuv422p10le")
    target = tmp_path / "out.mkv"
    remove(source, target, boxed("0,40,20,24", feather=0, encode=FFV1))
    moved = planes(source)[0][0] != planes(target)[0][0]
    # Displayed 48×64, turned clockwise: its lower left corner is the coded lower right one.
    assert moved[28:, 40:].mean() > 0.5
    assert not moved[:28].any()
    assert not moved[:, :40].any()


def test_an_empty_mask_copies_the_clip(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip("in.mp4", audio="aac")
    mask = tmp_path / "black.png"
    cv2.imwrite(str(mask), np.zeros((48, 64), np.uint8))
    report = remove(source, tmp_path / "out.mp4", RemoveOptions(mask=MaskOptions(masks=(str(mask),))))
    assert (tmp_path / "out.mp4").read_bytes() == source.read_bytes()
    assert any("empty" in line for line in report.warnings)


def test_an_empty_mask_still_encodes_as_asked(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip("in.mp4")
    options = RemoveOptions(mask=MaskOptions(boxes=("0,0,8,8@f90-",)), encode=FFV1)
    remove(source, tmp_path / "out.mkv", options)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].codec_context.name == "ffv1"
    assert all(
        np.array_equal(a, b)
        for x, y in zip(planes(source), planes(tmp_path / "out.mkv"), strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_the_same_run_gives_the_same_bytes(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=4)
    for name in ("one.mkv", "two.mkv"):
        remove(source, tmp_path / name, boxed(encode=FFV1))
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()


class StopsAfter(SilentListener):
    """Asks to stop after some units of filling."""

    def __init__(self, units: int) -> None:
        self.left = units

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Progress]:
        yield self

    def advance(self, n: int = 1) -> bool:
        self.left -= n
        return self.left > 0


@pytest.mark.parametrize("units", [3, 12, 24])
def test_an_interrupted_run_leaves_nothing(clip: Callable[..., Path], tmp_path: Path, units: int) -> None:
    source = clip(codec="ffv1", frames=10)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Interrupted):
        remove(source, tmp_path / "out.mkv", boxed(encode=FFV1), listener=StopsAfter(units))
    assert sorted(tmp_path.iterdir()) == before


def test_outputs_are_not_overwritten_unasked(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=2)
    target = tmp_path / "out.mkv"
    target.write_text("precious")
    with pytest.raises(OutputError, match="-y"):
        remove(source, target, boxed())
    assert target.read_text() == "precious"
    remove(source, target, boxed(), overwrite=True)
    assert planes(target)
    with pytest.raises(InputError, match="input itself"):
        remove(source, source, boxed(), overwrite=True)
    with pytest.raises(OutputError, match="does not exist"):
        remove(source, tmp_path / "no" / "out.mkv", boxed())


def test_options_that_make_no_sense_are_refused(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=2)
    for options, word in [
        (RemoveOptions(), "--mask"),
        (boxed(propagate=False), "--no-propagate"),
        (boxed(weights="w.pth"), "--weights"),
        (boxed(method="magic"), "magic"),
        (boxed(device="tpu"), "tpu"),
        (boxed(precision="fp8"), "fp8"),
        (boxed(feather=-1), "--feather"),
    ]:
        with pytest.raises(UsageError, match=word):
            remove(source, tmp_path / "out.mkv", options)


def test_too_little_memory_is_said_with_figures(clip: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(OutOfMemoryError, match=r"64\.0 KiB may be used"):
        remove(clip(codec="ffv1", frames=4), tmp_path / "out.mkv", boxed(memory="64K"))


def test_default_names() -> None:
    assert default_output("a/b.c.mp4") == Path("a/b.c.vinpaint.mp4")
    assert default_output("a/frames") == Path("a/frames.vinpaint")


@pytest.mark.parametrize(
    ("name", "encode", "word"),
    [
        ("out.png", EncodeOptions(), "single picture"),
        ("out.xyz", EncodeOptions(), "suffix"),
        ("out.mkv", EncodeOptions(pix_fmt="yuv9"), "yuv9"),
        ("out.mkv", EncodeOptions(codec="divx9"), "divx9"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_clip_is_read(
    clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    encode: EncodeOptions,
    word: str,
) -> None:
    monkeypatch.setattr("vinpaint_cli.pipeline.plan.scan", None)
    with pytest.raises(UsageError, match=word):
        remove(clip(codec="ffv1", frames=2), tmp_path / name, boxed(encode=encode))


def test_a_trailing_slash_makes_a_folder(clip: Callable[..., Path], tmp_path: Path) -> None:
    remove(clip(codec="ffv1", frames=3), f"{tmp_path}/out.d/", boxed())
    assert len(list((tmp_path / "out.d").glob("*.png"))) == 3


def test_a_folder_of_pictures_becomes_one(tmp_path: Path) -> None:
    write_pan(tmp_path / "shots.v2", 3)
    report = remove(tmp_path / "shots.v2", None, boxed("44,28,18,18"))
    assert len(list((tmp_path / "shots.v2.vinpaint").glob("*.png"))) == 3
    assert report.output.rstrip("/").endswith("shots.v2.vinpaint")


class WritesMeanwhile(SilentListener):
    """Somebody who saves a file under the output's name while we work."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Progress]:
        self.path.write_text("precious")
        with super().stage(name, total) as progress:
            yield progress


@pytest.mark.parametrize("box", ["24,16,16,16", "0,0,8,8@f90-"])
def test_a_file_that_appears_during_the_run_is_kept(
    clip: Callable[..., Path], tmp_path: Path, box: str
) -> None:
    target = tmp_path / "out.mkv"
    source = clip(codec="ffv1", frames=3)
    with pytest.raises(OutputError, match="appeared"):
        remove(source, target, boxed(box), listener=WritesMeanwhile(target))
    assert target.read_text() == "precious"
    assert sorted(tmp_path.iterdir()) == sorted([source, target])


def test_empty_names_are_refused(clip: Callable[..., Path], tmp_path: Path) -> None:
    source = clip(codec="ffv1", frames=2)
    with pytest.raises(UsageError, match="empty name"):
        remove(source, tmp_path / "out.mkv", RemoveOptions(mask=MaskOptions(masks=("",))))
    with pytest.raises(UsageError, match="empty name"):
        remove(source, "", boxed())


def test_names_with_a_colon_are_files(
    clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip("http:clip.mkv", codec="ffv1", frames=2)
    monkeypatch.chdir(tmp_path)
    remove("http:clip.mkv", "file:out.mkv", boxed())
    assert (tmp_path / "file:out.mkv").stat().st_size > 0


def test_a_mask_beyond_the_range_that_cannot_be_read_is_said_before_filling(tmp_path: Path) -> None:
    write_pan(tmp_path / "pan")
    (tmp_path / "masks").mkdir()
    mask = np.zeros((72, 104), np.uint8)
    mask[20:30, 20:30] = 255
    for t in range(12):
        cv2.imwrite(str(tmp_path / "masks" / f"{t:03d}.png"), mask)
    (tmp_path / "masks" / "009.png").write_bytes(b"nothing")
    stages: list[str] = []

    class Watches(SilentListener):
        @contextmanager
        def stage(self, name: str, total: int | None) -> Iterator[Progress]:
            stages.append(name)
            with super().stage(name, total) as progress:
                yield progress

    options = RemoveOptions(mask=MaskOptions(masks=(str(tmp_path / "masks"),), start="f4", end="f7"))
    with pytest.raises(InputError, match=r"009\.png"):
        remove(tmp_path / "pan", tmp_path / "out", options, listener=Watches())
    assert stages == ["scan"]


def test_two_far_holes_are_filled_as_each_alone(clip: Callable[..., Path], tmp_path: Path) -> None:
    """Either has a region without the other, so neither changes what the other gets; nor anything outside."""
    source = clip(codec="ffv1", frames=12, size=(480, 48))
    boxes = "10,16,16,16", "454,12,16,16"
    for name, given in (("one", boxes[:1]), ("other", boxes[1:]), ("both", boxes)):
        report = remove(source, tmp_path / f"{name}.mkv", boxed(*given, feather=2, encode=FFV1))
        assert report.hole_pixels == len(given) * 12 * 16 * 16
        assert report.segments == len(given)
        assert report.by_propagation + report.by_method == pytest.approx(1, abs=1e-3)
    one, other, both = (planes(tmp_path / f"{name}.mkv") for name in ("one", "other", "both"))
    before = planes(source)
    for frame, alone, apart, untouched in zip(both, one, other, before, strict=True):
        for got, left, right, plane in zip(frame, alone, apart, untouched, strict=True):
            middle, edge = got.shape[1] // 2, 28 * got.shape[1] // 480
            assert np.array_equal(got, np.hstack([left[:, :middle], right[:, middle:]]))
            assert np.array_equal(got[:, edge:-edge], plane[:, edge:-edge])
            assert not np.array_equal(got, plane)
