"""What a person may say about fitting a network to a clip; importing it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from vinpaint_cli.errors import UsageError

MINUTES = 5.0
"""How long a fit takes when nobody says."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a network is fitted to the clip.

    minutes or steps: how long, 5 minutes when neither is given; the minutes hold all of it, also making the
    material. config: a preset of `methods.internal.config`, or a TOML file. seed: of all that is drawn.
    """

    minutes: float | None = None
    steps: int | None = None
    config: str = "quick"
    seed: int = 0


def check_fit_options(options: FitOptions, fitted: bool, method: str = "internal") -> None:
    """Refuse what cannot be meant; ``fitted``: whether the method is one whose network is fitted first.

    Raises UsageError.
    """
    given = {"--minutes": options.minutes, "--steps": options.steps}
    named = [name for name, value in given.items() if value is not None]
    if named and not fitted:
        raise UsageError(
            f"{' and '.join(named)}: how long a network is fitted to the clip, but method {method!r} fits "
            "none; leave them out, or choose --method internal"
        )
    if len(named) > 1:
        raise UsageError("--minutes and --steps are two ways to say how long a fit takes; give one of them")
    if options.minutes is not None and not 0 < options.minutes < 1e5:
        raise UsageError(f"--minutes {options.minutes:g} is no time for a fit; give more than 0, such as 5")
    if options.steps is not None and options.steps < 0:
        raise UsageError(f"--steps {options.steps} is negative; give 0 or more")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed} is negative; give 0 or more")
