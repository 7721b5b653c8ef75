"""vinpaint: remove things from video.

::

    from vinpaint_cli import MaskOptions, RemoveOptions, remove

    report = remove("in.mp4", "out.mp4", RemoveOptions(mask=MaskOptions(boxes=("10%,80%,80%,15%",))))

Names are loaded when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vinpaint_cli.errors import (
        InputError,
        Interrupted,
        MaskError,
        OutOfMemoryError,
        OutputError,
        UsageError,
        VideoError,
        VinpaintError,
        WeightsError,
    )
    from vinpaint_cli.evaluate.results import Evaluation
    from vinpaint_cli.evaluate.run import EvaluateOptions, evaluate_methods
    from vinpaint_cli.mask_making.run import MaskReport, make_mask
    from vinpaint_cli.masks.prompts import PromptOptions
    from vinpaint_cli.masks.sources.options import MaskOptions
    from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions
    from vinpaint_cli.pipeline.progress import Listener
    from vinpaint_cli.removal.job import RemoveReport
    from vinpaint_cli.removal.run import remove
    from vinpaint_cli.removal.train_internal import TrainInternalOptions, TrainInternalReport, train_internal
    from vinpaint_cli.types import EncodeOptions, Progress, VideoInfo
    from vinpaint_cli.video.source.read import probe

__version__ = "0.1.0"

__all__ = [
    "EncodeOptions",
    "EvaluateOptions",
    "Evaluation",
    "FitOptions",
    "InputError",
    "Interrupted",
    "Listener",
    "MaskError",
    "MaskOptions",
    "MaskReport",
    "OutOfMemoryError",
    "OutputError",
    "Progress",
    "PromptOptions",
    "RemoveOptions",
    "RemoveReport",
    "TrainInternalOptions",
    "TrainInternalReport",
    "UsageError",
    "VideoError",
    "VideoInfo",
    "VinpaintError",
    "WeightsError",
    "__version__",
    "evaluate_methods",
    "make_mask",
    "probe",
    "remove",
    "train_internal",
]

_ROOMS = {
    "pipeline.options": ("FitOptions", "RemoveOptions"),
    "mask_making.run": ("MaskReport", "make_mask"),
    "removal.job": ("RemoveReport",),
    "removal.run": ("remove",),
    "removal.train_internal": ("TrainInternalOptions", "TrainInternalReport", "train_internal"),
    "pipeline.progress": ("Listener",),
    "errors": (
        "InputError",
        "Interrupted",
        "MaskError",
        "OutOfMemoryError",
        "OutputError",
        "UsageError",
        "VideoError",
        "VinpaintError",
        "WeightsError",
    ),
    "evaluate.results": ("Evaluation",),
    "evaluate.run": ("EvaluateOptions", "evaluate_methods"),
    "masks.sources.options": ("MaskOptions",),
    "masks.prompts": ("PromptOptions",),
    "types": ("EncodeOptions", "Progress", "VideoInfo"),
    "video.source.read": ("probe",),
}


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
