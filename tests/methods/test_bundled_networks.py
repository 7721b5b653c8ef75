"""The weights that come with the package, on a real clip: what a person gets who asks for nothing."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scenes import psnr

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.evaluate.complete import HiddenClip
from vinpaint_cli.evaluate.dataset import scaled
from vinpaint_cli.methods import load_method, method_names, method_spec, weights_of
from vinpaint_cli.pipeline.stages import Stages
from vinpaint_cli.types import Method
from vinpaint_cli.video.source.read import open_source
from vinpaint_cli.weights import registry
from vinpaint_cli.weights.state import load_checkpoint
from vinpaint_cli.weights.store import resolve

CLIP = Path(__file__).parents[2] / "examples" / "bunny-title.mp4"
NETWORKS = [name for name in method_names() if method_spec(name).weights and not method_spec(name).fitted]
SHOTS = [range(12)]
MOST_BYTES = {"sttn": 10_000_000, "combcn": 8_000_000, "flow-recurrent": 8_000_000}


@dataclass(frozen=True)
class Known:
    """A clip whose truth is known, and what `propagate` makes of its hole."""

    clip: HiddenClip
    propagated: np.ndarray


@pytest.fixture(scope="module")
def hidden() -> list[Known]:
    """Half a second of the example, small, with a box in three places."""
    propagate = load_method("propagate")
    frames = [frame.rgb for frame in open_source(CLIP).frames(40, 52)]
    pictures = np.stack([scaled(frame, (320, 180)) for frame in frames])
    clips = []
    for rows, columns in (((60, 110), (120, 190)), ((40, 100), (60, 120)), ((90, 140), (180, 250))):
        holes = np.zeros(pictures.shape[:3], np.bool_)
        holes[:, slice(*rows), slice(*columns)] = True
        clip = HiddenClip(pictures, holes)
        clips.append(Known(clip, clip.completed(propagate, True, SHOTS).frames))
    return clips


def silent(method: Method) -> Method:
    """The same with a network that says nothing: what stands without one."""
    quiet = copy.deepcopy(method)
    for parameter in quiet.network.parameters():
        parameter.data.zero_()
    return quiet


def test_every_network_has_weights_of_ours() -> None:
    assert set(NETWORKS) == set(MOST_BYTES)
    assert sum(item.size_bytes for item in registry.entries() if item.bundled) < 32_000_000


def test_a_network_without_a_default_says_how_to_come_by_weights() -> None:
    with pytest.raises(WeightsError, match=r"no weights of combcn.*--weights FILE.*vinpaint train combcn"):
        weights_of(replace(method_spec("combcn"), weights=""), None)


@pytest.mark.parametrize("name", NETWORKS)
def test_they_travel_with_the_package_and_say_what_they_are_made_from(name: str) -> None:
    entry = registry.entry(str(method_spec(name).weights))
    assert entry.bundled
    assert entry.licence == "Apache-2.0"
    path = resolve(entry.name)
    assert path.stat().st_size == entry.size_bytes < MOST_BYTES[name]
    told = load_checkpoint(path).metadata
    names = {source["name"] for source in told["data"]}
    assert len(names) > 10
    assert not {name for name in names if "davis" in name.lower()}
    assert all(source["licence"] not in ("", "not stated") for source in told["data"])


@pytest.mark.parametrize("name", NETWORKS)
def test_on_a_real_clip_they_say_something_and_do_no_harm(name: str, hidden: list[Known]) -> None:
    method = load_method(name)
    first = hidden[0].clip
    coarse = [
        first.completed(each, True, SHOTS, Stages(texture=False)).frames for each in (method, silent(method))
    ]
    assert np.abs(coarse[0] - coarse[1])[first.holes].mean() > 0.005  # silence gives 0
    gains = []
    for known in hidden:
        clip, hole = known.clip, known.clip.holes
        done = clip.completed(method, True, SHOTS).frames
        assert np.array_equal(done[~hole], clip.pictures[~hole])
        truth = clip.pictures[hole]
        gains.append(psnr(done[hole], truth) - psnr(known.propagated[hole], truth))
    assert np.mean(gains) > -0.25  # three holes are few: the figures of thirty stand in the README
