"""Compose: what alpha does not reach stays bit for bit, what it reaches becomes the patch."""

from __future__ import annotations

import numpy as np
import pytest
from clip_factory import make_clip
from helpers_video import planes
from hypothesis import given, settings
from hypothesis import strategies as st
from test_video_convert import FORMATS, make_frame

from vinpaint_cli.types import Box, EncodeOptions, Frame, Patch
from vinpaint_cli.video.colour.convert import converter_of, crop_rgb, displayed_size
from vinpaint_cli.video.colour.layouts import channel
from vinpaint_cli.video.colour.matrices import Orientation
from vinpaint_cli.video.colour.planes import compose, copy_native
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.read import open_source

TURNS = [Orientation(), Orientation(90), Orientation(180), Orientation(270, True)]


def make_patch(frame: Frame, roi: Box, seed: int = 0, share: float = 0.5) -> Patch:
    """Random colours with an alpha that is 0, 1 or between."""
    rng = np.random.default_rng(seed)
    peak = np.iinfo(frame.rgb.dtype).max
    rgb = rng.integers(0, peak + 1, (roi.height, roi.width, 3)).astype(frame.rgb.dtype)
    alpha = rng.choice([0.0, 0.3, 1.0], (roi.height, roi.width), p=[1 - share, share / 2, share / 2])
    return Patch(frame.index, roi, rgb, alpha.astype(np.float32))


