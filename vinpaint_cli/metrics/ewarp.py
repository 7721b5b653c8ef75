"""Flow warping error: how much a picture changes from frame to frame beyond what its motion explains.

Follows Lai et al. (Learning Blind Video Temporal Consistency, ECCV 2018) as the inpainting papers use it.
Flow is that of the true frames; ``flow[y, x] = (dx, dy)`` in pixels takes a point of frame t to frame t+1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


def visible(forward: Array, backward: Array) -> Bool:
    """Pixels of frame t whose motion can be trusted, bool ``(h, w)``.

    forward: flow t → t+1, backward: flow t+1 → t, each ``(h, w, 2)`` in pixels. Left out are occlusions,
    ``|f + b̃|² > 0.01·(|f|² + |b̃|²) + 0.5`` with b̃ the backward flow brought to frame t, motion boundaries,
    ``|∇u|² + |∇v|² > 0.01·|f|² + 0.002``, and what leaves the frame (Lai et al., after Ruder et al. 2016).
    """
    back = warp(backward, forward)
    size = (forward**2).sum(-1)
    occluded = ((forward + back) ** 2).sum(-1) > 0.01 * (size + (back**2).sum(-1)) + 0.5
    steps = np.stack([np.diff(forward, axis=axis, append=_last(forward, axis)) for axis in (0, 1)])
    boundary = (steps**2).sum((0, -1)) > 0.01 * size + 0.002
    return np.asarray(~(occluded | boundary) & _inside(forward))


def warp_error(first: Array, second: Array, flow: Array) -> Array:
    """Mean square over channels of ``first − warp(second)`` at each pixel, float32 ``(h, w)``.

    first, second: neighbouring frames ``(h, w, 3)`` in [0, 1]; flow ``(h, w, 2)`` first → second. E_warp
    of the pair is the mean over what is `visible`; papers tabulate it times 100 or times 1000.
    """
    return np.asarray(((first - warp(second, flow)) ** 2).mean(-1), np.float32)


def mean_where(error: Array, counted: Bool) -> float:
    """Mean of ``error (h, w)`` over the pixels that count, in float64; NaN when none does."""
    return float(error[counted].mean(dtype=np.float64)) if counted.any() else float("nan")


def warp(picture: npt.NDArray[Any], flow: Array) -> Array:
    """``picture (h, w, c)`` looked up at ``x + flow(x)``, bilinear, its border repeated: float32."""
    import cv2

    height, width = flow.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.asarray(
        cv2.remap(
            picture.astype(np.float32, copy=False),
            columns + flow[..., 0],
            rows + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _last(flow: Array, axis: int) -> Array:
    return np.take(flow, [-1], axis=axis)


def _inside(flow: Array) -> Bool:
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))
