"""Video sources that can be decoded repeatedly: an index means the same frame in every pass."""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import av

from vinpaint_cli.errors import VideoError
from vinpaint_cli.types import Frame, FrameSource, VideoInfo
from vinpaint_cli.util import is_pattern
from vinpaint_cli.video.colour.layouts import channel, layout_of
from vinpaint_cli.video.source.animation import AnimationSource, is_animated_webp
from vinpaint_cli.video.source.damage import is_cut_short
from vinpaint_cli.video.source.decode_pass import Damage, Pass, UnsureError
from vinpaint_cli.video.source.interlaced import FieldSource
from vinpaint_cli.video.source.probe import inspect, native_format, refuse_interlaced
from vinpaint_cli.video.source.timeline import JOINABLE, TICKS, Join, Stamped, find_joins, stamp

if TYPE_CHECKING:
    from os import PathLike

_NO_TIME = -(1 << 63)
_CHECK_ROWS = 8


def check_input(path: str | PathLike[str]) -> None:
    """Refuse what ffmpeg would read although no file or folder has that name; raises VideoError."""
    name, place = str(path), Path(path)
    if place.is_file() or place.is_dir():
        return
    if name == "-" or name.startswith("pipe:") or place.exists():
        raise VideoError(f"{name}: a pipe or a device, which cannot be read twice; write it to a file first")
    if is_pattern(name):
        raise VideoError(
            f"{name}: a pattern of numbered pictures; give the folder they are in, {place.parent}"
        )
    if re.match(r"[a-z0-9]{2,}:", name):
        raise VideoError(f"{name}: addresses are not opened; download it and give the file")


def open_source(
    path: str | PathLike[str], rate: Fraction = Fraction(25), *, playlists: bool = False
) -> FrameSource:
    """A clip to read: a video file, or a folder of png or jpg pictures shown at ``rate`` per second.

    playlists: whether the file may be a playlist of files beside or below it.

    Raises:
        VideoError: see :func:`probe`.

    """
    check_input(path)
    if Path(path).is_dir():
        from vinpaint_cli.video.source.folder import PictureSource

        return PictureSource(path, rate)
    if is_animated_webp(path):
        return AnimationSource(path)
    source = VideoSource(path, playlists)
    return source if source.details.first_field is None else FieldSource(source)


def probe(path: str | PathLike[str], *, playlists: bool = False) -> VideoInfo:
    """Properties of a clip, which is a video file or a folder of png or jpg pictures.

    Raises:
        VideoError: the path is missing, holds no pictures, is no video, has no picture stream, no frame
            of it can be decoded.

    """
    check_input(path)
    if Path(path).is_dir():
        from vinpaint_cli.video.source.folder import inspect_folder

        return inspect_folder(Path(path)).info
    if is_animated_webp(path):
        return AnimationSource(path).info
    return inspect(path, playlists).info


def first_pts(source: FrameSource) -> int:
    """Time of a clip's first frame in ticks of its time base; raises what reading the clip raises."""
    known = getattr(source, "first_pts", None)
    return next(iter(source.frames(0, 1))).pts if known is None else int(known)


class _Index:
    """Index of frames made by a linear pass: container time, final time, checksum; and the keyframes."""

    def __init__(self) -> None:
        self.raw = array("q")
        self.pts = array("q")
        self.checksums = array("L")
        self.keys = array("q")
        self.retimed = 0

    def __len__(self) -> int:
        return len(self.pts)

    def append(self, stamped: Stamped) -> None:
        if stamped.native.key_frame:
            self.keys.append(len(self))
        self.raw.append(_NO_TIME if stamped.raw is None else stamped.raw)
        self.pts.append(stamped.pts)
        self.checksums.append(_checksum(stamped.native))
        self.retimed += stamped.invented

    def keyframes_before(self, index: int) -> list[int]:
        """The nearest keyframe at or before a frame, and the one before that."""
        found = [key for key in self.keys if key <= index][-2:]
        return [key for key in reversed(found) if key > 0]

    def agrees(self, index: int, native: av.VideoFrame) -> bool:
        """Whether a decoded frame is the one that the linear pass saw at ``index``."""
        return native.pts == self.raw[index] and _checksum(native) == self.checksums[index]


