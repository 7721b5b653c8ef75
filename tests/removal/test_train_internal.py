"""A network fitted to a clip: the file, stopping and going on, and what a removal makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_work import WORK, bytes_of

from vinpaint_cli.errors import InputError, Interrupted, OutputError, UsageError, WeightsError
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.methods.internal.fit import scales
from vinpaint_cli.methods.internal.method import InternalMethod, load_network
from vinpaint_cli.methods.internal.net import Pyramid
from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.removal.fit_file import read_mark, state_path
from vinpaint_cli.removal.run import remove
from vinpaint_cli.removal.train_internal import (
    LEAST,
    TrainInternalOptions,
    choose_runs,
    default_fit_output,
    train_internal,
)
from vinpaint_cli.types import Box, Progress, Segment
from vinpaint_cli.video.source.read import open_source
from vinpaint_cli.weights.state import read_metadata

BOX = MaskOptions(boxes=("24,16,16,16",))
TOML = """
preset = "quick"
start = ""
batch = 2
side = 32
patience = 100
[network]
width = 4
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fit(tmp_path: Path) -> FitOptions:
    file = tmp_path / "tiny.toml"
    file.write_text(TOML)
    return FitOptions(steps=6, config=str(file))


class Stops(SilentListener):
    """Asks to stop once so much (of 1000) of the fit is over, or at another stage."""

    def __init__(self, at: int, stage: str = "fit") -> None:
        self._left, self._where, self._now = at, stage, ""
        self.notes: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Progress]:
        self._now = name
        yield self

    def advance(self, n: int = 1) -> bool:
        self._left -= n if self._now == self._where else 0
        return self._left > 0

    def note(self, text: str) -> None:
        self.notes.append(text)


def weights_of(path: Path) -> torch.Tensor:
    network = load_network(path)
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_a_file_that_stands_for_itself(clip: Callable[..., Path], fit: FitOptions) -> None:
    source = clip(frames=6)
    report = train_internal(source, options=TrainInternalOptions(BOX, fit))
    path = default_fit_output(source)
    assert report.output == str(path)
    assert (report.steps, report.frames, report.finished) == (6, 6, True)
    assert report.psnr >= report.smooth - 1e-3
    network = load_network(path)
    assert isinstance(network, Pyramid)
    assert network.factors == (1.0,)
    metadata = read_metadata(path)
    assert metadata["clip"]["name"] == source.name
    assert metadata["report"]["steps"] == 6
    assert len(metadata["history"]) > 2
    assert not state_path(path).exists()
    assert InternalMethod(path).spec.fitted


def test_without_a_mask_the_whole_clip_is_fitted_to(clip: Callable[..., Path], fit: FitOptions) -> None:
    report = train_internal(clip(frames=6), options=TrainInternalOptions(None, fit))
    assert report.frames_seen == 6
    assert report.steps == 6


def test_the_same_steps_give_the_same_file(
    clip: Callable[..., Path], fit: FitOptions, tmp_path: Path
) -> None:
    source = clip(frames=6)
    one, other = (tmp_path / f"{name}.safetensors" for name in "ab")
    for target in (one, other):
        train_internal(source, target, TrainInternalOptions(BOX, fit))
    assert torch.equal(weights_of(one), weights_of(other))


def test_a_stopped_fit_keeps_what_it_has_and_goes_on(
    clip: Callable[..., Path], fit: FitOptions, tmp_path: Path
) -> None:
    source, options = clip(frames=6), TrainInternalOptions(BOX, replace(fit, steps=20))
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    train_internal(source, whole, options)
    with pytest.raises(Interrupted, match="best weights so far"):
        train_internal(source, stopped, options, listener=Stops(400))
    assert isinstance(load_network(stopped), Pyramid)
    assert state_path(stopped).exists()
    listener = Stops(1 << 30)
    other = replace(options, mask=MaskOptions(boxes=("8,8,16,16",)))
    with pytest.raises(OutputError, match="is there already"):  # a fit of something else
        train_internal(source, stopped, other)
    report = train_internal(source, stopped, options, listener=listener)
    assert any("going on" in note for note in listener.notes)
    assert report.steps == 20
    assert torch.equal(weights_of(stopped), weights_of(whole))


