"""A tiny pack, made of invented pictures, and runs short enough for a unit test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vinpaint_cli.train.build import PackOptions, build
from vinpaint_cli.train.config import TrainConfig
from vinpaint_cli.train.loop import Run, RunProgress, train
from vinpaint_cli.train.pack import Pack
from vinpaint_cli.train.recipes.sttn import STTNRecipe

SIZE = (48, 32)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Networks this small lose more to waiting for a second thread than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def picture(seed: int, width: int, height: int, shift: int = 0) -> np.ndarray:
    """Soft blobs of colour, moved by ``shift`` pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin((x + shift) * rng.uniform(0.05, 0.3) + y * rng.uniform(0.05, 0.3) + c) for c in range(3)]
    return (np.stack(waves, -1) * 100 + 128).astype(np.uint8)


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of two sources, and a folder of 24 frames with a cut after the twelfth."""
    root = tmp_path_factory.mktemp("material")
    for number in range(6):
        group = "flowers" if number < 3 else "views"
        Image.fromarray(picture(number, 90, 70)).save(root / f"{group}__{number}.jpg", quality=95)
    clip = root / "clip"
    clip.mkdir()
    for index in range(24):
        frame = picture(40, 64, 48, 2 * index) // 3 + (170 if index >= 12 else 0)
        Image.fromarray(frame).save(clip / f"{index:05d}.png")
    return root


@pytest.fixture(scope="session")
def pack(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Photos, shots and four samples of 48×32 with propagated holes."""
    path = tmp_path_factory.mktemp("pack") / "tiny.vpack"
    options = PackOptions(size=SIZE, photo_side=80, shot_height=40, run=8, propagated=4, span=8, frames=5)
    build([material], path, options, {"flowers": "CC0-1.0"})
    return Pack(path)


@pytest.fixture
def config() -> TrainConfig:
    """A network of a few thousand weights on three frames of 48×32."""
    return TrainConfig.from_dict(
        {
            "network": {
                "channels": 8,
                "blocks": 1,
                "patches": [[3, 2], [3, 2]],
                "size": list(SIZE),
                "reduction": 8,
                "prefill": True,
            },
            "data": {"size": list(SIZE), "batch": 2, "frames": [1, 3], "frame_weights": [0.3, 0.7]},
            "train": {"steps": 20, "warmup": 4, "rate": 2e-3, "betas": [0.9, 0.99], "adversarial": 0.0},
            "seed": 5,
        }
    )


Start = Callable[..., tuple[STTNRecipe, RunProgress]]


@pytest.fixture
def start(pack: Pack) -> Start:
    """``start(config, folder, resume=None, **run_options)`` trains; the recipe and the progress."""

    def go(
        config: TrainConfig, out: Path, resume: dict[str, Any] | None = None, **options: Any
    ) -> tuple[STTNRecipe, RunProgress]:
        torch.manual_seed(config.seed)
        recipe = STTNRecipe(config, torch.device("cpu"))
        run = replace(Run(out, torch.device("cpu"), log_every=2, save_every=1000), **options)
        return recipe, train(recipe, [pack], run, resume)

    return go
