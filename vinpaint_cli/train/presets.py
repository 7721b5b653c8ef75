"""Configurations that come with the package, by method and name."""

from __future__ import annotations

from typing import Any

Preset = dict[str, Any]

SHORT_OF_STEPS: Preset = {"propagated": 0.7, "shots": 0.08, "photos": 0.22, "cover": 0.3, "hidden": 0.97}
"""A mix for networks that judge what propagation found, in which a step hides as much as it can."""

STTN_SMALL: Preset = {
    "network": {
        "channels": 128,
        "blocks": 5,
        "patches": [[27, 15], [9, 15], [9, 5], [3, 5]],
        "size": [432, 240],
        "reduction": 8,
        "prefill": True,
    },
    "data": {"batch": 8, "frames": [1, 5], "frame_weights": [0.25, 0.75]},
    "train": {
        "steps": 100_000,
        "rate": 5e-4,
        "betas": [0.9, 0.99],
        "valid": 0.05,
        "error": 0.1,
        "adversarial": 0.0,
    },
    "precision": "bf16",
}
"""Small enough to travel in the package and to run on two CPU cores."""

STTN_BASE: Preset = {"network": {}, "data": {"batch": 8}, "train": {"steps": 500_000}}
"""The paper's network, losses and optimiser."""

STTN_TINY: Preset = {
    **STTN_SMALL,
    "network": {
        **STTN_SMALL["network"],
        "channels": 96,
        "blocks": 4,
        "patches": [[18, 10], [6, 10], [6, 5], [3, 5]],
        "judges": True,
        "colours": False,
        "size": [144, 80],
    },
    "data": {
        "batch": 8,
        "size": [144, 80],
        "frames": [1, 3, 5],
        "frame_weights": [0.5, 0.3, 0.2],
        **SHORT_OF_STEPS,
    },
    "train": {
        **STTN_SMALL["train"],
        "rate": 6e-4,
        "warmup": 300,
        "hole": 0.5,
        "error": 0.5,
    },
}
"""Small enough to be trained on one CPU core: it judges at a third of the resolution."""

COMBCN_SMALL: Preset = {
    "network": {"width": 32, "volume_width": 8, "prefill": True},
    "data": {"size": [192, 192], "batch": 4, "frames": [24], "consecutive": True},
    "train": {"steps": 60_000, "rate": 5e-4, "betas": [0.9, 0.99], "stages": [0.35]},
    "losses": {"error": 0.1},
    "precision": "bf16",
}
"""Half as wide as the paper's, on a smooth fill; small enough to travel in the package."""

COMBCN_TINY: Preset = {
    "network": {
        "width": 16,
        "volume_width": 8,
        "prefill": True,
        "judges": True,
        "colours": False,
        "size": [144, 80],
    },
    "data": {"size": [144, 80], "batch": 4, "frames": [6], "consecutive": True, **SHORT_OF_STEPS},
    "train": {"steps": 60_000, "rate": 6e-4, "warmup": 200, "betas": [0.9, 0.99], "stages": [0.25]},
    "losses": {"volume": 0.5, "frames": 0.5, "error": 0.5},
    "precision": "bf16",
}
"""Small enough to be trained on one CPU core: both networks judge at a third of the resolution."""

COMBCN_BASE: Preset = {
    "network": {"mean": [0.416, 0.412, 0.338]},
    "data": {"size": [128, 128], "batch": 1, "frames": [32], "consecutive": True},
    "train": {
        "steps": 100_000,
        "rate": 1e-3,
        "floor": 1.0,
        "betas": [0.9, 0.999],
        "decay": 1e-4,
        "stages": [0.5],
    },
}
"""The paper's networks, losses and optimiser; it does not say when the second stage begins."""

RECURRENT_SMALL: Preset = {
    "network": {
        "width": 24,
        "inpainter": [32, 64, 96, 128, 128, 128],
        "completer": [16, 32, 48, 64, 64],
        "prefill": True,
        "align": True,
        "residual": "inpainted",
    },
    "data": {"size": [192, 192], "batch": 4, "frames": [6], "consecutive": True},
    "train": {"steps": 80_000, "rate": 2e-4, "betas": [0.9, 0.99], "stages": [0.5]},
    "precision": "bf16",
}
"""Small enough to travel in the package; the previous output moves along the flow before it enters H_t, and
the residual is added to what H_s made of the frame, from which an untrained network starts.
"""

RECURRENT_TINY: Preset = {
    "network": {
        **RECURRENT_SMALL["network"],
        "judges": True,
        "width": 16,
        "inpainter": [32, 64, 96, 128],
        "completer": [16, 32, 48, 64],
        "size": [144, 80],
    },
    "data": {"size": [144, 80], "batch": 6, "frames": [4], "consecutive": True, **SHORT_OF_STEPS},
    "train": {"steps": 80_000, "rate": 3e-4, "warmup": 200, "betas": [0.9, 0.99], "stages": [0.5]},
    "losses": {"error": 3.0},
    "precision": "bf16",
}
"""Small enough to be trained on one CPU core: all networks judge at a third of the resolution.

Colours are on, since H_s has nothing else to learn.
"""

RECURRENT_BASE: Preset = {
    "network": {},
    "data": {"size": [192, 192], "batch": 4, "frames": [8], "consecutive": True},
    "train": {"steps": 200_000, "rate": 1e-4, "floor": 0.1, "betas": [0.9, 0.999], "stages": [0.5]},
}
"""The paper's networks, losses and optimiser; sequences, crops and batches of its forerunner."""

INTERNAL_SMALL: Preset = {
    "network": {"model": "base", "width": 32, "prefill": True},
    "data": {"size": [128, 128], "batch": 8, "frames": [1]},
    "train": {"steps": 100_000, "rate": 1e-3, "warmup": 200, "betas": [0.9, 0.99]},
    "losses": {"error": 0.3},
    "precision": "bf16",
}
"""The coarse network alone, two thirds as wide, on a smooth fill: what two CPU cores fit fastest."""

INTERNAL_BASE: Preset = {
    "network": {},
    "data": {"size": [256, 256], "batch": 5, "frames": [1]},
    "train": {"steps": 200_000, "rate": 2e-4, "floor": 1.0, "betas": [0.9, 0.999]},
}
"""The paper's network, loss and optimiser, on many clips instead of one."""

PRESETS: dict[str, dict[str, Preset]] = {
    "sttn": {"tiny": STTN_TINY, "small": STTN_SMALL, "base": STTN_BASE},
    "combcn": {"tiny": COMBCN_TINY, "small": COMBCN_SMALL, "base": COMBCN_BASE},
    "flow-recurrent": {"tiny": RECURRENT_TINY, "small": RECURRENT_SMALL, "base": RECURRENT_BASE},
    "internal": {"small": INTERNAL_SMALL, "base": INTERNAL_BASE},
}
