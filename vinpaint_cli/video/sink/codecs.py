"""Which encoder writes a clip, and how: the table of codecs and the choice among them.

Default quality is visually lossless. ``crf`` is each encoder's own measure (``qscale`` for the MPEG
family), and so is ``preset``.

=============  ===========  ==========  =====================  ==================================
family         encoder      quality     preset                 mathematically lossless
=============  ===========  ==========  =====================  ==================================
h264           libx264      crf 16      medium                 qp 0
h264rgb        libx264rgb   crf 16      medium                 qp 0
hevc           libx265      crf 18      medium                 lossless=1
vp9            libvpx-vp9   crf 18      cpu-used 2             lossless=1
vp8            libvpx       crf 6       cpu-used 2             –
av1            libsvtav1    crf 20      6                      lossless=1
prores         prores_ks    the source's profile and its rate  –
dnxhd          dnxhd        DNxHR HQ, HQX or 444               –
mpeg2video …   the same     qscale 2 (3 in msmpeg4)            –
ffv1 …         the same     lossless by nature
=============  ===========  ==========  =====================  ==================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from io import BytesIO

import av
import numpy as np
from av.codec.codec import find_best_pix_fmt_of_list
from av.codec.context import CodecContext

from vinpaint_cli.errors import UsageError
from vinpaint_cli.types import EncodeOptions
from vinpaint_cli.video.colour.layouts import layout_of, twin_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """One row of the table.

    ``quality`` is the option that ``crf`` sets and its default, ``preset`` likewise; ``lossless`` the
    options of the lossless mode, empty where the codec is lossless as it is, None where there is none.
    ``counts`` marks encoders that take only one tick per frame: their packets are retimed afterwards.
    ``whole`` marks those that refuse sizes which their chroma subsampling does not divide. ``finest`` is the
    finest quantiser by default, for those whose coefficients overflow at 1 in saturated colours, and ``off``
    by how many levels of 255 that leaves samples off at worst, where it shows.
    """

    family: str
    encoder: str
    quality: tuple[str, str] | None = None
    preset: tuple[str, str] | None = None
    options: tuple[tuple[str, str], ...] = ()
    lossless: tuple[tuple[str, str], ...] | None = None
    counts: bool = False
    whole: bool = False
    finest: int = 1
    off: int = 0


_X265_QUIET = "log-level=error"
_NATURALLY_LOSSLESS = ("magicyuv", "png", "qtrle", "rawvideo", "v210", "r210", "zmbv", "flashsv", "apng")
_WHOLE_LOSSLESS = ("ffvhuff", "huffyuv", "utvideo")
_ENCODERS = {"flv1": "flv", "msmpeg4v3": "msmpeg4"}


def _by_quantiser(
    name: str, options: tuple[tuple[str, str], ...] = (), finest: int = 1, off: int = 0
) -> Recipe:
    """Row of an encoder that is steered by a fixed quantiser."""
    quality = ("qscale", str(max(2, finest)))
    encoder = _ENCODERS.get(name, name)
    return Recipe(name, encoder, quality, options=options, counts=True, finest=finest, off=off)


RECIPES: tuple[Recipe, ...] = (
    Recipe("h264", "libx264", ("crf", "16"), ("preset", "medium"), lossless=(("qp", "0"),), whole=True),
    Recipe("h264rgb", "libx264rgb", ("crf", "16"), ("preset", "medium"), lossless=(("qp", "0"),)),
    Recipe(
        "hevc",
        "libx265",
        ("crf", "18"),
        ("preset", "medium"),
        (("x265-params", _X265_QUIET),),
        (("x265-params", f"{_X265_QUIET}:lossless=1"),),
        whole=True,
    ),
    Recipe(
        "vp9",
        "libvpx-vp9",
        ("crf", "18"),
        ("cpu-used", "2"),
        (("b", "0"), ("row-mt", "1")),
        (("lossless", "1"), ("row-mt", "1")),
    ),
    Recipe("vp8", "libvpx", ("crf", "6"), ("cpu-used", "2"), (("b", "40M"), ("qmin", "2"))),
    Recipe("av1", "libsvtav1", ("crf", "20"), ("preset", "6"), lossless=(("svtav1-params", "lossless=1"),)),
    Recipe("prores", "prores_ks", options=(("vendor", "apl0"),)),
    Recipe("dnxhd", "dnxhd", whole=True),
    Recipe("ffv1", "ffv1", options=(("level", "3"), ("g", "1"), ("slicecrc", "1")), lossless=()),
    *(Recipe(name, name, lossless=()) for name in _NATURALLY_LOSSLESS),
    *(Recipe(name, name, lossless=(), whole=True) for name in _WHOLE_LOSSLESS),
    Recipe("jpeg2000", "jpeg2000", options=(("pred", "1"),), lossless=()),
    Recipe("cfhd", "cfhd"),
    Recipe("dvvideo", "dvvideo"),
    Recipe("gif", "gif"),
    Recipe("webp", "libwebp_anim", options=(("lossless", "1"),), lossless=()),
    *(_by_quantiser(name, (("mbd", "rd"),)) for name in ("mpeg2video", "mpeg4", "flv1")),
    *(
        _by_quantiser(name, (("mbd", "rd"), ("mpv_flags", "+qp_rd")), off=14)
        for name in ("mpeg1video", "h263")
    ),
    *(_by_quantiser(name, finest=2, off=18) for name in ("wmv1", "wmv2")),
    *(_by_quantiser(name, finest=3, off=24) for name in ("msmpeg4v2", "msmpeg4v3")),
    _by_quantiser("mjpeg"),
    _by_quantiser("h261"),
)
_FALLBACKS = ("h264", "hevc", "vp9", "av1", "ffv1")
_ARCHIVES = ("matroska", "avi", "nut")  # a lossless source stays lossless in these
_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")
ANIMATIONS = ("gif", "apng", "webp")
"""Muxers, and codecs, of animated pictures."""
# Muxers that do not tell what they hold, and what they do hold.
_UNLISTED = {
    "mpegts": {"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4"},
    "mpeg": {"mpeg1video", "mpeg2video", "h264", "hevc", "mpeg4"},
    "vob": {"mpeg1video", "mpeg2video"},
    "svcd": {"mpeg2video"},
    "dvd": {"mpeg2video"},
}


@dataclass(frozen=True, slots=True)
class Source:
    """What the encoder is chosen for: family, pixel format, coded ``(width, height)``, profile.

    ``pictures`` says that it is a folder of pictures or an animated one, which has no video codec: h264
    stands in, and RGB that the encoder does not take becomes 4:2:0 that every player shows. ``packed`` is the
    pixel format in the file where ``pix_fmt`` is its planar sibling (``uyvy422`` of ``yuv422p``).
    """

    codec: str
    pix_fmt: str
    size: tuple[int, int]
    profile: str | None = None
    pictures: bool = False
    packed: str | None = None

    def divides(self, pix_fmt: str) -> bool:
        """Whether the chroma subsampling of a format divides the size."""
        layout = layout_of(pix_fmt)
        if layout is None:
            return True
        width, height = self.size
        return width % (1 << layout.shift_x) == 0 and height % (1 << layout.shift_y) == 0


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen encoder with its pixel format and options, and warnings for the user."""

    recipe: Recipe
    pix_fmt: str
    options: dict[str, str]
    qscale: float | None = None
    warnings: tuple[str, ...] = field(default=())


