"""Fixtures that make clips and folders of pictures; the makers themselves are in ``clip_factory``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clip_factory import make_clip, png_bytes, texture


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """``clip("name.mkv", **options)`` makes a clip in the test's folder; options as :func:`make_clip`."""

    def make(name: str = "clip.mkv", **options: object) -> Path:
        return make_clip(tmp_path / name, **options)  # type: ignore[arg-type]  # passed through

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """``pictures("name", count, size=(w, h), deep=False)`` makes a folder of png pictures."""

    def make(
        name: str = "pictures", count: int = 5, size: tuple[int, int] = (40, 30), deep: bool = False
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            picture = texture(index, *size)
            if deep:
                picture = picture.astype(np.uint16) * 257 + index
            (folder / f"shot{index + 8}.png").write_bytes(png_bytes(picture))
        return folder

    return make
