"""Propagation: fills holes with real pixels from other frames. It runs before every method.

For each hidden pixel several candidates are collected:

* along the chain of completed optical flow, forward and backward in time, frame by frame until a frame
  shows the point (the position stays sub-pixel, the picture is sampled once, so nothing blurs);
* from the nearest frame on either side that shows the point by the camera's motion alone;
* from a few far frames of the shot, brought close by the camera's motion and aligned by optical flow
  against what is known around the hole.

Each source is also sampled in a band around the hole, where the truth is known: what it misses there is
carried inward, corrects exposure, and tells how far the candidate can be trusted (`fusion`). Candidates are
also compared with each other (`scorer`), and for each pixel one is chosen and averaged with those that show
the same (`choose`): different things are never mixed.
Where confidence is low, neighbouring frames are smoothed over time along the flow (`temporal_smoothing`).
The chain follows the idea of Xu et al. (Deep Flow-Guided Video Inpainting, CVPR 2019, section 3.3) and
Gao et al. (FGVC, ECCV 2020); the consistency measure is that of `ops.flow.inconsistency`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.complete.smooth_fill import fill_smoothly
from vinpaint_cli.ops.flow import FlowEstimator, open_flow
from vinpaint_cli.ops.flow.motion import NOTHING_KEPT, Motion, inconsistency_at
from vinpaint_cli.ops.image import (
    Array,
    Bool,
    box_around,
    depth_inside,
    enlarged,
    pixel_positions,
    sample,
    shrunk,
    to_levels,
)
from vinpaint_cli.ops.parallel import collected, for_each
from vinpaint_cli.ops.propagate.candidates import Ring, far_frames, from_far, from_route
from vinpaint_cli.ops.propagate.choose import Before, Proposal, propose
from vinpaint_cli.ops.propagate.fusion import Candidate, fuse
from vinpaint_cli.ops.propagate.scene import PropagateOptions, Scene, make_scene
from vinpaint_cli.ops.propagate.scorer import Surroundings, weigh
from vinpaint_cli.ops.propagate.temporal_smoothing import smooth_uncertain
from vinpaint_cli.ops.propagate.trace import Route, follow_camera, follow_chain
from vinpaint_cli.types import Checkpoints

__all__ = ["PropagateOptions", "Propagation", "propagate"]

LASTING = 0.9
"""How much what a frame shows counts in the next one, where the flow is consistent."""


@dataclass(frozen=True, slots=True)
class Propagation:
    """Result of propagation.

    frames: float32 ``(T, h, w, 3)`` RGB in [0, 1], the source with found pixels written into the holes.
    confidence: float32 ``(T, h, w)`` in [0, 1]: 1 outside holes; inside, the share of a pixel that
    propagation supplies; 0 where no frame shows it. motion: completed optical flow.
    """

    frames: Array
    confidence: Array
    motion: Motion


def propagate(
    frames: npt.NDArray[Any],
    holes: Sequence[Bool],
    options: PropagateOptions | None = None,
    estimator: FlowEstimator | None = None,
    *,
    wanted: range | None = None,
    tick: Callable[[], None] = lambda: None,
    checkpoints: Checkpoints = NOTHING_KEPT,
) -> Propagation:
    """Fill what other frames show.

    frames: ``(T, h, w, 3)`` uint8, uint16 or float [0, 1]; what they hold inside the holes is not looked
    at. holes: T × bool ``(h, w)``, True = fill. wanted: frames to fill, all by default; the others are
    sources only, and the confidence in their holes is 0. ``tick`` is called 2·T − 1 times as work advances.
    """
    options = options or PropagateOptions()
    asked = range(len(holes)) if wanted is None else wanted
    filled = _unit_range(frames)
    scene = make_scene(filled, holes, options, estimator or open_flow(), tick, checkpoints)
    confidence = np.ones(frames.shape[:3], np.float32)
    hidden = np.stack(holes)
    if (kept := checkpoints.get("found")) is not None:
        filled[hidden], confidence[hidden] = kept
        for _ in holes:
            tick()
    else:
        _search(scene, filled, confidence, asked, tick, checkpoints)
        nothing = np.zeros_like(holes[0])
        answered = [hole if t in asked else nothing for t, hole in enumerate(holes)]
        smooth_uncertain(filled, confidence, answered, scene.motion, options.threads)
        np.clip(filled, 0, 1, out=filled)
        checkpoints.put("found", lambda: (filled[hidden], confidence[hidden]))
    return Propagation(filled, confidence, scene.motion)


def _search(
    scene: Scene,
    filled: Array,
    confidence: Array,
    asked: range,
    tick: Callable[[], None],
    checkpoints: Checkpoints,
) -> None:
    """Fill the holes of the frames that are ``asked`` for with what is found, and tell the confidence."""
    holes, options = scene.holes, scene.options
    search = begin_search(scene, checkpoints)
    support: dict[int, Array] = {}

    def work(t: int) -> Proposal | list[Array] | None:
        if t not in asked or not holes[t].any():
            return None
        return checkpoints.get(f"frame {t}") or search.proposal(t)

    def done(t: int, found: Proposal | list[Array] | None) -> None:
        last = support.pop(t - 1, None)
        filled[t][holes[t]] = confidence[t][holes[t]] = 0
        if isinstance(found, Proposal):
            before = last if last is None else _before(scene, t, filled[t - 1], last)
            chosen = found.average() if options.average else found.choose(before)
            found = [np.clip(chosen.colour / 255, 0, 1), chosen.confidence, chosen.support]
        if found:
            support[t] = np.zeros_like(confidence[t])
            filled[t][holes[t]], confidence[t][holes[t]], support[t][holes[t]] = found
            checkpoints.put(f"frame {t}", lambda: found)
        tick()

    for_each(range(len(holes)), work, done, options.threads)


def _unit_range(frames: npt.NDArray[Any]) -> Array:
    """A float32 copy in [0, 1], made frame by frame so that nothing larger is held."""
    unit = np.empty(frames.shape, np.float32)
    for target, frame in zip(unit, frames, strict=True):
        np.divide(to_levels(frame), 255, out=target)
    return unit


def _before(scene: Scene, t: int, filled: Array, support: Array) -> Before:
    """What frame t − 1, ``filled (h, w, 3)`` in [0, 1], shows at the hidden pixels of frame t."""
    rows, columns = np.nonzero(scene.holes[t])
    ahead, back = scene.motion.step(t, -1)
    there = pixel_positions(rows, columns) + ahead[rows, columns]
    consistent = np.exp(-inconsistency_at(ahead, back, rows, columns))
    lasting = LASTING * consistent * sample(support, there, outside="zero")
    return Before(sample(filled, there) * np.float32(255), lasting.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Search:
    """The search for real pixels in a clip whose motion is known.

    chains: for the two directions of time, where each hidden pixel of each frame is seen along the flow.
    """

    scene: Scene
    chains: Sequence[Sequence[Route]]

    def proposal(self, t: int) -> Proposal:
        """Candidates for the hidden pixels of frame t with their shares, compared with each other."""
        candidates, depth, around = self.candidates(t)
        return propose(candidates, weigh(candidates, depth, around), around)

    def candidates(self, t: int) -> tuple[list[Candidate], Array, Surroundings]:
        """Candidates for the n hidden pixels of frame t, in the order of `numpy.nonzero`.

        Returns the candidates, depth inside the hole in pixels at 240 lines ``(n,)``, and the surroundings.
        """
        scene = self.scene
        hole, options = scene.holes[t], scene.options
        ring = Ring(scene, t)
        depth = depth_inside(hole)[hole] / max(1.0, options.unit)
        candidates = [from_route(scene, t, ring, chain[t], "chain") for chain in self.chains]
        still = [follow_camera(scene, t, direction) for direction in (1, -1)]
        candidates += [from_route(scene, t, ring, route, "camera") for route in still]
        _, confidence = fuse(candidates, depth)
        if float((confidence < options.sure).mean()) > options.enough:
            candidates += [from_far(scene, t, ring, s) for s in far_frames(scene, t)]
        rows, columns = np.nonzero(hole)
        return candidates, depth, Surroundings(rows, columns, _smooth(scene, t), options.unit)


def begin_search(scene: Scene, checkpoints: Checkpoints = NOTHING_KEPT) -> Search:
    """Trace hidden pixels along the motion of a scene."""

    def chain(direction: int) -> list[Route]:
        if (kept := checkpoints.get(f"chain {direction}")) is not None:
            return [Route(*scene.target_pixels(t), *kept[3 * t : 3 * t + 3]) for t in range(len(kept) // 3)]
        return follow_chain(scene, direction)

    chains = collected((1, -1), chain, scene.options.threads)
    for direction, routes in zip((1, -1), chains, strict=True):
        checkpoints.put(f"chain {direction}", partial(_arrays, routes))
    return Search(scene, chains)


def _arrays(routes: Sequence[Route]) -> list[npt.NDArray[Any]]:
    return [array for route in routes for array in (route.source, route.position, route.error)]


def _smooth(scene: Scene, t: int) -> Array:
    """Levels ``(n, 3)`` of a smooth fill of the hole of frame t, made from what is known near it.

    Large pictures are filled at about 240 lines: what is smooth loses nothing by it.
    """
    box = box_around(scene.holes[t], scene.options.pixels(scene.options.context))
    picture, hole = scene.frames[t][box], scene.holes[t][box]
    step = int(scene.options.unit)
    if step < 2:
        filled = fill_smoothly(np.ascontiguousarray(picture), hole.astype(np.float32))
    else:
        filled = enlarged(fill_smoothly(*shrunk(picture, hole, step)), hole.shape)
    return np.asarray(filled[hole] * np.float32(255), np.float32)
