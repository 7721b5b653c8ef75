"""A tracked mask stored in a work folder: a mask video, and a JSON file with its size and SHA-256."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.mask_making.tracking import write_masks
from vinpaint_cli.resume.stored_plan import read_sealed, sealed, write_json
from vinpaint_cli.util.hashing import file_sha256
from vinpaint_cli.video.sink.publish import translated

if TYPE_CHECKING:
    from vinpaint_cli.masks.sources.shapes import HoleSource
    from vinpaint_cli.types import FrameSource


class KeptMask:
    """The mask video ``path``; it counts only if it is what the JSON file beside it says.

    The seal comes last, so that what hangs on the mask before can go first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seal = path.with_suffix(".json")
        self._notes: tuple[str, ...] = ()
        self.is_whole = path.is_file() and self._is_sealed()

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings that came with the masks when they were tracked."""
        return self._notes if self.is_whole else ()

    def write(self, source: FrameSource, masks: HoleSource) -> bool:
        """Write the masks of a clip; whether they are what was sealed before. Raises OutputError."""
        write_masks(source, masks, self.path)
        with translated(self.path):
            self.is_whole = self._is_sealed()
        self._notes = masks.warnings
        return self.is_whole

    def seal(self) -> None:
        """Let what was written count; raises OutputError."""
        with translated(self.path):
            digest = self._digest()
        write_json(self._seal, sealed({**digest, "notes": list(self._notes)}))
        self.is_whole = True

    def _digest(self) -> dict[str, Any]:
        return {"size": self.path.stat().st_size, "of": file_sha256(self.path)}

    def _is_sealed(self) -> bool:
        """Whether the mask is what it was when it was whole; takes its notes."""
        try:
            told = read_sealed(self._seal)
            self._notes = tuple(str(line) for line in told.pop("notes"))
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return told == self._digest()
