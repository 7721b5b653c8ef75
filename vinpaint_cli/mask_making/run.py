"""`make_mask`: writes the hole of a clip as masks, as a preview picture and as a tinted video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vinpaint_cli.errors import UsageError
from vinpaint_cli.mask_making.clip import open_clip
from vinpaint_cli.mask_making.confidence import low_confidence_ranges
from vinpaint_cli.mask_making.overlay import check_overlay, write_overlay
from vinpaint_cli.mask_making.preview import HoleCount, HoleCounter, check_picture, count_holes, write_preview
from vinpaint_cli.mask_making.text_mask import TextSpan, check_events, write_events
from vinpaint_cli.mask_making.tracking import TrackedMasks
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES
from vinpaint_cli.masks.sources.shapes import HoleSource
from vinpaint_cli.pipeline.options import RemoveOptions, check_options
from vinpaint_cli.pipeline.output import check_output, named_after
from vinpaint_cli.pipeline.progress import Listener, SilentListener, advance
from vinpaint_cli.types import FrameSource
from vinpaint_cli.video.sink.mask_video import HoleFrames, hole_frame, open_mask_writer


@dataclass(frozen=True, slots=True)
class MaskReport:
    """Result of `make_mask`: ``output``, ``preview`` and ``overlay`` are paths, None for what was not made.

    ``hole_pixels`` is the sum over all frames, ``share`` the hole's mean share of the frame over the frames
    with a hole, ``shown`` the frames on the preview in order.

    For tracked masks: ``segmenter`` and ``tracker`` by name (else None), ``confidence`` in [0, 1] per frame,
    ``worst`` the least confident frame of each low-confidence range, worst first, and ``prompt_frames`` those
    with a prompt (the key ``seeds`` of the JSON output).

    For text: ``texts`` says when and where each is shown, ``events`` is the path of that list.
    """

    input: str
    output: str | None
    preview: str | None
    frames: int
    hole_frames: int
    hole_pixels: int
    share: float
    shown: tuple[int, ...]
    warnings: tuple[str, ...]
    overlay: str | None = None
    segmenter: str | None = None
    tracker: str | None = None
    confidence: tuple[float, ...] = ()
    worst: tuple[int, ...] = ()
    prompt_frames: tuple[int, ...] = ()
    texts: tuple[TextSpan, ...] = ()
    events: str | None = None


def make_mask(
    path: str | Path,
    output: str | Path | None = None,
    options: MaskOptions | None = None,
    *,
    preview: str | Path | None = None,
    overlay: str | Path | None = None,
    events: str | Path | None = None,
    overwrite: bool = False,
    memory: str | None = None,
    device: str = "auto",
    playlists: bool = False,
    listener: Listener | None = None,
) -> MaskReport:
    """Write the hole of a clip, dilation and time range included, hole = 255.

    path: a video, or a folder of pictures. output: a video that holds FFV1 (``.mkv``) or a folder of
    pictures, with the size of the displayed picture and one frame per frame of the clip; by default, and
    only without a ``preview``, an ``overlay`` and ``events``, ``<stem>.mask.mkv`` beside the input. preview:
    a picture to draw the hole on. overlay: a video of the clip with the hole tinted. events: a list of the
    text that is found, ``.srt`` or ``.json``. memory: of `RemoveOptions`, for shadows that are looked for.
    device: auto, cpu, cuda or mps, for segmenters that are networks. playlists: whether the clip may be a
    playlist.

    Given to ``remove`` with a dilation of 0, the output is the same hole.

    Raises any `VinpaintError`.
    """
    listener = listener or SilentListener()
    asked = RemoveOptions(mask=options or MaskOptions(), memory=memory, device=device, playlists=playlists)
    check_options(asked)
    if output is None and preview is None and overlay is None and events is None:
        output = default_mask_output(path)
    target = None if output is None else check_mask_output(path, output, overwrite)
    picture = None if preview is None else check_picture(preview, overwrite)
    film = None if overlay is None else check_overlay(path, overlay, overwrite)
    listing = None if events is None else check_events(events, overwrite)
    _check_apart(target, picture, film, listing)
    if listing is not None and not asked.mask.text.wanted:
        raise UsageError("--events lists the text that --text finds; give that too")
    clip = open_clip(path, asked, listener)
    source, mask, tracked = clip.source, clip.mask, clip.tracked
    count, warnings = _write(source, mask, target, listener)
    shown = write_preview(source, mask, count, picture, tracked) if picture is not None else ()
    if film is not None:
        warnings += write_overlay(source, mask, film, tracked, listener)
    texts = () if clip.text is None else clip.text.spans()
    if listing is not None:
        write_events(texts, listing)
    report = MaskReport(
        input=str(path),
        output=None if target is None else str(target),
        preview=None if picture is None else str(picture),
        frames=count.frames,
        hole_frames=count.hole_frames,
        hole_pixels=sum(count.pixels),
        share=round(count.share, 6),
        shown=shown,
        warnings=(*clip.notes(), *warnings, *_emptiness(count)),
        overlay=None if film is None else str(film),
        texts=texts,
        events=None if listing is None else str(listing),
    )
    return report if tracked is None else _with_tracked(report, tracked)


def _with_tracked(report: MaskReport, tracked: TrackedMasks) -> MaskReport:
    """The report with the facts of tracking."""
    return replace(
        report,
        segmenter=tracked.segmenter,
        tracker=tracked.tracker,
        confidence=tuple(round(value, 3) for value in tracked.confidence),
        worst=tuple(one.worst for one in low_confidence_ranges(tracked.confidence)),
        prompt_frames=tracked.prompt_frames,
    )


def _write(
    source: FrameSource, mask: HoleSource, target: Path | None, listener: Listener
) -> tuple[HoleCount, list[str]]:
    """Write the masks and count their pixels, or only count; returns the counts and the writer's warnings."""
    if target is None:
        return count_holes(source, mask, listener), []
    counter = HoleCounter(source.info)
    with (
        open_mask_writer(target, HoleFrames(source, mask)) as writer,
        listener.stage("mask", source.info.frames_from_header) as progress,
    ):
        for frame in source.frames():
            hole = mask.at(frame)
            counter.add(frame, hole)
            writer.write(hole_frame(frame, hole))
            advance(progress)
        found = counter.result()
        mask.check_count(found.frames)
    return found, list(writer.warnings)


def check_mask_output(path: str | Path, output: str | Path, overwrite: bool) -> Path:
    """The path of the masks; raises UsageError for a single picture, and what `check_output` raises."""
    if Path(output).suffix.lower() in IMAGE_SUFFIXES:
        raise UsageError(f"{output} is a single picture; give a video (mask.mkv) or a folder (masks)")
    return check_output(path, output, overwrite)


def _check_apart(*targets: Path | None) -> None:
    """Check that the outputs differ; raises UsageError."""
    given = [target.absolute() for target in targets if target is not None]
    for place, target in enumerate(given):
        if target in given[:place]:
            raise UsageError(f"{target} is named twice; give every output a name of its own")


def default_mask_output(path: str | Path) -> Path:
    """Default path of the masks: ``<stem>.mask.mkv`` beside the input."""
    return named_after(path, ".mask.mkv")


def _emptiness(count: HoleCount) -> list[str]:
    return [] if count.hole_frames else ["the mask is empty: no frame has a hole"]
