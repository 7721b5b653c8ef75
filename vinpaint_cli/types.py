"""Data types and protocols that all packages share: frozen dataclasses without behaviour of their own.

Conventions that hold everywhere:

* coordinates are pixels of the *displayed* frame (rotation applied), x right, y down, boxes half-open;
* hole polarity is one: **1 = fill, 0 = keep**;
* tensors are channels-first, arrays of pictures are channels-last;
* a range of frames is a ``range`` of presentation-order indices, counted from 0 over decoded frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    Picture: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    Plane: TypeAlias = npt.NDArray[np.float32]
    Hole: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle ``[x0, x1) × [y0, y1)`` in displayed-frame pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns, 0 when empty."""
        return max(0, self.x1 - self.x0)

    @property
    def height(self) -> int:
        """Rows, 0 when empty."""
        return max(0, self.y1 - self.y0)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    def union(self, other: Box) -> Box:
        """Smallest box that holds both (neither may be empty)."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )

    def intersection(self, other: Box) -> Box:
        """Common part; a box of area 0 when there is none."""
        return Box(
            max(self.x0, other.x0),
            max(self.y0, other.y0),
            min(self.x1, other.x1),
            min(self.y1, other.y1),
        )

    def moved(self, x: int, y: int) -> Box:
        """The same box ``x`` columns further right and ``y`` rows further down."""
        return Box(self.x0 + x, self.y0 + y, self.x1 + x, self.y1 + y)

    def grown(self, by: int) -> Box:
        """With ``by`` pixels more on each side."""
        return Box(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)

    def contains(self, other: Box) -> bool:
        """Whether ``other`` lies wholly inside."""
        return self.x0 <= other.x0 and self.y0 <= other.y0 and other.x1 <= self.x1 and other.y1 <= self.y1

    def slices(self) -> tuple[slice, slice]:
        """``(rows, columns)`` for indexing an ``(H, W, …)`` array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True, slots=True)
class ColorInfo:
    """Colour tags as ITU-T H.273 code points (2 = unspecified).

    ``full_range`` is None when the stream does not say; limited is then assumed for YUV, full for RGB.
    """

    full_range: bool | None = None
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a container: its index there, kind (video, audio, …), codec and language."""

    index: int
    kind: str
    codec: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a clip, as its container and first frame tell them.

    ``width``/``height`` are those of the displayed picture (``rotation`` applied). ``rotation`` is the
    clockwise turn in degrees (0, 90, 180, 270) that takes the coded picture to the displayed one.
    ``rate`` is the average frame rate in Hz, ``time_base`` the seconds per tick of pts, ``duration``
    seconds. ``frames_from_header`` is the container's claim, never trusted for planning. ``interlaced``: its
    frames are of two fields; of a source that gives out fields, rate, ticks and counts are theirs.
    """

    path: str
    container: str
    codec: str
    width: int
    height: int
    rate: Fraction | None
    time_base: Fraction
    pix_fmt: str
    bit_depth: int
    color: ColorInfo
    sample_aspect: Fraction
    rotation: int
    duration: float | None
    frames_from_header: int | None
    streams: tuple[StreamInfo, ...] = ()
    chapters: int = 0
    metadata: tuple[tuple[str, str], ...] = ()
    interlaced: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame.

    ``pts`` and ``duration`` are in ticks of the source's ``time_base`` (``duration`` 0 when unknown).
    ``native`` is the decoder's own frame; only ``video`` looks inside. ``touched`` says where something was
    laid over it: boxes of the coded picture, each with bool ``(h, w)``. ``rgb`` converts on each access:
    ``(H, W, 3)`` full-range RGB, uint8 for sources of at most 8 bits, else uint16 (0…65535).
    """

    index: int
    pts: int
    duration: int
    native: Any = field(repr=False)
    convert: Callable[[Any], Picture] = field(repr=False)
    touched: tuple[tuple[Box, Hole], ...] = field(default=(), repr=False)

    @property
    def rgb(self) -> Picture:
        """Displayed picture ``(H, W, 3)``; computed anew at each access, so keep the result."""
        return self.convert(self.native)


@dataclass(frozen=True, slots=True)
class Segment:
    """A unit of work that knows nothing of any other.

    ``core``: the frames this segment alone must fill. ``frames``: core plus temporal context, all of one
    shot. ``roi``: the region of the frame that is read and written. ``own``: where holes are this segment's
    to fill; those elsewhere in ``roi`` are another's (None: all of ``roi``). ``size``: ``(width, height)``
    that networks see. Where the next segment's core follows without a gap, both fill some frames around the
    boundary and are cross-faded: ``lead`` frames before this core's first, ``trail`` after its last.
    """

    index: int
    core: range
    frames: range
    roi: Box
    size: tuple[int, int]
    lead: int = 0
    trail: int = 0
    own: Box | None = None

    @property
    def shown(self) -> range:
        """Frames it makes patches for: the core, and the frames cross-faded with its neighbours."""
        return range(self.core.start - self.lead, self.core.stop + self.trail)

    def weight(self, index: int) -> float:
        """Blend weight of this segment's patch in frame ``index`` of ``shown``; all weights sum to 1."""
        share = 1.0
        if self.lead and index < self.core.start + self.lead:
            share = (index - self.core.start + self.lead + 0.5) / (2 * self.lead)
        if self.trail and index >= self.core.stop - self.trail:
            share = 1 - (index - self.core.stop + self.trail + 0.5) / (2 * self.trail)
        return share


