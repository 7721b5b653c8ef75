"""What no frame shows: completers of key frames by name, smooth fills, patch completion.

A completer is one file here and one line of :data:`COMPLETERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array, Bool

COMPLETERS = Registry(
    "completer",
    {
        "patches": "vinpaint_cli.ops.complete.key_frame:open_patches",
        "lama": "vinpaint_cli.ops.complete.lama:open_lama",
    },
)
"""Name → what makes a completer."""

DEFAULT_COMPLETER = "patches"


class Completer(Protocol):
    """Completes single pictures; the same picture gives the same result."""

    def __call__(self, picture: Array, hole: Bool, guide: Array | None) -> Array:
        """The picture ``(h, w, 3)`` with its hole filled, outside it exactly what was given.

        picture: float32 ``(h, w, 3)`` in [0, 1], not read in the hole. hole: bool ``(h, w)``, True = fill.
        guide: shaped like the picture, a coarse proposal for the hole that a completer may follow.
        """
        ...


def completer_names() -> tuple[str, ...]:
    """Names a completer may be asked for by."""
    return COMPLETERS.names


def open_completer(name: str = DEFAULT_COMPLETER) -> Completer:
    """A completer.

    Raises UsageError for an unknown name, WeightsError for a network whose weights are not there.
    """
    return cast("Completer", COMPLETERS.load(name)())
