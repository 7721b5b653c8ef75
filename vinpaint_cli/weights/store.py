"""The store of weights: finds, verifies and downloads files. The only module that uses the network.

A name is looked for in the package, then in vinpaint's cache, then in the Hugging Face cache; a file is
used only when its SHA-256 is that of its entry. Nothing is downloaded but by :func:`pull`.

Environment: ``VINPAINT_HOME`` (cache, else ``~/.cache/vinpaint``), ``HF_HOME``, ``HF_HUB_CACHE`` and
``HF_HUB_OFFLINE`` as huggingface_hub understands them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from importlib import import_module, resources
from pathlib import Path
from typing import Literal, Protocol

from vinpaint_cli.errors import Interrupted, WeightsError
from vinpaint_cli.types import Progress, WeightEntry
from vinpaint_cli.util.atomic_write import atomic_write
from vinpaint_cli.util.hashing import file_sha256
from vinpaint_cli.weights import registry

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30
_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx")


@dataclass(frozen=True, slots=True)
class WeightStatus:
    """Whether the file of an entry is on this machine, and whether it is right.

    ``state`` is ``verified`` (there and right), ``corrupt`` (there, with another SHA-256) or
    ``missing``; ``sha256`` is the digest found, empty when missing.
    """

    entry: WeightEntry
    state: Literal["verified", "corrupt", "missing"]
    path: Path | None
    sha256: str = ""


class Transport(Protocol):
    """Downloads one file."""

    def fetch(self, entry: WeightEntry, folder: Path, progress: Progress | None) -> Path:
        """Download the entry's file into ``folder``; OSError or WeightsError when that fails."""
        ...


def resolve(name_or_path: str | Path, *, offline: bool | None = None) -> Path:
    """Return the file of weights to use: a path as it is, a name looked up and verified. Never downloads.

    A name of weights.toml wins over a file of that name (write ``./name`` for the file). ``offline``
    None asks the environment; it changes only the advice given.

    Raises WeightsError for an unknown name, a missing file, weights not here, or a wrong SHA-256.
    """
    if _is_path(name_or_path):
        return _existing(Path(name_or_path))
    entry = registry.entry(str(name_or_path))
    status = _status(entry)
    if status.state == "verified" and status.path is not None:
        return status.path
    if status.state == "corrupt":
        raise WeightsError(
            f"{status.path} is not {entry.name}: its SHA-256 begins {status.sha256[:12]}, not "
            f"{entry.sha256[:12]}; {_remedy(entry, offline)}"
        )
    raise WeightsError(f"the weights {entry.name} are not on this machine; {_remedy(entry, offline)}")


def path(name: str) -> Path:
    """Return where :func:`pull` puts the file, whether it is there or not; for a bundled one where it is."""
    return _own(registry.entry(name))


def verify(name: str) -> WeightStatus:
    """Hash the file anew and say whether it is the entry's; WeightsError for an unknown name only."""
    return _status(registry.entry(name), afresh=True)


def pull(
    name: str,
    progress: Progress | None = None,
    *,
    transport: Transport | None = None,
    offline: bool | None = None,
) -> Path:
    """Download the weights unless the right ones are here; verified before they get their name.

    ``progress`` is told bytes where the source tells them; False from it aborts.

    Raises WeightsError when offline, when the download fails or brings another SHA-256, and Interrupted
    when ``progress`` asks to stop.
    """
    entry = registry.entry(name)
    status = _status(entry, afresh=True)
    if status.state == "verified" and status.path is not None:
        return status.path
    if entry.bundled:
        raise WeightsError(f"the bundled weights {name} are {status.state}; install vinpaint again")
    if is_offline(offline):
        raise WeightsError(f"cannot pull {name}: offline mode is on; unset HF_HUB_OFFLINE, or give a file")
    carrier = transport or _transport(entry)
    with _staging() as folder:
        try:
            arrived = carrier.fetch(entry, folder, progress)
        except (OSError, HTTPException) as exc:
            raise WeightsError(
                f"cannot pull {name} from {entry.source}: {_line(exc)}; check the connection and try again"
            ) from exc
        return _install(entry, arrived)


