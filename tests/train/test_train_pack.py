from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vinpaint_cli.errors import InputError, OutputError
from vinpaint_cli.train import pack as pack_module
from vinpaint_cli.train.build import PackOptions, build
from vinpaint_cli.train.clips import find_material
from vinpaint_cli.train.pack import Pack, PackWriter, Photo, open_packs


def test_photos_come_back_small_and_alike(pack: Pack, material: Path) -> None:
    assert [p.group for p in pack.index.photos] == ["flowers"] * 3 + ["views"] * 3
    photo = pack.index.photos[0]
    assert photo.size == (80, 62)
    shown = pack.picture(photo.blob)
    with Image.open(material / photo.name) as picture:
        expected = np.asarray(picture.resize(photo.size, Image.Resampling.BOX))
    assert shown.shape == (62, 80, 3)
    assert np.abs(shown.astype(int) - expected).mean() < 8


def test_photos_of_a_source_can_be_limited(material: Path, tmp_path: Path) -> None:
    options = PackOptions(photos_per_source=2, shots=False)
    build([material], tmp_path / "p.vpack", options)
    names = [photo.name for photo in Pack(tmp_path / "p.vpack").index.photos]
    assert names == ["flowers__0.jpg", "flowers__1.jpg", "views__3.jpg", "views__4.jpg"]


def test_shots_end_at_a_cut(pack: Pack) -> None:
    assert [len(shot.blobs) for shot in pack.index.shots] == [8, 8]
    brightness = [[pack.picture(blob).mean() for blob in shot.blobs] for shot in pack.index.shots]
    assert max(brightness[0]) < 130 < min(brightness[1])
    assert {(shot.group, shot.size) for shot in pack.index.shots} == {("clip", (53, 40))}


def test_samples_are_true_outside_and_have_something_left_to_fill(pack: Pack) -> None:
    assert len(pack.index.samples) == 4
    for sample in pack.index.samples:
        truth, found, residual = pack.sample(sample, range(5))
        assert truth.shape == found.shape == (5, 32, 48, 3)
        assert residual.shape == (5, 32, 48)
        assert np.array_equal(truth[residual == 0], found[residual == 0])
        assert (residual > 8).sum() >= 250
        assert (residual == 0).any()
        assert list(sample.steps) == sorted(set(sample.steps))


def test_what_propagation_found_is_near_the_truth(pack: Pack) -> None:
    errors = []
    for sample in pack.index.samples:
        truth, found, residual = pack.sample(sample, range(5))
        sure = (residual > 0) & (residual < 60)
        errors.append(np.abs(truth[sure].astype(int) - found[sure]).ravel())
    assert sum(map(len, errors)) > 100
    assert np.concatenate(errors).mean() < 25


def test_sources_and_their_licences_travel(pack: Pack) -> None:
    assert {s.name: s.licence for s in pack.index.sources} == {
        "clip": "not stated",
        "flowers": "CC0-1.0",
        "views": "not stated",
    }


def test_a_pack_travels_to_other_processes(pack: Pack) -> None:
    copy = pickle.loads(pickle.dumps(pack))
    assert copy.index == pack.index
    assert np.array_equal(copy.picture(pack.index.photos[1].blob), pack.picture(pack.index.photos[1].blob))


def test_pillow_decodes_what_torchvision_does(pack: Pack) -> None:
    blob = pack.blob(pack.index.photos[2].blob)
    slow = pack_module._decode_slowly(blob).astype(int)
    assert np.abs(slow - pack_module.decode(blob)).max() <= 3


def test_half_a_pack_and_other_files_are_refused(pack: Pack, tmp_path: Path) -> None:
    whole = pack.path.read_bytes()
    for name, content in {"cut": whole[:-20], "other": b"x" * 100, "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="pack"):
            Pack(tmp_path / name)
    with pytest.raises(InputError, match="vinpaint train pack"):
        Pack(tmp_path / "missing")


def test_a_pack_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with PackWriter(tmp_path / "new.vpack") as writer:
            writer.add(b"something")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"), PackWriter(tmp_path / "file" / "p.vpack"):
        pass


def test_blobs_lie_where_the_writer_says(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "p.vpack") as writer:
        spans = [writer.add(bytes([n]) * (n + 1)) for n in range(3)]
        writer.index.photos = [Photo(f"{n}", "g", (1, 1), span) for n, span in enumerate(spans)]
    read = Pack(tmp_path / "p.vpack")
    assert [read.blob(photo.blob) for photo in read.index.photos] == [b"\0", b"\1\1", b"\2\2\2"]


def test_packs_are_found_in_folders(pack: Pack, tmp_path: Path) -> None:
    assert [p.path for p in open_packs([pack.path.parent])] == [pack.path]
    with pytest.raises(InputError, match="no pack"):
        open_packs([tmp_path])


def test_material_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_material([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no photo and no video"):
        find_material([tmp_path])
    (tmp_path / "a__b.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot read the photo"):
        build([tmp_path], tmp_path / "p.vpack", PackOptions())
