"""A clip that is open together with its mask: what planning, filling and mask making start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.mask_making.cast_shadows import add_shadows
from vinpaint_cli.mask_making.follow import find_hole
from vinpaint_cli.masks.sources.options import covering
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.methods import load_method, method_spec
from vinpaint_cli.ops.flow import open_flow
from vinpaint_cli.pipeline.device import Placement, available_memory, place
from vinpaint_cli.pipeline.options import RemoveOptions, check_options
from vinpaint_cli.pipeline.plan import ZONE_BYTES_PER_PIXEL, Plan, make_plan
from vinpaint_cli.pipeline.progress import Clock, Listener, SilentListener
from vinpaint_cli.pipeline.reader import SegmentReader
from vinpaint_cli.plan.memory import default_budget, parse_memory
from vinpaint_cli.plan.regions import region_of_interest
from vinpaint_cli.types import FrameSource
from vinpaint_cli.video.source.read import open_source

if TYPE_CHECKING:
    from vinpaint_cli.types import Method

KeepMask = Callable[[FrameSource, HoleSource, bool], None]
"""Keeps a mask of a clip that took time to find, for another run; whether it is the whole hole."""


class MaskedClip:
    """One clip, opened, with its mask: what planning, filling and removing start from.

    ``seconds``: what finding the mask took, by stage; empty when nothing had to be found.

    Raises UsageError, InputError (VideoError, MaskError) for what cannot be read or does not fit.
    """

    def __init__(
        self,
        path: str | Path,
        options: RemoveOptions,
        listener: Listener | None = None,
        keep: KeepMask = lambda source, masks, whole: None,
    ) -> None:
        """``listener`` sees objects being followed and shadows looked for; ``keep`` gets what is found."""
        self.path = Path(path)
        self.options = options
        self.spec = method_spec(options.method)
        check_options(options)
        self.source: FrameSource = open_source(self.path)
        self.mask: HoleSource
        clock = Clock()
        with clock.time("track"):
            self.mask, self.tracked = find_hole(self.source, options.mask, listener, device=options.device)
        self.seconds: Mapping[str, float] = clock.seconds if self.tracked else {}
        if self.tracked is not None:
            keep(self.source, self.tracked, False)
        if options.mask.shadows and options.mask.whole is None:
            with clock.time("shadows"):
                self.mask = self._with_shadows(listener or SilentListener())
            self.seconds = {**self.seconds, "shadows": clock.seconds["shadows"]}
            keep(self.source, self.mask, True)

    def _with_shadows(self, listener: Listener) -> HoleSource:
        region = partial(region_of_interest, context=0.0)  # the zone has its surroundings in it
        plan = partial(
            self._plan, feather=0, listener=listener, bytes_per_pixel=ZONE_BYTES_PER_PIXEL, region=region
        )
        estimator = open_flow(self.options.flow, self.placement.device)
        return add_shadows(self.source, self.mask, plan, listener, estimator)

    def plan(self, listener: Listener) -> Plan:
        """Scan the clip and cut the work into segments."""
        return self._plan(self.mask, self.feather, listener)

    def _plan(self, mask: HoleSource, feather: int, listener: Listener, **limits: Any) -> Plan:
        return make_plan(
            self.source,
            mask,
            self._covering(),
            listener,
            options=self.options.mask,
            spec=self.spec,
            placement=self.placement,
            memory=self.memory,
            feather=feather,
            **limits,
        )

    @property
    def memory(self) -> int:
        """Bytes that may be taken, as things are now; raises UsageError."""
        free, given = available_memory(), self.options.memory
        return parse_memory(given, free) if given else default_budget(free)

    def reader(self) -> SegmentReader:
        """What gives segments with their holes, and with what the mask covers beyond its range of time."""
        return SegmentReader(self.source, self._covering(), self.feather)

    def _covering(self) -> HoleSource:
        origin = next(iter(self.source.frames(0, 1))).pts
        return covering(self.options.mask, self.source.info, self.mask, origin_pts=origin)

    @property
    def feather(self) -> int:
        """Reach of the soft edge in pixels."""
        given = self.options.feather
        return default_feather(self.source.info.height) if given is None else given

    @property
    def placement(self) -> Placement:
        """Where the method will run; raises UsageError."""
        return place(self.options.device, self.options.precision, self.spec.dtypes)

    def load_method(self) -> Method:
        """The method, its weights checked and loaded; raises WeightsError."""
        options, placement = self.options, self.placement
        return load_method(
            options.method, weights=options.weights, device=placement.device, dtype=placement.precision
        )

    def notes(self) -> list[str]:
        """What should be said of how clip and mask were read."""
        return [*getattr(self.source, "notes", ()), *self.mask.warnings]


def check_readable(path: str | Path) -> None:
    """Refuse what is no video and no folder of pictures, before anything long begins; raises VideoError."""
    open_source(path)


def default_feather(height: int) -> int:
    """Width of the soft edge: 2 pixels at 240 lines, more with the square root of the height."""
    growth: float = (height / 240) ** 0.5
    return max(1, round(2 * growth))
