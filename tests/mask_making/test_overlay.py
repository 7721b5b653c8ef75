"""The clip with its hole tinted: seen in the right place, everything else as it was."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_factory import make_clip
from helpers_tracked import tracked_masks

from vinpaint_cli.errors import InputError, OutputError, UsageError
from vinpaint_cli.mask_making.overlay import write_overlay
from vinpaint_cli.mask_making.run import make_mask
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.types import FrameSource
from vinpaint_cli.video.source.read import open_source, probe

SIZE = (160, 120)


def pictures(source: FrameSource) -> list[np.ndarray]:
    return [(f.rgb if f.rgb.dtype == np.uint8 else f.rgb >> 8).astype(int) for f in source.frames()]


@pytest.mark.parametrize(
    "kind",
    [
        {"audio": "aac", "time_base": Fraction(1, 1000), "pts": [0, 33, 66, 140]},
        {"pix_fmt": "yuv420p10le", "codec": "libx265", "rotation": 90},
        {"size": (161, 121), "pix_fmt": "yuv444p"},
    ],
    ids=["sound and varying rate", "deep and turned", "odd"],
)
def test_only_the_hole_is_tinted(tmp_path: Path, kind: dict[str, Any]) -> None:
    source = open_source(make_clip(tmp_path / "film.mkv", **{"frames": 4, "size": SIZE, **kind}))
    width, height = source.info.width, source.info.height
    target = tmp_path / "overlay.mp4"
    mask = tracked_masks((width, height), [0.5] * 4)
    assert write_overlay(source, mask, target, mask, SilentListener()) == []
    made = open_source(target)
    assert (made.info.width, made.info.height, made.info.codec) == (width, height, "h264")
    kinds = [stream.kind for stream in made.info.streams]
    assert kinds == [stream.kind for stream in source.info.streams]
    for before, after in zip(pictures(source), pictures(made), strict=True):
        below = slice(height // 4, None)
        right, left = slice(width // 2 + 8, None), slice(0, width // 2 - 8)
        assert abs(before - after)[below, right].mean() < 8
        tinted = after[below, left]
        assert (tinted[..., 0] > tinted[..., 1] + 40).mean() > 0.95
    origin, tick = made.info.time_base, source.info.time_base
    assert [float(f.pts * origin) for f in made.frames()] == pytest.approx(
        [float(f.pts * tick) for f in source.frames()], abs=1e-3
    )


def test_frames_carry_their_numbers(tmp_path: Path) -> None:
    source = open_source(make_clip(tmp_path / "film.mkv", frames=2, size=SIZE))
    mask = tracked_masks(SIZE, [0.25, 0.75])
    write_overlay(source, mask, tmp_path / "overlay.mp4", mask, SilentListener())
    one, other = pictures(open_source(tmp_path / "overlay.mp4"))
    corner = one[:12, :40]
    assert corner.min() < 60 < 180 < corner.max()
    assert abs(one - other)[:12, :40].max() > 60, "the numbers differ"


def test_it_is_asked_for_beside_a_mask(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mkv", frames=2)
    report = make_mask(film, None, MaskOptions(boxes=("0,0,9,9",)), overlay=tmp_path / "seen.mp4")
    assert (report.output, report.overlay) == (None, str(tmp_path / "seen.mp4"))
    assert probe(tmp_path / "seen.mp4").codec == "h264"
    assert (report.segmenter, report.confidence, report.worst, report.prompt_frames) == (None, (), (), ())


def test_what_exists_is_kept_and_what_cannot_be_is_refused(tmp_path: Path) -> None:
    film, hole = make_clip(tmp_path / "film.mp4", frames=2), MaskOptions(boxes=("0,0,9,9",))
    (tmp_path / "seen.mp4").write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        make_mask(film, None, hole, overlay=tmp_path / "seen.mp4")
    with pytest.raises(InputError, match="input itself"):
        make_mask(film, None, hole, overlay=film, overwrite=True)
    for name in ("seen.png", "seen"):
        with pytest.raises(UsageError, match=r"overlay\.mp4"):
            make_mask(film, None, hole, overlay=tmp_path / name)
    with pytest.raises(UsageError, match="named twice"):
        make_mask(film, tmp_path / "one.mkv", hole, overlay=tmp_path / "one.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "seen.mp4"]
