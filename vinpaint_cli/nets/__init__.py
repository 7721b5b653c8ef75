"""Network blocks shared by methods. The package itself holds the base classes of their configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from itertools import islice
from typing import Any, ClassVar, Self

STORED_NAMES = {"blend_head": "judges", "base": "residual"}
"""Fields that files call by another name, which is the one they once had."""

_MOST, _MOST_BLOCKS = 8192, 256
"""The largest number that a configuration may hold, and the most blocks (or entries of a list)."""


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
            raise ValueError(f"not a configuration of {cls.title}: {unknown[:5]} are unknown")
        _check_bounds(values, cls.title)
        try:
            return cls(**{names[key]: _tuples(value) for key, value in values.items()})
        except TypeError as exc:
            raise ValueError(f"not a configuration of {cls.title}: {str(dict(values))[:200]}") from exc


class BlendingConfig(NetworkConfig):
    """Base for networks that may correct a smooth fill (``prefill``) and end in a blend head.

    Without ``colours`` a blend head adds none, and only decides how much of what propagation found is taken.
    """

    __slots__ = ()
    prefill: bool
    blend_head: bool
    colours: bool


def _check_bounds(values: Mapping[str, Any], title: str) -> None:
    """Refuse, before anything is built, what would take all memory or time; raises ValueError."""
    for name, value in values.items():
        most = _MOST_BLOCKS if name == "blocks" else _MOST
        found = list(islice(_leaves(value), _MOST_BLOCKS + 1))
        if len(found) > _MOST_BLOCKS or any(
            isinstance(leaf, int | float) and not leaf <= most for leaf in found
        ):
            raise ValueError(f"{name} is too much for {title}: numbers are at most {most}")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
