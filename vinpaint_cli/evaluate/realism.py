"""Realism of filled holes: KID and sharpness, over whole holes and over what no frame showed.

PSNR and SSIM prefer a smear to a plausible picture that differs from the truth; these do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.evaluate.score import Series
from vinpaint_cli.metrics.image import sharpness
from vinpaint_cli.metrics.kid import Described, describe, places
from vinpaint_cli.metrics.perceptual import Features, load_lite_features

Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

HOLE, UNSEEN = "hole", "unseen"
PARTS = (UNSEEN, HOLE)
"""Pixels that are measured: those that propagation left to be filled, and all of the hole."""

SHARPNESS_MEASURES = tuple(f"sharpness_{part}" for part in PARTS)
KID_MEASURES = tuple(f"kid_{part}" for part in PARTS)


@dataclass(slots=True)
class Realism:
    """Measures fills of one clip and kind of hole; the truth is described once.

    pictures: uint8 ``(T, h, w, 3)``, the truth. parts: per name of `PARTS` bool ``(T, h, w)``; one that is
    not known is left out. features: None leaves KID out.
    """

    pictures: Bytes
    parts: Mapping[str, Bool]
    features: Features | None = None
    _crops: dict[str, tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]] = field(
        init=False, default_factory=dict
    )

    def sharpness(self, frames: Bytes) -> dict[str, Series]:
        """Per part the median over frames, an array of one figure, NaN where nothing could be measured."""
        return {f"sharpness_{name}": self._sharpness(frames, where) for name, where in self.parts.items()}

    def described(self, frames: Bytes) -> dict[str, Described]:
        """Per part the descriptors that `metrics.kid.kid` takes; none without features."""
        if self.features is None:
            return {}
        found = {}
        for name, where in self.parts.items():
            if name not in self._crops:
                chosen = places(where)
                self._crops[name] = chosen, describe(self.features, self.pictures, chosen)
            chosen, truth = self._crops[name]
            found[f"kid_{name}"] = Described(describe(self.features, frames, chosen), truth)
        return found

    def _sharpness(self, frames: Bytes, where: Bool) -> Series:
        trios = zip(frames, self.pictures, where, strict=True)
        ratios = np.array([sharpness(frame, truth, hole) for frame, truth, hole in trios])
        there = ratios[np.isfinite(ratios)]
        return np.array([np.median(there) if len(there) else np.nan])


def find_features() -> tuple[Features | None, tuple[str, ...]]:
    """The features of KID, or the line that says why it is not measured."""
    try:
        return load_lite_features(), ()
    except WeightsError as exc:
        return None, (f"KID: not measured; {exc}",)
