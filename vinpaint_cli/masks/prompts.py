"""What a person points at: clicks, boxes and drawn masks on single frames, as written and as read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What a person pointed at, as written.

    * ``clicks``: ``[N:]X,Y[@TIME]`` on the object; ``N:`` keeps several objects apart (1 by default).
    * ``excludes``: ``[N:]X,Y[@TIME]`` beside it: "not this".
    * ``boxes``: ``[N:]X,Y,W,H[@TIME]`` around it.
    * ``from_frames``: ``mask.png@f40``, the object drawn on one frame.
    * ``fixes``: ``f52=fixed.png``, what the mask of one frame is to be.
    * ``segmenter``: a name of `masks.click.SEGMENTERS`, or auto. ``segmenter_weights``: a file or a name of
      weights.toml.
    * ``tracker``: a name of `masks.track.TRACKERS`.
    """

    clicks: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    from_frames: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    segmenter: str = "auto"
    segmenter_weights: str | None = None
    tracker: str = "flow"
