from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from vinpaint_cli.errors import MaskError, UsageError, VideoError
from vinpaint_cli.masks.sources.files import FolderMask, VideoMask
from vinpaint_cli.masks.sources.options import MaskOptions, build_mask, covering
from vinpaint_cli.masks.sources.shapes import hole_box
from vinpaint_cli.types import Box, EncodeOptions, Frame, VideoInfo
from vinpaint_cli.video.sink.write import open_writer
from vinpaint_cli.video.source.read import open_source

FrameMaker = Callable[..., Frame]
SIZE = (64, 48)


def paint(path: Path, box: Box, size: tuple[int, int] = SIZE) -> str:
    grey = np.zeros((size[1], size[0]), np.uint8)
    grey[box.slices()] = 255
    Image.fromarray(grey).save(path)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Masks 1.png to 12.png: mask N has its hole at column N."""
    place = tmp_path / "masks"
    place.mkdir()
    for number in range(1, 13):
        paint(place / f"{number}.png", Box(number, 5, number + 1, 9))
    (place / "notes.txt").write_text("not a picture")
    (place / ".hidden.png").write_bytes(b"")
    return place


def columns(mask: Any, frames: Iterator[Frame]) -> list[int]:
    return [int(np.flatnonzero(mask.at(frame).any(axis=0))[0]) for frame in frames]


def test_pictures_of_a_folder_come_in_the_order_of_their_numbers(folder: Path, frame: FrameMaker) -> None:
    mask = FolderMask(folder, SIZE)
    assert mask.count == 12
    assert columns(mask, map(frame, range(12))) == list(range(1, 13))
    assert columns(mask, map(frame, (3, 3, 0, 11))) == [4, 4, 1, 12]


def test_a_folder_of_another_length_is_refused_unless_held(folder: Path, frame: FrameMaker) -> None:
    mask = FolderMask(folder, SIZE)
    mask.check_count(12)
    for frames in (11, 13):
        with pytest.raises(MaskError, match=rf"has 12 frames but the video has {frames}.*--mask-hold"):
            mask.check_count(frames)
    with pytest.raises(MaskError, match=r"has 12 frames but the video has 13 or more.*--mask-hold"):
        mask.at(frame(12))
    held = FolderMask(folder, SIZE, hold=True)
    held.check_count(40)
    assert columns(held, map(frame, (11, 12, 39, 2))) == [12, 12, 12, 3]


def test_a_picture_of_another_size_inside_a_folder_is_refused(folder: Path, frame: FrameMaker) -> None:
    paint(folder / "7.png", Box(0, 0, 5, 5), (32, 24))
    mask = FolderMask(folder, SIZE)
    with pytest.raises(MaskError, match=r"7\.png is 32x24 but the video is 64x48"):
        columns(mask, map(frame, range(12)))
    assert columns(FolderMask(folder, SIZE, resize=True), map(frame, range(6, 8))) == [0, 8]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="holds no picture"):
        FolderMask(tmp_path, SIZE)


def test_a_video_is_read_once_in_order_and_anew_when_going_back(
    fake_video: Callable[..., Any], frame: FrameMaker
) -> None:
    source = fake_video(20)
    mask = VideoMask(source, SIZE)
    assert columns(mask, map(frame, range(20))) == list(range(20))
    assert source.starts == [0]
    assert columns(mask, map(frame, (19, 4, 5, 5, 9))) == [19, 4, 5, 5, 9]
    assert source.starts == [0, 4]
    assert source.converted == 23


def test_a_far_jump_in_a_video_seeks(fake_video: Callable[..., Any], frame: FrameMaker) -> None:
    source = fake_video(60)
    assert columns(VideoMask(source, SIZE), map(frame, (0, 10, 59))) == [0, 10, 59]
    assert source.starts == [0, 59]
    assert source.converted == 3


@pytest.mark.parametrize("asked", [0, 3, 10, 15])
@pytest.mark.parametrize("frames", [10, 15, 17, 60])
def test_a_video_of_another_length_is_refused(
    fake_video: Callable[..., Any], frame: FrameMaker, asked: int, frames: int
) -> None:
    mask = VideoMask(fake_video(16), SIZE, name="hole.mkv")
    columns(mask, map(frame, range(asked)))
    with pytest.raises(MaskError, match=rf"hole\.mkv has 16 frames but the video has {frames};.*--mask-hold"):
        mask.check_count(frames)
    assert mask.count == 16
    mask.check_count(16)
    assert columns(mask, map(frame, (0, 15))) == [0, 15]


def test_beyond_its_end_a_video_is_refused_or_held(fake_video: Callable[..., Any], frame: FrameMaker) -> None:
    mask = VideoMask(fake_video(16), SIZE)
    with pytest.raises(MaskError, match=r"has 16 frames but the video has 17 or more"):
        columns(mask, map(frame, range(17)))
    held = VideoMask(fake_video(16), SIZE, hold=True)
    held.check_count(200)
    assert columns(held, map(frame, (100, 14, 15, 16, 17, 3))) == [15, 14, 15, 15, 15, 3]


def test_a_broken_video_is_a_mask_error(fake_video: Callable[..., Any], frame: FrameMaker) -> None:
    mask = VideoMask(fake_video(2, error=VideoError("truncated")), SIZE, name="hole.mkv")
    with pytest.raises(MaskError, match=r"hole\.mkv cannot be decoded: truncated"):
        columns(mask, map(frame, range(3)))
    with pytest.raises(MaskError, match="no frame"):
        VideoMask(fake_video(0), SIZE).at(frame(0))


def test_a_video_of_another_size_is_refused_or_scaled(
    fake_video: Callable[..., Any], frame: FrameMaker
) -> None:
    with pytest.raises(MaskError, match=r"is 32x24 but the video is 64x48.*--mask-resize"):
        VideoMask(fake_video(4, 32, 24), SIZE)
    scaled = VideoMask(fake_video(4, 32, 24), SIZE, resize=True)
    assert hole_box(scaled.at(frame(3))) == Box(6, 0, 8, 48)


def test_a_real_video_is_read_through_the_decoder(tmp_path: Path, info: VideoInfo, frame: FrameMaker) -> None:
    path = tmp_path / "mask.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, options={})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "gray"
        for index in range(5):
            picture = np.zeros((48, 64), np.uint8)
            picture[:, 8 * index : 8 * index + 8] = 235
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        container.mux(stream.encode())
    mask = build_mask(MaskOptions(masks=(str(path),), dilate=0), info, 5)
    assert [hole_box(mask.at(frame(index))) for index in (0, 3, 1)] == [
        Box(0, 0, 8, 48),
        Box(24, 0, 32, 48),
        Box(8, 0, 16, 48),
    ]
    with pytest.raises(MaskError, match="has 5 frames but the video has 6"):
        build_mask(MaskOptions(masks=(str(path),)), info, 6)
    path.write_bytes(b"not a video")
    with pytest.raises(MaskError, match="cannot be read as a picture or a video"):
        build_mask(MaskOptions(masks=(str(path),)), info)


def test_masks_and_boxes_unite_and_only_masks_grow(
    tmp_path: Path, info: VideoInfo, frame: FrameMaker
) -> None:
    first = paint(tmp_path / "first.png", Box(20, 20, 24, 24))
    second = paint(tmp_path / "second.png", Box(40, 20, 44, 24))
    spec = MaskOptions(masks=(first, second), boxes=("2,2,4,4", "50%,0,8,8@f5-"), dilate=2)
    hole = build_mask(spec, info).at(frame(0))
    assert hole_box(hole[:12]) == Box(2, 2, 6, 6)
    assert hole_box(hole[12:, :32]) == Box(18, 6, 26, 14)
    assert hole_box(hole[:, 32:]) == Box(6, 18, 14, 26)
    assert build_mask(spec, info).at(frame(5))[:8, 32:40].all()


def test_the_default_dilation_follows_the_height(tmp_path: Path, info: VideoInfo, frame: FrameMaker) -> None:
    path = paint(tmp_path / "mask.png", Box(20, 20, 24, 24))
    assert hole_box(build_mask(MaskOptions(masks=(path,)), info).at(frame(0))) == Box(19, 19, 25, 25)


def test_inversion_turns_files_round_before_they_grow(
    tmp_path: Path, info: VideoInfo, frame: FrameMaker
) -> None:
    path = paint(tmp_path / "mask.png", Box(10, 10, 50, 40))
    mask = build_mask(MaskOptions(masks=(path,), boxes=("30,20,4,4",), invert=True, dilate=2), info)
    hole = mask.at(frame(0))
    assert hole[0, 0]
    assert hole[20:24, 30:34].all()
    assert hole_box(~hole) == Box(12, 12, 48, 38)


def test_inverted_boxes(info: VideoInfo, frame: FrameMaker) -> None:
    mask = build_mask(MaskOptions(boxes=("10,10,4,4", "20,10,4,4"), invert=True), info)
    assert int((~mask.at(frame(0))).sum()) == 32
    with pytest.raises(UsageError, match="--start"):
        build_mask(MaskOptions(boxes=("10,10,4,4@1-2",), invert=True), info)


def test_start_and_end_limit_everything_from_the_first_frame_on(info: VideoInfo, frame: FrameMaker) -> None:
    spec = MaskOptions(boxes=("0,0,8,8",), start="0.2", end="f10")
    mask = build_mask(spec, info, origin_pts=5000)
    assert [index for index in range(20) if mask.at(frame(index, 5000 + 40 * index)).any()] == list(
        range(5, 10)
    )


def test_counts_are_compared_through_all_layers(folder: Path, info: VideoInfo) -> None:
    spec = MaskOptions(masks=(str(folder),), boxes=("0,0,8,8",), invert=True, dilate=3, start="1")
    mask = build_mask(spec, info)
    assert mask.count == 12
    mask.check_count(12)
    with pytest.raises(MaskError, match="12 frames but the video has 5"):
        build_mask(spec, info, 5)


def test_warnings_come_through_all_layers(tmp_path: Path, info: VideoInfo) -> None:
    path = tmp_path / "labels.png"
    Image.fromarray(np.ones((48, 64), np.uint8)).save(path)
    spec = MaskOptions(masks=(str(path),), boxes=("60,0,8,8",), dilate=3, end="9")
    warnings = build_mask(spec, info).warnings
    assert len(warnings) == 2
    assert "--mask-label" in warnings[0]
    assert "beyond the 64x48 frame" in warnings[1]


@pytest.mark.parametrize(
    "spec",
    [
        MaskOptions(),
        MaskOptions(boxes=("1,1,4,4",), label=3),
        MaskOptions(boxes=("1,1,4,4",), dilate=-1),
        MaskOptions(boxes=("1,1,4,4",), start="x"),
        MaskOptions(boxes=("1,1,4,4",), start="3", end="2"),
        MaskOptions(boxes=("1,1,4",)),
    ],
)
def test_options_that_make_no_sense_are_refused(spec: MaskOptions, info: VideoInfo) -> None:
    with pytest.raises(UsageError):
        build_mask(spec, info)


@pytest.mark.parametrize("name", ["none.png", "none", "none.mp4"])
def test_a_missing_mask_is_refused(name: str, tmp_path: Path, info: VideoInfo) -> None:
    with pytest.raises(MaskError, match="does not exist"):
        build_mask(MaskOptions(masks=(str(tmp_path / name),)), info)


def test_a_label_of_a_video_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    path = tmp_path / "mask.mp4"
    path.write_bytes(b"whatever")
    with pytest.raises(UsageError, match="has no labels"):
        build_mask(MaskOptions(masks=(str(path),), label=1), info)


def test_times_are_exact_in_odd_time_bases(info: VideoInfo, frame: FrameMaker) -> None:
    assert info.time_base == Fraction(1, 1000)
    mask = build_mask(MaskOptions(boxes=("0,0,8,8",), start="0.48"), info)
    assert [bool(mask.at(frame(0, pts)).any()) for pts in (479, 480)] == [False, True]


@pytest.mark.parametrize(
    ("told", "before", "inside", "after"),
    [
        ({}, [2], [5], [10]),
        ({"start": None}, [2], [5], [10]),
        ({"start": None, "end": None}, [2], [5], [10]),
        ({"masks": "picture"}, [], [40], []),
        ({"masks": "both"}, [2], [5, 40], [10]),
        ({"boxes": ("50,0,1,1",)}, [2], [5, 50], [10]),
        ({"hold": True}, [2], [5], [10]),
        ({"whole": True}, [2], [5], [10]),
    ],
)
def test_what_is_covered_beyond_the_range(
    folder: Path,
    tmp_path: Path,
    info: VideoInfo,
    frame: FrameMaker,
    told: dict[str, Any],
    before: list[int],
    inside: list[int],
    after: list[int],
) -> None:
    """Folders cover what they show; pictures and boxes nothing; a whole hole is as it is."""
    picture = paint(tmp_path / "logo.png", Box(40, 0, 41, 1))
    masks = {"picture": (picture,), "both": (str(folder), picture)}.get(told.get("masks", ""), (str(folder),))
    whole = {"whole": str(folder)} if told.get("whole") else {}
    spec = MaskOptions(**{"dilate": 0, "start": "f3", "end": "f6"} | told | {"masks": masks} | whole)
    covered = covering(spec, info, build_mask(spec, info))
    found = [np.flatnonzero(covered.at(frame(index)).any(0)).tolist() for index in (1, 4, 9)]
    assert found == [before, inside, after]


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_held_masks_cover_as_far_as_there_are_any(
    folder: Path, tmp_path: Path, info: VideoInfo, frame: FrameMaker, kind: str
) -> None:
    """After the last one nobody knows where the object is: what shows there may be what is behind it."""
    name, count = str(folder), FolderMask(folder, SIZE).count or 0
    if kind == "video":
        source = open_source(folder)
        name = str(tmp_path / "masks.mkv")
        with open_writer(name, source, EncodeOptions(codec="ffv1")) as writer:
            for one in source.frames():
                writer.write(one)
    spec = MaskOptions(masks=(name,), dilate=0, start="f3", end="f6", hold=True)
    covered = covering(spec, info, build_mask(spec, info))
    assert covered.at(frame(count - 1)).any()
    assert not covered.at(frame(count)).any()
    assert not covered.at(frame(count + 40)).any()


def test_a_union_turned_round_covers_nothing_beyond(
    folder: Path, tmp_path: Path, info: VideoInfo, frame: FrameMaker
) -> None:
    picture = paint(tmp_path / "logo.png", Box(40, 0, 41, 1))
    for masks, covered in (((str(folder),), 64 * 48 - 4), ((str(folder), picture), 0)):
        spec = MaskOptions(masks=masks, dilate=0, invert=True, start="f3")
        assert covering(spec, info, build_mask(spec, info)).at(frame(1)).sum() == covered
