from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vinpaint_cli.errors import MaskError
from vinpaint_cli.masks.sources.pictures import read_hole

SIZE = (8, 6)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


@pytest.fixture
def expected() -> np.ndarray:
    hole = np.zeros((6, 8), np.bool_)
    hole[1:4, 2:7] = True
    return hole


def indexed(indices: np.ndarray, palette: list[int]) -> Image.Image:
    picture = Image.frombytes("P", (indices.shape[1], indices.shape[0]), indices.astype(np.uint8).tobytes())
    picture.putpalette(palette)
    return picture


def save(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def pictures(hole: np.ndarray) -> dict[str, Image.Image]:
    grey = np.where(hole, 255, 0).astype(np.uint8)
    noise = np.full((6, 8, 3), 200, np.uint8)
    return {
        "grey": Image.fromarray(grey),
        "one bit": Image.fromarray(grey).convert("1"),
        "colour": Image.merge("RGB", [Image.fromarray(grey)] * 3),
        "dim grey": Image.fromarray(np.where(hole, 140, 115).astype(np.uint8)),
        "sixteen bits": Image.fromarray(np.where(hole, 40000, 30000).astype(np.uint16)),
        "labels": indexed(np.where(hole, 3, 0), VOC),
        "black and white palette": indexed(hole, [0, 0, 0, 255, 255, 255]),
        "white and black palette": indexed(~hole, [255, 255, 255, 0, 0, 0]),
        "dark grey labels": indexed(hole, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
        "alpha": Image.fromarray(np.dstack([noise, np.where(hole, 255, 0).astype(np.uint8)])),
        "opaque alpha": Image.merge("RGBA", [Image.fromarray(grey)] * 3 + [Image.new("L", SIZE, 255)]),
        "grey and alpha": Image.merge("LA", [Image.new("L", SIZE, 9), Image.fromarray(grey)]),
    }


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_tag_says(tmp_path: Path, expected: np.ndarray, orientation: int) -> None:
    """As cameras write it: the tag says how what lies in the file becomes what a person sees."""
    grey = Image.fromarray(np.where(expected, 255, 0).astype(np.uint8))
    seen = grey.resize((80, 60), Image.Resampling.NEAREST)
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = seen if undo is None else seen.transpose(Image.Transpose(undo))
    stored.save(tmp_path / "mask.jpg", quality=95, exif=exif)
    hole = read_hole(tmp_path / "mask.jpg", (80, 60))
    assert np.array_equal(hole, np.asarray(seen) > 127)


def test_a_stale_tag_does_not_turn_what_fits(tmp_path: Path, expected: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(
        Image.fromarray(np.where(expected, 255, 0).astype(np.uint8)), tmp_path / "mask.png", exif=exif
    )
    assert np.array_equal(read_hole(path, SIZE), expected)


@pytest.mark.parametrize("kind", list(pictures(np.zeros((6, 8), np.bool_))))
def test_every_kind_of_picture_gives_the_same_hole(kind: str, tmp_path: Path, expected: np.ndarray) -> None:
    path = save(pictures(expected)[kind], tmp_path / "mask.png")
    hole = read_hole(path, SIZE)
    assert hole.dtype == np.bool_
    assert np.array_equal(hole, expected)


def test_transparent_palette_entries_are_alpha(tmp_path: Path, expected: np.ndarray) -> None:
    path = save(indexed(~expected, [9, 9, 9, 0, 0, 0]), tmp_path / "mask.png", transparency=1)
    assert np.array_equal(read_hole(path, SIZE), expected)


def test_jpeg_noise_is_shrugged_off(tmp_path: Path) -> None:
    hole = np.zeros((48, 64), np.bool_)
    hole[11:33, 17:50] = True
    path = save(Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)), tmp_path / "mask.jpg", quality=30)
    assert np.asarray(Image.open(path)).astype(int)[~hole].max() > 0
    assert np.array_equal(read_hole(path, (64, 48)), hole)


@pytest.mark.parametrize("label", [1, 2, 3])
def test_a_label_picks_one_index_whatever_its_colour(label: int, tmp_path: Path) -> None:
    indices = np.arange(48).reshape(6, 8) % 4
    path = save(indexed(indices, [7, 7, 7] * 4), tmp_path / "mask.png")
    assert np.array_equal(read_hole(path, SIZE, label=label), indices == label)


def test_a_label_of_a_grey_picture_is_its_value(tmp_path: Path, expected: np.ndarray) -> None:
    path = save(Image.fromarray(expected.astype(np.uint8) * 2), tmp_path / "mask.png")
    assert np.array_equal(read_hole(path, SIZE, label=2), expected)


def test_a_nearly_black_picture_is_mentioned(tmp_path: Path, expected: np.ndarray) -> None:
    path = save(Image.fromarray(expected.astype(np.uint8)), tmp_path / "mask.png")
    warnings: list[str] = []
    assert not read_hole(path, SIZE, warnings=warnings).any()
    assert len(warnings) == 1
    assert "brightest value 1" in warnings[0]
    assert "--mask-label" in warnings[0]


def test_labels_need_a_picture_that_has_some(tmp_path: Path, expected: np.ndarray) -> None:
    path = save(pictures(expected)["colour"], tmp_path / "mask.png")
    with pytest.raises(MaskError, match=r"colour picture.*--mask-label"):
        read_hole(path, SIZE, label=1)


def test_another_size_names_both_and_the_way_out(tmp_path: Path, expected: np.ndarray) -> None:
    path = save(Image.fromarray(np.where(expected, 255, 0).astype(np.uint8)), tmp_path / "mask.png")
    with pytest.raises(MaskError, match=r"is 8x6 but the video is 16x12.*--mask-resize"):
        read_hole(path, (16, 12))
    doubled = read_hole(path, (16, 12), resize=True)
    assert np.array_equal(doubled, expected.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_files_that_are_no_pictures_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(content)
    with pytest.raises(MaskError, match="cannot be read as a picture"):
        read_hole(path, SIZE)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = save(Image.fromarray(noise), tmp_path / "mask.png")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MaskError, match="cannot be read as a picture"):
        read_hole(path, (64, 64))


def test_a_missing_file_and_an_animation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="does not exist"):
        read_hole(tmp_path / "none.png", SIZE)
    path = save(
        Image.new("L", SIZE, 0),
        tmp_path / "mask.png",
        save_all=True,
        append_images=[Image.new("L", SIZE, 255)],
    )
    with pytest.raises(MaskError, match="several pictures"):
        read_hole(path, SIZE)


def test_transparent_corners_do_not_turn_a_drawing_inside_out(tmp_path: Path) -> None:
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[5:10, 5:15, :3] = 255
    rgba[0, 0, 3] = 0
    path = tmp_path / "mask.png"
    Image.fromarray(rgba).save(path)
    hole = read_hole(path, (30, 20))
    assert hole.sum() == 50
    assert hole[5:10, 5:15].all()


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damage that it reads over
@pytest.mark.parametrize(("suffix", "places"), [(".tif", range(130)), (".png", range(80))])
def test_pictures_with_a_changed_byte_are_masks_or_mask_errors(
    tmp_path: Path, suffix: str, places: range
) -> None:
    path = save(Image.effect_noise((16, 12), 80), tmp_path / f"a{suffix}")
    whole, refused = path.read_bytes(), 0
    for place in places:
        content = bytearray(whole)
        content[place] ^= 0x83
        path.write_bytes(content)
        try:
            assert read_hole(path, (16, 12)).shape == (12, 16)
        except MaskError:
            refused += 1
    assert refused > 10
