"""Masks that a person drew for single frames: where tracking starts, and what replaces a frame's hole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.masks.prompts import Drawing, PromptOptions, fixes
from vinpaint_cli.masks.sources.pictures import read_hole
from vinpaint_cli.masks.sources.shapes import DerivedMask, HoleSource
from vinpaint_cli.types import Frame

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole


class FixedMask(DerivedMask):
    """Another source's holes, replaced on the frames that a person drew."""

    def __init__(self, source: HoleSource, holes: Mapping[int, Hole]) -> None:
        """``holes``: frame number to bool ``(H, W)``, True = fill, of the size of the source's."""
        super().__init__(source)
        self._holes = dict(holes)

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill."""
        fixed = self._holes.get(frame.index)
        return self._source.at(frame) if fixed is None else fixed.copy()

    def check_count(self, frames: int) -> None:
        """Let the source underneath compare.

        Raises MaskError (the counts differ and were not allowed to, or a drawn frame is not in the clip).
        """
        super().check_count(frames)
        for index in self._holes:
            if index >= frames:
                raise MaskError(f"--fix f{index} is beyond the clip, whose last frame is f{frames - 1}")


def read_drawing(
    drawing: Drawing,
    size: tuple[int, int],
    *,
    label: int | None = None,
    resize: bool = False,
    warnings: list[str] | None = None,
) -> Hole:
    """The mask of one drawing, bool ``(H, W)``, True = fill.

    ``size`` is the clip's ``(width, height)``; ``label`` and ``resize`` are those of `MaskOptions`;
    ``warnings`` takes a line when the picture looks like labels but none was asked for.
    Raises MaskError (it cannot be read, or has another size).
    """
    return read_hole(Path(drawing.path), size, label=label, resize=resize, warnings=warnings)


def read_fixes(
    options: PromptOptions, size: tuple[int, int], *, label: int | None = None, resize: bool = False
) -> dict[int, Hole]:
    """Frame number to what its hole is to be, bool ``(H, W)``; the last one named for a frame counts.

    Arguments as for `read_drawing`. Raises UsageError (text that cannot be read, a time instead of a frame
    number) and MaskError (a picture that cannot be read or has another size).
    """
    found: dict[int, Hole] = {}
    for drawing in fixes(options):
        if drawing.when.frame is None:
            raise UsageError(
                f"--fix for {drawing.path} names a time; give the frame's number, as in f52={drawing.path}"
            )
        found[drawing.when.frame] = read_drawing(drawing, size, label=label, resize=resize)
    return found