def test_a_stop_before_the_fit_leaves_nothing(clip: Callable[..., Path], fit: FitOptions) -> None:
    source = clip(frames=6)
    with pytest.raises(Interrupted, match="before there was anything"):
        train_internal(source, options=TrainInternalOptions(BOX, fit), listener=Stops(2, "hide"))
    assert not default_fit_output(source).exists()


def test_resume_demands_a_fit_of_the_same(clip: Callable[..., Path], fit: FitOptions, tmp_path: Path) -> None:
    source, target = clip(frames=6), tmp_path / "f.safetensors"
    options = TrainInternalOptions(BOX, replace(fit, steps=20))
    with pytest.raises(UsageError, match="leave out --resume"):
        train_internal(source, target, options, resume=True)
    with pytest.raises(Interrupted):
        train_internal(source, target, options, listener=Stops(400))
    other = replace(options, mask=MaskOptions(boxes=("8,8,16,16",)))
    with pytest.raises(UsageError, match="leave out --resume"):
        train_internal(source, target, other, resume=True)
    assert train_internal(source, target, options, resume=True).steps == 20


def test_what_is_there_is_not_replaced_unasked(clip: Callable[..., Path], fit: FitOptions) -> None:
    source = clip(frames=6)
    default_fit_output(source).write_bytes(b"mine")
    with pytest.raises(OutputError, match="is there already"):
        train_internal(source, options=TrainInternalOptions(BOX, fit))
    assert default_fit_output(source).read_bytes() == b"mine"


def test_a_removal_fits_first_and_uses_the_file_again(
    clip: Callable[..., Path], fit: FitOptions, tmp_path: Path
) -> None:
    source = clip(frames=6)
    options = RemoveOptions(mask=BOX, method="internal", fit=fit)
    listener = Stops(1 << 30)
    report = remove(source, tmp_path / "one.mkv", options, listener=listener, work=WORK)
    kept = [path for path in tmp_path.iterdir() if path.name.endswith(".internal.safetensors")]
    assert len(kept) == 1
    assert report.weights == str(kept[0])
    assert any("fitting a network to the clip first, 6 steps" in note for note in listener.notes)
    again = Stops(1)  # would stop at the first step of a fit
    remove(source, tmp_path / "two.mkv", options, listener=again, work=WORK)
    assert any("was fitted to this clip before" in note for note in again.notes)
    assert bytes_of(tmp_path / "one.mkv") == bytes_of(tmp_path / "two.mkv")


def test_a_stopped_removal_goes_on_with_its_fit(
    clip: Callable[..., Path], fit: FitOptions, tmp_path: Path
) -> None:
    source, options = clip(frames=6), RemoveOptions(mask=BOX, method="internal", fit=replace(fit, steps=20))
    remove(source, tmp_path / "whole.mkv", options)
    for path in tmp_path.glob("*.internal.safetensors"):
        path.unlink()
    with pytest.raises(Interrupted):
        remove(source, tmp_path / "out.mkv", options, listener=Stops(400), work=WORK)
    assert list(tmp_path.glob("*.state"))
    remove(source, tmp_path / "out.mkv", options, work=WORK)
    assert bytes_of(tmp_path / "out.mkv") == bytes_of(tmp_path / "whole.mkv")
    assert not list(tmp_path.glob("*.state"))


def test_a_file_of_another_clip_is_warned_of(
    clip: Callable[..., Path], fit: FitOptions, tmp_path: Path
) -> None:
    source, other = clip(frames=6), clip("other.mkv", frames=5)
    path = Path(train_internal(source, options=TrainInternalOptions(BOX, fit)).output)
    options = RemoveOptions(mask=BOX, method="internal", weights=str(path))
    own = remove(source, tmp_path / "own.mkv", options)
    assert not any("another clip" in line for line in own.warnings)
    report = remove(other, tmp_path / "out.mkv", options)
    assert any(f"was fitted to another clip, {source.name}" in line for line in report.warnings)
    mark = read_mark(path)
    assert mark is not None
    assert mark["frames"] == 6


