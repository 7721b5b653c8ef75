"""Texture for what nothing shows: patches of the same picture, put together so that they fit.

Completion as an optimisation over patches (Wexler et al., Space-Time Completion of Video, PAMI 2007; texture
features and pyramid as in Newson et al., Video Inpainting of Complex Scenes, SIAM J. Imaging Sciences 2014;
here for single pictures). Each patch of 7×7 pixels that reaches into the hole finds the known patch most like
it (PatchMatch, Barnes et al., SIGGRAPH 2009; at small sizes all are compared), and each hidden pixel becomes
a mean of what the patches over it propose; so on, from a size at which the hole is a few pixels deep to the
picture's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vinpaint_cli.ops.image import Array, Bool, depth_inside, membrane

Places = npt.NDArray[np.int64]

RADIUS = 3
"""Patches are squares of 2 · 3 + 1 pixels."""

KNOWN = 0.05
"""Share still to be filled up to which a pixel may be copied."""

HIDDEN = 0.5
"""Share from which on a pixel takes part of a texture."""

ALL = 0.9
"""Share from which on texture replaces it."""

DEEP = 3.0
"""Depth of the hole in pixels at the coarsest size."""

COARSEST = 8
"""Most times the size is halved."""

QUERIES = 6_000
"""Patches looked for at one size, about; where there are more, in every second or third row and column."""

THINNEST = 3
"""Most pixels from one patch to the next, so that each pixel lies in four of them or more."""

COMPARED = 6_000_000
"""Pairs of patches up to which all are compared."""

ROUNDS = 4
"""Times that patches are looked for and laid at each size, half as often where there are many."""

FADE = 1.2
"""Factor by which a pixel counts less for each pixel that it lies deeper in the hole, down to ``FADED``."""

FADED = 30
"""Depth in pixels from which it counts no less."""

NEAR = 8
"""Pixels from the match of the size below within which a better one is looked for at random."""

SEAM = 12
"""Depth in pixels at which e⁻¹ of a difference in colour at the hole's border is made up for, at least.

Else a third of the greatest depth.
"""

GUESSED = 0.8
"""What a hidden pixel counts beside a known one, when patches are compared."""

FARTHEST = 20.0
"""Unlikeness, in units of twice the usual, beyond which more of it does not matter.

So that even where nothing fits something is laid.
"""

CHUNK = 2_048
"""Patches that are compared at a time, for the memory's sake."""

_AROUND = np.array([(dy, dx) for dy in range(-RADIUS, RADIUS + 1) for dx in range(-RADIUS, RADIUS + 1)])


@dataclass(frozen=True, slots=True)
class _Level:
    """One size of a picture.

    features: ``(h, w, 5)``, colours and texture. share: ``(h, w)``, still to be filled. hidden, sources:
    bool ``(h, w)``, what is to be replaced, and the centres of patches that are known through and through.
    queries: ``(n, 2)``, centres of those that reach into the hole (row, column), every ``stride`` pixels.
    weight: ``(h, w)``, what a pixel counts in comparing.
    """

    features: Array
    share: Array
    hidden: Bool
    sources: Bool
    queries: Places
    stride: int
    weight: Array


@dataclass(slots=True)
class _Matches:
    """For n patches ``at (n, 2)`` (row, column) known ones ``to (n, 2)``; how unlike they are ``(n,)``.

    From one patch to the next it is ``stride`` pixels.
    """

    at: Places
    to: Places
    distance: Array
    stride: int


def fill_with_patches(picture: Array, share: Array) -> tuple[Array, Array]:
    """Replace the smooth fill of one picture by texture from around it.

    picture: float32 ``(h, w, 3)`` in [0, 1], complete, smooth where it was filled. share: ``(h, w)`` in
    [0, 1], how much of each pixel was filled: above 0.5 it is replaced, up to 0.05 it may be copied. Returns
    a new picture, and how badly the patches fit around each pixel ``(h, w)``: the squared difference of their
    colours and textures, summed over channels, weighted mean over pixels.
    The same picture gives the same result. Where no patch is wholly known, it stays as it is.
    """
    levels = _pyramid(picture, share)
    if not levels or not levels[0].hidden.any():
        return picture.copy(), np.zeros_like(share)
    random = np.random.default_rng(0)
    matches: _Matches | None = None
    for level in reversed(levels):
        matches = _settle(level, matches, random)
    assert matches is not None
    total, proposed = _proposed(levels[0], matches, sharp=True)
    seamless = proposed + _border(levels[0], total, proposed)
    filled = np.clip(_mixed(levels[0], total, seamless)[..., :3], 0, 1)
    return np.ascontiguousarray(filled), _misfit(levels[0], matches)


