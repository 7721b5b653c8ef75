"""Options of a removal, of fitting and of the work folder, and checks for contradictions between them.

Importing it loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.sources.options import MaskOptions, check_mask_options
from vinpaint_cli.methods import fitted_methods, method_spec
from vinpaint_cli.ops.complete import COMPLETERS, DEFAULT_COMPLETER
from vinpaint_cli.ops.flow import DEFAULT_FLOW, FLOWS
from vinpaint_cli.pipeline.device import available_memory
from vinpaint_cli.plan.memory import parse_memory
from vinpaint_cli.types import EncodeOptions

MINUTES = 5.0
"""How long a fit takes when nobody says."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a network is fitted to the clip.

    minutes or steps: how long, 5 minutes when neither is given; the minutes hold all of it, also making the
    material. config: a preset as of `vinpaint train-internal --config`, or a TOML file. seed: of all that is
    drawn.
    """

    minutes: float | None = None
    steps: int | None = None
    config: str = "quick"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """Options of a removal; None means that a good value is chosen.

    method: a name of `vinpaint methods`. weights: a file or a name of weights.toml. device: auto, cpu,
    cuda, mps. precision: auto, fp32, bf16, fp16. propagate: bring in real pixels first. flow: name of the
    estimator of optical flow that those are found along. texture: give some to what no frame shows, where
    propagation ran and the method leaves it smooth. complete: name of the completer that draws it. feather:
    pixels of soft edge outside the hole. memory: ``8G``, ``512M`` or ``50%`` of what is free. fit: for a
    method whose network is fitted to the clip first, unless weights are given. playlists:
    whether the clip may be a playlist.
    """

    mask: MaskOptions = field(default_factory=MaskOptions)
    method: str = "propagate"
    weights: str | None = None
    device: str = "auto"
    precision: str = "auto"
    propagate: bool = True
    flow: str = DEFAULT_FLOW
    texture: bool = True
    complete: str = DEFAULT_COMPLETER
    feather: int | None = None
    memory: str | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    playlists: bool = False


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """Options for resuming a run.

    folder: under which the job's own folder is made; None: hidden beside the output. keep: leave it there
    when the output is whole. resume: None goes on when there is something, True demands that there is,
    False starts afresh.
    """

    folder: str | None = None
    keep: bool = False
    resume: bool | None = None


def check_options(options: RemoveOptions) -> None:
    """Refuse options that contradict each other, before anything is decoded; raises UsageError."""
    spec = method_spec(options.method)
    FLOWS.module(options.flow)
    COMPLETERS.module(options.complete)
    check_mask_options(options.mask)
    check_fit_options(options.fit, spec.fitted, spec.name)
    if options.memory is not None:
        parse_memory(options.memory, available_memory())
    if options.feather is not None and not 0 <= options.feather <= 64:
        raise UsageError(f"--feather {options.feather} is not a width of 0 to 64 pixels")
    if spec.weights is None and options.weights is not None:
        raise UsageError(f"method {spec.name!r} has no network and takes no --weights; leave the option out")
    if not spec.invents and not options.propagate:
        raise UsageError(f"--no-propagate leaves method {spec.name!r} nothing to do; choose another --method")
    if options.complete != DEFAULT_COMPLETER and not (options.texture and options.propagate):
        without = "--no-texture" if not options.texture else "--no-propagate"
        raise UsageError(f"{without} leaves --complete {options.complete} nothing to do; leave one out")


def check_fit_options(options: FitOptions, fitted: bool, method: str = "") -> None:
    """Refuse contradictory fit options; ``fitted``: whether the method's network is fitted to the clip.

    Raises UsageError.
    """
    given = {"--minutes": options.minutes, "--steps": options.steps}
    named = [name for name, value in given.items() if value is not None]
    if named and not fitted:
        raise UsageError(
            f"{' and '.join(named)}: how long a network is fitted to the clip, but method {method!r} fits "
            f"none; leave them out, or choose --method {' or '.join(fitted_methods())}"
        )
    if len(named) > 1:
        raise UsageError("--minutes and --steps are two ways to say how long a fit takes; give one of them")
    if options.minutes is not None and not 0 < options.minutes < 1e5:
        raise UsageError(f"--minutes {options.minutes:g} is no time for a fit; give more than 0, such as 5")
    if options.steps is not None and options.steps < 0:
        raise UsageError(f"--steps {options.steps} is negative; give 0 or more")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed} is negative; give 0 or more")