def test_a_clip_without_a_hole_needs_no_fit(
    clip: Callable[..., Path], fit: FitOptions, tmp_path: Path
) -> None:
    black = tmp_path / "black.png"
    import cv2

    cv2.imwrite(str(black), np.zeros((48, 64), np.uint8))
    source = clip(frames=4)
    options = RemoveOptions(mask=MaskOptions(masks=(str(black),)), method="internal", fit=fit)
    report = remove(source, tmp_path / "out.mkv", options)
    assert report.hole_frames == 0
    assert not list(tmp_path.glob("*.safetensors"))
    with pytest.raises(UsageError, match="mask is empty"):
        train_internal(source, options=TrainInternalOptions(options.mask, fit))


def test_a_hole_over_everything_is_refused(clip: Callable[..., Path], fit: FitOptions) -> None:
    everything = MaskOptions(boxes=("0,0,100%,100%",))
    with pytest.raises(InputError, match="nothing to fit"):
        train_internal(clip(frames=4), options=TrainInternalOptions(everything, fit))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fit": FitOptions(minutes=1.0)}, "method 'propagate' fits none"),
        ({"method": "internal", "fit": FitOptions(minutes=1.0, steps=3)}, "give one of them"),
        ({"method": "internal", "fit": FitOptions(minutes=0.0)}, "no time for a fit"),
        ({"method": "internal", "fit": FitOptions(steps=-1)}, "is negative"),
    ],
)
def test_contradictions_are_refused_before_anything_is_read(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        remove(tmp_path / "none.mp4", options=replace(RemoveOptions(mask=BOX), **changes))  # type: ignore[arg-type]


def test_a_damaged_file_is_fitted_anew(clip: Callable[..., Path], fit: FitOptions, tmp_path: Path) -> None:
    source, options = clip(frames=6), RemoveOptions(mask=BOX, method="internal", fit=fit)
    remove(source, tmp_path / "one.mkv", options)
    (path,) = tmp_path.glob("*.internal.safetensors")
    whole, fitted = path.read_bytes(), weights_of(path)
    path.write_bytes(whole[: len(whole) // 2])
    remove(source, tmp_path / "two.mkv", options)
    assert torch.equal(weights_of(path), fitted)
    assert bytes_of(tmp_path / "one.mkv") == bytes_of(tmp_path / "two.mkv")
    path.write_bytes(whole[:100])
    with pytest.raises(WeightsError):
        InternalMethod(path)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((432, 240), (1.0,)),
        ((1280, 720), (1.0,)),
        ((1920, 1080), (1024 / 1920, 1.0)),
        ((2160, 3840), (1024 / 3840, 2048 / 3840, 1.0)),
    ],
)
def test_scales_double_from_1k(size: tuple[int, int], expected: tuple[float, ...]) -> None:
    assert scales(size) == pytest.approx(expected)


def test_long_clips_are_seen_in_part() -> None:
    roi = Box(0, 0, 1000, 600)
    segments = [
        Segment(n, range(80 * n, 80 * n + 80), range(80 * n, 80 * n + 80), roi, (1000, 600))
        for n in range(20)
    ]
    chosen = choose_runs(segments, 60_000_000)
    assert sum(len(segment.frames) * roi.area for segment in chosen) <= 60_000_000
    assert len({segment.index for segment in chosen}) == len(chosen) > 1
    assert all(segment.frames[0] in segments[segment.index].frames for segment in chosen)
    assert choose_runs(segments[:1], 80 * roi.area) == segments[:1]
    (short,) = choose_runs(segments[:1], 1000)
    assert len(short.frames) == LEAST


def test_deep_pictures_are_fitted_to(pictures: Callable[..., Path], fit: FitOptions) -> None:
    folder = pictures(count=6, deep=True)
    options = TrainInternalOptions(MaskOptions(boxes=("10,8,12,10",)), fit)
    report = train_internal(folder, options=options)
    assert report.psnr > 0
    assert open_source(folder).info.bit_depth > 8
