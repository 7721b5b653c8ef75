"""Optical flow: estimators by name; motion of a clip and of the camera.

An estimator is one file here and one line of :data:`FLOWS`. The file says in ``IS_NETWORK`` whether the
estimator is a network, which runs on the device it is given.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array, Bytes

FLOWS = Registry(
    "flow estimator",
    {
        "dis": "vinpaint_cli.ops.flow.dis:DisFlow",
        "raft": "vinpaint_cli.ops.flow.raft:open_raft",
    },
)
"""Name → what makes an estimator for a device."""

DEFAULT_FLOW = "dis"


class FlowEstimator(Protocol):
    """Estimates optical flow between two pictures; may be called from several threads at once."""

    def __call__(self, first: Bytes, second: Bytes) -> Array:
        """Flow ``(h, w, 2)`` float32 from 8-bit grey ``(h, w)`` to ``(h, w)``.

        ``flow[y, x] = (dx, dy)`` in pixels takes a point of the first picture to the second.
        """
        ...


def flow_names() -> tuple[str, ...]:
    """Names an estimator may be asked for by."""
    return FLOWS.names


def is_network(name: str) -> bool:
    """Whether an estimator is a network, so that its device matters; UsageError for an unknown name."""
    return bool(import_module(FLOWS.module(name)).IS_NETWORK)


def open_flow(name: str = DEFAULT_FLOW, device: str = "cpu") -> FlowEstimator:
    """An estimator; ``device`` as torch names it, for those that are networks.

    Raises UsageError for an unknown name, WeightsError for a network whose weights are not there.
    """
    return cast("FlowEstimator", FLOWS.load(name)(device))
