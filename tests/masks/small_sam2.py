"""The smallest network of the sam2 package, randomly initialised."""

from __future__ import annotations

from pathlib import Path

import torch

from vinpaint_cli.masks.segment import sam2


def write_weights(folder: Path) -> Path:
    """A checkpoint laid out as its authors publish theirs."""
    torch.manual_seed(3)
    path = folder / "sam2.1_hiera_tiny.pt"
    torch.save({"model": sam2._build("configs/sam2.1/sam2.1_hiera_t.yaml").state_dict()}, path)
    return path
