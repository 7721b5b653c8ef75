"""A network fitted to a clip whose holes are to be judged: it sees what the method sees, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from vinpaint_cli.evaluate.complete import Cost, HiddenClip
from vinpaint_cli.pipeline.device import Placement
from vinpaint_cli.pipeline.options import FitOptions
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.types import Method


def fitted_method(
    hidden: HiddenClip,
    shots: Sequence[range],
    options: FitOptions,
    placement: Placement,
    *,
    propagates: bool,
    listener: Listener,
) -> tuple[Method, Cost]:
    """The method with a network fitted to the clip, and what fitting it cost.

    Raises what `ClipFit.go` raises.
    """
    from vinpaint_cli.methods.internal.method import InternalMethod
    from vinpaint_cli.removal.fitting import ClipFit
    from vinpaint_cli.removal.pseudo_holes import Run

    height, width = hidden.pictures.shape[1:3]
    runs = [Run(pictures, holes, height) for pictures, holes in hidden.segments(shots)]
    cost = Cost()
    with cost.measured():
        fit = ClipFit(runs, (width, height), options, listener, placement.device, propagates)
        found = fit.go()
    return InternalMethod(found.pyramid, placement.device, placement.precision), cost
