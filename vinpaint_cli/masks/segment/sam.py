"""The segmenter `sam`: Segment Anything (Kirillov et al., ICCV 2023) by the package ``segment-anything``.

A frame is embedded once, which takes nearly all of the time; prompts are decoded from the embedding.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import nn

from vinpaint_cli.errors import OutOfMemoryError, UsageError, WeightsError
from vinpaint_cli.masks.segment import SAM_WEIGHTS, check_prompts, enforce_points, sam_weights_here
from vinpaint_cli.ops.image import depth_inside, eight_bits
from vinpaint_cli.types import Box, Candidate
from vinpaint_cli.weights.state import load_checkpoint, load_into
from vinpaint_cli.weights.store import resolve

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam
    from torch import nn

    from vinpaint_cli.ops.image import Array, Bytes
    from vinpaint_cli.types import Picture, Plane

_KEPT = 4
_DECISION = 8.0
_MARGIN = 0.05


class Predictor(Protocol):
    """The predictor of both generations of Segment Anything."""

    def set_image(self, image: Bytes) -> None:
        """Embed a picture uint8 ``(H, W, 3)``."""

    def predict(self, **prompts: Any) -> tuple[Array, Array, Array]:
        """Logits ``(C, H, W)``, predicted overlaps ``(C,)``, low-resolution logits ``(C, h, w)``."""
        ...


class SamSegmenter:
    """See `Segmenter`. The embeddings of the last four frames are kept, 4 MiB each.

    ``weights`` is a name of weights.toml or a file, from which the network was read.
    """

    name = "sam"

    def __init__(self, weights: str | None = None, device: str = "auto") -> None:
        """Load the network; its architecture is derived from the weights.

        Raises WeightsError (not here, damaged, or of another network) and UsageError (a device that is
        not on this machine).

        * ``weights``: a file or a name of weights.toml; None takes the smallest SAM on this machine.
        * ``device``: auto, cpu, cuda or mps.
        """
        self.device = find_device(device)
        self.weights = weights or self._default_weights()
        self._network = self._read_network().to(self.device)
        self._embedded: OrderedDict[bytes, Predictor] = OrderedDict()

    def _default_weights(self) -> str:
        return sam_weights_here() or SAM_WEIGHTS[0]

    def _read_network(self) -> nn.Module:
        return cast("nn.Module", load_sam(self.weights))

    def _predictor(self) -> Predictor:
        """A predictor without an embedded picture."""
        from segment_anything import SamPredictor

        return cast("Predictor", SamPredictor(self._network))

    def _mask_input(self, prior: Plane) -> Array:
        """The prior as a mask prompt: logits ``(1, side, side)``, letterboxed."""
        side = int(cast("Any", self._network).prompt_encoder.mask_input_size[0])
        scale = side / max(prior.shape)
        return low_resolution(prior, side, (max(1, round(n * scale)) for n in prior.shape))

    def segment(
        self,
        rgb: Picture,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[Picture] = (),
    ) -> Sequence[Candidate]:
        """See `Segmenter`; neighbours are not used.

        A single point may mean a part or the whole: the network's three masks are in the order of the overlap
        that it predicts, which is their confidence. Raises what `check_prompts` does, and OutOfMemoryError.
        """
        height, width = rgb.shape[:2]
        check_prompts((width, height), points, labels, box)
        several = box is None and len(points) == 1
        found = self._predict(rgb, points, labels, box, several=several)
        return [replace(one, probability=enforce_points(one.probability, points, labels)) for one in found]

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """See `Segmenter`; prompted with the prior's box, its deepest point and its low-resolution logits.

        An empty prior stays empty. Raises OutOfMemoryError.
        """
        hole = prior > 0.5
        if not hole.any():
            return np.zeros(prior.shape, np.float32)
        depth = depth_inside(hole)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        found = self._predict(
            rgb, [(float(x), float(y))], [True], box_around_mask(hole), logits=self._mask_input(prior)
        )
        return found[0].probability

    def _predict(
        self,
        rgb: Picture,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: Box | None,
        *,
        several: bool = False,
        logits: Array | None = None,
    ) -> list[Candidate]:
        """The network's masks, three or one, best first."""
        with memory_errors(), torch.inference_mode():
            masks, scores, _ = self._embed(rgb).predict(
                point_coords=np.array(points, np.float32) if points else None,
                point_labels=np.array(labels, np.int64) if points else None,
                box=None if box is None else np.array([box.x0, box.y0, box.x1, box.y1], np.float32),
                mask_input=logits,
                multimask_output=several,
                return_logits=True,
            )
        order = np.argsort(-scores, kind="stable")
        return [Candidate(probability(masks[at]), float(np.clip(scores[at], 0, 1))) for at in order]

    def _embed(self, rgb: Picture) -> Predictor:
        """Predictor with the picture embedded; the last four are cached."""
        key = picture_key(rgb)
        if key not in self._embedded:
            predictor = self._predictor()
            predictor.set_image(np.ascontiguousarray(eight_bits(rgb)))
            self._embedded[key] = predictor
            while len(self._embedded) > _KEPT:
                self._embedded.popitem(last=False)
        self._embedded.move_to_end(key)
        return self._embedded[key]


def picture_key(rgb: Picture) -> bytes:
    """Digest of a picture's content and shape."""
    digest = hashlib.blake2b(repr((rgb.shape, rgb.dtype.str)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.digest()


def probability(logits: Array) -> Plane:
    """Probability float32 ``(H, W)`` of logits."""
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)


def box_around_mask(hole: np.ndarray[Any, np.dtype[np.bool_]]) -> Box:
    """Bounding box of a mask that is not empty, 5 % wider on each side, clipped to the frame."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    x0, x1, y0, y1 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    across, down = round(_MARGIN * (x1 - x0)), round(_MARGIN * (y1 - y0))
    whole = Box(0, 0, hole.shape[1], hole.shape[0])
    return Box(x0 - across, y0 - down, x1 + across, y1 + down).intersection(whole)


def low_resolution(prior: Plane, side: int, size: Iterable[int]) -> Array:
    """A prior as logits ``(1, side, side)``, scaled to ``size`` (rows, columns) in the upper left corner."""
    import cv2

    rows, columns = size
    small = np.asarray(cv2.resize(prior, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    letterbox = np.full((1, side, side), -_DECISION, np.float32)
    letterbox[0, :rows, :columns] = (2 * small - 1) * _DECISION
    return letterbox


def find_device(device: str) -> str:
    """The torch device of a name; auto takes a GPU when there is one. Raises UsageError."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, present in there.items() if present)
    if not there.get(device.partition(":")[0], False):
        have = ", ".join(name for name, present in there.items() if present)
        raise UsageError(f"device {device!r} is not on this machine, which has {have}; use --device auto")
    return device


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn torch's out-of-memory errors into ours."""
    said = (
        "segmenting a frame did not fit into memory; use --device cpu, a smaller SAM or --segmenter grabcut"
    )
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as exc:
        raise OutOfMemoryError(said) from exc
    except RuntimeError as exc:  # torch's allocator of main memory has no error of its own
        if "can't allocate memory" not in str(exc):
            raise
        raise OutOfMemoryError(said) from exc


Shapes = Mapping[str, tuple[int, ...]]

_DECODER_HEADS = 8
_MEAN = (123.675, 116.28, 103.53)
_DEVIATION = (58.395, 57.12, 57.375)


def load_sam(weights: str | Path) -> Sam:
    """The network of a checkpoint, on the CPU, in evaluation mode.

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
    """The network without values, on the meta device but its constants; KeyError for what is no SAM."""
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
