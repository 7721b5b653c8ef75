"""Camera motion as homographies, estimated robustly from optical flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bool, coordinate_grid

Homography = npt.NDArray[np.float64]

_LEAST_POINTS = 20
_LEAST_INLIERS = 0.3


def fit_homography(flow: Array, reliable: Bool, *, tolerance: float = 1.0) -> Homography:
    """Homography that explains ``flow (h, w, 2)`` where ``reliable (h, w)``; 3×3 float64.

    RANSAC over a grid of points, ``tolerance`` in pixels. The identity when fewer than 30 % of the points
    agree: then there is no camera motion to speak of, and the flow is completed without a guide.
    """
    import cv2

    height, width = reliable.shape
    step = max(4, round((height * width / 1600) ** 0.5))
    chosen = np.zeros_like(reliable)
    chosen[step // 2 :: step, step // 2 :: step] = True
    chosen &= reliable
    points = coordinate_grid(height, width)[chosen]
    if len(points) < _LEAST_POINTS:
        return np.eye(3)
    matrix, inliers = cv2.findHomography(
        points, points + flow[chosen], cv2.RANSAC, tolerance, maxIters=500, confidence=0.995
    )
    if matrix is None or inliers.mean() < _LEAST_INLIERS:
        return np.eye(3)
    found = np.asarray(matrix, np.float64)
    return found if _is_camera(found, height, width) else np.eye(3)


def _is_camera(matrix: Homography, height: int, width: int) -> bool:
    """Whether a homography can be a camera's motion within one frame.

    RANSAC may fit chaos with a plane seen nearly edge-on, whose far points fly to infinity. A camera's
    step leaves every corner in front of it, at much the same depth, and no further away than the
    picture is large.
    """
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    mapped = corners @ matrix.T
    depth = mapped[:, 2]
    if not np.isfinite(mapped).all() or depth.min() <= 0 or depth.max() > 2 * depth.min():
        return False
    moved = np.abs(mapped[:, :2] / depth[:, None] - corners[:, :2])
    return bool(moved.max() < max(height, width) and np.linalg.det(matrix) > 1e-3)


def apply_homography(matrix: Homography, positions: Array) -> Array:
    """Map ``positions (…, 2)`` float32 by ``matrix``; same shape."""
    import cv2

    flat = np.ascontiguousarray(positions, np.float32).reshape(-1, 1, 2)
    if not len(flat):
        return positions
    return np.asarray(cv2.perspectiveTransform(flat, matrix), np.float32).reshape(positions.shape)


def accumulate(steps: Sequence[Homography]) -> list[Homography]:
    """Homographies from frame 0 to each frame, from those between neighbours (one fewer)."""
    path = [np.eye(3)]
    for step in steps:
        matrix = step @ path[-1]
        path.append(matrix / matrix[2, 2])
    return path


def between(path: Sequence[Homography], source: int, target: int) -> Homography:
    """Homography from frame ``source`` to frame ``target`` along an accumulated ``path``."""
    matrix = path[target] @ np.linalg.inv(path[source])
    return np.asarray(matrix / matrix[2, 2], np.float64)
