"""A Segment Anything network of a few thousand values, built from the real classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

SIDE, PATCH, WIDTH = 64, 8, 16


def small_sam(depth: int = 3, heads: int = 2, everywhere: tuple[int, ...] = (1,), window: int = 3) -> Sam:
    """Randomly initialised, always with the same values; wide enough for eight heads in the decoder."""
    torch.manual_seed(7)
    grid = SIDE // PATCH
    sam = Sam(
        image_encoder=ImageEncoderViT(
            depth=depth,
            embed_dim=24,
            img_size=SIDE,
            mlp_ratio=2,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=heads,
            patch_size=PATCH,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=everywhere,
            window_size=window,
            out_chans=WIDTH,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=(grid, grid),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=4,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=32, num_heads=8),
            transformer_dim=WIDTH,
            iou_head_depth=3,
            iou_head_hidden_dim=16,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    for values in sam.parameters():  # positions start at zero, and would tell nothing if they were lost
        nn.init.normal_(values, std=0.3)
    return sam.eval()


def write_weights(folder: Path) -> Path:
    """The network as a ``.pth`` file."""
    path = folder / "small_sam.pth"
    torch.save(small_sam().state_dict(), path)
    return path