def choose(options: EncodeOptions, source: Source, muxer: str) -> Choice:
    """Encoder for a source in a container.

    Raises:
        UsageError: an unknown codec, one the container cannot hold, a pixel format or size it cannot take,
            or ``lossless`` with a codec that has no such mode.

    """
    if options.pix_fmt is not None:
        _check_pix_fmt(options.pix_fmt)
    if options.codec is not None:
        recipe = _named(options.codec, muxer)
        warnings: tuple[str, ...] = ()
    else:
        recipe, warnings = _default(options, source, muxer)
    if options.lossless and recipe.lossless is None:
        able = ", ".join(r.family for r in RECIPES if r.lossless is not None)
        raise UsageError(f"codec {recipe.family} has no lossless mode; codecs that have: {able}")
    target, note = _pick_format(recipe, options, source, muxer)
    if recipe.whole and not source.divides(target):
        width, height = source.size
        raise UsageError(
            f"{recipe.encoder} does not take {width}×{height} as {target}, whose chroma is subsampled; "
            "use --pix-fmt yuv444p, or --codec vp9, av1 or ffv1"
        )
    if options.pix_fmt and has_alpha(source.pix_fmt) and not has_alpha(target):
        note = (*note, f"the alpha channel is left out: {target} has none")
    settings, qscale = _settings(recipe, options, target, source.profile)
    return Choice(recipe, target, settings, qscale, (*warnings, *note))


def is_video_suffix(suffix: str) -> bool:
    """Whether a file suffix such as ``.mp4`` is that of a video container we write."""
    return suffix.lower() in _SUFFIXES