def _border(level: _Level, total: Array, proposed: Array) -> Array:
    """What to add ``(h, w, 5)`` so that no edge is seen at the hole's border.

    Patches at the border lie partly on what is known. What they miss there is carried inward, less and less.
    """
    import cv2

    beside = (level.share <= KNOWN) & (total > 0)
    if not beside.any():
        return np.zeros_like(proposed)
    known = beside.astype(np.float32)
    side = (2 * RADIUS + 1, 2 * RADIUS + 1)
    missed = (level.features - proposed)[..., :3] * known[..., None]
    mean = cv2.blur(missed, side) / np.maximum(cv2.blur(known, side), 1e-3)[..., None]
    depth = depth_inside(level.hidden)
    fading = np.exp(-depth / max(SEAM, float(depth.max()) / 3)).astype(np.float32)
    inward = membrane(np.asarray(mean, np.float32), known) * fading[..., None]
    return np.dstack([inward, np.zeros_like(proposed[..., 3:])])


def _misfit(level: _Level, matches: _Matches) -> Array:
    """How unlike the patches around each pixel are to what they were filled with ``(h, w)``."""
    import cv2

    sums, count = np.zeros(level.share.shape, np.float32), np.zeros(level.share.shape, np.float32)
    sums[matches.at[:, 0], matches.at[:, 1]] = np.minimum(matches.distance, 1)  # infinite: nothing was found
    count[matches.at[:, 0], matches.at[:, 1]] = 1
    side = (4 * RADIUS + 1, 4 * RADIUS + 1)
    return np.asarray(cv2.blur(sums, side) / np.maximum(cv2.blur(count, side), 1e-3), np.float32)


def textured(share: Array) -> Array:
    """How far texture replaces pixels of which ``share (…)`` was filled."""
    return np.asarray(np.clip((share - HIDDEN) / (ALL - HIDDEN), 0, 1), np.float32)


def _pyramid(picture: Array, share: Array) -> list[_Level]:
    """The picture at its own size and smaller ones, as long as there is something to copy."""
    import cv2

    depth = float(depth_inside(share > HIDDEN).max(initial=0))
    count = int(np.clip(np.ceil(np.log2(max(depth, 1) / DEEP)), 0, COARSEST))
    texture = _texture(picture, share, 2 ** (count + 1) + 1)
    height, width = share.shape
    levels: list[_Level] = []
    for size in range(count + 1):
        shape = width >> size, height >> size
        if min(shape) <= 2 * RADIUS:
            break
        small = [cv2.resize(part, shape, interpolation=cv2.INTER_AREA) for part in (picture, texture, share)]
        level = _level(np.dstack(small[:2]), np.asarray(small[2], np.float32))
        if not level.sources.any():
            break
        levels.append(level)
    return levels


def _level(features: Array, share: Array) -> _Level:
    hidden = share > HIDDEN
    depth = np.minimum(depth_inside(hidden), FADED)
    weight = np.where(hidden, GUESSED * FADE**-depth, 1).astype(np.float32)
    asked = _centres(_grown(hidden))
    stride = int(np.clip(np.ceil(np.sqrt(np.count_nonzero(asked) / QUERIES)), 1, THINNEST))
    rows, columns = (_lattice(extent, stride) for extent in share.shape)
    asked &= rows[:, None] & columns
    sources = _centres(~_grown(share > KNOWN))
    return _Level(features, share, hidden, sources, np.argwhere(asked), stride, weight)


def _lattice(extent: int, stride: int) -> Bool:
    """Which rows (or columns) have centres of patches: every ``stride``, and the first and the last."""
    place = np.arange(extent)
    return np.asarray(((place - RADIUS) % stride == 0) | (place == extent - RADIUS - 1))


def _grown(mask: Bool) -> Bool:
    """Centres of the patches that touch ``mask (h, w)``."""
    import cv2

    side = 2 * RADIUS + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))).astype(bool)


def _centres(mask: Bool) -> Bool:
    """Of ``mask (h, w)`` the pixels around which a whole patch lies in the picture."""
    result = np.zeros_like(mask)
    inside = slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS)
    result[inside] = mask[inside]
    return result


