"""`TextOptions`: which burned-in text is meant."""

from __future__ import annotations

from dataclasses import dataclass

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.grammar import parse_box

KINDS = ("overlay", "transient", "persistent", "all")


@dataclass(frozen=True, slots=True)
class TextOptions:
    """Which text goes, as written.

    * ``wanted``: whether text is looked for at all.
    * ``kind``: overlay (what was put over the picture), transient (of that, what comes or goes within the
      clip), persistent (what stays from its first frame to its last), or all (text of the scene too).
    * ``regions``: ``X,Y,W,H``; of lines of which at least half lies in one of them. None for the whole frame.
    * ``least_height``: lines lower than so many pixels are left.
    """

    wanted: bool = False
    kind: str = "overlay"
    regions: tuple[str, ...] = ()
    least_height: int = 0

    @property
    def takes_scene(self) -> bool:
        """Whether text of the scene goes too."""
        return self.kind == "all"

    def takes(self, persistent: bool, scene: bool) -> bool:
        """Whether a text of this kind goes."""
        if scene:
            return self.takes_scene
        return self.kind in ("overlay", "all") or persistent == (self.kind == "persistent")


def check_text_options(options: TextOptions) -> None:
    """Check that the options can be read and go together; raises UsageError."""
    if options.kind not in KINDS:
        raise UsageError(f"--text-kind {options.kind} is not known; give {', '.join(KINDS)}")
    if not options.wanted and options != TextOptions():
        raise UsageError("--text-kind, --text-region and --text-min-height choose text; give --text too")
    for text in options.regions:
        if parse_box(text).text != text.strip() or "@" in text:
            raise UsageError(f"--text-region {text} has a time; give X,Y,W,H")
