"""Traces hidden pixels to frames that show them, along chained optical flow or by camera motion alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vinpaint_cli.ops.flow.camera import apply_homography, between
from vinpaint_cli.ops.flow.motion import inconsistency
from vinpaint_cli.ops.image import Array, pixel_positions
from vinpaint_cli.ops.propagate.scene import Integers, Scene, visible_at


@dataclass(frozen=True, slots=True)
class Route:
    """Where n pixels of one frame are visible: source frame (−1 = none), position in it, error."""

    rows: Integers
    columns: Integers
    source: Integers
    position: Array
    error: Array


def follow_camera(scene: Scene, t: int, direction: int) -> Route:
    """The nearest frame that shows each target of frame t, by the camera's motion alone.

    ``direction`` is +1 (later frames) or −1 (earlier). Right wherever the scene stands still, however
    little the flow near the hole can be trusted. Its error is how far the completed flow, which knows of
    things that move around the hole, would have led elsewhere by then: squared, in units of half a pixel.
    """
    rows, columns = scene.target_pixels(t)
    here = pixel_positions(rows, columns)
    source = np.full(len(rows), -1, np.int32)
    position = np.zeros_like(here)
    left = np.arange(len(rows))
    for s in range(t + direction, t + direction * (scene.options.nearest + 1), direction):
        if not 0 <= s < len(scene.holes) or not len(left):
            break
        there = apply_homography(between(scene.path, t, s), here[left])
        _, shown, _ = visible_at(scene.blocked[s], there)
        source[left[shown]] = s
        position[left[shown]] = there[shown]
        left = left[~shown]
    return Route(rows, columns, source, position, _drift(scene, t, direction, here, rows, columns, source))


def _drift(
    scene: Scene, t: int, direction: int, here: Array, rows: Integers, columns: Integers, source: Integers
) -> Array:
    """Squared distance between flow and camera motion, grown over the frames to the source, over 0.5."""
    if not 0 <= t + direction < len(scene.holes):
        return np.zeros(len(rows), np.float32)
    ahead, _ = scene.motion.step(t, direction)
    camera = apply_homography(between(scene.path, t, t + direction), here) - here
    apart = ((ahead[rows, columns] - camera) ** 2).sum(-1)
    return np.asarray(apart * np.abs(source - t).astype(np.float32) ** 2 / 0.5, np.float32)


def follow_chain(scene: Scene, direction: int) -> list[Route]:
    """Routes of every frame, looking ``direction`` (+1 later, −1 earlier) in time."""
    count = len(scene.holes)
    order = range(count - 1, -1, -1) if direction > 0 else range(count)
    shape = scene.holes[0].shape
    routes: dict[int, Route] = {}
    seen: tuple[Integers, Array, Array] | None = None
    for t in order:
        rows, columns = scene.target_pixels(t)
        route = _honest(scene, _step(scene, t, direction, rows, columns, seen))
        routes[t] = route
        seen = _dense(route, shape)
    return [routes[t] for t in range(count)]


def _honest(scene: Scene, route: Route) -> Route:
    """The route without points whose position is inside the hole of their source frame.

    Each step looks up the nearest pixel's route and keeps the rest of the position; over many steps of
    less than a pixel the rests add up and may lead back into the hole.
    """
    source = route.source.copy()
    for s in np.unique(source[source >= 0]):
        here = np.flatnonzero(source == s)
        _, shown, _ = visible_at(scene.blocked[s], route.position[here])
        source[here[~shown]] = -1
    return Route(route.rows, route.columns, source, route.position, route.error)


def _dense(route: Route, shape: tuple[int, ...]) -> tuple[Integers, Array, Array]:
    """A route as maps over the whole picture, for the next frame to look up."""
    source = np.full(shape, -1, np.int32)
    position = np.zeros((*shape, 2), np.float32)
    error = np.zeros(shape, np.float32)
    at = route.rows, route.columns
    source[at], position[at], error[at] = route.source, route.position, route.error
    return source, position, error


def _step(
    scene: Scene,
    t: int,
    direction: int,
    rows: Integers,
    columns: Integers,
    seen: tuple[Integers, Array, Array] | None,
) -> Route:
    n = len(rows)
    nowhere = np.full(n, -1, np.int32)
    if seen is None or n == 0:
        return Route(rows, columns, nowhere, np.zeros((n, 2), np.float32), np.zeros(n, np.float32))
    ahead, back = scene.motion.step(t, direction)
    here = pixel_positions(rows, columns)
    there = here + ahead[rows, columns]
    error = inconsistency(ahead, back)[rows, columns]
    inside, shown, nearest = visible_at(scene.blocked[t + direction], there)
    ny, nx = nearest
    carried = inside & ~shown & (seen[0][ny, nx] >= 0)
    offset = there - pixel_positions(ny, nx)
    return Route(
        rows,
        columns,
        np.where(inside & shown, t + direction, np.where(carried, seen[0][ny, nx], nowhere)).astype(np.int32),
        np.where(shown[:, None], there, seen[1][ny, nx] + offset).astype(np.float32),
        np.where(shown, error, error + seen[2][ny, nx]).astype(np.float32),
    )
