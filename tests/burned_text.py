"""Clips with text drawn over them, of which the pixels and the frames of the text are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scenes import pan

SIZE = 480, 270
"""Width and height of the clips."""


@dataclass(frozen=True)
class Drawn:
    """A text: its frames, its size in pixels, its place on its first frame and its motion in pixels a frame.

    ``opacity`` is by frame number; ``bar`` a rectangle behind it, half transparent.
    """

    text: str
    frames: range
    height: int = 34
    place: tuple[float, float] = (240, 230)
    velocity: tuple[float, float] = (0, 0)
    outline: int = 2
    shadow: int = 0
    bar: tuple[int, int, int, int] | None = None
    colour: tuple[int, int, int] = (255, 255, 255)
    opacity: Callable[[int], float] = lambda index: 1.0
    font: str | None = None

    def layer(self, index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
        """The text alone on frame ``index`` of a clip ``(w, h)``, float32 RGBA ``(h, w, 4)`` in 0…255."""
        layer = Image.new("RGBA", size, (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        by = index - self.frames.start
        x, y = (place + speed * by for place, speed in zip(self.place, self.velocity, strict=True))
        given = self.font and ImageFont.truetype(self.font, self.height)
        font = given or ImageFont.load_default(self.height)
        if self.bar is not None:
            draw.rectangle(self.bar, fill=(0, 0, 0, 150))
        if self.shadow:
            at = x + self.shadow, y + self.shadow
            draw.text(at, self.text, font=font, anchor="ms", fill=(0, 0, 0, 255))
        draw.text(
            (x, y),
            self.text,
            font=font,
            anchor="ms",
            fill=(*self.colour, 255),
            stroke_width=self.outline,
            stroke_fill=(0, 0, 0, 255),
        )
        found = np.asarray(layer, np.float32).copy()
        found[..., 3] *= self.opacity(index)
        return found


def background(frames: int, *, moves: bool = True) -> np.ndarray:
    """Pictures of a wall past which a camera moves, or stands: uint8 ``(n, h, w, 3)``."""
    wall = pan(frames, SIZE[1], SIZE[0], (2 if moves else 0, 0)).astype(np.float32)
    return (wall * 0.4 + 110).astype(np.uint8)


def burn(pictures: np.ndarray, texts: list[Drawn]) -> tuple[np.ndarray, np.ndarray]:
    """The pictures with the texts over them, and which pixels these change visibly, bool ``(n, h, w)``."""
    burned, changed = pictures.copy(), np.zeros(pictures.shape[:3], np.bool_)
    for index in range(len(pictures)):
        for text in texts:
            if index in text.frames:
                layer = text.layer(index, (pictures.shape[2], pictures.shape[1]))
                alpha = layer[..., 3:] / 255
                burned[index] = burned[index] * (1 - alpha) + layer[..., :3] * alpha + 0.5
        difference = np.abs(burned[index].astype(int) - pictures[index]).max(-1)
        changed[index] = difference >= 10
    return burned, changed


def write_film(path: Path, pictures: np.ndarray, crf: int = 18) -> Path:
    """Write pictures as an H.264 video of 24 frames a second."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        output.mux(stream.encode())
    return path
