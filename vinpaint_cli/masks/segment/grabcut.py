"""The embedded segmenter: a cut on colour, edges and motion; needs no weights.

In the manner of GrabCut (Rother et al., SIGGRAPH 2004): colours of object and background are learnt from the
last guess and the cheapest boundary is cut anew, a few times over. Beside colour stand what moves with the
thing pointed at, and how near it is to what was pointed at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.segment import check_prompts, honour
from vinpaint_cli.masks.segment.movement import Movement, find_movement
from vinpaint_cli.masks.segment.view import Pixel, Point, View, bounds, discs, parts, sharpen
from vinpaint_cli.ops.graph_cut import cut, reach
from vinpaint_cli.ops.image import Array, Bool, dilate
from vinpaint_cli.types import Box

if TYPE_CHECKING:
    from vinpaint_cli.types import Picture, Plane

_COLOUR = 1.5
_SURE = 50.0
_RADII = (0.05, 0.1, 0.2, 0.35)
_ON, _ON_FADES = 6.0, 20.0
_OFF, _OFF_FADES = 8.0, 40.0
_LEAK_MOVING, _LEAK_STILL = 0.45, 0.5


class GrabCutSegmenter:
    """See `Segmenter`; deterministic, on one core of the processor, bounded in memory whatever the frame."""

    name = "grabcut"

    def __init__(self, weights: str | None = None, device: str = "auto") -> None:
        """Raises UsageError when given weights; runs on the processor whatever the ``device``."""
        if weights is not None:
            raise UsageError("segmenter 'grabcut' takes no weights; leave --segmenter-weights out")

    def segment(
        self,
        rgb: Picture,
        points: Sequence[Point],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[Picture] = (),
    ) -> Plane:
        """See `Segmenter`.

        Neighbours of the same shot, in any order: those in which the object has moved a little are used.
        Without neighbours, or where nothing moves, colour decides. Raises UsageError and MaskError as
        `check_prompts` does.
        """
        height, width = rgb.shape[:2]
        check_prompts((width, height), points, labels, box)
        view = View.of(rgb)
        asked = _Asked.of(view, points, labels, box)
        mask = _segment(view, asked, [view.shrink(other) for other in neighbours])
        import cv2

        large = np.asarray(cv2.resize(mask.astype(np.float32), (width, height)), np.float32)
        return honour(sharpen(rgb, large), points, labels)

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """See `Segmenter`; only a narrow band around the prior's outline is decided anew."""
        return sharpen(rgb, prior)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Prompts on a view: pixels on and off the object, what they say of the rest ``(h, w)``, and the box.

    ``box`` is ``(x0, y0, x1, y1)`` in the view's pixels.
    """

    on: Sequence[Pixel]
    off: Sequence[Pixel]
    said: Array
    box: tuple[float, float, float, float] | None

    @classmethod
    def of(cls, view: View, points: Sequence[Point], labels: Sequence[bool], box: Box | None) -> _Asked:
        pixels = view.pixels(points)
        on = [pixel for pixel, label in zip(pixels, labels, strict=True) if label]
        off = [pixel for pixel, label in zip(pixels, labels, strict=True) if not label]
        said = _said(view, on, off)
        across, down = view.scale
        place = None
        if box is not None:
            place = box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down
        return cls(on, off, said, place)


@dataclass(frozen=True, slots=True)
class _Field:
    """Where to look, all ``(h, w)``.

    The object may be where ``allowed``; ``prior`` says how likely each place is and ``motion`` what moves
    with it. The background's colours show ``around``; ``leak`` is the share of a guess that is background.
    """

    allowed: Bool
    prior: Array
    around: Bool
    motion: Array
    leak: float


def _segment(view: View, asked: _Asked, neighbours: Sequence[Picture]) -> Bool:
    """Object ``(h, w)`` on a view."""
    if asked.box is not None:
        return _in_box(view, asked, neighbours)
    movement = find_movement(view.rgb, neighbours, discs(view.shape, asked.on, 5), 0.5 / len(asked.on))
    if movement is not None:
        return parts(_solve(view, _moving(view, asked, movement), asked), asked.on)
    return _still(view, asked)


def _in_box(view: View, asked: _Asked, neighbours: Sequence[Picture]) -> Bool:
    """The object in a box, which touches its sides and fills its middle."""
    assert asked.box is not None
    inside, off_centre = _box_places(view, asked.box)
    movement = find_movement(view.rgb, neighbours, inside & (off_centre < 0.7), 0.06)
    prior = np.where(inside, 1.5 * (0.8 - off_centre), -6).astype(np.float32)
    around = ~inside & (off_centre < 1.6)
    motion = np.zeros_like(prior)
    if movement is not None:
        motion = movement.evidence
        prior += _nearness(movement.along & inside)
    else:
        prior *= 0.5
    leak = _LEAK_STILL if movement is None else _LEAK_MOVING
    mask = _solve(view, _Field(inside, prior, around, motion, leak), asked)
    return parts(mask, asked.on, least=0.05)


def _box_places(view: View, box: tuple[float, float, float, float]) -> tuple[Bool, Array]:
    """Inside ``(h, w)`` of a box, at least a pixel of it, and distance from its middle, 1 at its sides."""
    y, x = np.mgrid[: view.shape[0], : view.shape[1]].astype(np.float32) + np.float32(0.5)
    x0, y0, x1, y1 = box
    across = np.abs(x - (x0 + x1) / 2) * 2 / max(x1 - x0, 1)
    down = np.abs(y - (y0 + y1) / 2) * 2 / max(y1 - y0, 1)
    off_centre = np.maximum(across, down)
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1) | (off_centre < 0.5), off_centre


def _moving(view: View, asked: _Asked, movement: Movement) -> _Field:
    """Field for a point on something that moves: what moves along and hangs together with it."""
    along = parts(movement.along, asked.on) | discs(view.shape, asked.on, 5)
    return _Field(dilate(along, 24), _nearness(along), ~dilate(along, 6), movement.evidence, _LEAK_MOVING)


def _nearness(along: Bool) -> Array:
    """0.5 on what the flow takes along, the less the further away; ``(h, w)``."""
    import cv2

    away = np.asarray(cv2.distanceTransform((~along).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    return np.where(along, 0.5, np.maximum(-0.5 - away / 3, -4)).astype(np.float32)


def _still(view: View, asked: _Asked) -> Bool:
    """The object under points when nothing moves: of several sizes the one with the clearest outline."""
    import cv2

    clicked = np.zeros(view.shape, np.uint8)
    spots = np.array([(x, y) for y, x in asked.on], np.int32)
    cv2.fillConvexPoly(clicked, cv2.convexHull(spots), 1)
    clicked[tuple(np.transpose(asked.on))] = 1
    away = np.asarray(cv2.distanceTransform(1 - clicked, cv2.DIST_L2, 5), np.float32)
    best, clearest = discs(view.shape, asked.on, 2), -1.0
    for share in _RADII:
        radius = share * max(view.shape)
        allowed = away < radius
        around = ~allowed & (away < 1.7 * radius)
        prior = (0.35 - 0.7 * away / radius).astype(np.float32)
        field = _Field(allowed, prior, around, np.zeros(view.shape, np.float32), _LEAK_STILL)
        mask = parts(_solve(view, field, asked), asked.on)
        if (clear := _clearness(view, mask)) > clearest:
            best, clearest = mask, clear
    return best


def _clearness(view: View, mask: Bool) -> float:
    """Mean change of colour across the outline, in units of CIELAB."""
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    lab = view.lab
    steps = np.concatenate(
        [
            np.sqrt(np.square(lab[:, 1:] - lab[:, :-1])[across].sum(-1)),
            np.sqrt(np.square(lab[1:] - lab[:-1])[down].sum(-1)),
        ]
    )
    return float(np.minimum(steps, 15).mean()) if len(steps) else 0.0


def _solve(view: View, field: _Field, asked: _Asked, rounds: int = 4) -> Bool:
    """Cut, learn colours from the cut, cut again; ``(h, w)``."""
    frame = bounds(field.allowed)
    rows, columns = frame.slices()
    edges, allowed = view.edges.crop(frame), field.allowed[rows, columns]
    base = field.prior + field.motion + asked.said
    share = cut(np.where(allowed, base[rows, columns], -_SURE), edges, 60)
    mask = np.zeros(view.shape, np.bool_)
    for turn in range(rounds):
        mask[rows, columns] = (share > 0.5) & allowed
        evidence = base + _COLOUR * _colours(view, field, asked, mask)
        last = turn == rounds - 1
        share = cut(np.where(allowed, evidence[rows, columns], -_SURE), edges, 120 if last else 60, share)
    mask[rows, columns] = (share > 0.5) & allowed
    return mask


def _colours(view: View, field: _Field, asked: _Asked, mask: Bool) -> Array:
    """Log-ratio ``(h, w)`` of the colours inside a mask to those outside, near ones before far ones."""
    import cv2

    if asked.on:
        mask = parts(mask, asked.on) | discs(view.shape, asked.on, 2)
    if mask.sum() < 9:
        mask = field.allowed
    away = np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    moved = np.maximum(field.motion, 0)
    inside = np.where(mask, 0.1 + moved if moved.any() else 1, 0)
    outside = np.where(mask, 0, np.where(field.around, 2, 0.3) * (0.1 + np.exp(-away / 30)))
    return view.palette.ratio(inside.astype(np.float32), outside.astype(np.float32), field.leak)


def _said(view: View, on: Sequence[Pixel], off: Sequence[Pixel]) -> Array:
    """What points say of the picture ``(h, w)``: less, the more the colours change on the way from them."""
    near, far = _reached(view, on), _reached(view, off)
    said = _ON * np.exp(-near / _ON_FADES) - _OFF * np.exp(-far / _OFF_FADES) * (far < near)
    said[discs(view.shape, on, 2)] = _SURE
    said[discs(view.shape, off, 2)] = -_SURE
    for pixel in on:
        said[pixel] = _SURE
    return np.asarray(said, np.float32)


def _reached(view: View, pixels: Sequence[Pixel]) -> Array:
    """How far each pixel ``(h, w)`` is from the nearest of some, along alike colours; 1e6 without any."""
    seeds = np.zeros(view.shape, np.bool_)
    for pixel in pixels:
        seeds[pixel] = True
    return reach(view.lab, seeds) if pixels else np.full(view.shape, 1e6, np.float32)
