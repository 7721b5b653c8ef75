"""The segmenter `sam2`: Segment Anything 2 (Ravi et al., 2024) by the optional package ``sam2``.

The package has four sizes of the network in two releases; the shapes of a checkpoint's tensors tell which it
is. Its weights are not in weights.toml: give the file as it was published.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.masks.segment.sam import Predictor, SamSegmenter, low_resolution
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

if TYPE_CHECKING:
    from torch import nn

    from vinpaint_cli.ops.image import Array
    from vinpaint_cli.types import Plane

SIZES: dict[tuple[int, int], str] = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
"""Width and number of blocks of the image encoder → the package's letter for the size."""

_TRUNK = "image_encoder.trunk."
_SIDE = 256


class Sam2Segmenter(SamSegmenter):
    """See `SamSegmenter`: the same prompts, embeddings and logits, another network."""

    name = "sam2"

    def __init__(self, weights: str | None = None, device: str = "auto") -> None:
        """Raises UsageError when the package is not installed, WeightsError without usable weights."""
        if find_spec("sam2") is None:
            raise UsageError(
                "segmenter 'sam2' needs a package that is not installed; run `pip install 'vinpaint[sam2]'`, "
                "or take --segmenter sam or grabcut"
            )
        super().__init__(weights, device)

    def _default_weights(self) -> str:
        raise WeightsError(
            "segmenter 'sam2' has no weights of its own; give a checkpoint as its authors publish it, as in "
            "--segmenter-weights sam2.1_hiera_small.pt"
        )

    def _read_network(self) -> nn.Module:
        path = resolve(self.weights)
        checkpoint = load_checkpoint(path)
        config = find_config({name: tuple(value.shape) for name, value in checkpoint.tensors.items()})
        if config is None:
            raise WeightsError(f"{path} does not describe a SAM 2 network; give a checkpoint of its authors")
        network = _build(config)
        load_into(network, checkpoint, path)
        return network

    def _predictor(self) -> Predictor:
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        return cast("Predictor", SAM2ImagePredictor(self._network))

    def _mask_input(self, prior: Plane) -> Array:
        """The prior as logits ``(1, 256, 256)``: this network squeezes the frame into a square."""
        return low_resolution(prior, _SIDE, (_SIDE, _SIDE))


def find_config(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Name of the package's configuration for tensors of these shapes; None for an unknown network."""
    patches = shapes.get(f"{_TRUNK}patch_embed.proj.weight")
    blocks = {
        name.removeprefix(f"{_TRUNK}blocks.").split(".")[0] for name in shapes if f"{_TRUNK}blocks." in name
    }
    size = SIZES.get((patches[0], len(blocks))) if patches else None
    if size is None:
        return None
    release = "sam2.1" if "no_obj_embed_spatial" in shapes else "sam2"
    return f"configs/{release}/{release}_hiera_{size}.yaml"


def _build(config: str) -> nn.Module:
    from sam2.build_sam import build_sam2

    return cast("nn.Module", build_sam2(config, None, device="cpu"))