def is_container(suffix: str) -> bool:
    """Whether FFmpeg has a muxer for a file suffix; most hold a picture."""
    try:
        return muxer_of(suffix) != ""
    except UsageError:
        return False


def _check_pix_fmt(name: str) -> None:
    try:
        av.VideoFormat(name)
    except ValueError as exc:
        raise UsageError(
            f"unknown pixel format {name}; use FFmpeg's names, such as yuv420p, yuv422p10le or yuv444p"
        ) from exc


def muxer_of(suffix: str) -> str:
    """FFmpeg's muxer for a file suffix such as ``.mp4``.

    Raises:
        UsageError: no container has that suffix.

    """
    try:
        with av.open(_Named(f"x{suffix}"), "w") as container:
            name, many = container.format.name, container.format.no_file
    except ValueError:
        many = True
    if many:  # or of several files, such as playlists
        raise UsageError(
            f"output suffix {suffix or '(none)'} is no video container; use one of {', '.join(_SUFFIXES)}"
        )
    return name


class _Named(BytesIO):
    """A file in memory with a name, from which FFmpeg guesses a container."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


@lru_cache(maxsize=32)
def _listed(muxer: str) -> frozenset[str]:
    with av.open(BytesIO(), "w", format=muxer) as container:
        return frozenset(container.supported_codecs)


def holds(muxer: str, recipe: Recipe) -> bool:
    """Whether a container takes what an encoder writes."""
    if muxer in _UNLISTED:
        return recipe.family in _UNLISTED[muxer]
    return recipe.encoder in _listed(muxer)


def _carries(muxer: str, recipe: Recipe, pix_fmt: str) -> bool:
    """Whether what an encoder writes of a pixel format comes back from the container as it was.

    Uncompressed pictures have no header of their own, and some containers take formats that they cannot
    name: 4:2:2 in QuickTime is read as 16-bit RGB. VP8 and VP9 keep alpha beside the picture, in Matroska.
    """
    if recipe.encoder == "rawvideo":
        return _raw_reads_back(muxer, pix_fmt)
    return recipe.family not in ("vp8", "vp9") or muxer in ("matroska", "webm") or not has_alpha(pix_fmt)


def has_alpha(pix_fmt: str) -> bool:
    """Whether a pixel format has an alpha channel."""
    return any(component.is_alpha for component in av.VideoFormat(pix_fmt).components)


@lru_cache(maxsize=64)
def _raw_reads_back(muxer: str, pix_fmt: str) -> bool:
    """Write one uncompressed frame to memory and compare what is read with it."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 32, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, "rgb24").reformat(format=pix_fmt)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    file = BytesIO()
    try:
        with av.open(file, "w", format=muxer) as output:
            stream = output.add_stream("rawvideo", rate=25)
            stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
            output.mux(stream.encode(frame))
        file.seek(0)
        with av.open(file, "r") as container:
            back = next(container.decode(video=0))
    except (av.FFmpegError, ValueError, IndexError, StopIteration):
        return False
    return twin_of(back.format.name) == twin_of(pix_fmt) and _raw_bytes(back) == _raw_bytes(frame)


