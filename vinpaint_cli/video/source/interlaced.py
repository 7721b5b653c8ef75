"""Interlaced clips: each of their fields is a frame, of its own moment and number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from vinpaint_cli.types import Frame, VideoInfo
from vinpaint_cli.video.colour.fields import FieldConverter, fields_of

if TYPE_CHECKING:
    from vinpaint_cli.video.source.decode_pass import Damage
    from vinpaint_cli.video.source.probe import Details
    from vinpaint_cli.video.source.timeline import Join


class FieldSource:
    """The fields of an interlaced clip as a ``FrameSource``: twice the frames, at twice the rate.

    ``details`` are those of the clip with its whole frames, which writers weave again.
    """

    def __init__(self, source: Any) -> None:
        """``source``: the clip as a `VideoSource`, with its whole frames."""
        self._source = source
        self.details: Details = source.details
        first, converter = self.details.first_field or 0, self.details.converter
        given = {one.name: getattr(converter, one.name) for one in fields(converter)}
        self._converters = tuple(FieldConverter(**given, parity=parity) for parity in (first, 1 - first))

    @property
    def damage(self) -> Damage:
        """Damage met so far while reading; false when there is none."""
        found: Damage = self._source.damage
        return found

    @property
    def joins(self) -> tuple[Join, ...]:
        """Where the file's clock jumps."""
        return tuple(self._source.joins)

    @property
    def info(self) -> VideoInfo:
        """Properties of the clip; rate, ticks and count are those of fields."""
        info: VideoInfo = self._source.info
        frames = info.frames_from_header
        return replace(
            info,
            rate=info.rate and 2 * info.rate,
            time_base=info.time_base / 2,
            frames_from_header=frames and 2 * frames,
        )

    @property
    def first_pts(self) -> int:
        """Time of the first field in ticks."""
        return 2 * int(self._source.first_pts)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for the user on how the clip is read, one line each."""
        return (
            "interlaced: each field is filled as a frame of its own, and frame numbers count fields",
            *self._source.notes,
        )

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Fields ``[start, stop)`` in the order in which they are shown; each call starts anew."""
        first, second = self._converters
        for frame in self._source.frames(start // 2, None if stop is None else -(-stop // 2)):
            for field in fields_of(frame, (first, second)):
                if start <= field.index and (stop is None or field.index < stop):
                    yield field
