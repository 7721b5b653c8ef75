"""`open_clip`: opens a clip with its mask, from which planning, filling and mask making start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from vinpaint_cli.mask_making.cast_shadows import add_shadows
from vinpaint_cli.mask_making.text import find_text
from vinpaint_cli.mask_making.text_mask import TextMask
from vinpaint_cli.mask_making.tracking import TrackedMasks, find_hole
from vinpaint_cli.masks.sources.options import covering
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.methods import method_spec
from vinpaint_cli.ops.flow import is_network, open_flow
from vinpaint_cli.pipeline.device import Placement, available_memory, place
from vinpaint_cli.pipeline.options import RemoveOptions
from vinpaint_cli.pipeline.plan import ZONE_BYTES_PER_PIXEL, Plan, make_plan
from vinpaint_cli.pipeline.progress import Clock, Listener, SilentListener
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.plan.memory import default_budget, parse_memory
from vinpaint_cli.plan.segments import region_of_interest
from vinpaint_cli.types import FrameSource, MethodSpec
from vinpaint_cli.video.source.read import first_pts, open_source

KeepMask = Callable[[FrameSource, HoleSource, bool], None]
"""Stores a mask that took time to make for a later run; the flag tells whether it is the whole hole."""


_LATE = 0.5  # seconds; less is an encoder's delay


@dataclass(frozen=True, slots=True)
class MaskedClip:
    """A clip with its mask, as `open_clip` opens them.

    tracked: the tracked masks, None when nothing was tracked. text: the text that was found, None when none
    was looked for. seconds: time of making the mask, by stage;
    empty for masks that are read from files.
    """

    path: Path
    options: RemoveOptions
    source: FrameSource
    mask: HoleSource
    tracked: TrackedMasks | None = None
    text: TextMask | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    def plan(self, listener: Listener) -> Plan:
        """Scan the clip and cut the work into segments; raises what `make_plan` raises."""
        return _plan(self, self.mask, listener, feather=self.feather)

    def reader(self) -> SegmentReader:
        """A reader of segments with their holes."""
        return SegmentReader(self.source, self.covering(), self.feather)

    def covering(self) -> HoleSource:
        """The mask, with what its files also cover outside its range of time; see `covering`."""
        return covering(self.options.mask, self.source.info, self.mask, origin_pts=first_pts(self.source))

    @property
    def spec(self) -> MethodSpec:
        """The spec of the chosen method."""
        return method_spec(self.options.method)

    @property
    def memory(self) -> int:
        """Memory limit in bytes, from the free memory at this moment; raises UsageError."""
        free, given = available_memory(), self.options.memory
        return parse_memory(given, free) if given else default_budget(free)

    @property
    def feather(self) -> int:
        """Width of the feathered edge in pixels."""
        given = self.options.feather
        return default_feather(self.source.info.height) if given is None else given

    @property
    def placement(self) -> Placement:
        """Where networks run: the CPU where there is none, of method or flow; raises UsageError."""
        options, spec = self.options, self.spec
        placement = place(options.device, options.precision, spec.dtypes)
        has_network = spec.weights is not None or is_network(options.flow)
        return placement if has_network else replace(placement, device="cpu")

    def notes(self) -> list[str]:
        """Notes on how clip and mask were read."""
        notes = [*getattr(self.source, "notes", ()), *self.mask.warnings]
        if self.options.mask.names_times:
            begins = float(first_pts(self.source) * self.source.info.time_base)
            late = f"the file's own times begin at {begins:.3f} s; those given count from its first frame"
            notes += [late] if abs(begins) > _LATE else []
        return notes


def open_clip(
    path: str | Path,
    options: RemoveOptions,
    listener: Listener | None = None,
    keep: KeepMask = lambda source, masks, whole: None,
    *,
    source: FrameSource | None = None,
) -> MaskedClip:
    """Open a clip and find its hole: text is found, objects tracked and shadows searched as the options say.

    options: already checked. listener: receives the progress of both. keep: receives the masks. source: the
    clip, if it is already open.

    Raises UsageError, InputError (VideoError, MaskError) for what cannot be read or does not fit,
    WeightsError, OutOfMemoryError and Interrupted.
    """
    source = source or open_source(path, playlists=options.playlists)
    listener = listener or SilentListener()
    clock, wanted, text = Clock(), options.mask, None
    if wanted.text.wanted and wanted.whole is None:
        with clock.time("text"):
            text = find_text(source, wanted.text, listener)
    with clock.time("track"):
        mask, tracked = find_hole(source, wanted, listener, device=options.device, text=text)
    clip = MaskedClip(Path(path), options, source, mask, tracked, text)
    if tracked is not None:
        keep(source, tracked, False)
    if wanted.shadows and wanted.whole is None:
        with clock.time("shadows"):
            clip = replace(clip, mask=_with_shadows(clip, listener))
    if wanted.whole is None and (wanted.shadows or text is not None):
        keep(source, clip.mask, True)
    spent = {name: seconds for name, seconds in clock.seconds.items() if name != "track" or tracked}
    return replace(clip, seconds=spent)


def default_feather(height: int) -> int:
    """Default width of the feathered edge: 2 pixels at 240 lines, and with the square root of the height."""
    growth: float = (height / 240) ** 0.5
    return max(1, round(2 * growth))


def _with_shadows(clip: MaskedClip, listener: Listener) -> HoleSource:
    region = partial(region_of_interest, context=0.0)  # the zone has its surroundings in it
    limits = {"bytes_per_pixel": ZONE_BYTES_PER_PIXEL, "region": region, "grouped": False}

    def plan(zone: HoleSource) -> Plan:
        return _plan(clip, zone, listener, feather=0, **limits)

    estimator = open_flow(clip.options.flow, clip.placement.device)
    return add_shadows(clip.source, clip.mask, plan, listener, estimator)


def _plan(clip: MaskedClip, mask: HoleSource, listener: Listener, **more: Any) -> Plan:
    return make_plan(
        clip.source,
        mask,
        clip.covering(),
        listener,
        options=clip.options.mask,
        spec=clip.spec,
        placement=clip.placement,
        memory=clip.memory,
        **more,
    )
