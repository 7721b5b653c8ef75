"""Settings of a fit: presets, and TOML files that change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods.internal.net import InternalConfig
from vinpaint_cli.util.presets import read_settings

RENAMED = {"shadowed": "pseudo_hole_share"}
"""Settings that once had another name, by which files may still call them."""


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a network is fitted.

    network: its shape. start: weights it starts from (a name of weights.toml or a file), empty for none.
    batch and side: crops per step and their sides in pixels. pseudo_hole_share: share of the batches cut out
    of pseudo-holes, the others have rolled holes (``shadowed`` in files written before). rate: of Adam; it
    warms up, and falls along a cosine to ``floor`` times itself. betas, clip, ema: as in training. Weights of
    the losses: ``hidden``, L1 of what is shown where something is hidden; ``known``, L1 of the network's own
    pictures wherever the truth is known (the paper's only one); ``error``, logarithm of the squared error
    where something is hidden, which is what PSNR measures. regularise: share of the coarsest scale's time, at
    its end, in which the paper's two regularisers act. patience: scores without a gain after which a scale is
    done.
    """

    network: Mapping[str, Any] = field(default_factory=InternalConfig().to_dict)
    start: str = ""
    batch: int = 5
    side: int = 256
    pseudo_hole_share: float = 0.0
    rate: float = 2e-4
    floor: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    ema: float = 0.0
    hidden: float = 0.0
    known: float = 1.0
    error: float = 0.0
    regularise: float = 0.0
    patience: int = 12

    def __post_init__(self) -> None:
        if self.batch < 1 or self.side < 16 or self.side % 4 or self.patience < 1:
            raise UsageError("a fit needs a batch and a patience of 1 or more and a side of 16, 20, 24 …")
        ratios = (self.pseudo_hole_share, self.floor, self.regularise)
        if not all(0 <= share <= 1 for share in ratios):
            raise UsageError(f"pseudo_hole_share, floor and regularise {ratios} must be between 0 and 1")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, under the names that files use."""
        stored = {name: key for key, name in RENAMED.items()}
        return {stored.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitConfig:
        """Inverse of :meth:`to_dict`; absent keys take the paper's value. UsageError for unknown ones."""
        values = {RENAMED.get(key, key): value for key, value in values.items()}
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            known = ", ".join(f.name for f in fields(cls))
            raise UsageError(f"a fit has no such settings: {', '.join(unknown)}; known: {known}")
        try:
            given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**given)
        except TypeError as exc:
            raise UsageError(f"the settings of this fit cannot be used: {exc}") from exc


PRESETS = ("quick", "refine", "stack", "base")
"""Files of the folder ``presets``; all but ``quick`` are the authors'."""


def read_fit_config(name: str) -> FitConfig:
    """A preset by name, or a TOML file, which may name one under ``preset`` and change it; UsageError.

    A file that names none changes ``refine``.
    """
    folder = Path(__file__).parent / "presets"
    return FitConfig.from_dict(read_settings(name, folder, PRESETS, default="refine"))
