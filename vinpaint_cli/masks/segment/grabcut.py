"""The segmenter `grabcut`: an iterated graph cut on colour, edges and motion; it needs no weights.

As in GrabCut (Rother et al., SIGGRAPH 2004), colour models of object and background are built from the last
mask and the graph cut is repeated, a few times. The unary terms add a motion cue and the distance from the
prompts (`motion_cue`).

Prompts may mean a part or the whole, so several cuts are made: of what moves, at several sizes, and of the
box around each of these once more. `candidates` predicts how good each is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.segment import check_prompts, enforce_points
from vinpaint_cli.masks.segment.candidates import best_cuts
from vinpaint_cli.masks.segment.motion_cue import MotionCue, find_motion_cue
from vinpaint_cli.masks.segment.working_image import (
    Pixel,
    Point,
    WorkingImage,
    bounds,
    discs,
    parts,
    sharpen,
)
from vinpaint_cli.ops.graph_cut import geodesic_distance, graph_cut
from vinpaint_cli.ops.image import Array, Bool, dilate
from vinpaint_cli.types import Box, Candidate

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane


_COLOUR, _DEEP = 1.5, 0.9
_SURE = 50.0
_RADII = (0.05, 0.1, 0.2, 0.35)
_ON, _ON_FADES = 6.0, 20.0
_OFF, _OFF_FADES = 8.0, 40.0
_LEAKS, _LEAK = (0.47, 0.15), 0.3
"""Shares of a cut that are taken for background: those tried in a box, and the usual one."""


class GrabCutSegmenter:
    """See `Segmenter`; deterministic, on one CPU core, with memory bounded for any frame size."""

    name = "grabcut"

    def __init__(self, weights: str | None = None, device: str = "auto") -> None:
        """Raises UsageError when weights are given; runs on the CPU for every ``device``."""
        if weights is not None:
            raise UsageError("segmenter 'grabcut' takes no weights; leave --segmenter-weights out")

    def segment(
        self,
        rgb: Picture,
        points: Sequence[Point],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[Picture] = (),
    ) -> Sequence[Candidate]:
        """See `Segmenter`.

        Neighbours are frames of the same shot, nearest first; those in which the object has moved a little
        are used. Without neighbours, or where nothing moves, colour decides. The confidence of a candidate is
        its predicted overlap. Raises UsageError and MaskError as `check_prompts` does.
        """
        height, width = rgb.shape[:2]
        check_prompts((width, height), points, labels, box)
        image = WorkingImage.of(rgb)
        prompts = _Prompts.of(image, points, labels, box)
        small = [image.shrink(other) for other in neighbours]
        cuts, cue = (_cuts_of_points if prompts.box is None else _cuts_of_box)(image, prompts, small)
        return [
            Candidate(enforce_points(sharpen(rgb, image.enlarge(cut, rgb)), points, labels), overlap)
            for cut, overlap in best_cuts(image, cuts, cue, prompts.box)
        ]

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """See `Segmenter`; only a narrow band around the prior's outline is decided again."""
        return sharpen(rgb, prior)


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Prompts in pixels of a working image: ``on`` and ``off`` the object, and ``box`` ``(x0, y0, x1, y1)``.

    ``given``: log-odds ``(h, w)`` that follow from the pixels. ``deep``: weight of deep features.
    """

    on: Sequence[Pixel]
    off: Sequence[Pixel]
    given: Array
    box: tuple[float, float, float, float] | None
    deep: float = 0.0

    @classmethod
    def of(
        cls, image: WorkingImage, points: Sequence[Point], labels: Sequence[bool], box: Box | None
    ) -> _Prompts:
        pixels = image.pixels(points)
        on = [pixel for pixel, label in zip(pixels, labels, strict=True) if label]
        off = [pixel for pixel, label in zip(pixels, labels, strict=True) if not label]
        given = _point_log_odds(image, on, off)
        across, down = image.scale
        place = None
        if box is not None:
            place = box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down
        return cls(on, off, given, place)


@dataclass(frozen=True, slots=True)
class _Unary:
    """Unary terms without colour, and where colours are learnt, all ``(h, w)``.

    The object lies within ``allowed``; ``prior`` and ``motion`` are log-odds by place and by motion. The
    background's colours are taken from ``around``; ``leak`` is the share of a mask assumed to be background.
    """

    allowed: Bool
    prior: Array
    around: Bool
    motion: Array
    leak: float


def _cuts_of_points(
    image: WorkingImage, prompts: _Prompts, neighbours: Sequence[Picture]
) -> tuple[list[Bool], MotionCue | None]:
    """Cuts ``(h, w)`` of a working image that points may mean, and the motion cue.

    Of what moves with them, which comes first, and of several sizes up to the whole image; most once more as
    if their bounding box had been given, which finds what colours alone or a size too small have left out.
    The larger ones also with deep features, which keep together what has several colours.
    """
    cue = find_motion_cue(image.rgb, neighbours, discs(image.shape, prompts.on, 5), 0.5 / len(prompts.on))

    def again(cut: Bool) -> Bool:
        return _in_box(image, prompts, _around(image, cut), cue)

    sizes = [_by_size(image, prompts, share) for share in _RADII]
    boxed = [again(cut) for cut in sizes]
    cuts = [*sizes, *boxed, again(boxed[1]), again(boxed[2])]
    if cue is not None:
        moving = parts(_iterate(image, _by_motion(image, prompts, cue), prompts), prompts.on)
        cuts = [moving, again(moving), *cuts]
    whole = _whole(image, prompts, cue)
    cuts += [whole, again(whole)]
    if image.deep is not None:
        deep = replace(prompts, deep=_DEEP)
        large = [_by_size(image, deep, share) for share in _RADII[2:]]
        cuts += [*large, *(_in_box(image, deep, _around(image, cut), cue) for cut in large)]
        cuts.append(_whole(image, deep, cue))
    return cuts, cue


def _whole(image: WorkingImage, prompts: _Prompts, cue: MotionCue | None) -> Bool:
    """The object under points as the one thing that the image shows, apart from its margin."""
    rows, columns = image.shape
    margin = 0.03 * columns
    cut = _in_box(image, prompts, (margin, margin, columns - margin, rows - margin), cue, fills=False)
    return parts(cut | discs(image.shape, prompts.on, 2), prompts.on)


def _cuts_of_box(
    image: WorkingImage, prompts: _Prompts, neighbours: Sequence[Picture]
) -> tuple[list[Bool], MotionCue | None]:
    """Cuts ``(h, w)`` of the object in a box, and the motion cue; some may be empty."""
    box = prompts.box
    assert box is not None
    inside, off_centre = _box_places(image, box)
    cue = find_motion_cue(image.rgb, neighbours, inside & (off_centre < 0.7), 0.06)
    cuts = [_in_box(image, prompts, box, cue, leak) for leak in _LEAKS]
    cuts.append(_in_box(image, prompts, box, cue, _LEAK, fills=False))
    if cue is not None:
        cuts.append(_in_box(image, prompts, box, None, _LEAKS[0]))
    return cuts, cue


def _around(image: WorkingImage, cut: Bool) -> tuple[float, float, float, float]:
    """The bounding box of a cut, 8 % and a pixel wider on each side, within the image."""
    box = bounds(cut, 0)
    across, down = 0.08 * (box.x1 - box.x0) + 1, 0.08 * (box.y1 - box.y0) + 1
    rows, columns = image.shape
    return (
        *(max(0.0, box.x0 - across), max(0.0, box.y0 - down)),
        *(min(float(columns), box.x1 + across), min(float(rows), box.y1 + down)),
    )


def _in_box(
    image: WorkingImage,
    prompts: _Prompts,
    box: tuple[float, float, float, float],
    cue: MotionCue | None,
    leak: float = _LEAK,
    *,
    fills: bool = True,
) -> Bool:
    """The object in a box, whose middle it fills; unless it ``fills`` the box, the corners are not of it."""
    inside, off_centre = _box_places(image, box)
    away = off_centre if fills else _off_centre(image, box, np.hypot)
    prior = np.where(inside, 1.5 * (0.8 - away), -6).astype(np.float32)
    motion = np.zeros_like(prior)
    if cue is not None:
        motion = cue.log_odds
        prior += _nearness(cue.moves & inside)
    else:
        prior *= 0.5
    mask = _iterate(image, _Unary(inside, prior, ~inside & (off_centre < 1.6), motion, leak), prompts)
    return parts(mask, prompts.on, least=0.05)


def _box_places(image: WorkingImage, box: tuple[float, float, float, float]) -> tuple[Bool, Array]:
    """Mask ``(h, w)`` of a box, at least one pixel, and the distance from its centre, 1 at its sides."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32) + np.float32(0.5)
    x0, y0, x1, y1 = box
    off_centre = _off_centre(image, box, np.maximum)
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1) | (off_centre < 0.5), off_centre


