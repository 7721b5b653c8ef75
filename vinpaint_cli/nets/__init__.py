"""Network blocks shared by methods. The package itself holds the base classes of their configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Self

STORED_NAMES = {"blend_head": "judges", "base": "residual"}
"""Fields that files call by another name, which is the one they once had."""


class NetworkConfig:
    """Base of the frozen dataclasses that say how a network is built; their defaults are the paper's.

    A subclass checks its values in ``__post_init__`` and raises ValueError; ``title`` is the network's name
    in messages.
    """

    __slots__ = ()
    title: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Values as JSON and TOML know them, for the metadata of a checkpoint."""
        values = asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        return {STORED_NAMES.get(name, name): _lists(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`; absent keys take their defaults.

        Raises ValueError for unknown keys, and for values that the network cannot be built with.
        """
        names = {STORED_NAMES.get(f.name, f.name): f.name for f in fields(cls)}  # type: ignore[arg-type]  # as above
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(f"not a configuration of {cls.title}: {unknown} are unknown")
        try:
            return cls(**{names[key]: _tuples(value) for key, value in values.items()})
        except TypeError as exc:
            raise ValueError(f"not a configuration of {cls.title}: {dict(values)}") from exc


class BlendingConfig(NetworkConfig):
    """Base for networks that may correct a smooth fill (``prefill``) and end in a blend head.

    Without ``colours`` a blend head adds none, and only decides how much of what propagation found is taken.
    """

    __slots__ = ()
    prefill: bool
    blend_head: bool
    colours: bool


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
