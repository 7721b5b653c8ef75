"""The hole alone: as a lossless video or folder of pictures, and as a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vinpaint_cli.engine.preview import HoleCount, HoleCounter, check_picture, count_holes, write_preview
from vinpaint_cli.engine.remove import check_output
from vinpaint_cli.engine.watch import SilentWatcher, Watcher, advance
from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.files import MaskOptions, build_mask
from vinpaint_cli.masks.pictures import IMAGE_SUFFIXES
from vinpaint_cli.masks.shapes import HoleSource
from vinpaint_cli.types import FrameSource
from vinpaint_cli.video.maskfile import HoleFrames, hole_frame, open_mask_writer
from vinpaint_cli.video.read import open_source


@dataclass(frozen=True, slots=True)
class MaskReport:
    """What was made: ``output`` and ``preview`` are paths, None for what was not asked for.

    ``hole_pixels`` is the sum over all frames, ``share`` the mean share of the picture over the frames
    with a hole, ``shown`` the frames on the preview.
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


def make_mask(
    path: str | Path,
    output: str | Path | None = None,
    options: MaskOptions | None = None,
    *,
    preview: str | Path | None = None,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> MaskReport:
    """Write the hole of a clip, dilation and time range included, hole = 255.

    path: a video, or a folder of pictures. output: a video that holds FFV1 (``.mkv``) or a folder of
    pictures, with the size of the displayed picture and one frame per frame of the clip; by default, and
    only without a ``preview``, ``<stem>.mask.mkv`` beside the input. preview: a picture to draw the hole
    on. Given to ``remove`` with a dilation of 0, the output is the same hole.

    Raises any `VinpaintError`.
    """
    options, watcher = options or MaskOptions(), watcher or SilentWatcher()
    if output is None and preview is None:
        output = default_mask_output(path)
    target = None if output is None else _check_mask_output(path, output, overwrite)
    picture = None if preview is None else check_picture(preview, overwrite)
    source = open_source(path)
    first = next(iter(source.frames(0, 1)))
    mask = build_mask(options, source.info, origin_pts=first.pts)
    count, warnings = _write(source, mask, target, watcher)
    shown = write_preview(source, mask, count, picture) if picture is not None else ()
    return MaskReport(
        input=str(path),
        output=None if target is None else str(target),
        preview=None if picture is None else str(picture),
        frames=count.frames,
        hole_frames=count.hole_frames,
        hole_pixels=sum(count.pixels),
        share=round(count.share, 6),
        shown=shown,
        warnings=(*getattr(source, "notes", ()), *mask.warnings, *warnings, *_emptiness(count)),
    )


def _write(
    source: FrameSource, mask: HoleSource, target: Path | None, watcher: Watcher
) -> tuple[HoleCount, list[str]]:
    """Write the masks and count them, or only count them; the writer's warnings beside."""
    if target is None:
        return count_holes(source, mask, watcher), []
    counter = HoleCounter(source.info)
    with (
        open_mask_writer(target, HoleFrames(source, mask)) as writer,
        watcher.stage("mask", source.info.frames_from_header) as progress,
    ):
        for frame in source.frames():
            hole = mask.at(frame)
            counter.add(frame, hole)
            writer.write(hole_frame(frame, hole))
            advance(progress)
        found = counter.result()
        mask.check_count(found.frames)
    return found, list(writer.warnings)


def _check_mask_output(path: str | Path, output: str | Path, overwrite: bool) -> Path:
    if Path(output).suffix.lower() in IMAGE_SUFFIXES:
        raise UsageError(f"{output} is a single picture; give a video (mask.mkv) or a folder (masks)")
    return check_output(path, output, overwrite)


def default_mask_output(path: str | Path) -> Path:
    """``<stem>.mask.mkv`` beside the input."""
    source = Path(path)
    return source.with_name(f"{source.stem}.mask.mkv")


def _emptiness(count: HoleCount) -> list[str]:
    return [] if count.hole_frames else ["the mask is empty: no frame has a hole"]
