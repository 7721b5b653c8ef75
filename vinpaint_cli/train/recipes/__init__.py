"""Training recipes, one per method that can be trained: its losses, stages and optimisers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vinpaint_cli.errors import InputError
from vinpaint_cli.util.registry import Registry

if TYPE_CHECKING:
    from vinpaint_cli.train.recipes.base import Recipe

RECIPES = Registry(
    "training recipe",
    {
        "sttn": "vinpaint_cli.train.recipes.sttn:STTNRecipe",
        "combcn": "vinpaint_cli.train.recipes.combcn:CombCNRecipe",
        "flow-recurrent": "vinpaint_cli.train.recipes.flow_recurrent:FlowRecurrentRecipe",
        "internal": "vinpaint_cli.train.recipes.internal:InternalRecipe",
    },
    error=InputError,
)
"""Recipes by the name of the method that they train."""


def recipe_of(name: str) -> type[Recipe]:
    """The recipe that trains a method; InputError for a name that no recipe has."""
    return cast("type[Recipe]", RECIPES.load(name))