def import_file(name: str, file: Path | str) -> Path:
    """Copy a file got by other means into the cache under the name whose SHA-256 it has.

    WeightsError when it is not the file the entry describes or cannot be copied.
    """
    entry = registry.entry(name)
    source = _existing(Path(file))
    with _staging() as folder:
        copy = folder / "copy"
        try:
            shutil.copyfile(source, copy)
        except OSError as exc:
            raise WeightsError(f"cannot copy {source} into {folder}: {_line(exc)}") from exc
        return _install(entry, copy)


def is_offline(offline: bool | None = None) -> bool:
    """``offline`` when given, else whether ``HF_HUB_OFFLINE`` is set to something true."""
    if offline is not None:
        return offline
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def home() -> Path:
    """Cache folder: ``VINPAINT_HOME``, else ``vinpaint`` in the platform's cache."""
    given = os.environ.get("VINPAINT_HOME")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "vinpaint"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vinpaint"


class HubTransport:
    """Hugging Face Hub, through huggingface_hub (token, mirror and proxy settings are its own)."""

    def __init__(self, download: Callable[..., str] | None = None) -> None:
        self.download = download

    def fetch(self, entry: WeightEntry, folder: Path, progress: Progress | None) -> Path:
        """See :class:`Transport`; huggingface_hub shows its own progress, ``progress`` is told at the end."""
        from huggingface_hub import errors, hf_hub_download

        names = ("HTTPError", "RevisionResolutionError", "XetDownloadError")
        failures = tuple(getattr(errors, name, OSError) for name in names)
        repository = entry.source.removeprefix("hub:")
        try:
            arrived = (self.download or hf_hub_download)(
                repo_id=repository, filename=entry.file, revision=entry.revision, local_dir=folder
            )
        except (ValueError, *failures) as exc:
            raise OSError(_line(exc)) from exc
        _advance(progress, Path(arrived).stat().st_size)
        return Path(arrived)


class AddressTransport:
    """A plain HTTPS address, read piece by piece."""

    def __init__(self, find_address: Callable[[WeightEntry], str]) -> None:
        self.find_address = find_address

    def fetch(self, entry: WeightEntry, folder: Path, progress: Progress | None) -> Path:
        """See :class:`Transport`."""
        from urllib.request import urlopen

        target = folder / Path(entry.file).name
        with urlopen(self.find_address(entry), timeout=TIMEOUT_SECONDS) as answer, target.open("wb") as file:
            while piece := answer.read(CHUNK):
                file.write(piece)
                _advance(progress, len(piece))
        return target


def _transport(entry: WeightEntry) -> Transport:
    return HubTransport() if entry.source.startswith("hub:") else AddressTransport(_torchvision_address)


def _torchvision_address(entry: WeightEntry) -> str:
    name = entry.source.removeprefix("torchvision:")
    try:
        return str(import_module("torchvision.models").get_weight(name).url)
    except (KeyError, ValueError, AttributeError) as exc:
        raise WeightsError(f"this torchvision does not know the weights {name}; install a newer one") from exc


def _advance(progress: Progress | None, size: int) -> None:
    if progress is not None and not progress.advance(size):
        raise Interrupted("the download was stopped; nothing was kept")


def _remedy(entry: WeightEntry, offline: bool | None) -> str:
    if entry.bundled:
        return "install vinpaint again"
    first = "offline mode is on, unset HF_HUB_OFFLINE and " if is_offline(offline) else ""
    return f"{first}run `vinpaint weights pull {entry.name}`, or give a file"


def _is_path(given: str | Path) -> bool:
    text = str(given)
    if isinstance(given, Path) or os.sep in text or "/" in text or text.endswith(_SUFFIXES):
        return True
    return text not in {item.name for item in registry.entries()} and Path(text).exists()


