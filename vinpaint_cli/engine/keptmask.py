"""A mask that took time to find, in a work folder: a video, and beside it what it is known by."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.engine.patchfile import file_digest
from vinpaint_cli.engine.planfile import read_sealed, sealed, write_json
from vinpaint_cli.engine.track import write_found
from vinpaint_cli.video.publish import translated

if TYPE_CHECKING:
    from vinpaint_cli.masks.shapes import HoleSource
    from vinpaint_cli.types import FrameSource


class KeptMask:
    """The mask video ``path``; it counts only if it is what its seal, the same name with .json, says.

    The seal comes last, so that what hangs on the mask before can go first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seal = path.with_suffix(".json")
        self.is_whole = path.is_file() and self._digest() == self._sealed()

    def write(self, source: FrameSource, masks: HoleSource) -> bool:
        """Write the masks of a clip; whether they are what was sealed before. Raises OutputError."""
        write_found(source, masks, self.path)
        with translated(self.path):
            self.is_whole = self._digest() == self._sealed()
        return self.is_whole

    def seal(self) -> None:
        """Let what was written count; raises OutputError."""
        with translated(self.path):
            digest = self._digest()
        write_json(self._seal, sealed(digest))
        self.is_whole = True

    def _digest(self) -> dict[str, Any]:
        return {"size": self.path.stat().st_size, "of": file_digest(self.path)}

    def _sealed(self) -> dict[str, Any] | None:
        """What the mask was when it was whole; None when nobody knows."""
        with suppress(OSError, ValueError):
            return read_sealed(self._seal)
        return None
