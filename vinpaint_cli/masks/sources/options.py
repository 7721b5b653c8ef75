"""`MaskOptions`: all options about the hole; `build_mask` makes one mask source of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.errors import MaskError, UsageError, VideoError
from vinpaint_cli.masks.grammar import BoxSpec, TimeRange, parse_box, time_range
from vinpaint_cli.masks.prompts import PromptOptions, fixes
from vinpaint_cli.masks.sources.files import FolderMask, ImageMask, VideoMask
from vinpaint_cli.masks.sources.pictures import IMAGE_SUFFIXES, read_hole
from vinpaint_cli.masks.sources.shapes import (
    BoxMask,
    DilatedMask,
    FixedMask,
    HoleSource,
    InvertMask,
    PerFrameMask,
    TimeLimitedMask,
    UnionMask,
    default_dilation,
)
from vinpaint_cli.masks.text.options import TextOptions, check_text_options
from vinpaint_cli.types import VideoInfo

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """All options about the hole, as written.

    * ``masks``: paths of pictures, folders of pictures, or videos; white is the hole.
    * ``boxes``: ``X,Y,W,H[@START-END]``.
    * ``invert``: black is the hole of the mask files (of the boxes when there are no files).
    * ``label``: index to take from indexed or greyscale pictures.
    * ``dilate``: pixels by which the holes of mask files are dilated; None for a share of the frame's height,
      and less where they are thin.
    * ``hold``: let the number of masks differ from the clip's: the last is held, surplus ones are left out.
    * ``resize``: let the size of masks differ from the clip's.
    * ``start``: time before which there is no hole.
    * ``end``: time from which on there is no hole.
    * ``prompts``: clicks, boxes and drawn masks on single frames.
    * ``text``: which burned-in text to find.
    * ``shadows``: add the shadows that the covered objects cast.
    * ``tracked``: a mask video that tracking ``prompts`` gave, so that it need not be repeated.
    * ``whole``: a mask video of the hole as made by all these options, so that nothing need be repeated.
    """

    masks: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    invert: bool = False
    label: int | None = None
    dilate: int | None = None
    hold: bool = False
    resize: bool = False
    start: str | None = None
    end: str | None = None
    prompts: PromptOptions = field(default_factory=PromptOptions)
    text: TextOptions = field(default_factory=TextOptions)
    shadows: bool = False
    tracked: str | None = None
    whole: str | None = None

    @property
    def names_times(self) -> bool:
        """Whether any moment is given in seconds and not as a frame's number."""
        prompts = self.prompts
        placed = (*self.boxes, *prompts.clicks, *prompts.excludes, *prompts.boxes, *prompts.from_frames)
        ranges = [self.start, self.end, *(text.rpartition("@")[2] for text in placed if "@" in text)]
        moments = [moment for text in ranges if text for moment in text.split("-") if moment]
        return any(not moment.strip().lower().startswith("f") for moment in moments)


def build_mask(
    spec: MaskOptions,
    info: VideoInfo,
    frame_count: int | None = None,
    *,
    origin_pts: int = 0,
    tracked: HoleSource | None = None,
    text: HoleSource | None = None,
) -> HoleSource:
    """Make one mask source of all options about the hole of one clip.

    Files and tracked masks are united, single frames replaced by their fixes, the result inverted if
    requested, and dilated; text and boxes are added as they are; the time range limits all of it. Times
    count from ``origin_pts``, the pts of the clip's first frame. ``spec.whole`` is taken as it is.

    Raises UsageError (options that cannot be read or contradict each other) and MaskError (a mask that
    cannot be read or does not fit the clip).

    * ``spec``: the options.
    * ``info``: the clip the hole is in.
    * ``frame_count``: number of frames the clip has, None when not known: call ``check_count`` later.
    * ``origin_pts``: pts of the clip's first frame in ticks of ``info.time_base``.
    * ``tracked``: the tracked masks of ``spec.prompts`` (`mask_making.tracking`); needed with any prompts,
      unless ``spec.tracked`` names them.
    * ``text``: the letters of ``spec.text`` (`mask_making.text`); needed where it is wanted.
    """
    check_mask_options(spec)
    if spec.whole is not None:
        return open_mask(spec.whole, (info.width, info.height))
    if spec.tracked is not None:
        tracked = open_mask(spec.tracked, (info.width, info.height))
    if spec.prompts.follows and tracked is None:
        raise ValueError("prompts must be tracked first; give the tracked masks")
    if spec.text.wanted and text is None:
        raise ValueError("text must be found first; give its letters")
    when = time_range(spec.start, spec.end)
    boxes = [parse_box(text) for text in spec.boxes]
    parts: list[HoleSource] = []
    if spec.masks or tracked is not None:
        parts.append(_file_masks(spec, info, tracked))
    if text is not None:
        parts.append(_fixed(text, spec, info))
    parts.extend(_box_masks(boxes, spec, info, origin_pts))
    mask = parts[0] if len(parts) == 1 else UnionMask(parts)
    if when != TimeRange():
        mask = TimeLimitedMask(
            mask, when, info.width, info.height, time_base=info.time_base, origin_pts=origin_pts
        )
    if frame_count is not None:
        mask.check_count(frame_count)
    return mask


