"""Build a Segment Anything network as large as its checkpoint says, and read the checkpoint into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam

Shapes = Mapping[str, tuple[int, ...]]

_DECODER_HEADS = 8
_MEAN = (123.675, 116.28, 103.53)
_DEVIATION = (58.395, 57.12, 57.375)


def load_sam(weights: str | Path) -> Sam:
    """Network of a checkpoint, on the processor, in evaluation mode.

    Everything is told by the shapes of the tensors but the heads of the decoder's attention, of which all
    published networks have eight. Raises WeightsError (not here, damaged, or of another network).
    """
    path = resolve(weights)
    checkpoint = load_checkpoint(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
    try:
        network = build(shapes)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as exc:
        raise WeightsError(
            f"{path} does not describe a SAM network ({exc}); take another file, or run "
            "`vinpaint weights pull sam-vit-b`"
        ) from exc
    load_into(network, checkpoint, path)
    return network.eval()


def build(shapes: Shapes) -> Sam:
    """Network without values, on the meta device but for its constants; KeyError for what is no SAM."""
    from segment_anything.modeling import Sam

    with torch.device("meta"):  # drawing 600 million initial values would take longer than reading them
        parts = _encoder(shapes), _prompts(shapes), _decoder(shapes)
    return Sam(*parts, pixel_mean=list(_MEAN), pixel_std=list(_DEVIATION))


def _encoder(shapes: Shapes) -> ImageEncoderViT:
    from segment_anything.modeling import ImageEncoderViT

    width, _, patch, _ = shapes["image_encoder.patch_embed.proj.weight"]
    side = shapes["image_encoder.pos_embed"][1]
    depth = _count(shapes, r"image_encoder\.blocks\.(\d+)\.")
    lengths = [shapes[f"image_encoder.blocks.{i}.attn.rel_pos_h"] for i in range(depth)]
    everywhere = tuple(i for i, shape in enumerate(lengths) if shape[0] == 2 * side - 1)
    windows = {(shape[0] + 1) // 2 for i, shape in enumerate(lengths) if i not in everywhere}
    if len(windows) > 1:
        raise ValueError(f"windows of several sizes, {sorted(windows)}")
    return ImageEncoderViT(
        depth=depth,
        embed_dim=width,
        img_size=side * patch,
        mlp_ratio=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0] / width,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=width // lengths[0][1],
        patch_size=patch,
        qkv_bias="image_encoder.blocks.0.attn.qkv.bias" in shapes,
        use_rel_pos=True,
        global_attn_indexes=everywhere,
        window_size=windows.pop() if windows else 0,
        out_chans=shapes["image_encoder.neck.0.weight"][0],
    )


def _prompts(shapes: Shapes) -> PromptEncoder:
    from segment_anything.modeling import PromptEncoder

    side = shapes["image_encoder.pos_embed"][1]
    whole = side * shapes["image_encoder.patch_embed.proj.weight"][2]
    return PromptEncoder(
        embed_dim=shapes["prompt_encoder.no_mask_embed.weight"][1],
        image_embedding_size=(side, side),
        input_image_size=(whole, whole),
        mask_in_chans=shapes["prompt_encoder.mask_downscaling.3.weight"][0],
    )


def _decoder(shapes: Shapes) -> MaskDecoder:
    from segment_anything.modeling import MaskDecoder, TwoWayTransformer

    masks, width = shapes["mask_decoder.mask_tokens.weight"]
    return MaskDecoder(
        num_multimask_outputs=masks - 1,
        transformer=TwoWayTransformer(
            depth=_count(shapes, r"mask_decoder\.transformer\.layers\.(\d+)\."),
            embedding_dim=width,
            mlp_dim=shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
            num_heads=_DECODER_HEADS,
        ),
        transformer_dim=width,
        iou_head_depth=_count(shapes, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
        iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
    )


def _count(shapes: Shapes, pattern: str) -> int:
    """Number of layers whose names match; KeyError when there is none."""
    found = [int(match[1]) for name in shapes if (match := re.match(pattern, name))]
    if not found:
        raise KeyError(pattern.replace("\\", ""))
    return max(found) + 1
