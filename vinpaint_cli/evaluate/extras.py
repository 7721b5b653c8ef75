"""Measures that need weights (LPIPS, KID), and a line for each whose weights are not on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.evaluate.score import Extra
from vinpaint_cli.weights.store import resolve

if TYPE_CHECKING:
    from vinpaint_cli.metrics.perceptual import Features

BACKBONE, LINEAR = "vgg16", "lpips-vgg"

NO_VFID = (
    "VFID: not measured; it compares features of I3D over hundreds of clips, and weights.toml names no "
    "file of I3D whose hash is known"
)


def find_extras() -> tuple[tuple[Extra, ...], tuple[str, ...]]:
    """Return the measures that can be taken here, and a line for each that cannot."""
    try:
        return (_lpips(),), (NO_VFID,)
    except WeightsError as exc:
        return (), (f"LPIPS: not measured; {exc}", NO_VFID)


def find_features() -> tuple[Features | None, tuple[str, ...]]:
    """The features of KID, or the line that says why it is not measured."""
    from vinpaint_cli.metrics.perceptual import load_lite_features

    try:
        return load_lite_features(), ()
    except WeightsError as exc:
        return None, (f"KID: not measured; {exc}",)


def _lpips() -> Extra:
    backbone, linear = resolve(BACKBONE), resolve(LINEAR)
    import torch
    from safetensors.torch import load_file

    from vinpaint_cli.metrics.lpips import Lpips

    try:
        return Lpips(torch.load(backbone, map_location="cpu", weights_only=True), load_file(linear))
    except (KeyError, RuntimeError) as exc:
        raise WeightsError(f"{backbone} and {linear} are not those of LPIPS ({exc}); get them again") from exc
