"""Configuration of a training run (network, data, optimisation), from a preset or a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from vinpaint_cli.errors import UsageError
from vinpaint_cli.train.draw import Mix
from vinpaint_cli.util.presets import read_settings

T = TypeVar("T")

PRECISIONS = ("fp32", "bf16")

SIZES = ("tiny", "small", "base")
"""Names that presets may have."""


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How weights are optimised.

    ``steps`` or, when 0, ``minutes`` end the run; the learning rate warms up over ``warmup`` steps and then
    follows a cosine down to ``floor`` times ``rate``. ``clip``: largest norm of the gradient. ``ema``: decay
    of the averaged weights. Weights of the losses: ``hole`` and ``valid`` (L1, STTN Eq. 6–7), ``error``
    (logarithm of the squared error, which is what PSNR measures), ``perceptual`` (difference of features,
    not in the paper), ``adversarial`` (Eq. 10; 0 = no discriminator), switched on from step
    ``adversarial_from``. ``features``: network of perceptual losses, ``vgg16`` or, with the extra
    ``perceptual``, ``efficientnet-lite0``. ``decay``: Adam's weight decay.
    ``stages``: shares of the run at which each stage but the last ends; () is the recipe's choice. Losses
    of other methods than STTN stand in the table ``losses``.
    """

    steps: int = 0
    minutes: float = 0.0
    rate: float = 1e-4
    warmup: int = 500
    floor: float = 0.02
    betas: tuple[float, float] = (0.0, 0.99)
    clip: float = 1.0
    ema: float = 0.999
    hole: float = 1.0
    valid: float = 1.0
    error: float = 0.0
    perceptual: float = 0.0
    features: str = "vgg16"
    adversarial: float = 0.01
    adversarial_from: int = 0
    discriminator: int = 64
    decay: float = 0.0
    stages: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole run; :meth:`to_dict` goes into its checkpoints. ``losses`` are weights by name."""

    network: Mapping[str, Any]
    data: Mix = field(default_factory=Mix)
    train: Optimisation = field(default_factory=Optimisation)
    losses: Mapping[str, float] = field(default_factory=dict)
    precision: str = "fp32"
    seed: int = 2020

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision {self.precision!r} is not known; train in {' or '.join(PRECISIONS)}")
        if len(self.data.frames) != len(self.data.frame_weights):
            raise UsageError("data.frames and data.frame_weights must be equally long")
        if self.train.steps < 0 or self.train.minutes < 0 or self.data.batch < 1:
            raise UsageError("steps and minutes must not be negative, and a batch holds at least one clip")

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_dict`; absent keys take their defaults. UsageError for unknown ones."""
        known = {f.name for f in fields(cls)}
        if set(values) - known:
            raise UsageError(f"unknown tables or keys {sorted(set(values) - known)}; known: {sorted(known)}")
        return cls(
            network=dict(values.get("network", {})),
            data=_table(Mix, values.get("data", {})),
            train=_table(Optimisation, values.get("train", {})),
            losses=dict(values.get("losses", {})),
            precision=str(values.get("precision", "fp32")),
            seed=int(values.get("seed", 2020)),
        )


def read_config(name: str, method: str = "sttn") -> TrainConfig:
    """A preset of a method by name, or a TOML file: tables ``network``, ``data``, ``train`` and ``losses``.

    A file may name a preset under ``preset`` and change some of its values. Raises UsageError.
    """
    return TrainConfig.from_dict(read_settings(name, _presets(method), preset_names(method)))


def preset_names(method: str) -> list[str]:
    """Presets that a method has, from the smallest network to the paper's."""
    return [name for name in SIZES if (_presets(method) / f"{name}.toml").is_file()]


def _presets(method: str) -> Path:
    return Path(__file__).parent / "presets" / method


def changed(
    config: TrainConfig, data: Mapping[str, Any], train: Mapping[str, Any], **own: Any
) -> TrainConfig:
    """A copy of the configuration with those values that are not None."""
    return replace(
        config,
        data=replace(config.data, **_given(data)),
        train=replace(config.train, **_given(train)),
        **_given(own),
    )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def weights_of(kind: type[T], config: TrainConfig) -> T:
    """The table ``losses`` as the dataclass of a recipe's losses; UsageError for unknown names."""
    return _table(kind, config.losses)


def _table(kind: type[T], values: Mapping[str, Any]) -> T:
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as exc:
        known = sorted(f.name for f in fields(kind))  # type: ignore[arg-type]  # both are dataclasses
        raise UsageError(
            f"a training configuration has no such key: {exc}; known: {', '.join(known)}"
        ) from exc
