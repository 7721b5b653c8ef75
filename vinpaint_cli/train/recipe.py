"""What a method brings to the loop, and which methods can be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from vinpaint_cli.errors import InputError, UsageError
from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from vinpaint_cli.train.config import TrainConfig
    from vinpaint_cli.train.cut import Batch

RECIPES = Registry(
    "training recipe",
    {
        "sttn": "vinpaint_cli.train.recipe_sttn:STTNRecipe",
        "combcn": "vinpaint_cli.train.recipe_combcn:CombCNRecipe",
        "flow-recurrent": "vinpaint_cli.train.recipe_flow_recurrent:FlowRecurrentRecipe",
        "internal": "vinpaint_cli.train.recipe_internal:InternalRecipe",
    },
    error=InputError,
)
"""Recipes by the name of the method that they train."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: it ends when a share ``until`` of the run is over, and has a rate of its own.

    ``rate``: factor of the configured learning rate, whose warm-up and cosine begin anew with the stage.
    """

    name: str
    until: float = 1.0
    rate: float = 1.0


def split(stages: tuple[Stage, ...], ends: tuple[float, ...]) -> tuple[Stage, ...]:
    """Stages that end where the configuration says; () leaves them as they are. UsageError when it cannot."""
    if not ends:
        return stages
    if len(ends) != len(stages) - 1 or not all(a < b for a, b in pairwise((0.0, *ends, 1.0))):
        names = ", ".join(stage.name for stage in stages)
        raise UsageError(
            f"stages {list(ends)} do not part {len(stages)} stages ({names}); give {len(stages) - 1} rising "
            "shares between 0 and 1"
        )
    return tuple(replace(stage, until=end) for stage, end in zip(stages, (*ends, 1.0), strict=True))


class Recipe(Protocol):
    """What a method brings to the loop."""

    name: ClassVar[str]
    config: TrainConfig

    def __init__(self, config: TrainConfig, device: torch.device, compiled: bool = False) -> None:
        """Make networks and optimisers; UsageError for a configuration that cannot be trained."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One or more, in order; the last ends at 1."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be said before the first step."""
        ...

    @property
    def generator(self) -> nn.Module:
        """The network that is averaged, judged and exported."""
        ...

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Everything with weights, by name."""
        ...

    @property
    def optimisers(self) -> Mapping[str, Optimizer]:
        """By name; which of them a step moves is the recipe's business."""
        ...

    @property
    def network_config(self) -> dict[str, Any]:
        """What rebuilds the generator."""
        ...

    @staticmethod
    def build(network: Mapping[str, Any]) -> nn.Module:
        """A new generator of a ``network_config``; ValueError when that means nothing."""
        ...

    def step(self, batch: Batch, number: int, stage: str) -> dict[str, float]:
        """Move the weights once, unless loss or gradient is not finite; what the log shows.

        ``number`` counts the steps of the run from 0, ``stage`` is the name of one of ``stages``.
        """
        ...

    def show(self, network: nn.Module, batch: Batch) -> tuple[dict[str, float], Tensor]:
        """Judge a network: numbers and a picture ``(3, h, w)`` in [0, 1]."""
        ...


def recipe_of(name: str) -> type[Recipe]:
    """The recipe that trains a method; InputError for a name that no recipe has."""
    return cast("type[Recipe]", RECIPES.load(name))
