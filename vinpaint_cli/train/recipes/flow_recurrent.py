"""Training recipe of the frame-recurrent networks (Ding et al., 2019, sections 3.2 to 3.4).

First H_s on frames and H_c on flow; then both are frozen, and H_t and H_f are trained on sequences. As in
the work it builds on (Lai et al., ECCV 2018), the previous output and the state get no gradient.

Flow is estimated as it is needed: sequences are cut, scaled and moved at random and branch P is the flow of
what H_s paints, so no flow packed beforehand fits. See :func:`flow_estimator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.flow_recurrent.net import (
    Estimator,
    FlowRecurrent,
    FlowRecurrentConfig,
    InpaintedFrames,
    lost_flow,
    moved,
    robust_flow,
)
from vinpaint_cli.nets.blocks import State
from vinpaint_cli.nets.flow import estimate_flow, luma
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig, weights_of
from vinpaint_cli.train.draw import Batch
from vinpaint_cli.train.losses import features_of, perceptual, style
from vinpaint_cli.train.recipes.base import Numbers, Recipe, Stage, composite, score, split, unpack

FRAMES, SEQUENCES = "frames", "sequences"
MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class RecurrentLosses:
    """Weights. First stage, those of PConv: ``valid``, ``hole``, ``features``, ``style``, ``rough``.

    Second stage, the paper's 10 : 1: ``data`` (L_d), ``short`` (L_s) and ``reverse`` (L_r) against ``flow``
    (L_f), ``perceptual`` (L_p) and ``long`` (L_l). ``features``, ``style`` and ``perceptual`` need the
    network that ``train.features`` names.
    ``error``, in both: logarithm of the squared error, which is what PSNR measures (not in the paper).
    """

    valid: float = 1.0
    hole: float = 6.0
    features: float = 0.05
    style: float = 120.0
    rough: float = 0.1
    data: float = 10.0
    short: float = 10.0
    reverse: float = 10.0
    flow: float = 1.0
    perceptual: float = 1.0
    long: float = 1.0
    error: float = 0.0


class FlowRecurrentRecipe(Recipe):
    """Trains H_s and H_c on frames and flow, then H_t and H_f on sequences."""

    name = "flow-recurrent"
    generator: FlowRecurrent

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        super().__init__(config, device, compiled)
        self.weights = weights_of(RecurrentLosses, config)
        if any(side % MULTIPLE for side in config.data.size) or min(config.data.frames) < 2:
            raise UsageError(
                f"clips of {config.data.frames} frames of {config.data.size} cannot be trained on; give "
                f"multiples of {MULTIPLE} and 2 frames or more"
            )
        self.generator = self._built()
        self._check_hidden(self.generator.config.blend_head)
        self._optimisers = {name: self._adam(part) for name, part in self.generator.named_children()}
        both = Stage(FRAMES, 0.5, rate=2.0), Stage(SEQUENCES)
        self.stages = split(
            both if self.generator.config.recurrent else (Stage(FRAMES),), config.train.stages
        )
        self.estimate = flow_estimator(device)
        weights = self.weights
        self.features, self.notes = features_of(
            config, max(weights.features, weights.style, weights.perceptual), device
        )
        if compiled:
            self.generator.inpainter.net.compile()
            self.generator.temporal.compile()

    @staticmethod
    def build(network: Mapping[str, Any]) -> FlowRecurrent:
        """A new generator of a configuration; ValueError when it means nothing."""
        return FlowRecurrent(FlowRecurrentConfig.from_dict(network))

    def step(self, batch: Batch, number: int, stage: str = SEQUENCES) -> Numbers:
        """Move the weights once; see `Recipe.step`."""
        truth, found, residual = unit_range(batch)
        if stage == FRAMES:
            self._train("inpainter", "completer")
            parts = self._frame_losses(truth, found, residual)
            names = ["inpainter"]
            numbers = self._complete(truth, found, residual) if self.generator.config.recurrent else {}
        else:
            self._train("temporal", "blender")
            parts = self._sequence_losses(truth, found, residual)
            names, numbers = ["temporal", "blender"], {}
        networks = {name: self.generator.get_submodule(name) for name in names}
        return self._move_by_parts(parts, self.weights, networks) | numbers

    def _train(self, *names: str) -> None:
        """Train these networks and freeze the others, their normalisation included."""
        for name, network in self.generator.named_children():
            network.train(name in names).requires_grad_(name in names)

    def _error(self, shown: Tensor, truth: Tensor, residual: Tensor) -> dict[str, Tensor]:
        if self.weights.error <= 0:
            return {}
        return {"error": losses.log_error(shown * 2 - 1, truth * 2 - 1, residual)}

    # ------------------------------------------------------------ first stage: each frame alone

    def _frame_losses(self, truth: Tensor, found: Tensor, residual: Tensor) -> dict[str, Tensor]:
        with self._precision():
            pictures = self.generator.propose(found.flatten(0, 1), residual.flatten(0, 1))
        inpainted, raw = (picture.view_as(truth) for picture in pictures)
        blend_head = self.generator.config.blend_head
        shown = composite(found, inpainted if blend_head else raw, residual, blend_head)
        parts = {
            "hole": losses.hole_l1(shown, truth, residual),
            "valid": losses.valid_l1(raw, truth, residual),
            "rough": losses.roughness(shown, residual),
        } | self._error(shown, truth, residual)
        if self.features is not None:
            real = self.features(truth.flatten(0, 1))
            fakes = [self.features(picture.flatten(0, 1)) for picture in (raw, shown)]
            parts["features"] = torch.stack([perceptual(fake, real) for fake in fakes]).sum()
            parts["style"] = torch.stack([style(fake, real) for fake in fakes]).sum()
        return parts

    def _complete(self, truth: Tensor, found: Tensor, residual: Tensor) -> Numbers:
        """Move H_c towards the flow of the true frames, where that of the frames as they are is lost."""
        here, there = _pairs(InpaintedFrames(found, residual, truth))
        with torch.no_grad():
            corrupted = self.estimate(here.grey(), there.grey())
            wanted = self.estimate(luma(here.inpainted), luma(there.inpainted))
            lost = lost_flow(here.hole, there.hole, corrupted)
        with self._precision():
            completed = self.generator.completer(corrupted, lost).float()
        loss = losses.masked_l1(completed, wanted, lost)
        network = self.generator.completer
        self._move(loss, network.parameters(), [self._optimisers["completer"]])
        return {"completer": float(loss.detach())}

    # ------------------------------------------------------------ second stage: sequences

    def _sequence_losses(self, truth: Tensor, found: Tensor, residual: Tensor) -> dict[str, Tensor]:
        view = self._inpainted(self.generator, found, residual)
        here, there = _pairs(view)
        true_here, true_there = _pairs(InpaintedFrames(truth, residual, truth))
        flows, wanted = [], []
        for a, b, c, d in ((here, there, true_here, true_there), (there, here, true_there, true_here)):
            with self._precision():
                flows.append(robust_flow(self.generator, a, b, self.estimate))
            wanted.append(self.estimate(luma(c.frames), luma(d.frames)))
        back, ahead = (flow.view(len(truth), -1, *flow.shape[1:]) for flow in flows)
        outputs = self._unroll(self.generator, view, back)
        shown = composite(found, outputs, residual, self.generator.config.blend_head)
        parts = {
            "data": losses.hole_l1(shown, truth, residual),
            "short": losses.short_term(shown, residual, back),
            "reverse": losses.reverse_term(shown, residual, ahead),
            "long": losses.long_term(shown, residual, back, ahead),
            "flow": torch.stack([(f - w).abs().mean() for f, w in zip(flows, wanted, strict=True)]).mean(),
        }
        parts |= self._error(shown, truth, residual)
        if self.features is not None:
            fake, real = (self.features(picture.flatten(0, 1)) for picture in (shown, truth))
            parts["perceptual"] = perceptual(fake, real)
        return parts

    @torch.no_grad()
    def _inpainted(self, network: FlowRecurrent, found: Tensor, residual: Tensor) -> InpaintedFrames:
        """The frames, each inpainted alone, all ``(B, T, …)``, without gradient."""
        with self._precision():
            inpainted = network.inpaint(found.flatten(0, 1), residual.flatten(0, 1))
        return InpaintedFrames(found, residual, inpainted.view_as(found))

    def _unroll(self, network: FlowRecurrent, view: InpaintedFrames, back: Tensor) -> Tensor:
        """O ``(B, T, 3, h, w)``: the recurrence over whole clips, with flow ``(B, T − 1, 2, h, w)``."""
        outputs: list[Tensor] = [view.inpainted[:, 0]]
        state: State | None = None
        for t in range(1, view.frames.shape[1]):
            before = outputs[-1].detach()
            now = view.inpainted[:, t]
            if network.config.align:
                before = moved(before, now, back[:, t - 1])
            with self._precision():
                output, state = network.advance(before, view.frames[:, t], view.residual[:, t], now, state)
            state = state[0].detach(), state[1].detach()
            outputs.append(output)
        return torch.stack(outputs, 1)

    @torch.no_grad()
    def show(self, network: nn.Module, batch: Batch) -> tuple[Numbers, Tensor]:
        """Score a network on a batch, see `Recipe.show`; ``alone`` is the PSNR without the recurrence."""
        assert isinstance(network, FlowRecurrent)
        truth, found, residual = unit_range(batch)
        view = self._inpainted(network, found, residual)
        outputs = view.inpainted
        if network.config.recurrent:
            here, there = _pairs(view)
            back = outputs.new_zeros(len(here.frames), 2, *outputs.shape[-2:])
            if network.config.align:
                with self._precision():
                    back = robust_flow(network, here, there, self.estimate)
            outputs = self._unroll(network, view, back.view(len(truth), -1, *back.shape[1:]))
        truth, found = truth * 2 - 1, found * 2 - 1
        blend_head = network.config.blend_head
        alone, _ = score(truth, found, residual, view.inpainted * 2 - 1, blend_head)
        numbers, picture = score(truth, found, residual, outputs * 2 - 1, blend_head)
        return {**numbers, "alone": alone["psnr"]}, picture


def flow_estimator(device: torch.device) -> Estimator:
    """DIS, as `remove` uses it, on a CPU with OpenCV; else an estimator that needs torch alone.

    The latter takes about fifteen times as long on a CPU, and stays on an accelerator.
    """
    if device.type != "cpu" or find_spec("cv2") is None:
        return estimate_flow
    from vinpaint_cli.methods.flow_recurrent.method import on_tensors
    from vinpaint_cli.ops.flow import open_flow

    return on_tensors(open_flow())


def unit_range(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 batch → truth, found and residual in [0, 1], float32."""
    truth, found, residual = unpack(batch)
    return (truth + 1) / 2, (found + 1) / 2, residual


def _pairs(view: InpaintedFrames) -> tuple[InpaintedFrames, InpaintedFrames]:
    """All frames of clips ``(B, T, …)`` but the first, and those before them, ``(B·(T − 1), …)``."""
    parts = (view.frames, view.residual, view.inpainted)
    here = InpaintedFrames(*(part[:, 1:].flatten(0, 1) for part in parts))
    return here, InpaintedFrames(*(part[:, :-1].flatten(0, 1) for part in parts))
