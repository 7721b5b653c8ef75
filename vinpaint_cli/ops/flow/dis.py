"""Dense inverse search, the estimator that needs no weights."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vinpaint_cli.ops.image import Array, Bytes
IS_NETWORK = False


class DisFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016) as OpenCV has it; deterministic, on the CPU."""

    def __init__(self, device: str = "cpu") -> None:
        """``device`` is ignored: DIS runs on the CPU."""
        self._of_thread = threading.local()

    def __call__(self, first: Bytes, second: Bytes) -> Array:
        """Flow from ``first`` to ``second``; zero for pictures smaller than 16 pixels."""
        if min(first.shape) < 16:
            return np.zeros((*first.shape, 2), np.float32)
        initial = np.zeros((*first.shape, 2), np.float32)
        pictures = np.ascontiguousarray(first), np.ascontiguousarray(second)
        return np.asarray(self._estimator().calc(*pictures, initial), np.float32)

    def _estimator(self) -> Any:
        """OpenCV's estimator of this thread; it has state, so threads do not share one."""
        import cv2

        if not hasattr(self._of_thread, "estimator"):
            preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
            self._of_thread.estimator = cv2.DISOpticalFlow.create(preset)
        return self._of_thread.estimator