def _raw_bytes(frame: av.VideoFrame) -> bytes:
    """Samples of a frame without padding."""
    encoder = CodecContext.create("rawvideo", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


def _available(recipe: Recipe) -> bool:
    return recipe.encoder in av.codecs_available


def _named(codec: str, muxer: str) -> Recipe:
    """The recipe that a person asked for by family or encoder name."""
    wanted = codec.lower()
    found = [r for r in RECIPES if wanted in (r.family, r.encoder) and _available(r)]
    if not found:
        known = ", ".join(r.family for r in RECIPES if _available(r))
        raise UsageError(f"unknown codec {codec}; use one of {known}, or the name of its encoder")
    if not holds(muxer, found[0]):
        raise UsageError(f"codec {codec} does not fit a {muxer} file; use {_suffixes_for(found[0])}")
    return found[0]


def _suffixes_for(recipe: Recipe) -> str:
    able = [suffix for suffix in _SUFFIXES if holds(muxer_of(suffix), recipe)]
    return "the suffix " + " or ".join(able) if able else "another codec"


def _default(options: EncodeOptions, source: Source, muxer: str) -> tuple[Recipe, tuple[str, ...]]:
    """The source's own family where it can be written, else the first fallback that loses nothing."""
    codec = muxer if muxer in ANIMATIONS else "h264" if source.pictures else source.codec
    wanted = options.pix_fmt or source.pix_fmt
    own = [r for r in RECIPES if r.family == codec]
    archive = ["ffv1"] if muxer in _ARCHIVES and own and own[0].lossless == () else []
    order = own + [r for name in (*archive, *_FALLBACKS) for r in RECIPES if r.family == name]
    usable = [r for r in order if _available(r) and holds(muxer, r)]
    if not source.pictures:
        usable = [r for r in usable if _carries(muxer, r, _raw_format(r, options, source, muxer) or wanted)]
    if options.lossless:
        usable = [r for r in usable if r.lossless is not None]
    layout = layout_of(wanted)
    if layout is not None and layout.model == "rgb" and not source.pictures:
        usable = [r for r in usable if r.family != "vp9" or r in own]  # few players show RGB in VP9
    if not source.pictures:
        usable = [r for r in usable if not r.whole or source.divides(_best_format(r, wanted)[0])]
    if not usable:
        raise UsageError(
            f"a {muxer} file cannot hold this picture as {', '.join(dict.fromkeys((codec, *_FALLBACKS)))}"
            f"{', losslessly' if options.lossless else ''}; use the suffix .mkv or .mp4, or --codec"
        )
    exact = [r for r in usable if _best_format(r, wanted)[1] == 0]
    recipe = usable[0] if source.pictures and not options.lossless else (exact or usable)[0]
    if recipe.family == codec or source.pictures:
        return recipe, _told_off(recipe, options)
    why = "is not written here" if not own else f"cannot be written as {wanted} to a {muxer} file here"
    return recipe, (f"codec {codec} {why}; {recipe.family} ({recipe.encoder}) is used instead",)


def _told_off(recipe: Recipe, options: EncodeOptions) -> tuple[str, ...]:
    """What a person should know of a codec that cannot hold saturated colours exactly."""
    if not recipe.off or options.crf is not None:
        return ()
    return (
        f"{recipe.family} leaves strongly coloured edges up to {recipe.off} levels of 255 off everywhere; "
        "--codec mpeg4, h264 or ffv1 does not",
    )


def _formats(recipe: Recipe) -> list[str]:
    """Pixel formats that an encoder takes; x265 lists some with alpha that most builds of it refuse."""
    names = [f.name for f in av.Codec(recipe.encoder, "w").video_formats or []]
    return [name for name in names if recipe.encoder != "libx265" or not has_alpha(name)]


def _best_format(recipe: Recipe, wanted: str) -> tuple[str, int]:
    """The encoder's format for ``wanted`` and what it loses, as FFmpeg's flags (0: nothing)."""
    formats = _formats(recipe)
    if recipe.family == "gif":
        return "pal8", 0  # what that loses is known frame by frame
    if recipe.family == "webp":
        return "bgra", 0
    if recipe.family == "prores" and wanted.endswith("12le"):
        wanted = wanted.replace("12le", "10le")  # the decoder's bits; the encoder has ten
    if not formats or wanted in formats:
        return wanted, 0
    if recipe.family == "apng":
        return ("rgba" if has_alpha(wanted) else "rgb24") + ("64be" if _is_deep(wanted) else ""), 0
    if twin_of(wanted) in formats:
        return twin_of(wanted), 0
    # FFmpeg judges yuvj as another colour space; here its range travels as a tag.
    planar = [name for name in formats if twin_of(name) == name]
    best, loss = find_best_pix_fmt_of_list(planar or formats, twin_of(wanted), has_alpha(wanted))
    assert best is not None  # the list is not empty
    return best.name, int(loss)


def _raw_format(recipe: Recipe, options: EncodeOptions, source: Source, muxer: str) -> str | None:
    """Format in which uncompressed pictures can be read back: as frames are held, or as the file had them."""
    if recipe.encoder != "rawvideo":
        return None
    layout = layout_of(source.pix_fmt)
    wanted = [options.pix_fmt or source.pix_fmt]
    if not options.pix_fmt and source.packed and layout is not None and layout.model == "yuv":
        wanted.append(source.packed)  # back into it loses nothing; into palettes and 15 bits it would
    return next((name for name in wanted if _carries(muxer, recipe, name)), None)


def _pick_format(
    recipe: Recipe, options: EncodeOptions, source: Source, muxer: str
) -> tuple[str, tuple[str, ...]]:
    """Pixel format to encode in, and a note where it is not the source's."""
    asked, given = options.pix_fmt, source.pix_fmt
    raw = _raw_format(recipe, options, source, muxer)
    if raw is not None:
        return raw, ()
    if not _carries(muxer, recipe, asked or given):
        raise UsageError(
            f"{recipe.family} in a {muxer} file cannot be read back as {asked or given}; "
            "use the suffix .mkv, another --pix-fmt, or another --codec"
        )
    if asked is not None:
        formats = _formats(recipe)
        if formats and asked not in formats:
            raise UsageError(f"{recipe.encoder} does not take {asked}; it takes {', '.join(formats)}")
        return asked, ()
    best, loss = _best_format(recipe, given)
    shown_by_few = recipe.family == "vp9" and best.startswith("gbr")
    if (
        source.pictures
        and not options.lossless
        and (loss or shown_by_few)
        and recipe.family not in ANIMATIONS
    ):
        return _playable(recipe, source, muxer)
    if best in (given, twin_of(given)) or recipe.family == "gif":
        return best, ()
    if recipe.family == "prores" and not loss:
        return best, (f"{recipe.encoder} writes 10 of the 12 bits that {given} has",)
    if recipe.family in ANIMATIONS:
        exact = given in ("rgba", "bgra", "argb", "abgr", "rgb24", "bgr24")
        return best, () if exact else (f"{given} becomes {best} in {recipe.family}",)
    if loss:
        raise UsageError(
            f"{recipe.encoder} does not take the source's {given} and every format it takes would lose "
            f"something; choose one with --pix-fmt ({', '.join(_formats(recipe))}), or another --codec "
            "or output suffix"
        )
    return best, (f"{recipe.encoder} does not take {given}; {best} is used, which loses nothing",)


def _is_deep(pix_fmt: str) -> bool:
    return max(component.bits for component in av.VideoFormat(pix_fmt).components) > 8


def _playable(recipe: Recipe, source: Source, muxer: str) -> tuple[str, tuple[str, ...]]:
    """Format for pictures that the encoder does not take as they are, and what it costs."""
    deep = _is_deep(source.pix_fmt)
    base = "yuv420p" if source.divides("yuv420p") else "yuv444p"
    name = f"{base}10le" if deep and f"{base}10le" in _formats(recipe) else base
    lost = ""
    if has_alpha(source.pix_fmt):
        clear = name.replace("yuv", "yuva", 1)
        carried = clear in _formats(recipe) and _carries(muxer, recipe, clear)
        name, lost = (clear, "") if carried else (name, " and any transparency is left out")
    return name, (
        f"the pictures' {source.pix_fmt} becomes {name} in {recipe.family}{lost}; "
        "--codec ffv1 into an .mkv file, or a folder of pictures, keeps every sample",
    )


def _settings(
    recipe: Recipe, options: EncodeOptions, pix_fmt: str, profile: str | None
) -> tuple[dict[str, str], float | None]:
    """Encoder options, and the fixed quantiser for encoders that are steered by one."""
    settings = dict(recipe.options)
    if options.preset is not None and recipe.preset is None:
        raise UsageError(f"codec {recipe.family} has no presets; leave --preset out")
    if recipe.preset is not None:
        settings[recipe.preset[0]] = options.preset or recipe.preset[1]
    settings.update(_profile(recipe, pix_fmt, profile))
    if recipe.family in ("vp8", "vp9") and has_alpha(pix_fmt):
        settings["auto-alt-ref"] = "0"  # hidden frames have no alpha
    if options.lossless:
        if options.crf is not None:
            raise UsageError("--lossless and --crf exclude each other; leave one out")
        return settings | dict(recipe.lossless or ()), None
    if recipe.quality is None:
        if options.crf is not None:
            raise UsageError(f"codec {recipe.family} has no quality to choose; leave --crf out")
        return settings, None
    name, default = recipe.quality
    value = default if options.crf is None else f"{options.crf:g}"
    if name == "qscale":
        return settings, float(value)
    return settings | {name: value}, None


def _profile(recipe: Recipe, pix_fmt: str, profile: str | None) -> dict[str, str]:
    """Profile options of the intermediate codecs, from the source's profile and the pixel format."""
    if recipe.family == "dnxhd":
        deep = "10" in pix_fmt
        return {
            "profile": "dnxhr_444"
            if "444" in pix_fmt or "gbr" in pix_fmt
            else "dnxhr_hqx"
            if deep
            else "dnxhr_hq"
        }
    if recipe.family != "prores":
        return {}
    known = {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq", "4444": "4444", "XQ": "4444xq"}
    full = "444" in pix_fmt
    name = known.get((profile or "").removeprefix("ProRes ").strip(), "4444" if full else "hq")
    return {"profile": name if ("4444" in name) == full else ("4444" if full else "hq")}
