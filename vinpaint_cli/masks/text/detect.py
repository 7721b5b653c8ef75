"""`TextDetector`: where lines of text are on one picture, by PP-OCRv6's detection network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    Bytes = npt.NDArray[np.uint8]

LONGEST_SIDE = 960
"""Pixels of the longer side of the picture that the network sees, at most."""

_MODEL = "models/PP-OCRv6_det_small.onnx"
_MULTIPLE = 32
_PIXEL_THRESHOLD = 0.3
_LINE_THRESHOLD = 0.5
_UNCLIP = 1.6
_LEAST_SIDE = 5


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text on one picture: its box, the height of its letters in pixels, and a score in [0, 1].

    ``vertical``: it runs from top to bottom or back, so that ``height`` is measured across.
    """

    box: Box
    height: float
    score: float
    vertical: bool = False


class TextDetector:
    """Finds lines of text with the differentiable-binarisation network of PP-OCRv6 (Liao et al., AAAI 2020).

    Its file is in the package ``rapidocr``, which is not imported: OpenCV runs it, on the CPU.
    """

    def __init__(self, model: Path | None = None) -> None:
        """Take the path of another ONNX file of the same inputs and outputs; None for the packaged one."""
        self._model = model

    def find(self, rgb: Bytes) -> list[TextLine]:
        """Lines on a picture, uint8 RGB ``(H, W, 3)``, in no particular order.

        Raises WeightsError (the package is not there, or OpenCV is too old to read the file).
        """
        import cv2

        height, width = rgb.shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        small = cv2.resize(
            rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
        lines = _lines(self._probability(np.asarray(small)))
        return [_scaled(line, scale, width, height) for line in lines]

    def _probability(self, rgb: Bytes) -> npt.NDArray[np.float32]:
        """Probability ``(h, w)`` in [0, 1] that a pixel is in the core of a line."""
        height, width = rgb.shape[:2]
        seen = np.zeros((-height % _MULTIPLE + height, -width % _MULTIPLE + width, 3), np.float32)
        seen[:height, :width] = rgb[..., ::-1] / np.float32(127.5) - 1
        self._network.setInput(np.ascontiguousarray(seen.transpose(2, 0, 1)[None]))
        return np.asarray(self._network.forward(), np.float32)[0, 0, :height, :width]

    @cached_property
    def _network(self) -> Any:
        import cv2

        path = packaged_model() if self._model is None else self._model
        try:
            return cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as exc:
            raise WeightsError(
                f"the network that finds text ({path.name}) cannot be read by OpenCV {cv2.__version__}; "
                "install opencv-python-headless 5 or later"
            ) from exc


def packaged_model() -> Path:
    """Path of the network's file in the package ``rapidocr``; raises WeightsError when it is not there."""
    spec = find_spec("rapidocr")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    for folder in folders:
        if (path := Path(folder, _MODEL)).is_file():
            return path
    raise WeightsError("the network that finds text is not here; pip install 'rapidocr>=3.10'")


def _lines(probability: npt.NDArray[np.float32]) -> list[TextLine]:
    """Lines of a probability map: its connected parts, grown back to the outline of the letters."""
    import cv2

    core = (probability > _PIXEL_THRESHOLD).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core)
    found = []
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label][:4])
        part = labels[y : y + height, x : x + width] == label
        score = float(probability[y : y + height, x : x + width][part].mean())
        points = np.argwhere(part)[:, ::-1].astype(np.float32)
        sides = sorted(side + 1 for side in cv2.minAreaRect(points)[1])
        if score < _LINE_THRESHOLD or sides[0] < _LEAST_SIDE / _UNCLIP:
            continue
        grow = sides[0] * sides[1] * _UNCLIP / (2 * (sides[0] + sides[1]))
        box = Box(round(x - grow), round(y - grow), round(x + width + grow), round(y + height + grow))
        found.append(TextLine(box, sides[0] + 2 * grow, score, vertical=height > 1.5 * width))
    return found


def _scaled(line: TextLine, scale: float, width: int, height: int) -> TextLine:
    box = Box(*(round(value / scale) for value in (line.box.x0, line.box.y0, line.box.x1, line.box.y1)))
    clipped = box.intersection(Box(0, 0, width, height))
    return TextLine(clipped, line.height / scale, line.score, line.vertical)