@dataclass(frozen=True, slots=True)
class Window:
    """One overlapping temporal window.

    ``frames`` and ``references`` are indices into the segment's clip (0-based); references are seen by
    a network but not produced. ``weights[i]`` blends ``frames[i]``; over all windows of a plan the
    weights of one frame sum to one.
    """

    frames: range
    references: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """Input of a method: frames and their holes.

    frames: float32 ``(T, 3, h, w)`` RGB in [0, 1]; where a hole is 1 the values are arbitrary.
    holes: float32 ``(T, 1, h, w)``, 1 = fill, 0 = keep. Values between are the residual (1 − confidence)
    after propagation: the caller mixes ``frames·(1 − holes) + fill·holes`` if ``MethodSpec.mixes``, else
    it takes the fill wherever holes > 0. A method that mixes treats a pixel as hidden where the
    residual is 0.5 or more, and may read the others.
    indices: frame numbers in the source, length T.
    """

    frames: torch.Tensor
    holes: torch.Tensor
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """The filled part of one frame, blended into it by compose.

    ``rgb`` is ``(h, w, 3)`` of the dtype of ``Frame.rgb`` and ``alpha`` float32 ``(h, w)`` in [0, 1],
    both the size of ``roi``; where alpha is 0 the source's samples stay as decoded. ``weight`` is its
    blend weight where two segments fill the same frame; the weights of a frame's patches sum to one.
    """

    index: int
    roi: Box
    rgb: Picture
    alpha: Plane
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """Capabilities and requirements of a method, as data.

    ``size`` is the network's ``(width, height)``, or None when it takes any multiple of ``multiple``.
    ``window`` is the number of frames one pass produces, ``stride`` the step between windows,
    ``reference_stride`` the spacing of reference frames (0 = none). ``bytes_per_pixel`` estimates peak
    memory per pixel of one window at float32. ``weights`` names the default entry of weights.toml; it is
    empty when the method has a network but no default, None when it has no network. ``fitted``: its
    network is fitted to each clip before it is used, unless weights are given. ``mixes``: its fill is
    weighted by the residual (1 − confidence) of each pixel; else it replaces every pixel of the hole.
    ``invents``: its fill of what no frame shows is final; else it is smooth, and guides completion.
    ``baseline``: it is measured without propagation before it. Values that depend on the network are those
    of the loaded weights in ``Method.spec``.
    """

    name: str
    title: str
    paper: str
    licence: str
    size: tuple[int, int] | None = None
    multiple: int = 1
    window: int = 1
    stride: int = 1
    reference_stride: int = 0
    dtypes: tuple[str, ...] = ("fp32",)
    bytes_per_pixel: float = 40.0
    weights: str | None = None
    fitted: bool = False
    mixes: bool = True
    invents: bool = True
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class WeightEntry:
    """One entry of weights.toml: where a file of weights comes from and how it is recognised.

    ``source`` is ``bundled`` or ``hub:<repository>``; ``file`` the path there; ``sha256`` lower-case
    hex; ``size_bytes`` 0 when unknown.
    """

    name: str
    method: str
    format: str
    source: str
    file: str
    revision: str
    sha256: str
    size_bytes: int
    licence: str
    bundled: bool


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How the output is encoded; None means: as the source, visually lossless."""

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    lossless: bool = False


@runtime_checkable
class FrameSource(Protocol):
    """A clip that can be decoded several times, with the same frame at the same index each time."""

    @property
    def info(self) -> VideoInfo:
        """Properties of the clip from its headers and first frame."""
        ...

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``[start, stop)`` in presentation order; each call starts anew."""
        ...


@runtime_checkable
class MaskSource(Protocol):
    """Gives the hole of each frame."""

    def at(self, frame: Frame) -> Hole:
        """Hole of one frame, bool ``(H, W)``, True = fill.

        Called in frame order; going back to an earlier frame is allowed and may be slow.
        """
        ...


MAX_CANDIDATES = 3
"""Most objects that prompts are taken to mean."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What prompts may mean: ``probability (H, W)`` in [0, 1] that a pixel is of the object.

    ``confidence`` in [0, 1] estimates the overlap (J) of its mask with that of the object meant.
    """

    probability: Plane
    confidence: float


@runtime_checkable
class Segmenter(Protocol):
    """Finds one object on one picture; deterministic."""

    def segment(
        self,
        rgb: Picture,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: Box | None,
        neighbours: Sequence[Picture] = (),
    ) -> Sequence[Candidate]:
        """What the prompts may mean, one to `MAX_CANDIDATES`, the most likely first.

        points: ``(x, y)`` in pixels; labels: True for the object, False for "not this", one per point.
        neighbours: the pictures just before and after, nearest first, for what moves with the object.
        """
        ...

    def refine(self, rgb: Picture, prior: Plane) -> Plane:
        """Segment near a ``prior`` probability ``(H, W)`` in [0, 1], such as a mask warped along flow."""
        ...


@runtime_checkable
class Method(Protocol):
    """Fills the holes of a clip."""

    @property
    def spec(self) -> MethodSpec:
        """The capabilities of the method."""
        ...

    def fill(self, clip: Clip) -> torch.Tensor:
        """Float32 ``(T, 3, h, w)`` in [0, 1]; only values where ``holes`` > 0 are used."""
        ...


class Checkpoints:
    """Keeps the results of steps of a long computation for a run that repeats it; this one keeps none.

    Steps have names; a step of one name gives the same arrays in every run.
    """

    def get(self, name: str) -> list[npt.NDArray[Any]] | None:
        """The arrays of a step, if an earlier run has left them; called from any thread."""
        return None

    def put(self, name: str, make: Callable[[], Sequence[npt.NDArray[Any]]]) -> None:
        """Keep what ``make`` gives, at least one array; it is called at once or never."""


@runtime_checkable
class Progress(Protocol):
    """Counts the units of work of one stage, and says whether to go on."""

    def advance(self, n: int = 1) -> bool:
        """Report ``n`` more units of work; False asks the work to stop."""
        ...
