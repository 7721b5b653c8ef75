"""Packs: one compact file of training data, of jpegs and an index.

Layout: ``MAGIC``, the blobs one after another, the index as UTF-8 JSON, its length (8 bytes, little
endian), ``MAGIC`` again. A blob is named by ``[offset, length]``.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import InputError, OutputError, reason
from vinpaint_cli.util.atomic_write import atomic_write

Bytes = npt.NDArray[np.uint8]
Span = tuple[int, int]

MAGIC = b"VINPACK1"
SUFFIX = ".vpack"

STORED_NAMES = {"shares": "residual"}
"""Keys of the index that have another name here."""

UNSTATED = "not stated"
"""Licence of a source for which none was given."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Name and licence of a source of data; both are written into weights trained on it."""

    name: str
    licence: str


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture as jpeg. ``group`` is the source's name, ``size`` ``(width, height)``."""

    name: str
    group: str
    size: tuple[int, int]
    blob: Span


@dataclass(frozen=True, slots=True)
class Shot:
    """Consecutive frames without a cut, as jpegs of one size. ``still``: hardly anything moves."""

    name: str
    group: str
    size: tuple[int, int]
    still: bool
    blobs: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """Frames of a clip whose holes propagation has worked in.

    ``truth``: a jpeg per frame. ``found``: a jpeg per frame of the part inside ``boxes`` (x0, y0, x1, y1;
    None for a frame without a hole) after propagation. ``residual``: that part's residual,
    uint8 compressed with zlib, 255 = all of it. ``steps``: frame numbers in the clip they come from.
    """

    name: str
    group: str
    size: tuple[int, int]
    kind: str
    steps: tuple[int, ...]
    truth: tuple[Span, ...]
    found: tuple[Span | None, ...]
    residual: tuple[Span | None, ...]
    boxes: tuple[tuple[int, int, int, int] | None, ...]


@dataclass(slots=True)
class Index:
    """What a pack holds: its index, stored as JSON under `STORED_NAMES`."""

    sources: list[DataSource] = field(default_factory=list)
    photos: list[Photo] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def to_json(self) -> bytes:
        """The index as UTF-8 JSON."""
        stored = {name: key for key, name in STORED_NAMES.items()}
        samples = [_renamed(asdict(sample), stored) for sample in self.samples]
        return json.dumps(asdict(self) | {"samples": samples}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Index:
        """Inverse of :meth:`to_json`; ValueError, TypeError or KeyError when it is something else."""
        raw = json.loads(text)
        return cls(
            [DataSource(**item) for item in raw["sources"]],
            [Photo(**_tuples(item)) for item in raw["photos"]],
            [Shot(**_tuples(item)) for item in raw["shots"]],
            [Sample(**_tuples(_renamed(item, STORED_NAMES))) for item in raw["samples"]],
        )


class PackWriter:
    """Writes a pack; use it in a ``with`` statement. The file appears under its name only when whole."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.index = Index()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._open.enter_context(atomic_write(self.path))
            self._file = self._open.enter_context(temporary.open("wb"))
            self._file.write(MAGIC)
        except OSError as exc:
            raise self._failed(exc) from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._open.__exit__(kind, error, trace)
            return
        try:
            with self._open:
                text = self.index.to_json()
                self._file.write(text + len(text).to_bytes(8, "little") + MAGIC)
        except OSError as exc:
            raise self._failed(exc) from exc

    @property
    def size_bytes(self) -> int:
        """Written so far."""
        return self._file.tell()

    def add(self, blob: bytes) -> Span:
        """Append bytes and say where they are; OutputError when the disk is full."""
        try:
            start = self._file.tell()
            self._file.write(blob)
        except OSError as exc:
            raise self._failed(exc) from exc
        return start, len(blob)

    def _failed(self, exc: OSError) -> OutputError:
        return OutputError(
            f"cannot write {self.path}: {exc.strerror or exc}; make room or choose another folder"
        )


class Pack:
    """A pack opened for reading; the file is mapped, not loaded. May be pickled and opened by several."""

    def __init__(self, path: str | Path) -> None:
        """Open it. Raises InputError when it is missing, cut off or something else."""
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as exc:
            raise InputError(
                f"cannot open the pack {path}: {reason(exc)}; make one with `vinpaint train pack`"
            ) from exc
        self.index = self._read_index()

    def __reduce__(self) -> tuple[type[Pack], tuple[Path]]:
        return Pack, (self.path,)

    def _read_index(self) -> Index:
        tail = len(self._data) - len(MAGIC)
        if tail < 8 or self._data[: len(MAGIC)] != MAGIC or self._data[tail:] != MAGIC:
            raise InputError(f"{self.path} is not a whole pack; make it again with `vinpaint train pack`")
        length = int.from_bytes(self._data[tail - 8 : tail], "little")
        try:
            return Index.from_json(self._data[tail - 8 - length : tail - 8])
        except (ValueError, KeyError, TypeError) as exc:
            raise InputError(
                f"{self.path}: its index cannot be read ({exc}); make it with this version"
            ) from exc

    def blob(self, span: Sequence[int]) -> bytes:
        """The bytes at ``[offset, length]``."""
        return self._data[span[0] : span[0] + span[1]]

    def picture(self, span: Sequence[int]) -> Bytes:
        """A jpeg decoded to RGB ``(h, w, 3)`` uint8."""
        return decode(self.blob(span))

    def sample(self, sample: Sample, frames: Sequence[int]) -> tuple[Bytes, Bytes, Bytes]:
        """Some frames of a sample: truth and found ``(T, h, w, 3)``, residual ``(T, h, w)``, all uint8."""
        truth = np.stack([self.picture(sample.truth[i]) for i in frames])
        found, residual = truth.copy(), np.zeros(truth.shape[:3], np.uint8)
        for place, i in enumerate(frames):
            box, part, residual_part = sample.boxes[i], sample.found[i], sample.residual[i]
            if box is None or part is None or residual_part is None:
                continue
            x0, y0, x1, y1 = box
            raw = np.frombuffer(zlib.decompress(self.blob(residual_part)), np.uint8).reshape(y1 - y0, x1 - x0)
            residual[place, y0:y1, x0:x1] = raw
            inside = found[place, y0:y1, x0:x1]
            inside[raw > 0] = self.picture(part)[raw > 0]
        return truth, found, residual


def decode(jpeg: bytes) -> Bytes:
    """A jpeg → RGB ``(h, w, 3)`` uint8, by torchvision, or by Pillow where that is absent."""
    try:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg
    except (ImportError, OSError, RuntimeError):
        return _decode_slowly(jpeg)
    data = torch.frombuffer(bytearray(jpeg), dtype=torch.uint8)
    return np.asarray(decode_jpeg(data, mode=ImageReadMode.RGB).permute(1, 2, 0).contiguous().numpy())


def _decode_slowly(jpeg: bytes) -> Bytes:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.asarray(picture.convert("RGB"))


def open_packs(paths: Sequence[str | Path]) -> list[Pack]:
    """Packs by file, and those in the folders given; InputError when there is none."""
    files: list[Path] = []
    for path in map(Path, paths):
        files += sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise InputError(
            f"no pack in {', '.join(map(str, paths)) or 'nothing'}; make one with `vinpaint train pack`"
        )
    return [Pack(file) for file in files]


def _renamed(item: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in item.items()}


def _tuples(item: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists back to tuples, two levels deep."""
    return {key: _tuple(value) for key, value in item.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
