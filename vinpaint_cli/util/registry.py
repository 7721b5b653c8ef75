"""Registries of implementations by name, imported on demand; "did you mean" for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from vinpaint_cli.errors import UsageError, VinpaintError


@dataclass(frozen=True, slots=True)
class Registry:
    """Implementations of one kind by name, imported only when one is asked for.

    * ``kind``: what an implementation is called in messages, such as "method".
    * ``targets``: name → ``module:attribute``.
    * ``also``: further names that a person may give and that the caller resolves itself, such as "auto".
    * ``error``: class of what is raised for an unknown name.
    """

    kind: str
    targets: Mapping[str, str]
    also: tuple[str, ...] = ()
    error: type[VinpaintError] = UsageError

    @property
    def names(self) -> tuple[str, ...]:
        """Names a person may ask for, in the order in which they were given."""
        return (*self.also, *self.targets)

    def module(self, name: str) -> str:
        """Dotted name of the module of an implementation; raises ``error`` for an unknown name."""
        return self._target(name).partition(":")[0]

    def load(self, name: str) -> Any:
        """Import an implementation (a class or function); raises ``error`` for an unknown name."""
        module, _, attribute = self._target(name).partition(":")
        return getattr(import_module(module), attribute)

    def _target(self, name: str) -> str:
        if name in self.targets:
            return self.targets[name]
        hint = did_you_mean(name, self.names)
        raise self.error(
            f"there is no {self.kind} {name!r}; {hint and f'{hint} '}choose one of {', '.join(self.names)}"
        )


def did_you_mean(name: str, known: Iterable[str], count: int = 1, quoted: str = "'{}'") -> str:
    """``did you mean 'x'?`` with up to ``count`` of the known names that are alike, or empty when none is."""
    near = difflib.get_close_matches(name, [*known], n=count)
    return f"did you mean {' or '.join(map(quoted.format, near))}?" if near else ""
