"""Burns text of many styles into given clips and measures what `--text` finds of it; not a test by itself.

    python tests/measure_text.py CLIP... [--fonts FILE.ttf ...]

Every style goes over every clip, 60 frames of it at its own size. Printed are: texts found, missed and found
where there is none, first and last frames off by more than one, the part of the text's pixels that the masks
cover, and the area of the masks in units of theirs. Fonts given are used for lines in other scripts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from burned_text import Drawn, burn, write_film

from vinpaint_cli.mask_making.text import find_text
from vinpaint_cli.mask_making.text_mask import TextEvent, TextMask
from vinpaint_cli.masks.text.options import TextOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.video.source.read import open_source

FRAMES = 60
OTHER_SCRIPTS = ("Всё изменилось сразу", "这是第一行中文字幕", "السلام عليكم ورحمة الله")


def styles(width: int, height: int, fonts: list[str]) -> Iterator[tuple[str, list[Drawn]]]:
    """Names and texts, for clips of a size."""
    letter, low = round(height / 14), (width / 2, height * 0.92)
    plain = Drawn("A caption of many words", range(8, 50), letter, low, outline=max(1, letter // 14))
    bar = tuple(round(v) for v in (width * 0.15, low[1] - 1.1 * letter, width * 0.85, low[1] + 0.4 * letter))
    yield "outline", [plain]
    yield (
        "two at once",
        [replace(plain, frames=range(8, 30)), replace(plain, text="then another", frames=range(30, 50))],
    )
    yield (
        "two lines",
        [plain, replace(plain, text="with a second line", place=(low[0], low[1] - 1.3 * letter))],
    )
    yield "shadow", [replace(plain, outline=0, shadow=max(2, letter // 12))]
    yield "bar", [replace(plain, text="On a bar", outline=0, bar=bar)]
    yield "coloured", [replace(plain, colour=(250, 220, 60))]
    yield "fade", [replace(plain, opacity=lambda index: min(1, (index - 7) / 8, (50 - index) / 8))]
    yield (
        "credits",
        [
            replace(
                plain,
                text=text,
                frames=range(FRAMES),
                place=(low[0], height * (0.55 + 0.2 * line)),
                velocity=(0, -4),
            )
            for line, text in enumerate(("Directed by A.", "Written by B."))
        ],
    )
    yield "ticker", [replace(plain, frames=range(FRAMES), place=(width * 0.9, low[1]), velocity=(-6, 0))]
    yield (
        "small",
        [replace(plain, text="00:12:34", height=max(12, letter // 2), place=(width * 0.12, height * 0.08))],
    )
    yield (
        "title",
        [replace(plain, text="A TITLE", height=3 * letter, place=(low[0], height * 0.6), outline=0)],
    )
    yield (
        "logo",
        [
            replace(
                plain,
                text="CH 5",
                frames=range(FRAMES),
                place=(width * 0.85, height * 0.13),
                opacity=lambda index: 0.7,
            )
        ],
    )
    for font in fonts:
        for text in OTHER_SCRIPTS:
            yield f"{text} in {Path(font).stem}", [replace(plain, text=text, font=font)]
    yield "none", []


@dataclass
class Counts:
    """Sums over films."""

    found: int = 0
    missed: int = 0
    false: int = 0
    late: int = 0
    covered: list[float] = field(default_factory=list)
    area: list[float] = field(default_factory=list)

    def add(self, mask: TextMask, texts: list[Drawn], changed: np.ndarray, holes: np.ndarray) -> None:
        """Compare the masks of one film with the truth."""
        left = list(mask.events)
        for text in texts:
            fits = [one for one in left if len(set(one.frames) & set(text.frames)) > len(text.frames) / 2]
            fits = [one for one in fits if _inside(one, text)]
            if not fits:
                self.missed += 1
                continue
            left.remove(fits[0])
            self.found += 1
            ends = (fits[0].frames.start - text.frames.start, fits[0].frames.stop - text.frames.stop)
            self.late += sum(abs(end) > 1 for end in ends)
        self.false += len(left)
        if changed.any():
            self.covered.append(float((holes & changed).sum() / changed.sum()))
            self.area.append(float(holes.sum() / changed.sum()))


def _inside(event: TextEvent, text: Drawn) -> bool:
    """Whether the text's middle is within the event's box, in the middle of both."""
    index = (text.frames.start + text.frames.stop) // 2
    x, y = (p + v * (index - text.frames.start) for p, v in zip(text.place, text.velocity, strict=True))
    by = index - event.frames.start
    box = event.box.moved(*(round(v * by) for v in event.velocity))
    return box.x0 <= x < box.x1 and box.y0 <= y - text.height / 4 < box.y1


def measure(clip: str, fonts: list[str], folder: Path, counts: Counts) -> None:
    """All styles over one clip."""
    pictures = np.stack([frame.rgb for frame in open_source(clip).frames(0, FRAMES)])
    height, width = (extent // 2 * 2 for extent in pictures.shape[1:3])
    pictures = pictures[:, :height, :width]
    for name, texts in styles(width, height, fonts):
        burned, changed = burn(pictures, texts)
        film = write_film(folder / "film.mp4", burned)
        mask = find_text(open_source(film), TextOptions(wanted=True), SilentListener())
        holes = np.stack([mask.at(frame) for frame in open_source(film).frames()])
        one = Counts()
        for each in (one, counts):
            each.add(mask, texts, changed, holes)
        print(f"{Path(clip).name}: {name}: {one}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--fonts", nargs="*", default=[])
    given = parser.parse_args()
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        for clip in given.clips:
            measure(clip, given.fonts, Path(folder), counts)
    print(
        f"found {counts.found}, missed {counts.missed}, where there is none {counts.false}, "
        f"ends off {counts.late}, covered {np.mean(counts.covered):.4f} (least {min(counts.covered):.3f}), "
        f"area {np.mean(counts.area):.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