class VideoSource:
    """A video file as a ``FrameSource``.

    Frame indices count decoded frames from 0 in presentation order. A pass that starts later than 0 seeks
    only inside what an earlier pass has seen, and checks times and samples against it frame by frame;
    whenever they differ (or nothing is known yet) it decodes from the start, so the frames are always
    those of a linear pass. Not safe for several threads at once. ``details`` is for this room alone.

    Raises:
        VideoError: see :func:`probe`; while reading, a frame that changes
            size or format, or that is interlaced where the first ones were not.

    """

    def __init__(self, path: str | PathLike[str], playlists: bool = False) -> None:
        self._path = Path(path)
        self.details = inspect(path, playlists)
        self._index = _Index()
        self._careful = False
        self._trusted = False
        self._finished = False
        self._joins: tuple[Join, ...] | None = None
        self._begun: Iterator[Frame] | None = None
        self._cut = is_cut_short(self._path)
        self._best = Pass(self.details, threaded=False)
        tick = self.details.info.time_base
        rate = self.details.info.rate or Fraction(25)
        self._step = max(1, round(1 / (rate * tick)))

    @property
    def info(self) -> VideoInfo:
        """Properties of the clip from its headers and first frame."""
        return self.details.info

    @property
    def joins(self) -> tuple[Join, ...]:
        """Where the file's clock jumps; the times of its frames are put on one line there."""
        if self.details.info.container not in JOINABLE:
            return ()
        if self._joins is None:
            with self.details.open() as container:
                self._joins = find_joins(container)
        return self._joins

    @property
    def first_pts(self) -> int:
        """Time of the first frame in ticks; the pass that is begun for it is the next from the start."""
        if not self._index:
            frames = self._linear(0)
            self._begun = chain((next(frames),), frames)
        return int(self._index.pts[0])

    @property
    def damage(self) -> Damage:
        """Damage met so far while reading; false when there is none."""
        best = self._best
        return Damage(best.packets, best.first_seconds, self._cut or best.truncated, self._index.retimed)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for the user on how the clip is read, one line each."""
        lines = []
        if self.info.pix_fmt != self.details.native_format:
            lines.append(f"{self.info.pix_fmt} is read as {self.details.native_format}, without loss")
        if self._joins:
            times = "once" if len(self._joins) == 1 else f"{len(self._joins)} times, first"
            lines.append(
                f"the file's clock jumps {times} at {self._joins[0].moment / TICKS:.3f} s, as in recordings "
                "that were joined; all streams are shifted alike from there"
            )
        damage = self.damage
        if damage.packets:
            first = damage.first_seconds
            start = float(self._index.pts[0] * self.info.time_base) if self._index else 0.0
            at = "" if first is None else f", the first {max(0.0, first - start):.3f} s after the first frame"
            lines.append(f"{damage.packets} damaged packets{at}; what could be decoded is kept")
        if damage.truncated:
            lines.append("the file ends early; what could be decoded is kept")
        if damage.retimed:
            lines.append(f"{damage.retimed} frames had missing or backward times; times were made for them")
        return tuple(lines)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)`` in presentation order; each call starts anew.

        Raises:
            VideoError: no frame of the file can be decoded, or see the class.
            ValueError: a negative index.

        """
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError(f"frames {start} to {stop}: indices count from 0")
        if stop is not None and stop <= start:
            return
        if start == 0 and self._begun is not None:
            begun, self._begun = self._begun, None
            yield from islice(begun, stop)
            return
        position = start
        for key, moment in self._seekable(start):
            for frame in self._from_key(key, moment, position):
                position += 1
                yield frame
                if position == stop:
                    return
            if self._finished and position == len(self._index):
                return
        yield from islice(self._linear(position), None if stop is None else stop - position)

    def _seekable(self, start: int) -> list[tuple[int, int]]:
        """Keyframes to start at, with the time to seek to, to try before decoding from the beginning.

        Containers that seek by decoding time land behind the keyframe; a second earlier is before it.
        """
        index = self._index
        if index.retimed or self.joins or start >= len(index):
            return []
        second = round(1 / self.info.time_base)
        keys = index.keyframes_before(start)
        return [(key, index.raw[key] - back) for key in keys for back in (0, second)]

    def _linear(self, start: int) -> Iterator[Frame]:
        """Frames from ``start`` on, decoded from the beginning; what is new enters the index."""
        count = 0
        for count, stamped in enumerate(stamp(self._raw(), self._step), 1):
            if count > len(self._index):
                self._index.append(stamped)
            if count > start:
                yield self._frame(count - 1, stamped)
        if count == 0:
            raise VideoError(f"{self._path}: no frame can be decoded; the file is damaged")
        self._finished = True

    def _raw(self) -> Iterator[av.VideoFrame]:
        """All frames as decoded; after the first sign of damage one thread decodes from the start."""
        given = 0
        if not self._careful:
            attempt = Pass(self.details, threaded=True, joins=self.joins)
            try:
                for native in attempt:
                    given += 1
                    yield native
            except UnsureError:
                self._careful = not self._trusted
                if self._trusted:
                    return
            else:
                self._keep(attempt)
                return
        attempt = Pass(self.details, threaded=False, joins=self.joins)
        for count, native in enumerate(attempt, 1):
            self._keep(attempt)
            if count > given:
                yield native
        self._keep(attempt)
        if not (attempt.packets or attempt.truncated):
            self._careful, self._trusted = False, True

    def _keep(self, attempt: Pass) -> None:
        """Remember the counts of the pass that got furthest."""
        if attempt.seen >= self._best.seen:
            self._best = attempt

    def _from_key(self, key: int, moment: int, start: int) -> Iterator[Frame]:
        """Frames from ``start`` on, decoded from frame ``key``; ends early where doubt arises."""
        index = self._index
        attempt = Pass(self.details, not self._careful, seek=moment)
        last = index.pts[key - 1]
        try:
            for count, stamped in enumerate(stamp(self._after(attempt, key), self._step, last), key):
                if count == len(index):
                    index.append(stamped)
                if count >= start:
                    yield self._frame(count, stamped)
        except UnsureError:
            return

    def _after(self, attempt: Pass, key: int) -> Iterator[av.VideoFrame]:
        """Frames of a pass from frame ``key`` on, each checked against the index as far as it reaches."""
        index = self._index
        position = key
        for native in attempt:
            if position == key and native.pts != index.raw[key]:
                if native.pts is None or native.pts > index.raw[key]:
                    raise UnsureError
                continue
            if position < len(index) and not index.agrees(position, native):
                raise UnsureError
            position += 1
            yield native

    def _frame(self, index: int, stamped: Stamped) -> Frame:
        native = stamped.native
        if self.details.first_field is None and native.interlaced_frame:
            refuse_interlaced(self._path, f"progressive pictures before frame {index}")
        if (native.width, native.height) != self.details.coded:
            width, height = self.details.coded
            raise VideoError(
                f"{self._path}: frame {index} is {native.width}×{native.height}, those before it are "
                f"{width}×{height}; cut the file there, or scale it with ffmpeg first"
            )
        if native_format(self._path, native.format.name) != self.details.native_format:
            raise VideoError(
                f"{self._path}: pixel format changes to {native.format.name} at frame {index}; "
                "convert it with ffmpeg -pix_fmt first"
            )
        if native.format.name != self.details.native_format:
            native = native.reformat(format=self.details.native_format)
        return Frame(index, stamped.pts, stamped.duration, native, self.details.converter)


def _checksum(native: av.VideoFrame) -> int:
    """CRC of every eighth row of the first channel, enough to tell two decodings apart."""
    layout = layout_of(native.format.name)
    if layout is None:
        plane = native.planes[0]
        return zlib.crc32(memoryview(plane)[: abs(plane.line_size) * plane.height])
    return zlib.crc32(channel(native, layout, 0)[::_CHECK_ROWS].tobytes())
