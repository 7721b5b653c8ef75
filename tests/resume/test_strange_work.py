"""A work folder that somebody else has made or laid things into is refused; nothing is written through it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from clip_factory import make_clip
from helpers_work import OPTIONS, WORK

from vinpaint_cli.errors import OutputError
from vinpaint_cli.pipeline.options import WorkOptions
from vinpaint_cli.removal.run import remove
from vinpaint_cli.resume.work import find_kept, folder_of, is_whole
from vinpaint_cli.util.atomic_write import atomic_write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links of another kind")
NAMES = ("lock", "journal.jsonl", "fingerprint.json", "plan.json", "segment-000000.npz", "shaded.mkv")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=12, codec="ffv1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The work folder as somebody else has it ready."""
    folder = folder_of(WORK, str(tmp_path / "out.mkv"))
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lay", [os.symlink, os.link, lambda target, name: os.mkfifo(name)])
def test_nothing_is_written_through_links(
    source: Path, folder: Path, tmp_path: Path, name: str, lay: Callable[[Path, Path], None]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("{}")
    lay(precious, folder / name)
    assert not is_whole(WORK, tmp_path / "out.mkv")
    assert find_kept(WORK, str(tmp_path / "out.mkv")) is None
    with pytest.raises(OutputError, match=r"not safe to use|a link where a file belongs"):
        remove(source, tmp_path / "out.mkv", OPTIONS, work=WORK)
    assert precious.read_text() == "{}"
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", *NAMES])
def test_what_another_user_has_made_is_refused(source: Path, folder: Path, tmp_path: Path, name: str) -> None:
    if name:
        (folder / name).write_text("{}")
    os.chown(folder / name, 12345, -1)
    with pytest.raises(OutputError, match="is not safe to use"):
        remove(source, tmp_path / "out.mkv", OPTIONS, work=WORK)


def test_what_is_kept_is_for_its_owner_alone(source: Path, tmp_path: Path) -> None:
    remove(source, tmp_path / "out.mkv", OPTIONS, work=WorkOptions(keep=True))
    folder = folder_of(WORK, str(tmp_path / "out.mkv"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (folder, *folder.iterdir())}
    assert modes[folder.name] == 0o700
    assert modes["lock"] == modes["journal.jsonl"] == 0o600
    assert not [name for name in modes if name.endswith(".owner")]


def test_a_link_under_a_temporary_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / f".new.txt.{os.getpid()}.part").symlink_to(tmp_path / "precious")
    with atomic_write(tmp_path / "new.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "new.txt").read_text() == "new"