def covering(spec: MaskOptions, info: VideoInfo, mask: HoleSource, *, origin_pts: int = 0) -> HoleSource:
    """The mask, extended beyond its time range by what its files cover there.

    Those pixels are not filled, but they show the object and not what is behind it, so they are no source of
    fill. Only masks that differ from frame to frame are extended, as far as there are any. Arguments and
    errors are those of `build_mask`, which made ``mask``.
    """
    when = time_range(spec.start, spec.end)
    moving = tuple(path for path in spec.masks if is_sequence(path))
    all_or_none = not spec.invert or moving == spec.masks  # a union turned round says nothing of its parts
    all_or_none &= not (spec.invert and spec.hold)  # after the last, all would be covered
    if when == TimeRange() or spec.whole is not None or not moving or not all_or_none:
        return mask
    return TimeLimitedMask(
        mask,
        when,
        info.width,
        info.height,
        time_base=info.time_base,
        origin_pts=origin_pts,
        beyond=_file_masks(replace(spec, masks=moving), info, None, ends=spec.hold),
    )


def open_mask(
    path: str,
    size: tuple[int, int],
    *,
    label: int | None = None,
    hold: bool = False,
    resize: bool = False,
    ends: bool = False,
) -> HoleSource:
    """Open a mask file: a folder, a picture (by its suffix), or else a video.

    ``size`` is the clip's ``(width, height)``, ``ends`` that of `FolderMask`; the other options are those of
    `MaskOptions`.

    Raises UsageError (a label for a video) and MaskError (missing, not readable, or of another size).
    """
    place = Path(path)
    if place.is_dir():
        return FolderMask(place, size, label=label, hold=hold, resize=resize, ends=ends)
    if not is_sequence(path):
        return ImageMask(place, size, label=label, resize=resize)
    if not place.exists():
        raise MaskError(f"mask {path} does not exist; check the path")
    if label is not None:
        raise UsageError(f"mask {path} is a video and has no labels; leave out --mask-label or give pictures")
    return _open_video(place, size, hold, resize, ends)


def is_sequence(path: str) -> bool:
    """Whether a mask file is a folder or a video, with one mask per frame."""
    place = Path(path)
    return place.is_dir() or place.suffix.lower() not in IMAGE_SUFFIXES


def _open_video(path: Path, size: tuple[int, int], hold: bool, resize: bool, ends: bool) -> VideoMask:
    from vinpaint_cli.video.source.read import open_source

    try:
        source = open_source(path)
    except VideoError as exc:
        raise MaskError(f"mask {path} cannot be read as a picture or a video: {exc}") from exc
    return VideoMask(source, size, name=str(path), hold=hold, resize=resize, ends=ends)


