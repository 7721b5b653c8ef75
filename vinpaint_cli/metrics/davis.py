"""Agreement of a mask with the annotated one: region similarity J and boundary accuracy F of DAVIS.

Defined by Perazzi et al. (A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation,
CVPR 2016), computed as the evaluation code of DAVIS 2017 does, special cases included.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]

TOLERANCE = 0.008
"""How far apart two boundaries may lie and still match, as a share of the picture's diagonal."""


def region_similarity(mask: Bool, truth: Bool) -> float:
    """J in [0, 1]: intersection over union of two masks, bool ``(H, W)``; 1 when both are empty."""
    union = int(np.count_nonzero(mask | truth))
    return int(np.count_nonzero(mask & truth)) / union if union else 1.0


def boundary_accuracy(mask: Bool, truth: Bool, tolerance: float = TOLERANCE) -> float:
    """F in [0, 1]: harmonic mean of precision and recall of the boundary of ``mask``, bool ``(H, W)``.

    A boundary pixel is right when one of the other boundary lies within ``tolerance`` times the diagonal,
    rounded up to whole pixels. Without any boundary in both F is 1, without one in either alone 0.
    """
    reach = math.ceil(tolerance * math.hypot(*truth.shape))
    found, wanted = boundary(mask), boundary(truth)
    count_found, count_wanted = int(np.count_nonzero(found)), int(np.count_nonzero(wanted))
    if not count_found or not count_wanted:
        return float(count_found == count_wanted)
    precision = int(np.count_nonzero(found & dilate_exact(wanted, reach))) / count_found
    recall = int(np.count_nonzero(wanted & dilate_exact(found, reach))) / count_wanted
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: Bool) -> Bool:
    """Pixels that differ from the one to the right, below or diagonally below: bool ``(H, W)``.

    In the last row only the neighbour to the right counts, in the last column only the one below.
    """
    edge = np.zeros(mask.shape, np.bool_)
    if mask.size:
        edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
        edge[:-1] |= mask[:-1] ^ mask[1:]
        edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def dilate_exact(marks: Bool, radius: int) -> Bool:
    """Dilation by a disc: True within ``radius`` pixels of a mark, bool ``(H, W)``."""
    from scipy.ndimage import distance_transform_edt

    if not marks.any():
        return np.zeros_like(marks)
    return np.asarray(distance_transform_edt(~marks) <= radius)
