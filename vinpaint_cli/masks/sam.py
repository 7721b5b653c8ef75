"""Segment Anything (Kirillov et al., ICCV 2023) as a segmenter, through the ``segment-anything`` package.

The picture is embedded once, which takes nearly all of the time; prompts are decoded from the embedding.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch

from vinpaint_cli.errors import OutOfMemoryError, UsageError
from vinpaint_cli.masks.click import SAM_WEIGHTS, check_prompts, honour, sam_weights_here
from vinpaint_cli.masks.sam_network import load_sam
from vinpaint_cli.ops.image import depth_inside
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    from torch import nn

    from vinpaint_cli.ops.image import Array, Bytes
    from vinpaint_cli.types import Picture, Plane

_KEPT = 4
_DECISION = 8.0
_MARGIN = 0.05


class Predictor(Protocol):
    """What both generations of Segment Anything call their predictor."""

    def set_image(self, image: Bytes) -> None:
        """Embed a picture uint8 ``(H, W, 3)``."""

    def predict(self, **prompts: Any) -> tuple[Array, Array, Array]:
        """Logits ``(C, H, W)``, predicted overlaps ``(C,)``, low-resolution logits ``(C, h, w)``."""
        ...


class SamSegmenter:
    """See `Segmenter`. The embeddings of the last four pictures are kept, 4 MiB each.

    ``weights`` is what the network was read from: a name of weights.toml or a file.
    """

    name = "sam"

    def __init__(self, weights: str | None = None, device: str = "auto") -> None:
        """Read the network; its architecture is that of the file.

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
        """What embeds a picture and decodes prompts from it."""
        from segment_anything import SamPredictor

        return cast("Predictor", SamPredictor(self._network))

    def _hint(self, prior: Plane) -> Array:
        """The prior as the network takes masks, logits ``(1, side, side)``: the long side fills the sheet."""
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
    ) -> Plane:
        """See `Segmenter`; neighbours are not looked at.

        One point alone may mean a part or the whole: of three masks the one that the network itself
        trusts most is taken. Raises what `check_prompts` does, and OutOfMemoryError.
        """
        height, width = rgb.shape[:2]
        check_prompts((width, height), points, labels, box)
        several = box is None and len(points) == 1
        return honour(self._predict(rgb, points, labels, box, several=several), points, labels)

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """See `Segmenter`; asked with the prior's box, its deepest point and its low-resolution logits.

        An empty prior stays empty. Raises OutOfMemoryError.
        """
        hole = prior > 0.5
        if not hole.any():
            return np.zeros(prior.shape, np.float32)
        depth = depth_inside(hole)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return self._predict(rgb, [(float(x), float(y))], [True], surround(hole), logits=self._hint(prior))

    def _predict(
        self,
        rgb: Picture,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: Box | None,
        *,
        several: bool = False,
        logits: Array | None = None,
    ) -> Plane:
        """Probability ``(H, W)`` of the best mask."""
        with memory_errors(), torch.inference_mode():
            masks, trust, _ = self._look(rgb).predict(
                point_coords=np.array(points, np.float32) if points else None,
                point_labels=np.array(labels, np.int64) if points else None,
                box=None if box is None else np.array([box.x0, box.y0, box.x1, box.y1], np.float32),
                mask_input=logits,
                multimask_output=several,
                return_logits=True,
            )
        return probability(masks[int(np.argmax(trust))])

    def _look(self, rgb: Picture) -> Predictor:
        """Predictor with the picture embedded, from memory when it was seen lately."""
        key = picture_key(rgb)
        if key not in self._embedded:
            predictor = self._predictor()
            predictor.set_image(eight_bits(rgb))
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


def eight_bits(rgb: Picture) -> Bytes:
    """The picture with 8 bits, as the network takes it."""
    if rgb.dtype == np.uint8:
        return np.ascontiguousarray(rgb, np.uint8)
    return np.rint(rgb.astype(np.float32) / 257).astype(np.uint8)


def probability(logits: Array) -> Plane:
    """Sigmoid ``(H, W)`` float32."""
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)


def surround(hole: np.ndarray[Any, np.dtype[np.bool_]]) -> Box:
    """Box around a hole that is not empty, 5 % wider on each side, inside the frame."""
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
    sheet = np.full((1, side, side), -_DECISION, np.float32)
    sheet[0, :rows, :columns] = (2 * small - 1) * _DECISION
    return sheet


def find_device(device: str) -> str:
    """A device torch has: auto takes a GPU when there is one. Raises UsageError."""
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
