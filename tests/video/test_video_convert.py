"""RGB: against an independent formula, crop against whole, previews, orientation."""

from __future__ import annotations

import av
import numpy as np
import pytest
from clip_factory import texture
from hypothesis import given, settings
from hypothesis import strategies as st

from vinpaint_cli.types import Box, ColorInfo, Frame
from vinpaint_cli.video.colour.chroma import axes, down_taps, reduce_axis
from vinpaint_cli.video.colour.convert import Converter, crop_rgb, displayed_size, small_rgb
from vinpaint_cli.video.colour.layouts import channel, layout_of
from vinpaint_cli.video.colour.matrices import Orientation, effective_matrix, effective_range, rgb_to_ycc
from vinpaint_cli.video.source.read import open_source

FORMATS = (
    "yuv420p",
    "yuvj422p",
    "yuv444p",
    "yuv440p",
    "yuv411p",
    "yuv410p",
    "yuv420p10le",
    "yuv422p12le",
    "yuv444p16le",
    "gray",
    "gray10le",
    "gbrp",
    "gbrp10le",
    "rgb24",
    "bgra",
    "rgb48be",
    "ya8",
)


def make_frame(
    pix_fmt: str, width: int, height: int, orientation: Orientation | None = None, full: bool = False
) -> Frame:
    layout = layout_of(pix_fmt)
    assert layout is not None
    native = av.VideoFrame(width, height, pix_fmt)
    rng = np.random.default_rng(width * height)
    for index in range(len(layout.channels)):
        view = channel(native, layout, index)
        view[:] = rng.integers(layout.peak // 8, layout.peak, view.shape)
    converter = Converter(layout, 1, full, orientation or Orientation())
    return Frame(0, 0, 1, native, converter)


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(
    "orientation", [Orientation(), Orientation(90), Orientation(180, True), Orientation(270)]
)
def test_crop_equals_whole(pix_fmt, orientation):
    frame = make_frame(pix_fmt, 51, 38, orientation)
    whole = frame.rgb
    width, height = displayed_size(frame)
    assert whole.shape == (height, width, 3)
    assert whole.dtype == (np.uint8 if (layout_of(pix_fmt)).depth <= 8 else np.uint16)
    for box in (
        Box(0, 0, width, height),
        Box(3, 5, 4, 6),
        Box(width - 7, height - 9, width, height),
        Box(8, 1, 31, 30),
    ):
        assert np.array_equal(crop_rgb(frame, box), whole[box.slices()])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_crop_equals_whole(data):
    width, height = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    frame = make_frame(data.draw(st.sampled_from(["yuv420p", "yuv422p10le", "yuv410p"])), width, height)
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = Box(x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height)))
    assert np.array_equal(crop_rgb(frame, box), frame.rgb[box.slices()])


@pytest.mark.parametrize("box", [Box(0, 0, 0, 4), Box(-1, 0, 4, 4), Box(0, 0, 52, 4)])
def test_a_crop_outside_is_refused(box):
    with pytest.raises(ValueError, match="leaves the 51×38"):
        crop_rgb(make_frame("yuv420p", 51, 38), box)


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("pix_fmt", "peak"), [("yuv444p", 255), ("yuv444p10le", 1023)])
def test_colours_follow_the_standard(matrix, full, pix_fmt, peak):
    layout = layout_of(pix_fmt)
    assert layout is not None
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    rgb = np.random.default_rng(1).random((16, 16, 3))
    luma = kr * rgb[..., 0] + (1 - kr - kb) * rgb[..., 1] + kb * rgb[..., 2]
    blue, red = (rgb[..., 2] - luma) / (2 - 2 * kb), (rgb[..., 0] - luma) / (2 - 2 * kr)
    unit = (peak + 1) // 256
    samples = [luma * peak, blue * peak + 128 * unit, red * peak + 128 * unit]
    if not full:
        samples = [16 * unit + 219 * unit * luma, *(128 * unit + 224 * unit * c for c in (blue, red))]
    native = av.VideoFrame(16, 16, pix_fmt)
    for index, values in enumerate(samples):
        channel(native, layout, index)[:] = np.clip(np.rint(values), 0, peak)
    picture = Converter(layout, matrix, full, Orientation())(native)
    assert np.abs(picture / np.iinfo(picture.dtype).max - rgb).max() < 2.5 / peak