def _texture(picture: Array, share: Array, side: int) -> Array:
    """How much the known pixels around vary along rows and columns ``(h, w, 2)``; smooth inside the hole."""
    import cv2

    known = (share <= KNOWN).astype(np.float32)
    grey = np.ascontiguousarray(picture.mean(-1), np.float32)
    slopes = [np.abs(cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, scale=0.5)) * known for dx in (1, 0)]
    around = np.dstack([cv2.blur(slope, (side, side)) for slope in slopes])
    support = np.asarray(cv2.blur(known, (side, side)), np.float32)
    mean = around / np.maximum(support, 1e-3)[..., None]
    return membrane(np.asarray(mean, np.float32), known)


def _settle(level: _Level, coarser: _Matches | None, random: np.random.Generator) -> _Matches:
    """Look for patches and lay them, in turn; returns those chosen at last."""
    matches = None if coarser is None else _finer(level, coarser)
    reach = max(level.share.shape) / 2 if coarser is None else NEAR
    for _ in range(ROUNDS if level.stride == 1 else ROUNDS // 2):
        features = level.features if matches is None else _laid(level, matches)
        matches = _matched(level, features, matches, random, reach)
    assert matches is not None
    return matches


def _finer(level: _Level, coarser: _Matches) -> _Matches:
    """The matches of the next smaller size, laid out at this one."""
    height, width = level.share.shape
    table = np.zeros((height // 2 + 1, width // 2 + 1, 2), np.int64)
    table[coarser.at[:, 0], coarser.at[:, 1]] = coarser.to - coarser.at
    at, stride = level.queries, coarser.stride
    inside = np.clip(at // 2, RADIUS, np.array([height // 2, width // 2]) - RADIUS - 1)
    rows, columns = ((inside - RADIUS) // stride * stride + RADIUS).T
    to = at + 2 * table[rows, columns]
    to = np.clip(to, RADIUS, np.array([height, width]) - RADIUS - 1)
    return _Matches(at, to, np.zeros(len(at), np.float32), level.stride)


def _matched(
    level: _Level, features: Array, matches: _Matches | None, random: np.random.Generator, reach: float
) -> _Matches:
    sources = np.argwhere(level.sources)
    if len(sources) * len(level.queries) <= COMPARED:
        return _compare_all(level, features, sources)
    to = sources[random.integers(len(sources), size=len(level.queries))] if matches is None else matches.to
    return _Search(level, features, to.copy(), random).run(reach)


def _patches(features: Array, places: Places) -> Array:
    """Patches ``(n, 49, c)`` of ``features (h, w, c)`` around ``places (n, 2)``."""
    width = features.shape[1]
    around = _AROUND[:, 0] * width + _AROUND[:, 1]
    flat = features.reshape(-1, features.shape[-1])
    return np.asarray(flat[(places[:, 0] * width + places[:, 1])[:, None] + around])


def _weights(level: _Level, places: Places) -> Array:
    """What each pixel of the patches counts ``(n, 49)``; one patch's sum to one."""
    weights = _patches(level.weight[..., None], places)[..., 0]
    return np.asarray(weights / weights.sum(-1, keepdims=True), np.float32)


def _compare_all(level: _Level, features: Array, sources: Places) -> _Matches:
    """The best match of each patch among all that are known."""
    known = _patches(features, sources)
    squares = (known**2).sum(-1)
    known = known.reshape(len(sources), -1)
    to = np.empty((len(level.queries), 2), np.int64)
    distance = np.empty(len(level.queries), np.float32)
    for start in range(0, len(to), CHUNK):
        part = slice(start, start + CHUNK)
        patches, weights = _patches(features, level.queries[part]), _weights(level, level.queries[part])
        weighted = (patches * weights[..., None]).reshape(len(patches), -1)
        apart = weights @ squares.T - 2 * weighted @ known.T
        best = apart.argmin(1)
        own = (weighted * patches.reshape(len(patches), -1)).sum(-1)
        to[part] = sources[best]
        distance[part] = np.maximum(apart[np.arange(len(best)), best] + own, 0)
    return _Matches(level.queries, to, distance, level.stride)


class _Search:
    """Better matches from those of neighbours, and at random ever nearer (Barnes et al., section 3.2)."""

    def __init__(self, level: _Level, features: Array, to: Places, random: np.random.Generator) -> None:
        self.level, self.features, self.to, self.random = level, features, to, random
        self.patches = _patches(features, level.queries)
        self.weights = _weights(level, level.queries)
        self.distance = np.full(len(to), np.inf, np.float32)
        self._try(to.copy())

    def run(self, reach: float) -> _Matches:
        """Go over all patches once, at random up to ``reach`` pixels away."""
        for step in (1, 2, 4):
            far = step * self.level.stride
            for shift in ((0, far), (0, -far), (far, 0), (-far, 0)):
                self._from_neighbours(np.array(shift))
        self._at_random(reach)
        return _Matches(self.level.queries, self.to, self.distance, self.level.stride)

    def _from_neighbours(self, shift: Places) -> None:
        """What matches the patch at ``place − shift``, moved along."""
        height, width = self.level.share.shape
        at = self.level.queries
        number = np.full((height, width), -1, np.int64)
        number[at[:, 0], at[:, 1]] = np.arange(len(at))
        rows, columns = (at - shift).T
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        asked = np.where(inside, number[rows % height, columns % width], -1)
        self._try(self.to[asked] + shift, asked >= 0)

    def _at_random(self, reach: float) -> None:
        while reach >= 1:
            self._try(self.to + np.rint(self.random.uniform(-reach, reach, self.to.shape)).astype(np.int64))
            reach /= 2.5

    def _try(self, to: Places, allowed: Bool | None = None) -> None:
        """Take ``to (n, 2)`` where it is allowed and more alike than what is held."""
        height, width = self.level.share.shape
        to = np.clip(to, RADIUS, np.array([height, width]) - RADIUS - 1)
        good = self.level.sources[to[:, 0], to[:, 1]]
        if allowed is not None:
            good &= allowed
        tried = np.flatnonzero(good)
        if not len(tried):
            return
        apart = np.concatenate([self._apart(tried[n : n + CHUNK], to) for n in range(0, len(tried), CHUNK)])
        better = apart < self.distance[tried]
        taken = tried[better]
        self.to[taken], self.distance[taken] = to[taken], apart[better]

    def _apart(self, numbers: Places, to: Places) -> Array:
        """How unlike the patches with these numbers are to those at ``to``."""
        difference = self.patches[numbers] - _patches(self.features, to[numbers])
        apart = np.einsum("npc,npc,np->n", difference, difference, self.weights[numbers])
        return np.asarray(apart, np.float32)


def _laid(level: _Level, matches: _Matches) -> Array:
    """Features ``(h, w, 5)`` with hidden pixels as the patches over them propose."""
    return _mixed(level, *_proposed(level, matches))


def _mixed(level: _Level, total: Array, proposed: Array) -> Array:
    """What is proposed ``(h, w, 5)``, by the share of each pixel, where there is anything: ``total`` > 0."""
    part = textured(level.share) * (total > 0)
    return np.asarray(level.features + part[..., None] * (proposed - level.features), np.float32)


def _proposed(level: _Level, matches: _Matches, sharp: bool = False) -> tuple[Array, Array]:
    """How much the patches over each pixel count ``(h, w)``, and what they propose on average ``(h, w, 5)``.

    Patches that match well count for more (Newson et al., equation 3). ``sharp``: half of it is what the
    single patch proposes that counts most.
    """
    shape = level.features.shape
    width = shape[1]
    flat = level.features.reshape(-1, level.features.shape[-1])
    usable = level.sources[matches.to[:, 0], matches.to[:, 1]] & np.isfinite(matches.distance)
    at, to = matches.at[usable] @ (width, 1), matches.to[usable] @ (width, 1)
    distance = matches.distance[usable]
    usual = max(float(np.quantile(distance, 0.75)), 1e-6) if len(distance) else 1.0
    weight = np.exp(-np.minimum(distance / (2 * usual), FARTHEST)) * level.weight.reshape(-1)[at]
    weight = weight.astype(np.float32)
    total, sums = np.zeros(len(flat), np.float32), np.zeros_like(flat)
    most, best = np.zeros(len(flat), np.float32), np.zeros(len(flat), np.int64)
    for dy, dx in _AROUND:
        pixel, copied = at + dy * width + dx, to + dy * width + dx
        total[pixel] += weight
        sums[pixel] += weight[:, None] * flat[copied]
        if sharp:
            central = weight * np.float32(1 - 0.02 * (dy * dy + dx * dx))
            more = central > most[pixel]
            most[pixel[more]], best[pixel[more]] = central[more], copied[more]
    proposed = sums / np.maximum(total, np.float32(1e-30))[:, None]
    if sharp:
        proposed = (proposed + flat[best]) / 2
    return total.reshape(shape[:2]), np.asarray(proposed.reshape(shape), np.float32)
