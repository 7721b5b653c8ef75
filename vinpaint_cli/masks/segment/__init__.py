"""Segmenters by name: from clicks or a box on one frame to the mask of the object there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from vinpaint_cli.errors import MaskError, UsageError, WeightsError
from vinpaint_cli.types import Box
from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    from vinpaint_cli.types import Plane, Segmenter

AUTO = "auto"
SEGMENTERS = Registry(
    "segmenter",
    {
        "grabcut": "vinpaint_cli.masks.segment.grabcut:GrabCutSegmenter",
        "sam": "vinpaint_cli.masks.segment.sam:SamSegmenter",
        "sam2": "vinpaint_cli.masks.segment.sam2:Sam2Segmenter",
    },
    also=(AUTO,),
)
"""Each class has a ``name`` and takes ``weights`` and ``device``."""

FALLBACK = "grabcut"
SAM_WEIGHTS = ("sam-vit-b", "sam-vit-l", "sam-vit-h")
"""Entries of weights.toml that auto looks for, fastest first; the first on this machine is taken."""


def segmenter_names() -> tuple[str, ...]:
    """Names of all segmenters, auto first."""
    return SEGMENTERS.names


def open_segmenter(name: str = AUTO, weights: str | None = None, device: str = "auto") -> Segmenter:
    """The segmenter called ``name``; its attribute ``name`` tells which one auto has chosen.

    ``auto`` takes SAM if weights are given or found on this machine, the smallest first, and otherwise
    grabcut, which needs none.

    Raises UsageError (an unknown name, weights for a segmenter without, a package that is not installed)
    and WeightsError (weights that are not here or cannot be used).

    * ``name``: auto or a name of `SEGMENTERS`.
    * ``weights``: a file or a name of weights.toml; None takes the segmenter's own.
    * ``device``: auto, cpu, cuda or mps.
    """
    if name == AUTO:
        name, weights = _choose(weights)
    return cast("Segmenter", SEGMENTERS.load(name)(weights=weights, device=device))


def sam_weights_here() -> str | None:
    """The first of `SAM_WEIGHTS` that is on this machine and intact; None when there is none."""
    from vinpaint_cli.weights.store import resolve

    for entry in SAM_WEIGHTS:
        try:
            resolve(entry)
        except WeightsError:
            continue
        return entry
    return None


def _choose(weights: str | None) -> tuple[str, str | None]:
    found = weights or sam_weights_here()
    return ("sam", found) if found else (FALLBACK, None)


def check_prompts(
    size: tuple[int, int], points: Sequence[tuple[float, float]], labels: Sequence[bool], box: Box | None
) -> None:
    """Check the prompts of one object on one frame; every segmenter calls this first.

    Raises UsageError (neither a point on the object nor a box, points without labels, one pixel labelled both
    ways) and MaskError (a point outside the frame, a box without area inside it).

    * ``size``: ``(width, height)`` of the picture.
    """
    width, height = size
    if len(points) != len(labels):
        raise UsageError(f"{len(points)} points have {len(labels)} labels; give one label per point")
    if box is None and not any(labels):
        raise UsageError("nothing points at the object; give a point on it or a box around it")
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise MaskError(f"point {x:g},{y:g} lies outside the {width}x{height} frame; click inside it")
    if box is not None and not box.intersection(Box(0, 0, width, height)).area:
        raise MaskError(f"the box shows nothing of the {width}x{height} frame; draw it inside")
    pixels = {True: set[tuple[int, int]](), False: set[tuple[int, int]]()}
    for (x, y), label in zip(points, labels, strict=True):
        pixels[bool(label)].add((int(x), int(y)))
    if both := sorted(pixels[True] & pixels[False]):
        raise UsageError(f"point {both[0][0]},{both[0][1]} is both on the object and not; leave one out")


def enforce_points(mask: Plane, points: Sequence[tuple[float, float]], labels: Sequence[bool]) -> Plane:
    """``mask (H, W)`` itself, with each point's pixel set as labelled: 1 on the object, 0 beside it."""
    for (x, y), label in zip(points, labels, strict=True):
        mask[int(y), int(x)] = label
    return mask
