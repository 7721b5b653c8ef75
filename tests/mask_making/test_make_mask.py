"""The hole alone: what is written is what the engine would fill."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import make_clip, png_bytes

from vinpaint_cli.errors import Interrupted, MaskError, OutputError, UsageError
from vinpaint_cli.mask_making.run import make_mask
from vinpaint_cli.masks.sources.options import MaskOptions, build_mask
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.video.source.read import open_source, probe

VARYING = [0, 33, 66, 140, 180, 310]


def holes(film: Path, options: MaskOptions) -> list[np.ndarray]:
    source = open_source(film)
    mask = build_mask(options, source.info)
    return [mask.at(frame) for frame in source.frames()]


def picture_mask(path: Path, width: int, height: int) -> str:
    hole = np.zeros((height, width), np.uint8)
    hole[5:14, 7:20] = 255
    path.write_bytes(png_bytes(hole))
    return str(path)


@pytest.mark.parametrize(("rotation", "size"), [(0, (64, 48)), (90, (48, 64)), (180, (64, 48))])
def test_written_and_read_back_it_is_the_same_hole(
    tmp_path: Path, rotation: int, size: tuple[int, int]
) -> None:
    film = make_clip(
        tmp_path / "film.mkv",
        frames=6,
        rotation=rotation,
        time_base=Fraction(1, 1000),
        pts=VARYING,
        audio="aac",
    )
    options = MaskOptions(
        masks=(picture_mask(tmp_path / "mask.png", *size),), boxes=("50%,50%,9,9@f2-f4",), dilate=2, end="0.2"
    )
    report = make_mask(film, tmp_path / "hole.mkv", options)
    made = probe(tmp_path / "hole.mkv")
    assert ((made.width, made.height), made.rotation, made.codec) == (size, 0, "ffv1")
    back = MaskOptions(masks=(str(tmp_path / "hole.mkv"),), dilate=0)
    expected = holes(film, options)
    assert np.array_equal(holes(film, back), expected)
    assert report.hole_pixels == sum(int(hole.sum()) for hole in expected) > 0
    assert (report.frames, report.hole_frames) == (6, 5)
    with av.open(str(tmp_path / "hole.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        pictures = list(container.decode(video=0))
    assert [picture.pts for picture in pictures] == VARYING
    assert set(np.unique(pictures[0].to_ndarray())) == {0, 255}


def test_a_folder_of_pictures_keeps_the_names(tmp_path: Path, pictures: Callable[..., Path]) -> None:
    folder = pictures("frames", 4)
    options = MaskOptions(boxes=("3,4,10,11@f1-",))
    make_mask(folder, tmp_path / "masks", options)
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == sorted(p.name for p in folder.iterdir())
    back = MaskOptions(masks=(str(tmp_path / "masks"),), dilate=0)
    assert np.array_equal(holes(folder, back), holes(folder, options))


def test_a_wrong_number_of_masks_leaves_no_file(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mkv", frames=4)
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(5):
        picture_mask(folder / f"{index}.png", 64, 48)
    with pytest.raises(MaskError, match="5 frames"):
        make_mask(film, tmp_path / "hole.mkv", MaskOptions(masks=(str(folder),)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mkv", "masks"]


def test_what_exists_is_kept_and_what_cannot_be_is_refused(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mkv", frames=2)
    hole = MaskOptions(boxes=("0,0,9,9",))
    for target in ("film.mask.mkv", "sheet.png"):
        (tmp_path / target).write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        make_mask(film, None, hole)
    with pytest.raises(OutputError, match="exists"):
        make_mask(film, None, hole, preview=tmp_path / "sheet.png")
    with pytest.raises(UsageError, match="single picture"):
        make_mask(film, tmp_path / "hole.png", hole)
    assert make_mask(film, None, hole, overwrite=True).output == str(tmp_path / "film.mask.mkv")


def test_a_listener_can_stop_it(tmp_path: Path) -> None:
    class Impatient(SilentListener):
        def stage(self, name: str, total: int | None):  # type: ignore[no-untyped-def]  # a stand-in
            return self

        def __enter__(self) -> Impatient:
            return self

        def __exit__(self, *error: object) -> None: ...

        def advance(self, n: int = 1) -> bool:
            return False

    film = make_clip(tmp_path / "film.mkv", frames=3)
    with pytest.raises(Interrupted):
        make_mask(film, tmp_path / "hole.mkv", MaskOptions(boxes=("0,0,9,9",)), listener=Impatient())
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]