def test_black_grey_and_white_are_exact():
    for pix_fmt, levels in (("yuv420p", (16, 126, 235)), ("yuv420p10le", (64, 502, 940))):
        layout = layout_of(pix_fmt)
        assert layout is not None
        native = av.VideoFrame(8, 8, pix_fmt)
        for index in (1, 2):
            channel(native, layout, index)[:] = 1 << (layout.depth - 1)
        whites = []
        for level in levels:
            channel(native, layout, 0)[:] = level
            picture = Converter(layout, 1, False, Orientation())(native)
            assert (picture == picture[0, 0, 0]).all()
            whites.append(int(picture[0, 0, 0]))
        assert (whites[0], whites[2]) == (0, np.iinfo(picture.dtype).max)
        assert whites[1] == pytest.approx(whites[2] * 110 / 219, rel=0.005)


def test_unspecified_colour_is_decided_in_one_place():
    unknown = ColorInfo()
    assert [
        effective_matrix(unknown, *size) for size in ((720, 576), (640, 360), (1280, 720), (1024, 600))
    ] == [
        6,
        6,
        1,
        1,
    ]
    assert effective_matrix(ColorInfo(matrix=9), 640, 360) == 9
    names = ("yuv420p", "yuvj420p", "gbrp", "gray")
    layouts = [layout_of(name) for name in names]
    assert [effective_range(unknown, layout) for layout in layouts if layout] == [False, True, True, True]
    assert effective_range(ColorInfo(full_range=True), layouts[0]) is True
    assert np.allclose(rgb_to_ycc(8) @ [1, 1, 1], [1, 0, 0])


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("location", ["left", "center", "topleft", "bottomleft"])
def test_down_undoes_up(factor, location):
    shift = factor.bit_length() - 1
    values = np.random.default_rng(2).random(24).astype(np.float32)
    for axis in axes(shift, shift, (24, 24), location):
        first, second, weight = axis.neighbours(0, 24 * factor)
        wide = values[first] * (1 - weight) + values[second] * weight
        again = reduce_axis(wide[:, None], 0, axis, 3, 21)[:, 0]
        assert np.abs(again - values[3:21]).max() < 1e-5
        _, taps = down_taps(factor, axis.site)
        assert sum(taps) == pytest.approx(1)


@pytest.mark.parametrize(
    "orientation", [Orientation(turn, flip) for turn in (0, 90, 180, 270) for flip in (0, 1)]
)
def test_orientation_there_and_back(orientation):
    coded = np.arange(6 * 9 * 3).reshape(6, 9, 3)
    displayed = orientation.display(coded)
    assert displayed.shape[1::-1] == orientation.displayed_size(9, 6)
    assert np.array_equal(orientation.code(displayed), coded)
    box = Box(1, 2, 4, 6)
    inner = orientation.coded_box(box, 9, 6)
    assert np.array_equal(orientation.display(coded[inner.slices()]), displayed[box.slices()])


def test_a_quarter_turn_clockwise_moves_the_top_to_the_right(clip):
    picture = next(open_source(clip("a.mkv", codec="ffv1", pix_fmt="bgr0", rotation=90)).frames()).rgb
    coded = texture(0, 64, 48)
    assert np.array_equal(picture, np.rot90(coded, -1))


def test_the_preview_looks_like_the_picture(clip):
    for options in (
        {"full": True, "pix_fmt": "yuv444p"},
        {"rotation": 270},
        {"pix_fmt": "yuv420p10le", "color": (9, 1, 9)},
        {"pix_fmt": "gray"},
    ):
        frame = next(open_source(clip("a.mkv", codec="libx265", size=(128, 96), **options)).frames())
        small = small_rgb(frame, 32)
        width, height = displayed_size(frame)
        assert small.shape == (round(height * 32 / width), 32, 3)
        assert small.dtype == np.uint8
        whole = frame.rgb.astype(np.float64) / np.iinfo(frame.rgb.dtype).max * 255
        rows, columns = small.shape[0], small.shape[1]
        if height % rows == 0:
            boxes = whole.reshape(rows, height // rows, columns, width // columns, 3).mean(axis=(1, 3))
            # swscale takes gray for full range whatever its tag says
            assert np.abs(boxes - small).mean() < (7 if options.get("pix_fmt") == "gray" else 3)
    assert small_rgb(frame, 5000).shape == frame.rgb.shape