def _off_centre(image: WorkingImage, box: tuple[float, float, float, float], join: np.ufunc) -> Array:
    """Distance ``(h, w)`` from the centre of a box in units of its half sides, joined over both axes."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32) + np.float32(0.5)
    x0, y0, x1, y1 = box
    across = np.abs(x - (x0 + x1) / 2) * 2 / max(x1 - x0, 1)
    down = np.abs(y - (y0 + y1) / 2) * 2 / max(y1 - y0, 1)
    return np.asarray(join(across, down), np.float32)


def _by_motion(image: WorkingImage, prompts: _Prompts, cue: MotionCue) -> _Unary:
    """Terms for points on something that moves: the connected region that moves with them."""
    moves = parts(cue.moves, prompts.on) | discs(image.shape, prompts.on, 5)
    return _Unary(dilate(moves, 24), _nearness(moves), ~dilate(moves, 6), cue.log_odds, _LEAKS[0])


def _nearness(moves: Bool) -> Array:
    """Log-odds ``(h, w)``: 0.5 on what moves with the object, falling with the distance from it."""
    import cv2

    away = np.asarray(cv2.distanceTransform((~moves).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    return np.where(moves, 0.5, np.maximum(-0.5 - away / 3, -4)).astype(np.float32)


def _by_size(image: WorkingImage, prompts: _Prompts, share: float) -> Bool:
    """The object under points by its colours, within ``share`` of the long side of the image from them."""
    import cv2

    clicked = np.zeros(image.shape, np.uint8)
    spots = np.array([(x, y) for y, x in prompts.on], np.int32)
    cv2.fillConvexPoly(clicked, cv2.convexHull(spots), 1)
    clicked[tuple(np.transpose(prompts.on))] = 1
    away = np.asarray(cv2.distanceTransform(1 - clicked, cv2.DIST_L2, 5), np.float32)
    radius = share * max(image.shape)
    allowed = away < radius
    around = ~allowed & (away < 1.7 * radius)
    prior = (0.35 - 0.7 * away / radius).astype(np.float32)
    field = _Unary(allowed, prior, around, np.zeros(image.shape, np.float32), _LEAKS[0])
    return parts(_iterate(image, field, prompts), prompts.on)


def _iterate(image: WorkingImage, field: _Unary, prompts: _Prompts, rounds: int = 4) -> Bool:
    """Alternate graph cuts and colour models ``rounds`` times; mask ``(h, w)``."""
    frame = bounds(field.allowed)
    rows, columns = frame.slices()
    edges, allowed = image.edges.crop(frame), field.allowed[rows, columns]
    base = field.prior + field.motion + prompts.given
    share = graph_cut(np.where(allowed, base[rows, columns], -_SURE), edges, 60)
    mask = np.zeros(image.shape, np.bool_)
    for turn in range(rounds):
        mask[rows, columns] = (share > 0.5) & allowed
        log_odds = base + _looks(image, field, prompts, mask)
        last = turn == rounds - 1
        share = graph_cut(
            np.where(allowed, log_odds[rows, columns], -_SURE), edges, 120 if last else 60, share
        )
    mask[rows, columns] = (share > 0.5) & allowed
    return mask


def _looks(image: WorkingImage, field: _Unary, prompts: _Prompts, mask: Bool) -> Array:
    """Log-odds ``(h, w)`` of how each pixel looks, from what is inside a mask and what is around it."""
    import cv2

    if prompts.on:
        mask = parts(mask, prompts.on) | discs(image.shape, prompts.on, 2)
    if mask.sum() < 9:
        mask = field.allowed
    away = np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    moved = np.maximum(field.motion, 0)
    inside = np.where(mask, 0.1 + moved if moved.any() else 1, 0)
    outside = np.where(mask, 0, np.where(field.around, 2, 0.3) * (0.1 + np.exp(-away / 30)))
    inside, outside = inside.astype(np.float32), outside.astype(np.float32)
    found = _COLOUR * image.colours.log_odds(inside, outside, field.leak)
    if prompts.deep and image.deep is not None:
        found += prompts.deep * image.deep.log_odds(inside, outside)
    return found


def _point_log_odds(image: WorkingImage, on: Sequence[Pixel], off: Sequence[Pixel]) -> Array:
    """Log-odds ``(h, w)`` from points, fading with the geodesic distance over colours."""
    near, far = _distance_from(image, on), _distance_from(image, off)
    given = _ON * np.exp(-near / _ON_FADES) - _OFF * np.exp(-far / _OFF_FADES) * (far < near)
    given[discs(image.shape, on, 2)] = _SURE
    given[discs(image.shape, off, 2)] = -_SURE
    for pixel in on:
        given[pixel] = _SURE
    return np.asarray(given, np.float32)


def _distance_from(image: WorkingImage, pixels: Sequence[Pixel]) -> Array:
    """Geodesic distance ``(h, w)`` over colours from the nearest of some pixels; 1e6 without any."""
    sources = np.zeros(image.shape, np.bool_)
    for pixel in pixels:
        sources[pixel] = True
    return geodesic_distance(image.lab, sources) if pixels else np.full(image.shape, 1e6, np.float32)
