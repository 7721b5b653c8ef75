"""Scores of a filled clip against its truth: frame by frame, and how real what fills its holes looks.

Realism is KID and sharpness, over whole holes and over what no frame showed: PSNR and SSIM prefer a smear to
a plausible picture that differs from the truth; these do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.metrics.ewarp import mean_where, visible, warp_error
from vinpaint_cli.metrics.image import l1, largest_window, psnr, sharpness, ssim, ssim_hole
from vinpaint_cli.metrics.kid import Described, describe, places
from vinpaint_cli.metrics.perceptual import Features, load_lite_features
from vinpaint_cli.ops.flow import FlowEstimator
from vinpaint_cli.ops.flow.dis import DisFlow
from vinpaint_cli.ops.image import box_around, luma
from vinpaint_cli.weights.store import resolve

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Series = npt.NDArray[np.float64]

SMALLEST_SIDE = 7
"""Side of the smallest hole-only SSIM window; a smaller clip cannot be measured."""

ESTIMATOR = "DIS (OpenCV, medium preset) on the true frames"

FRAME_MEASURES = ("psnr", "ssim", "psnr_hole", "ssim_hole", "l1_hole")
PAIR_MEASURES = ("ewarp", "ewarp_hole")


BACKBONE, LINEAR = "vgg16", "lpips-vgg"

NO_VFID = (
    "VFID: not measured; it compares features of I3D over hundreds of clips, and weights.toml names no "
    "file of I3D whose hash is known"
)


class Extra(Protocol):
    """A measure that needs weights of its own."""

    @property
    def name(self) -> str:
        """Key in the results."""
        ...

    def __call__(self, result: Array, truth: Bytes) -> float:
        """Distance of two pictures ``(h, w, 3)`` in 0…255."""
        ...


def find_extras() -> tuple[tuple[Extra, ...], tuple[str, ...]]:
    """Return the measures that can be taken here, and a line for each that cannot."""
    try:
        return (_lpips(),), (NO_VFID,)
    except WeightsError as exc:
        return (), (f"LPIPS: not measured; {exc}", NO_VFID)


def _lpips() -> Extra:
    backbone, linear = resolve(BACKBONE), resolve(LINEAR)
    import torch
    from safetensors.torch import load_file

    from vinpaint_cli.metrics.lpips import Lpips

    try:
        return Lpips(torch.load(backbone, map_location="cpu", weights_only=True), load_file(linear))
    except (KeyError, RuntimeError) as exc:
        raise WeightsError(f"{backbone} and {linear} are not those of LPIPS ({exc}); get them again") from exc


@dataclass(frozen=True, slots=True)
class Scores:
    """Measures of one filled clip.

    ``values``: per measure one figure for each of ``frames`` (those with a hole), or, for E_warp, for each
    pair of neighbours of the clip. E_warp is a mean square of pictures in [0, 1]; PSNR is in dB, L1 in
    levels of 255.
    """

    frames: tuple[int, ...]
    values: Mapping[str, Series]


@dataclass
class Truth:
    """The true clip, uint8 ``(T, h, w, 3)``, with its flow, which is found once."""

    pictures: Bytes
    estimator: FlowEstimator = field(default_factory=DisFlow)
    extras: tuple[Extra, ...] = ()

    @cached_property
    def _flows(self) -> list[tuple[Array, Bool]]:
        """Flow ``(h, w, 2)`` of each pair of neighbours, and where it can be trusted ``(h, w)``."""
        grey = [luma(picture.astype(np.float32)) for picture in self.pictures]
        found = []
        for first, second in pairwise(grey):
            forward = self.estimator(first, second)
            found.append((forward, visible(forward, self.estimator(second, first))))
        return found

    def score(self, frames: Array, holes: Bool) -> Scores:
        """Compare filled ``frames`` (float32 ``(T, h, w, 3)`` in 0…255) with the truth."""
        marked = tuple(int(t) for t in np.flatnonzero(holes.any((1, 2))))
        rows = [self._frame(frames[t], t, holes[t]) for t in marked]
        names = (*FRAME_MEASURES, *(extra.name for extra in self.extras))
        values = {name: _series(row[name] for row in rows) for name in names}
        return Scores(marked, values | self._pairs(frames, holes))

    def floor(self, holes: Bool) -> Scores:
        """E_warp of the truth itself, which is not zero: nothing can be expected to come below it."""
        return Scores((), self._pairs(self.pictures.astype(np.float32), holes))

    def _pairs(self, frames: Array, holes: Bool) -> dict[str, Series]:
        """E_warp of neighbours: of all pixels that can be compared, and of those in the earlier hole."""
        whole, inside = [], []
        for t, (flow, counted) in enumerate(self._flows):
            error = warp_error(frames[t] / np.float32(255), frames[t + 1] / np.float32(255), flow)
            whole.append(mean_where(error, counted))
            inside.append(mean_where(error, counted & holes[t]))
        return {"ewarp": _series(whole), "ewarp_hole": _series(inside)}

    def _frame(self, result: Array, t: int, hole: Bool) -> dict[str, float]:
        truth = self.pictures[t]
        around = box_around(hole, SMALLEST_SIDE)  # the same figures as on the whole picture, sooner
        row = {
            "psnr": psnr(result, truth),
            "ssim": ssim(result, truth, largest_window(*hole.shape)),
            "psnr_hole": psnr(result, truth, hole),
            "ssim_hole": ssim_hole(result[around], truth[around], hole[around]),
            "l1_hole": l1(result, truth, hole),
        }
        return row | {extra.name: extra(result, truth) for extra in self.extras}


def mean(series: Series) -> float | None:
    """Mean of the finite values of a series, None when there are none.

    A pair of frames in which nothing could be compared has no finite value.
    """
    there = series[np.isfinite(series)]
    return float(there.mean()) if len(there) else None


def _series(values: Iterable[float]) -> Series:
    return np.fromiter(values, np.float64)


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
        """Median sharpness over frames of each part: one value each, NaN where none could be measured."""
        return {f"sharpness_{name}": self._sharpness(frames, where) for name, where in self.parts.items()}

    def described(self, frames: Bytes) -> dict[str, Described]:
        """Descriptors of each part, as `metrics.kid.kid` takes them; none without features."""
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
    """The network of KID and no note, or None and a note that says why KID is not measured."""
    try:
        return load_lite_features(), ()
    except WeightsError as exc:
        return None, (f"KID: not measured; {exc}",)
