"""A network fitted to a clip whose holes are to be judged: it sees what the method sees, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from vinpaint_cli.evaluate.complete import Cost, HiddenClip
from vinpaint_cli.pipeline.device import Placement
from vinpaint_cli.pipeline.options import FitOptions
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.types import Method


def fitted_method(
    name: str,
    hidden: HiddenClip,
    shots: Sequence[range],
    options: FitOptions,
    placement: Placement,
    *,
    propagates: bool,
    listener: Listener,
) -> tuple[Method, Cost]:
    """The method ``name`` with a network fitted to the clip, and what fitting it cost.

    Raises what `fit_clip` raises.
    """
    from vinpaint_cli.methods import start_fit
    from vinpaint_cli.removal.fitting import FitSettings, fit_clip
    from vinpaint_cli.removal.pseudo_holes import FrameRun

    height, width = hidden.pictures.shape[1:3]
    runs = [FrameRun(pictures, holes, height) for pictures, holes in hidden.segments(shots)]
    cost = Cost()
    with cost.measured():
        fit = start_fit(
            name, (width, height), config=options.config, seed=options.seed, device=placement.device
        )
        fit_clip(fit, runs, FitSettings(options, listener, Stages(propagates)))
    return fit.method(placement.precision), cost
