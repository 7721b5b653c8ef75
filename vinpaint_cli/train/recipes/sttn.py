"""Training recipe of STTN: on the composite, and against T-PatchGAN when asked to (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.sttn.net import STTN, STTNConfig
from vinpaint_cli.nets.blocks import TemporalPatchGAN
from vinpaint_cli.nets.holes import HIDDEN
from vinpaint_cli.train import losses
from vinpaint_cli.train.config import TrainConfig
from vinpaint_cli.train.draw import Batch
from vinpaint_cli.train.losses import clip_loss, features_of
from vinpaint_cli.train.recipes.base import Numbers, Recipe, composite, score, unpack


class STTNRecipe(Recipe):
    """Trains the generator and, where its loss has a weight, a discriminator."""

    name = "sttn"
    generator: STTN

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        super().__init__(config, device, compiled)
        if config.losses:
            raise UsageError("STTN's losses stand in the table `train`; leave the table `losses` out")
        try:
            shape = STTNConfig.from_dict(config.network)
        except ValueError as exc:
            raise UsageError(f"the network of this configuration cannot be built: {exc}") from exc
        if not shape.fits(*config.data.size):
            raise UsageError(
                f"clips of {config.data.size[0]}x{config.data.size[1]} do not split into the patches "
                f"{shape.patches} on 1/{shape.reduction} of the frame; change --size"
            )
        self._check_hidden(shape.blend_head)
        self.features, self.notes = features_of(config, config.train.perceptual, device)
        self.generator = STTN(shape).to(device).to(memory_format=torch.channels_last)
        settings = config.train
        self._optimisers = {"generator": self._adam(self.generator)}
        self.discriminator: TemporalPatchGAN | None = None
        if settings.adversarial > 0:
            self.discriminator = TemporalPatchGAN(settings.discriminator).to(device)
            self._optimisers["discriminator"] = self._adam(self.discriminator)
        self._fill: Callable[..., Any] = torch.compile(self._forward) if compiled else self._forward

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Everything with weights."""
        named: dict[str, nn.Module] = {"generator": self.generator}
        return named | ({"discriminator": self.discriminator} if self.discriminator is not None else {})

    @staticmethod
    def build(network: Mapping[str, Any]) -> STTN:
        """A new generator of a configuration; ValueError when it means nothing."""
        return STTN(STTNConfig.from_dict(network))

    def step(self, batch: Batch, number: int, stage: str = "all") -> Numbers:
        """Move the weights once; see `Recipe.step`."""
        truth, found, residual = unpack(batch)
        with self._precision():
            predicted = self._fill(self.generator, found, residual)
        predicted = predicted.float()
        shown = composite(found, predicted, residual, self.generator.config.blend_head)
        adversarial = self.discriminator is not None and number >= self.config.train.adversarial_from
        numbers: Numbers = {}
        if adversarial:
            numbers["discriminator"] = self._train_discriminator(truth, shown.detach())
        total, parts = self._total(truth, shown, predicted, residual, adversarial)
        numbers |= self._move_one("generator", total)
        gain = losses.psnr(shown.detach(), truth, residual).mean()
        return {"loss": float(total.detach()), **parts, "psnr": float(gain), **numbers}

    def _total(
        self, truth: Tensor, shown: Tensor, predicted: Tensor, residual: Tensor, adversarial: bool
    ) -> tuple[Tensor, Numbers]:
        settings = self.config.train
        hole = losses.hole_l1(shown, truth, residual)
        total, parts = settings.hole * hole, {"hole": float(hole.detach())}
        if not self.generator.config.blend_head:  # a blend head gives back what is known
            valid = losses.valid_l1(predicted, truth, residual)
            total, parts["valid"] = total + settings.valid * valid, float(valid.detach())
        if settings.error > 0:
            total = total + settings.error * losses.log_error(shown, truth, residual)
        if self.features is not None:
            apart = clip_loss(self.features, shown, truth)
            total, parts["perceptual"] = total + settings.perceptual * apart, float(apart.detach())
        if adversarial and self.discriminator is not None:
            with self._precision():
                score = self.discriminator(shown).float()
            fooled = losses.hinge_generator(score)
            total = total + settings.adversarial * fooled
            parts["fooled"] = float(fooled.detach())
        return total, parts

    def _train_discriminator(self, truth: Tensor, shown: Tensor) -> float:
        """Train the discriminator first, as STTN does in every step."""
        assert self.discriminator is not None
        with self._precision():
            real, fake = self.discriminator(truth).float(), self.discriminator(shown).float()
        loss = losses.hinge_discriminator(real, fake)
        self._move_one("discriminator", loss)
        return float(loss.detach())

    def _move_one(self, which: str, loss: Tensor) -> Numbers:
        parameters = self.modules[which].parameters()
        return {"norm": self._move(loss, parameters, [self._optimisers[which]])}

    def _forward(self, network: STTN, found: Tensor, residual: Tensor) -> Tensor:
        """The network's own picture ``(B, T, 3, h, w)`` in [-1, 1]; hidden pixels are taken away first."""
        if network.config.blend_head:
            return network(found, residual)  # type: ignore[no-any-return]  # as below
        masked = torch.where(residual >= HIDDEN, 0.0, found)
        hidden = residual if network.config.prefill else (residual >= HIDDEN).float()
        return network(masked, hidden)  # type: ignore[no-any-return]  # nn.Module.__call__ is typed Any

    @torch.no_grad()
    def show(self, network: nn.Module, batch: Batch) -> tuple[Numbers, Tensor]:
        """Score a network on a batch; see `Recipe.show`."""
        assert isinstance(network, STTN)
        truth, found, residual = unpack(batch)
        with self._precision():
            predicted = self._forward(network, found, residual).float()
        return score(truth, found, residual, predicted, network.config.blend_head)