def reached(frame: Frame, patch: Patch) -> list[np.ndarray]:
    """Per colour channel, which coded samples the patch may change: an independent slow count."""
    converter = converter_of(frame)
    width, height = displayed_size(frame)
    mask = np.zeros((height, width), bool)
    mask[patch.roi.slices()] = patch.alpha > 0
    coded = converter.orientation.code(mask)
    layout, found = converter.layout, []
    for index in range(len(layout.channels)):
        rows, columns = channel(frame.native, layout, index).shape
        step_y = 1 << layout.shift_y if index and layout.model == "yuv" else 1
        step_x = 1 << layout.shift_x if index and layout.model == "yuv" else 1
        small = np.zeros((rows, columns), bool)
        for y, x in zip(*np.nonzero(coded), strict=True):
            small[y // step_y, x // step_x] = True
        found.append(small)
    return found


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("orientation", TURNS)
def test_only_what_alpha_reaches_changes(pix_fmt, orientation):
    frame = make_frame(pix_fmt, 37, 26, orientation)
    before = planes(frame.native)
    patch = make_patch(frame, Box(5, 3, 22, 25), share=0.3)
    layout = converter_of(frame).layout
    old = [channel(frame.native, layout, i).copy() for i in range(len(layout.channels))]
    after = compose(frame, [patch])
    new = [channel(after.native, layout, i) for i in range(len(layout.channels))]
    for a, b, mask in zip(old, new, reached(frame, patch), strict=True):
        assert np.array_equal(a[~mask], b[~mask])
        assert (a[mask] != b[mask]).mean() > 0.5
    assert all(np.array_equal(a, b) for a, b in zip(before, planes(frame.native), strict=True))
    assert (after.index, after.pts, after.duration) == (frame.index, frame.pts, frame.duration)


def test_alpha_channels_are_left_alone():
    frame = make_frame("bgra", 20, 10)
    after = compose(frame, [make_patch(frame, Box(0, 0, 20, 10), share=1.0)])
    assert np.array_equal(planes(frame.native)[0][:, 3::4], planes(after.native)[0][:, 3::4])
    assert not np.array_equal(planes(frame.native)[0], planes(after.native)[0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_patch_stays_in_its_place(data):
    width, height = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    orientation = data.draw(st.sampled_from(TURNS))
    frame = make_frame(
        data.draw(st.sampled_from(["yuv420p", "yuv422p10le", "yuv411p"])), width, height, orientation
    )
    width, height = displayed_size(frame)
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    roi = Box(x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height)))
    patch = make_patch(frame, roi, seed=data.draw(st.integers(0, 99)))
    after = compose(frame, [patch])
    layout = converter_of(frame).layout
    for index, mask in enumerate(reached(frame, patch)):
        old, new = (channel(f.native, layout, index) for f in (frame, after))
        assert np.array_equal(old[~mask], new[~mask])


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("orientation", TURNS[:2])
def test_a_full_patch_is_what_one_sees(pix_fmt, orientation):
    frame = make_frame(pix_fmt, 64, 48, orientation)
    width, height = displayed_size(frame)
    peak = np.iinfo(frame.rgb.dtype).max
    y, x = np.mgrid[0:height, 0:width] / 40
    colour = np.stack([0.5 + 0.2 * np.sin(y + x), 0.4 + 0.2 * np.cos(x), 0.5 + 0.2 * np.sin(y)], axis=-1)
    if converter_of(frame).layout.model == "gray":
        colour = np.repeat(colour[..., :1], 3, axis=2)
    rgb = np.rint(colour * peak).astype(frame.rgb.dtype)
    patch = Patch(0, Box(0, 0, width, height), rgb, np.ones((height, width), np.float32))
    seen = compose(frame, [patch]).rgb.astype(np.float64)
    error = np.abs(seen - rgb) / peak
    assert error.mean() < 0.004
    assert error.max() < 0.03


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p", "yuvj420p", "bgr0", "gray"])
def test_an_unmodified_patch_is_nearly_lossless(tmp_path, pix_fmt):
    codec = "mjpeg" if pix_fmt == "yuvj420p" else "ffv1"
    path = make_clip(tmp_path / "a.mkv", codec=codec, pix_fmt=pix_fmt, size=(96, 64), frames=1)
    frame = next(open_source(path).frames())
    roi = Box(11, 7, 80, 51)
    patch = Patch(0, roi, crop_rgb(frame, roi), np.ones((roi.height, roi.width), np.float32))
    after = compose(frame, [patch])
    layout = converter_of(frame).layout
    for index in range(len(layout.channels)):
        old, new = (channel(f.native, layout, index).astype(int) for f in (frame, after))
        assert np.abs(new - old).max() <= 3 << (layout.depth - 8)
        assert np.abs(new - old).mean() < 0.35


def test_nothing_to_lay_returns_the_frame_itself():
    frame = make_frame("yuv420p", 16, 16)
    empty = make_patch(frame, Box(2, 2, 9, 9), share=0.0)
    assert compose(frame, []) is frame
    assert compose(frame, [empty]) is frame


def test_later_patches_lie_on_top():
    frame = make_frame("yuv444p", 16, 16)
    box = Box(4, 4, 12, 12)
    solid = np.ones((8, 8), np.float32)
    red, blue = (np.full((8, 8, 3), c, np.uint8) for c in ((200, 30, 30), (30, 30, 200)))
    after = compose(frame, [Patch(0, box, red, solid), Patch(0, box, blue, solid)])
    assert np.abs(after.rgb[box.slices()].astype(int) - blue).max() <= 3


def test_half_alpha_is_half_way():
    frame = make_frame("gbrp", 8, 8)
    rgb = np.full((8, 8, 3), 100, np.uint8)
    after = compose(frame, [Patch(0, Box(0, 0, 8, 8), rgb, np.full((8, 8), 0.5, np.float32))])
    assert np.abs(after.rgb - (frame.rgb.astype(float) + 100) / 2).max() <= 0.5


@pytest.mark.parametrize(
    ("index", "roi", "shape", "words"),
    [
        (1, Box(0, 0, 4, 4), (4, 4), "patch of frame 1"),
        (0, Box(0, 0, 17, 4), (4, 17), "leaves the 16×16"),
        (0, Box(0, 0, 4, 4), (4, 5), "do not fit"),
        (0, Box(4, 4, 4, 8), (4, 0), "is empty"),
    ],
)
def test_patches_that_do_not_fit_are_refused(index, roi, shape, words):
    patch = Patch(index, roi, np.zeros((*shape, 3), np.uint8), np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=words):
        compose(make_frame("yuv420p", 16, 16), [patch])


def test_a_copy_keeps_samples_times_and_tags():
    native = make_frame("yuv420p", 33, 17).native
    native.pts, native.color_range, native.colorspace = 7, 2, 9
    twin = copy_native(native)
    assert twin is not native
    assert all(np.array_equal(a, b) for a, b in zip(planes(native), planes(twin), strict=True))
    assert (twin.pts, twin.color_range, twin.colorspace) == (7, 2, 9)
    channel(twin, converter_of(make_frame("yuv420p", 2, 2)).layout, 0)[:] = 0
    assert planes(native)[0].any()


@pytest.mark.parametrize(
    "options",
    [
        {"codec": "ffv1", "size": (63, 47)},
        {"pix_fmt": "yuv422p10le"},
        {"rotation": 90, "size": (64, 34)},
        {"pix_fmt": "yuv444p", "full": True},
    ],
    ids=str,
)
def test_a_composed_ffv1_clip_differs_only_in_the_hole(clip, tmp_path, options):
    source = open_source(clip("in.mkv", frames=4, **options))
    roi = Box(6, 5, 21, 30)
    target = tmp_path / "out.mkv"
    with open_writer(target, source, EncodeOptions(codec="ffv1")) as writer:
        for frame in source.frames():
            patch = make_patch(frame, roi, seed=frame.index, share=0.6)
            writer.write(compose(frame, [patch]) if frame.index != 2 else frame)
    for before, after in zip(source.frames(), open_source(target).frames(), strict=True):
        layout = converter_of(before).layout
        patch = make_patch(before, roi, seed=before.index, share=0.6)
        for index, mask in enumerate(reached(before, patch)):
            old, new = (channel(f.native, layout, index) for f in (before, after))
            assert np.array_equal(old[~mask], new[~mask])
            assert np.array_equal(old[mask], new[mask]) == (before.index == 2)