def _existing(file: Path) -> Path:
    file = file.expanduser()
    if file.is_file():
        return file
    what = "a folder, not a file" if file.is_dir() else "no such file"
    raise WeightsError(f"weights {file}: {what}; give a .pth or .safetensors file or a name of weights.toml")


def _status(entry: WeightEntry, *, afresh: bool = False) -> WeightStatus:
    """Status of the first file with the right SHA-256, else of the first corrupt one, else missing."""
    wrong: WeightStatus | None = None
    for file in _places(entry):
        digest = _digest(file, afresh=afresh)
        if digest.startswith(entry.sha256):
            return WeightStatus(entry, "verified", file, digest)
        wrong = wrong or WeightStatus(entry, "corrupt", file, digest)
    return wrong or WeightStatus(entry, "missing", None)


def _places(entry: WeightEntry) -> Iterator[Path]:
    if (own := _own(entry)).is_file():
        yield own
    if entry.source.startswith("hub:"):
        yield from _hub_cached(entry)


def _own(entry: WeightEntry) -> Path:
    bundled = resources.files("vinpaint_cli.weights") / "bundled" / entry.file
    return Path(str(bundled)) if entry.bundled else _cached(entry)


def _cached(entry: WeightEntry) -> Path:
    return home() / "weights" / entry.name / Path(entry.file).name


def _hub_cached(entry: WeightEntry) -> Iterator[Path]:
    """Copies that other programs left in the Hugging Face cache, of the revision wanted or the newest."""
    from huggingface_hub import try_to_load_from_cache

    repository = entry.source.removeprefix("hub:")
    for revision in dict.fromkeys((entry.revision, "main")):
        found = try_to_load_from_cache(repository, entry.file, revision=revision)
        if isinstance(found, str):
            yield Path(found)


@contextmanager
def _staging() -> Iterator[Path]:
    """A folder beside the cache's files, so that the last step is a rename; removed at the end."""
    try:
        (home() / "weights").mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".part-", dir=home() / "weights")
    except OSError as exc:
        raise WeightsError(f"cannot write to {home()}: {_line(exc)}; set VINPAINT_HOME elsewhere") from exc
    with folder as name:
        yield Path(name)


def _install(entry: WeightEntry, file: Path) -> Path:
    digest = _hash(file)
    if not digest.startswith(entry.sha256):
        raise WeightsError(
            f"this file is not {entry.name}: its SHA-256 begins {digest[:12]}, not {entry.sha256[:12]}; "
            "it was not kept, get it again or from elsewhere"
        )
    target = _cached(entry)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    except OSError as exc:
        raise WeightsError(f"cannot put {entry.name} into {target.parent}: {_line(exc)}") from exc
    _remember(target, digest)
    return target


def _digest(file: Path, *, afresh: bool) -> str:
    """SHA-256 of a file, from memory when size and time of change are those it was hashed with."""
    noted = {} if afresh else _notes()
    known = noted.get(str(file.resolve()), {})
    if known.get("stamp") == _stamp(file) and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    digest = _hash(file)
    _remember(file, digest)
    return digest


def _hash(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as exc:
        raise WeightsError(f"cannot read {file}: {_line(exc)}; check its permissions") from exc


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _notes() -> dict[str, dict[str, object]]:
    try:
        notes = json.loads((home() / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {k: v for k, v in notes.items() if isinstance(v, dict)} if isinstance(notes, dict) else {}


def _remember(file: Path, digest: str) -> None:
    """Note a digest; a cache that cannot be written only costs the time of hashing again."""
    target = home() / "verified.json"
    notes = {**_notes(), str(file.resolve()): {"stamp": _stamp(file), "sha256": digest}}
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as temporary:
            temporary.write_text(json.dumps(notes, indent=1), encoding="utf-8")


def _line(exc: BaseException) -> str:
    """First sentence of a foreign error."""
    text = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
    return text.split(". ")[0].rstrip(".")[:160]
