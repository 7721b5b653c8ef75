"""A fit of `internal` to a clip: where its networks start, their scales, what each learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.methods.fitting import Budget, FitMaterial, FitStatus, Report, Save
from vinpaint_cli.methods.internal.config import FitConfig, read_fit_config
from vinpaint_cli.methods.internal.fitter import Fitter, ScaleMaterial
from vinpaint_cli.methods.internal.losses import Features, encoder_features, vgg19_features
from vinpaint_cli.methods.internal.method import InternalMethod, load_network
from vinpaint_cli.methods.internal.net import InternalConfig, InternalNet, Pyramid
from vinpaint_cli.methods.internal.samples import scale_frames, scale_residual, scale_with_start
from vinpaint_cli.weights.state import save_checkpoint

FIRST_SIDE = 1024
"""Long side of the frame at the coarsest scale; each finer one has twice as many pixels a side."""


def start_fit(
    size: tuple[int, int],
    config: str = "quick",
    seed: int = 0,
    device: str = "cpu",
    state: Mapping[str, Any] | None = None,
) -> InternalFit:
    """A fit that has not begun yet; see `methods.start_fit`.

    Raises UsageError for a configuration that is not a preset's name and no readable TOML file.
    """
    return InternalFit(size, read_fit_config(config), seed, device, state)


class InternalFit:
    """A fit of one clip; implements the ``ClipFit`` protocol."""

    def __init__(
        self,
        size: tuple[int, int],
        config: FitConfig,
        seed: int,
        device: str,
        state: Mapping[str, Any] | None,
    ) -> None:
        self._size, self._config, self._seed, self._device, self._state = size, config, seed, device, state
        self._fitter: Fitter | None = None
        self.notes: list[str] = []

    @property
    def status(self) -> FitStatus | None:
        """Progress of the fit; None until `run` has begun."""
        return None if self._fitter is None else self._fitter.status

    @property
    def scales(self) -> tuple[float, ...]:
        """Sizes of the pictures that the networks see, as factors of the clip's size."""
        return self._pyramid.factors

    def run(self, material: Sequence[FitMaterial], budget: Budget, report: Report, save: Save) -> None:
        """Fit all scales; may be stopped anywhere by an exception, and then holds the best so far."""
        network = self._start()
        factors = scales(self._size) if network.config.prefill else scales(self._size)[:1]
        pyramid = Pyramid(network.config, factors)
        for net in pyramid.nets:
            net.load_state_dict(network.state_dict())
        self._fitter = Fitter(
            pyramid,
            lambda number: scale_material(material, pyramid, number),
            self._config,
            budget,
            device=torch.device(self._device),
            half=self._device.startswith("cuda") or _has_fast_bfloat16(),
            seed=self._seed,
            features=self._features(network),
            state=self._state,
        )
        self._fitter.run(report, save)

    def method(self, precision: str) -> InternalMethod:
        """The method with the networks fitted so far."""
        return InternalMethod(self._pyramid, self._device, precision)

    def write(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the networks fitted so far, with their configuration and how the fit went."""
        status = self.status
        assert status is not None
        own = {
            "config": self._pyramid.to_dict(),
            "fit": self._config.to_dict(),
            "history": status.history,
        }
        save_checkpoint(path, self._pyramid, own | dict(metadata))

    @property
    def _pyramid(self) -> Pyramid:
        assert self._fitter is not None, "the fit has not begun"
        return self._fitter.pyramid.eval()

    def _start(self) -> InternalNet:
        """The network that the fit starts from; one of random weights where the configured cannot be had."""
        shape = InternalConfig.from_dict(self._config.network)
        if not self._config.start:
            return self._random(shape)
        try:
            found = load_network(self._config.start)
        except WeightsError as exc:
            self.notes.append(f"the fit starts from nothing: {exc}")
            return self._random(shape)
        network = found if isinstance(found, InternalNet) else found.nets[0]
        assert isinstance(network, InternalNet)
        if network.config != shape:
            self.notes.append(f"{self._config.start} is of another shape; the fit starts from nothing")
            return self._random(shape)
        return network

    def _random(self, shape: InternalConfig) -> InternalNet:
        """A network of random weights, the same for a seed; torch's global generator is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return InternalNet(shape)

    def _features(self, network: InternalNet) -> Features | None:
        """Features for the anti-ambiguity loss, where the configuration asks for it."""
        if self._config.regularise <= 0:
            return None
        vgg = vgg19_features()
        if vgg is None:
            self.notes.append("no vgg19 in the store: the regulariser compares features of the encoder")
            return encoder_features(network)
        return vgg


def scales(size: tuple[int, int]) -> tuple[float, ...]:
    """Rising factors of the clip's size at which networks see it: long sides of about 1K, 2K, 4K, and 1.0.

    size: ``(width, height)``. A step that would enlarge the picture by less than a third is left out.
    """
    factors, side = [], FIRST_SIDE
    while side < 0.75 * max(size):
        factors.append(side / max(size))
        side *= 2
    return (*factors, 1.0)


def scale_material(material: Sequence[FitMaterial], pyramid: Pyramid, number: int) -> ScaleMaterial:
    """What the network of scale ``number`` learns from; the coarser networks of the pyramid are fitted."""
    factor = pyramid.factors[number]
    if number:
        nets, factors = list(pyramid.nets)[: number + 1], pyramid.factors[: number + 1]
        finer = [scale_with_start(hole, nets, factors) for one in material for hole in one.pseudo_holes]
        held_out = [scale_with_start(one.held_out, nets, factors) for one in material]
        return ScaleMaterial(finer, held_out, [])
    pseudo_holes = [scale_frames(hole, factor) for one in material for hole in one.pseudo_holes]
    known = [scale_frames(one.known, factor) for one in material]
    held_out = [scale_frames(one.held_out, factor) for one in material]
    bank = [scale_residual(part, factor) for one in material for part in one.hole_bank if part.any()]
    return ScaleMaterial([*known, *pseudo_holes], held_out, bank)


def _has_fast_bfloat16() -> bool:
    """Whether the processor multiplies matrices of bfloat16; without that they cost more than they save."""
    can: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
