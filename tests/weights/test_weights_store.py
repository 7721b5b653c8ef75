from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vinpaint_cli.errors import Interrupted, WeightsError
from vinpaint_cli.types import Progress, WeightEntry
from vinpaint_cli.weights import registry, store

CONTENT = b"weights of a network" * 100
ENTRY = WeightEntry(
    name="net",
    method="sttn",
    format="pth",
    source="hub:someone/something",
    file="deep/net.pth",
    revision="main",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size_bytes=len(CONTENT),
    licence="MIT",
    bundled=False,
)


class FakeTransport:
    def __init__(self, content: bytes = CONTENT, failure: Exception | None = None) -> None:
        self.content = content
        self.failure = failure
        self.calls = 0

    def fetch(self, entry: WeightEntry, folder: Path, progress: Progress | None) -> Path:
        self.calls += 1
        (folder / "arriving").write_bytes(self.content)
        if self.failure:
            raise self.failure
        return folder / "arriving"


class Counting:
    def __init__(self, stop: bool = False) -> None:
        self.seen = 0
        self.stop = stop

    def advance(self, n: int = 1) -> bool:
        self.seen += n
        return not self.stop


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has nothing yet, and a registry of one entry."""
    for name in ("HF_HUB_OFFLINE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "entries", lambda: (ENTRY,))
    return tmp_path / "home"


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_file_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(b"anything")
    assert store.resolve(path) == path
    assert store.resolve(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert store.resolve("own.pth") == Path("own.pth")


def test_a_name_wins_over_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net").write_bytes(b"not the weights")
    with pytest.raises(WeightsError, match="not on this machine"):
        store.resolve("net")
    assert store.resolve("./net") == Path("net")


@pytest.mark.parametrize(
    ("given", "told"),
    [("none.pth", "no such file"), ("some/none", "no such file"), ("nett", "did you mean net")],
)
def test_what_is_not_there(given: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        store.resolve(given)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a folder, not a file"):
        store.resolve(tmp_path)


def test_resolving_does_not_download_but_names_the_command(home: Path) -> None:
    with pytest.raises(WeightsError, match="run `vinpaint weights pull net`"):
        store.resolve("net")
    with pytest.raises(WeightsError, match="offline mode is on"):
        store.resolve("net", offline=True)
    assert not home.exists()


def test_pull_then_resolve(home: Path) -> None:
    hub = FakeTransport()
    path = store.pull("net", transport=hub)
    assert path == store.path("net") == home / "weights" / "net" / "net.pth"
    assert path.read_bytes() == CONTENT
    assert store.resolve("net") == path
    assert files(home) == {"weights/net/net.pth", "verified.json"}
    assert store.pull("net", transport=hub) == path
    assert hub.calls == 1


def test_what_has_another_hash_is_not_kept(home: Path) -> None:
    with pytest.raises(WeightsError, match="SHA-256 begins"):
        store.pull("net", transport=FakeTransport(b"a web page"))
    assert files(home) == set()
    assert store.verify("net").state == "missing"


@pytest.mark.parametrize(
    "failure", [OSError("no route. Details follow"), ConnectionError(), TimeoutError("slow")]
)
def test_a_failed_download_leaves_nothing(home: Path, failure: Exception) -> None:
    with pytest.raises(WeightsError, match=r"cannot pull net from hub:someone/something: (no route|\w+);"):
        store.pull("net", transport=FakeTransport(failure=failure))
    assert files(home) == set()


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_offline_is_honoured(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    hub = FakeTransport()
    with pytest.raises(WeightsError, match="offline mode is on"):
        store.pull("net", transport=hub)
    assert hub.calls == 0
    assert store.pull("net", transport=hub, offline=False).is_file()


def test_offline_still_finds_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.pull("net", transport=FakeTransport())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert store.resolve("net") == store.pull("net") == path


def test_a_damaged_file_is_refused_then_replaced() -> None:
    path = store.pull("net", transport=FakeTransport())
    path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(WeightsError, match="is not net: its SHA-256 begins"):
        store.resolve("net")
    assert store.verify("net").state == "corrupt"
    store.pull("net", transport=FakeTransport())
    assert store.verify("net").state == "verified"
    assert path.read_bytes() == CONTENT


def test_a_file_is_hashed_once_until_its_time_changes() -> None:
    path = store.pull("net", transport=FakeTransport())
    stamp = path.stat().st_mtime_ns
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(stamp, stamp))
    assert store.resolve("net") == path
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match="is not net"):
        store.resolve("net")


def test_verifying_hashes_anew() -> None:
    path = store.pull("net", transport=FakeTransport())
    stamp = path.stat().st_mtime_ns
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(stamp, stamp))
    assert store.verify("net").state == "corrupt"


@pytest.mark.parametrize("notes", ["", "[]", "{", '{"x": 3}'])
def test_damaged_notes_only_cost_time(home: Path, notes: str) -> None:
    path = store.pull("net", transport=FakeTransport())
    (home / "verified.json").write_text(notes)
    assert store.resolve("net") == path


def test_a_copy_in_the_hub_cache_is_used(tmp_path: Path) -> None:
    repository = tmp_path / "hf/hub/models--someone--something"
    copy = repository / "snapshots/abc/deep/net.pth"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="not on this machine"):
        store.resolve("net")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")
    assert store.resolve("net") == copy
    copy.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="is not net"):
        store.resolve("net")


def test_import_takes_only_the_right_file(tmp_path: Path, home: Path) -> None:
    own = tmp_path / "downloaded"
    own.write_bytes(CONTENT)
    assert store.import_file("net", own) == store.resolve("net")
    assert own.exists()
    own.write_bytes(b"other")
    with pytest.raises(WeightsError, match="this file is not net"):
        store.import_file("net", own)
    assert store.resolve("net").read_bytes() == CONTENT
    assert not [name for name in files(home) if ".part" in name]


def test_a_hash_may_be_known_by_its_first_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    known = replace(ENTRY, sha256=ENTRY.sha256[:8])
    monkeypatch.setattr(registry, "entries", lambda: (known,))
    assert store.pull("net", transport=FakeTransport()).is_file()
    wrong = replace(ENTRY, sha256="00000000")
    monkeypatch.setattr(registry, "entries", lambda: (wrong,))
    assert store.verify("net").state == "corrupt"


def test_an_unwritable_cache_is_told(home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(WeightsError, match="VINPAINT_HOME"):
        store.pull("net", transport=FakeTransport())


def test_hub_transport_asks_for_the_pinned_file(tmp_path: Path) -> None:
    asked: dict[str, object] = {}

    def download(**wanted: object) -> str:
        asked.update(wanted)
        (tmp_path / "net.pth").write_bytes(CONTENT)
        return str(tmp_path / "net.pth")

    progress = Counting()
    store.HubTransport(download).fetch(ENTRY, tmp_path, progress)
    assert asked == {
        "repo_id": "someone/something",
        "filename": "deep/net.pth",
        "revision": "main",
        "local_dir": tmp_path,
    }
    assert progress.seen == len(CONTENT)


def test_hub_errors_are_translated(home: Path) -> None:
    from huggingface_hub.errors import HFValidationError

    def download(**_: object) -> str:
        raise HFValidationError("Repo id must be better. Much better.")

    with pytest.raises(WeightsError, match="Repo id must be better; check"):
        store.pull("net", transport=store.HubTransport(download))


def test_address_transport_reads_piece_by_piece(tmp_path: Path) -> None:
    source = tmp_path / "remote"
    source.write_bytes(CONTENT)
    (tmp_path / "in").mkdir()
    carrier = store.AddressTransport(lambda entry: source.as_uri())
    progress = Counting()
    arrived = carrier.fetch(ENTRY, tmp_path / "in", progress)
    assert arrived.read_bytes() == CONTENT
    assert progress.seen == len(CONTENT)
    with pytest.raises(Interrupted):
        carrier.fetch(ENTRY, tmp_path / "in", Counting(stop=True))


def test_home_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.home() == tmp_path / "home"
    monkeypatch.delenv("VINPAINT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert store.home() == tmp_path / "vinpaint"


def test_looking_up_imports_neither_torch_nor_the_hub() -> None:
    code = (
        "import sys; from vinpaint_cli.weights import store; store.path('sttn-official'); "
        "print({'torch', 'huggingface_hub'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "set()"
