"""GIF, APNG and WebP, in and out: what is shown, how long, how often; read back with another library."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import make_clip, texture
from PIL import Image

from vinpaint_cli.errors import VideoError
from vinpaint_cli.types import Box, EncodeOptions, FrameSource, Patch
from vinpaint_cli.video.colour.planes import compose
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.read import open_source, probe

DELAYS = [50, 100, 200, 50, 300, 500]
HOLE = Box(20, 16, 36, 28)
Shown = tuple[np.ndarray, list[float], int | None]


def animation(path: Path, clear: bool = True) -> Path:
    """Six pictures of 64 colours, each with a palette of its own, of which the left edge is clear."""
    pictures = [Image.fromarray(texture(index, 64, 48)).quantize(64).convert("RGBA") for index in range(6)]
    for index, picture in enumerate(pictures if clear else ()):
        seen = np.full((48, 64), 255, np.uint8)
        seen[:, : 5 + index] = 0
        picture.putalpha(Image.fromarray(seen))
    more = {"lossless": True} if path.suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=DELAYS, loop=3, **more)
    return path


def shown(path: Path) -> Shown:
    """Pictures (n, h, w, 4), how long each is shown in ms, and how often all are."""
    with Image.open(path) as picture:
        found, delays = [], []
        for index in range(picture.n_frames):
            picture.seek(index)
            found.append(np.asarray(picture.convert("RGBA")).astype(int))
            delays.append(picture.info["duration"])
        return np.stack(found), delays, picture.info.get("loop")


def fill(source: FrameSource, out: Path, options: EncodeOptions | None = None) -> list[str]:
    """Write a clip with coloured noise laid into the hole of each frame; returns the warnings."""
    noise = np.random.default_rng(0).integers(0, 256, (HOLE.height, HOLE.width, 3), np.uint8)
    alpha = np.ones((HOLE.height, HOLE.width), np.float32)
    with open_writer(out, source, options or EncodeOptions()) as writer:
        for frame in source.frames():
            writer.write(compose(frame, [Patch(frame.index, HOLE, noise, alpha)]))
    return writer.warnings


@pytest.mark.parametrize("target", [".gif", ".apng", ".webp"])
@pytest.mark.parametrize("given", [".gif", ".png", ".webp"])
def test_animations_keep_all_outside_the_hole(tmp_path: Path, given: str, target: str) -> None:
    clip = animation(tmp_path / f"in{given}")
    assert fill(open_source(clip), tmp_path / f"out{target}") == []
    (before, delays, loop), (after, lasting, often) = shown(clip), shown(tmp_path / f"out{target}")
    assert lasting == delays == DELAYS
    assert often == loop == 3
    assert np.array_equal(after[..., 3], before[..., 3])
    before[(slice(None), *HOLE.slices())] = after[(slice(None), *HOLE.slices())]
    seen = before[..., 3] > 0
    assert np.array_equal(after[seen], before[seen])


def test_opaque_gifs_with_a_palette_per_frame(tmp_path: Path) -> None:
    clip = animation(tmp_path / "in.gif", clear=False)
    fill(open_source(clip), tmp_path / "out.gif")
    before, after = shown(clip)[0], shown(tmp_path / "out.gif")[0]
    before[(slice(None), *HOLE.slices())] = after[(slice(None), *HOLE.slices())]
    assert np.array_equal(after, before)


@pytest.mark.parametrize(("name", "pix_fmt"), [("out.mp4", "yuv420p"), ("out.webm", "yuva420p")])
def test_animations_become_videos_that_play(tmp_path: Path, name: str, pix_fmt: str) -> None:
    (warning,) = fill(open_source(animation(tmp_path / "in.gif")), tmp_path / name)
    assert pix_fmt in warning
    assert ("transparency is left out" in warning) == (name == "out.mp4")
    source = open_source(tmp_path / name)
    assert source.info.codec == ("h264" if name == "out.mp4" else "vp9")
    assert source.info.pix_fmt == pix_fmt
    times = [frame.pts * source.info.time_base for frame in source.frames()]
    assert times == [Fraction(sum(DELAYS[:index]), 1000) for index in range(6)]


@pytest.mark.parametrize("target", [".gif", ".apng", ".webp"])
def test_videos_become_animations_as_they_are_displayed(tmp_path: Path, target: str) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=4, rotation=90, audio="aac")
    source, out = open_source(clip), tmp_path / f"out{target}"
    with open_writer(out, source, EncodeOptions()) as writer:
        for frame in source.frames():
            writer.write(frame)
    assert any("left out" in line for line in writer.warnings)  # the sound
    after, lasting, often = shown(out)
    wanted = np.stack([frame.rgb for frame in source.frames()])
    assert after.shape == (4, 64, 48, 4)
    # A gif has 256 colours a frame, which is said.
    assert np.abs(after[..., :3] - wanted).mean() < (8 if target == ".gif" else 1)
    assert any("256 colours" in line for line in writer.warnings) == (target == ".gif")
    assert (lasting, often) == ([40] * 4, 0)


def test_what_becomes_clear_late_in_a_gif_is_said(tmp_path: Path) -> None:
    clip = animation(tmp_path / "in.webp")
    source = open_source(clip)
    frames = list(source.frames())
    opaque = np.dstack([texture(0, 64, 48) // 64 * 64, np.full((48, 64), 255, np.uint8)])
    frames[0] = type(frames[0])(0, 0, 50, av.VideoFrame.from_ndarray(opaque, "rgba"), frames[0].convert)
    with open_writer(tmp_path / "out.gif", source, EncodeOptions()) as writer:
        for frame in frames:
            writer.write(frame)
    assert any("become clear" in line for line in writer.warnings)


def test_webp_is_probed_and_damage_is_said(tmp_path: Path) -> None:
    clip = animation(tmp_path / "in.webp")
    about = probe(clip)
    assert (about.codec, about.width, about.height, about.frames_from_header) == ("webp", 64, 48, 6)
    assert [frame.index for frame in open_source(clip).frames(2, 4)] == [2, 3]
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 3])
    with pytest.raises(VideoError, match="the animation cannot be decoded"):
        list(open_source(clip).frames())
