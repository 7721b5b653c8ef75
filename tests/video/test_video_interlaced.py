"""Interlaced clips: fields are frames, what is laid into one stays in its lines, and all is woven back."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import make_clip
from helpers_video import FFV1

from vinpaint_cli.errors import VideoError
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.removal.run import remove
from vinpaint_cli.types import Box, EncodeOptions, Patch
from vinpaint_cli.video.colour.convert import crop_rgb
from vinpaint_cli.video.colour.planes import compose
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.read import open_source, probe

TOP, BOTTOM = 2, 3  # AVFieldOrder
KINDS = {
    "h264": ("a.mp4", "libx264", "yuv420p", {"x264-params": "tff=1", "preset": "medium"}, 0),
    "mpeg2": ("a.mpg", "mpeg2video", "yuv420p", {"flags": "+ildct+ilme"}, None),
    "ffv1": ("a.mkv", "ffv1", "yuv422p", {}, 1),
    "prores": ("a.mov", "prores_ks", "yuv422p10le", {"flags": "+ildct"}, 0),
    "dv": ("a.avi", "dvvideo", "yuv420p", {}, 1),
}


def clip_of(folder: Path, kind: str) -> Path:
    name, codec, pix_fmt, options, _ = KINDS[kind]
    size = (720, 576) if kind == "dv" else (64, 48)
    order = {"ffv1": BOTTOM, "dv": 0}.get(kind, TOP)
    return make_clip(
        folder / name, frames=4, codec=codec, pix_fmt=pix_fmt, size=size, field_order=order, options=options
    )


def frames_of(path: Path) -> list[tuple[np.ndarray, bool, float]]:
    """Samples, whether it is marked as interlaced, and time of every frame, with FFmpeg alone."""
    with av.open(str(path)) as container:
        return [(f.to_ndarray(), f.interlaced_frame, float(f.time)) for f in container.decode(video=0)]


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_frames_and_are_woven_back(tmp_path: Path, kind: str) -> None:
    path, first = clip_of(tmp_path, kind), KINDS[kind][4]
    source = open_source(path)
    parity = source.details.first_field
    assert first in (None, parity)
    fields = list(source.frames())
    assert [field.index for field in fields] == list(range(8))
    assert len(set(np.diff([field.pts for field in fields]))) == 1
    assert source.info.rate == 2 * probe(path).rate
    assert [field.index for field in source.frames(3, 6)] == [3, 4, 5]
    patch = Patch(3, Box(20, 16, 36, 28), np.full((12, 16, 3), 255, np.uint8), np.ones((12, 16), np.float32))
    if fields[0].rgb.dtype == np.uint16:
        patch = Patch(3, patch.roi, patch.rgb.astype(np.uint16) * 257, patch.alpha)
    with open_writer(tmp_path / "out.mkv", source, FFV1) as writer:
        for field in source.frames():
            writer.write(compose(field, [patch]) if field.index == 3 else field)
    before, after = frames_of(path), frames_of(tmp_path / "out.mkv")
    assert [time for _, _, time in after] == pytest.approx([time for _, _, time in before], abs=0.001)
    for index, ((one, *_), (other, *_)) in enumerate(zip(before, after, strict=True)):
        rows = np.unique(np.nonzero((one != other).reshape(one.shape[0], -1))[0]) if one.ndim == 2 else []
        luma = [int(row) for row in rows if row < source.info.height]
        assert luma == ([y for y in range(16, 28) if y % 2 != parity] if index == 1 and one.ndim == 2 else [])
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].codec_context.field_order == (BOTTOM if parity else TOP)


@pytest.mark.parametrize("kind", ["h264", "mpeg2", "prores", "dv"])
def test_what_comes_out_says_that_it_is_interlaced(tmp_path: Path, kind: str) -> None:
    path = clip_of(tmp_path, kind)
    out = tmp_path / f"out{path.suffix}"
    source = open_source(path)
    with open_writer(out, source, EncodeOptions()) as writer:
        for field in source.frames():
            writer.write(field)
    assert writer.warnings == []
    assert all(marked for _, marked, _ in frames_of(out))
    assert open_source(out).details.first_field == source.details.first_field
    assert probe(out).interlaced


def test_a_file_that_cannot_say_it_is_interlaced_is_named(tmp_path: Path) -> None:
    source = open_source(clip_of(tmp_path, "h264"))
    with open_writer(tmp_path / "out.avi", source, EncodeOptions(codec="utvideo")) as writer:
        for field in source.frames():
            writer.write(field)
    assert any("do not keep: that the picture is interlaced" in line for line in writer.warnings)


@pytest.mark.parametrize("kind", ["h264", "ffv1"])
def test_a_region_is_that_of_the_whole_field(tmp_path: Path, kind: str) -> None:
    for field in open_source(clip_of(tmp_path, kind)).frames(0, 2):
        whole = field.rgb
        assert whole.shape == (48, 64, 3)
        for box in (
            Box(0, 0, 64, 48),
            Box(3, 5, 40, 6),
            Box(10, 0, 12, 1),
            Box(1, 46, 63, 48),
            Box(7, 8, 31, 33),
        ):
            assert np.array_equal(crop_rgb(field, box), whole[box.slices()])


@pytest.mark.parametrize("per", ["frame", "field"])
def test_masks_are_of_frames_or_of_fields(tmp_path: Path, per: str) -> None:
    path = clip_of(tmp_path, "ffv1")
    masks = tmp_path / "masks"
    masks.mkdir()
    for index in range(4 if per == "frame" else 8):
        grey = np.zeros((48, 64), np.uint8)
        if index // (1 if per == "frame" else 2) == 1:
            grey[16:28, 20:36] = 255
        with av.open(str(masks / f"{index}.png"), "w", format="image2") as output:
            stream = output.add_stream("png", rate=1)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "gray")))
            output.mux(stream.encode(None))
    options = RemoveOptions(
        mask=MaskOptions(masks=(str(masks),), dilate=0), feather=0, texture=False, encode=FFV1
    )
    report = remove(path, tmp_path / "out.mkv", options)
    assert (report.frames, report.hole_frames) == (8, 2)
    changed = [
        not np.array_equal(one, other)
        for (one, *_), (other, *_) in zip(frames_of(path), frames_of(tmp_path / "out.mkv"), strict=True)
    ]
    assert changed == [False, True, False, False]


def test_fields_that_are_uneven_are_refused_with_a_way_out(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", size=(64, 46), codec="ffv1", field_order=TOP)
    with pytest.raises(VideoError, match=r"interlaced.*bwdif") as caught:
        open_source(path)
    assert path.name in str(caught.value)
