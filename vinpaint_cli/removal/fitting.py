"""A network fitted to the clip that is repaired: material out of the clip, the fit, what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vinpaint_cli.errors import InputError, WeightsError
from vinpaint_cli.methods.internal.config import FitConfig, read_fit_config
from vinpaint_cli.methods.internal.finer import finer_sample
from vinpaint_cli.methods.internal.fit import Budget, Fitter, Material, Status
from vinpaint_cli.methods.internal.method import load_network
from vinpaint_cli.methods.internal.net import InternalConfig, InternalNet
from vinpaint_cli.methods.internal.pyramid import Pyramid
from vinpaint_cli.methods.internal.samples import scale_map, scale_sample
from vinpaint_cli.pipeline.device import memory_errors
from vinpaint_cli.pipeline.options import MINUTES, FitOptions
from vinpaint_cli.pipeline.progress import Listener, advance
from vinpaint_cli.removal.pseudo_holes import Findings, Run, find_shadows, usable
from vinpaint_cli.types import Progress

PASSES = 2
"""How often propagation works in shadows; once only where there is little time."""
LITTLE = 3.0
"""Minutes."""
FIRST_SIDE = 1024
"""Long side of the frame at the coarsest scale; each finer one has twice as many pixels a side."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a fit: the networks, and how it went, for people and for the file's metadata."""

    pyramid: Pyramid
    status: Status
    config: FitConfig
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class ClipFit:
    """A fit of one clip's runs. ``go`` may be stopped anywhere; ``fitted`` is what there is then.

    size: ``(width, height)`` of the whole frame. state: of a fit that was stopped. save: is given a new state
    now and then.
    """

    runs: Sequence[Run]
    size: tuple[int, int]
    options: FitOptions
    listener: Listener
    device: str = "cpu"
    propagates: bool = True
    state: Mapping[str, Any] | None = None
    save: Callable[[dict[str, Any]], None] = lambda state: None
    config: FitConfig = field(init=False)
    fitter: Fitter | None = field(init=False, default=None)
    notes: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.config = read_fit_config(self.options.config)

    def go(self) -> Fitted:
        """Make the material, then fit.

        Raises InputError (nothing is known that something could be hidden in), OutOfMemoryError, Interrupted
        and what `save` raises.
        """
        import torch

        with memory_errors("the fit"):
            start = time.monotonic()
            findings = list(self._findings())
            spent = time.monotonic() - start if self.state is None else 0.0
            network, start_note = self._start()
            features = self._features(network)
            pyramid = self._pyramid(network)
            self.fitter = Fitter(
                pyramid,
                lambda number: _material(findings, pyramid, number),
                self.config,
                self._budget(spent),
                device=torch.device(self.device),
                half=self.device.startswith("cuda") or _has_fast_halves(),
                seed=self.options.seed,
                features=features,
                state=self.state,
            )
            self.notes += start_note
            self._fit(self.fitter)
            return self.fitted()

    def fitted(self) -> Fitted:
        """The best weights so far; only after ``go`` has begun to fit."""
        assert self.fitter is not None
        return Fitted(self.fitter.pyramid.eval(), self.fitter.status, self.config, tuple(self.notes))

    def _findings(self) -> Iterator[Findings]:
        runs = [run for run in self.runs if usable(run)]
        if not runs:
            raise InputError(
                "the hole covers the whole region in every frame, so there is nothing to fit a network to; "
                "take another --method"
            )
        frames = sum(len(run.holes) for run in runs)
        rng = np.random.default_rng(self.options.seed)
        minutes = self.options.minutes
        passes = 1 if minutes is not None and minutes < LITTLE else PASSES
        with self.listener.stage("hide", (2 * frames - len(runs)) * passes) as progress:
            for run in runs:
                yield find_shadows(
                    run, passes, rng, propagates=self.propagates, tick=lambda: advance(progress)
                )

    def _budget(self, spent: float) -> Budget:
        if self.options.steps is not None:
            return Budget(steps=self.options.steps)
        minutes = MINUTES if self.options.minutes is None else self.options.minutes
        return Budget(seconds=max(0.1 * minutes * 60, minutes * 60 - spent))

    def _start(self) -> tuple[InternalNet, list[str]]:
        """The network that the fit starts from, and what should be said of it."""
        shape = InternalConfig.from_dict(self.config.network)
        if not self.config.start:
            return self._drawn(shape), []
        try:
            found = load_network(self.config.start)
        except WeightsError as exc:
            return self._drawn(shape), [f"the fit starts from nothing: {exc}"]
        network = found if isinstance(found, InternalNet) else found.nets[0]
        assert isinstance(network, InternalNet)
        if network.config != shape:
            return self._drawn(shape), [
                f"{self.config.start} is of another shape; the fit starts from nothing"
            ]
        return network, []

    def _drawn(self, shape: InternalConfig) -> InternalNet:
        """A network of random weights, the same for a seed; the generator of others is left alone."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            return InternalNet(shape)

    def _pyramid(self, network: InternalNet) -> Pyramid:
        factors = scales(self.size) if network.config.prefill else scales(self.size)[:1]
        pyramid = Pyramid(network.config, factors)
        for net in pyramid.nets:
            net.load_state_dict(network.state_dict())
        return pyramid

    def _features(self, network: InternalNet) -> Any:
        """Features for the anti-ambiguity loss, where it is asked for."""
        if self.config.regularise <= 0:
            return None
        from vinpaint_cli.methods.internal.ambiguity import encoder_features, vgg19_features

        vgg = vgg19_features()
        if vgg is None:
            self.notes.append("no vgg19 in the store: the regulariser compares features of the encoder")
            return encoder_features(network)
        return vgg

    def _fit(self, fitter: Fitter) -> None:
        with self.listener.stage("fit", 1000) as progress:
            shown = _Shown(progress, self.listener)
            fitter.run(shown, self.save)
            shown.tell(fitter.status)


class _Shown:
    """Turns the standing of a fit into progress, and into a line when it was judged."""

    def __init__(self, progress: Progress, listener: Listener) -> None:
        self._progress, self._listener = progress, listener
        self._done, self._judged, self._best = 0, (0, 0), float("-inf")

    def __call__(self, status: Status) -> None:
        """Raises Interrupted when the listener asks to stop."""
        done = min(1000, int(1000 * status.share))
        if (status.scale, status.judged) != self._judged and status.best > self._best + 0.05:
            self.tell(status)
            self._judged, self._best = (status.scale, status.judged), status.best
        advance(self._progress, done - self._done)
        self._done = max(done, self._done)

    def tell(self, status: Status) -> None:
        """One line."""
        scale = f"scale {status.scale + 1}, " if status.scale else ""
        self._listener.note(
            f"fit: {scale}step {status.step}, loss {status.loss:.3f}, hidden pixels kept aside at "
            f"{status.best:.2f} dB (smooth {status.smooth:.2f} dB)"
        )


def scales(size: tuple[int, int]) -> tuple[float, ...]:
    """Sizes of the picture that networks see, rising, in units of the clip's: about 1K, 2K, 4K.

    A step that would enlarge the picture by less than a third is left out.
    """
    factors, side = [], FIRST_SIDE
    while side < 0.75 * max(size):
        factors.append(side / max(size))
        side *= 2
    return (*factors, 1.0)


def _material(findings: Sequence[Findings], pyramid: Pyramid, number: int) -> Material:
    """What the network of a scale is fitted to."""
    factor = pyramid.factors[number]
    if number:
        nets, factors = list(pyramid.nets)[: number + 1], pyramid.factors[: number + 1]
        shadows = [finer_sample(shadow, nets, factors) for one in findings for shadow in one.shadows]
        return Material(shadows, [finer_sample(one.kept, nets, factors) for one in findings], [])
    shadows = [scale_sample(shadow, factor) for one in findings for shadow in one.shadows]
    known = [scale_sample(one.known, factor) for one in findings]
    kept = [scale_sample(one.kept, factor) for one in findings]
    maps = [scale_map(part, factor) for one in findings for part in one.bank if part.any()]
    return Material([*known, *shadows], kept, maps)


def _has_fast_halves() -> bool:
    """Whether the processor multiplies matrices of bfloat16; without that they cost more than they save."""
    import torch

    can: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
