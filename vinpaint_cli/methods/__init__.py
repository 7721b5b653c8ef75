"""Methods that fill holes, by name, imported on demand.

A method is a file or a folder, and one line of :data:`METHODS`. One without a network is a file. A folder has
``net.py`` with the network and ``method.py`` with the adapter class; one whose network is fitted to each clip
(``SPEC.fitted``) also has ``fit.py``. The file or the folder's ``__init__.py`` holds ``SPEC`` and imports no
torch, so that methods can be listed without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from vinpaint_cli.methods.fitting import ClipFit
    from vinpaint_cli.types import Method, MethodSpec

METHODS = Registry(
    "method",
    {
        "propagate": "vinpaint_cli.methods.propagate:PropagateMethod",
        "sttn": "vinpaint_cli.methods.sttn.method:STTNMethod",
        "combcn": "vinpaint_cli.methods.combcn.method:CombCNMethod",
        "flow-recurrent": "vinpaint_cli.methods.flow_recurrent.method:FlowRecurrentMethod",
        "internal": "vinpaint_cli.methods.internal.method:InternalMethod",
        "telea": "vinpaint_cli.methods.telea:TeleaMethod",
        "nearest": "vinpaint_cli.methods.nearest:NearestMethod",
    },
)
"""Name of a method → ``module:Class`` of its adapter."""


def method_names() -> tuple[str, ...]:
    """Names of all methods, in the order of the table."""
    return METHODS.names


def method_spec(name: str) -> MethodSpec:
    """What the method can do. Imports no torch; raises UsageError for a name that is not in the table."""
    return cast("MethodSpec", import_module(_package(name)).SPEC)


def fitted_methods() -> tuple[str, ...]:
    """Names of the methods whose network is fitted to each clip, in the order of the table."""
    return tuple(name for name in METHODS.names if method_spec(name).fitted)


def load_method(name: str, **options: Any) -> Method:
    """The method of that name, with its weights loaded.

    ``options`` go to its class: ``device``, ``dtype`` and, for a method with a network, ``weights`` (a
    file or a name of weights.toml; None takes the method's default). Raises UsageError for an unknown
    name or for weights given to a method without a network, WeightsError when weights cannot be used.
    """
    if method_spec(name).weights is None and options.pop("weights", None) is not None:
        raise UsageError(f"method {name!r} has no network and takes no --weights; leave the option out")
    return cast("Method", METHODS.load(name)(**options))


def start_fit(
    name: str,
    size: tuple[int, int],
    *,
    config: str,
    seed: int = 0,
    device: str = "cpu",
    state: Mapping[str, Any] | None = None,
) -> ClipFit:
    """Prepare to fit the method's network to a clip of ``size`` ``(width, height)``; `ClipFit.run` does it.

    config: a preset of the method, or a TOML file. state: of a fit that was stopped, to go on from. Raises
    UsageError for a method that is not fitted to clips, or for a configuration that cannot be read.
    """
    if not method_spec(name).fitted:
        known = ", ".join(fitted_methods())
        raise UsageError(f"method {name!r} is not fitted to a clip; choose {known}")
    start = import_module(f"{_package(name)}.fit").start_fit
    return cast("ClipFit", start(size, config=config, seed=seed, device=device, state=state))


def weights_of(spec: MethodSpec, given: str | Path | None) -> str | Path | None:
    """Weights to load: those ``given``, else the method's default; None for a method without a network.

    Raises WeightsError for a network that has no default when nothing was given.
    """
    if spec.weights is None or given or spec.weights:
        return given or spec.weights
    raise WeightsError(
        f"no weights of {spec.name} come with vinpaint yet; give a file with --weights FILE.safetensors, "
        f"as `vinpaint train {spec.name}` and `vinpaint train export` make it"
    )


def _package(name: str) -> str:
    """Dotted name of a method's folder, or of its file."""
    return METHODS.module(name).removesuffix(".method")