def check_mask_options(spec: MaskOptions) -> None:
    """Check that the options are consistent, before anything is opened; raises UsageError."""
    if "" in spec.masks:
        raise UsageError("--mask was given an empty name; check the variable it came from")
    check_text_options(spec.text)
    drawn = bool(spec.masks) or spec.prompts.follows or spec.text.wanted
    if spec.prompts.fixes and not drawn:
        raise UsageError("--fix corrects a mask; give --mask FILE, --click X,Y or --from-frame MASK@TIME too")
    if not drawn and not spec.boxes:
        raise UsageError(
            "nothing says where the hole is; give --mask FILE, --box X,Y,W,H, --click X,Y or --text "
            "(--from-frame MASK@TIME starts from a drawn mask)"
        )
    pictures = bool(spec.masks or spec.prompts.from_frames)
    if spec.label is not None and (spec.label < 0 or not pictures):
        raise UsageError(
            f"--mask-label {spec.label} needs a --mask or --from-frame and an index of 0 or more"
        )
    if spec.dilate is not None and spec.dilate < 0:
        raise UsageError(f"--dilate {spec.dilate} is negative; give 0 or more pixels")


def read_fixes(
    options: PromptOptions, size: tuple[int, int], *, label: int | None = None, resize: bool = False
) -> dict[int, Hole]:
    """Holes by frame number, bool ``(H, W)``, that replace those of other sources; the last of a frame holds.

    ``size`` is the clip's ``(width, height)``; ``label`` and ``resize`` are those of `MaskOptions`. Raises
    UsageError (text that cannot be read, a time instead of a frame number) and MaskError (a picture that
    cannot be read or has another size).
    """
    found: dict[int, Hole] = {}
    for drawing in fixes(options):
        if drawing.when.frame is None:
            raise UsageError(
                f"--fix for {drawing.path} names a time; give the frame's number, as in f52={drawing.path}"
            )
        found[drawing.when.frame] = read_hole(Path(drawing.path), size, label=label, resize=resize)
    return found


def _file_masks(
    spec: MaskOptions, info: VideoInfo, tracked: HoleSource | None, ends: bool = False
) -> HoleSource:
    """Union of the mask files and of what was tracked: fixed, inverted and dilated."""
    size = (info.width, info.height)
    files = [
        _by_fields(
            open_mask(path, size, label=spec.label, hold=spec.hold, resize=spec.resize, ends=ends), info
        )
        for path in spec.masks
    ]
    if tracked is not None:
        files.append(tracked)
    mask: HoleSource = files[0] if len(files) == 1 else UnionMask(files)
    mask = _fixed(mask, spec, info)
    if spec.invert:
        mask = InvertMask(mask)
    chosen = spec.dilate is None
    radius = default_dilation(info.height) if spec.dilate is None else spec.dilate
    return DilatedMask(mask, radius, by_thickness=chosen) if radius else mask


def _by_fields(mask: HoleSource, info: VideoInfo) -> HoleSource:
    """The mask; where an interlaced clip has about twice as many fields as there are masks, each for two."""
    if not info.interlaced:
        return mask
    if isinstance(mask, VideoMask):
        asked, given = info.rate, mask.rate
    else:
        fields = info.frames_from_header or round((info.duration or 0) * (info.rate or 0))
        asked, given = Fraction(fields), None if mask.count is None else Fraction(mask.count)
    few = asked is not None and given is not None and given < asked * Fraction(3, 4)
    return PerFrameMask(mask) if few else mask


def _fixed(mask: HoleSource, spec: MaskOptions, info: VideoInfo) -> HoleSource:
    """A mask with its single frames replaced by their fixes."""
    size = (info.width, info.height)
    fixed = read_fixes(spec.prompts, size, label=spec.label, resize=spec.resize)
    return FixedMask(mask, fixed) if fixed else mask


def _box_masks(boxes: list[BoxSpec], spec: MaskOptions, info: VideoInfo, origin_pts: int) -> list[HoleSource]:
    """One source per box, or their inverted union when there is nothing else to invert."""
    sources: list[HoleSource] = []
    for box in boxes:
        lines: list[str] = []
        place = box.resolve(info.width, info.height, lines)
        sources.append(
            BoxMask(
                place,
                info.width,
                info.height,
                when=box.when,
                time_base=info.time_base,
                origin_pts=origin_pts,
                warnings=lines,
            )
        )
    if spec.masks or spec.prompts.follows or not spec.invert:
        return sources
    if any(box.when != TimeRange() for box in boxes):
        raise UsageError("--invert cannot turn round a box with a time range; use --start and --end instead")
    return [InvertMask(UnionMask(sources))]
