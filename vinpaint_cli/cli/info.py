"""``vinpaint info``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.progress import BarListener
from vinpaint_cli.util import printable

if TYPE_CHECKING:
    from vinpaint_cli.types import ColorInfo, VideoInfo

# ITU-T H.273 code points that files carry; others are shown as their number.
_PRIMARIES = {
    1: "bt709",
    2: "unknown",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}
_PRIMARIES |= {8: "film", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"}
_TRANSFERS = {1: "bt709", 2: "unknown", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m"}
_TRANSFERS |= {8: "linear", 11: "iec61966-2-4", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12"}
_TRANSFERS |= {16: "smpte2084 (PQ)", 18: "arib-std-b67 (HLG)"}
_MATRICES = {0: "rgb", 1: "bt709", 2: "unknown", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
_MATRICES |= {8: "ycgco", 9: "bt2020nc", 10: "bt2020c", 14: "ictcp"}
_RANGES = {None: "unknown", False: "limited", True: "full"}


@dataclass(frozen=True, slots=True)
class Count:
    """Results of decoding the whole clip.

    ``shortest`` and ``longest`` are the seconds between neighbouring frames, None for a single frame.
    """

    frames: int
    seconds: float
    shortest: float | None
    longest: float | None
    variable_rate: bool
    notes: tuple[str, ...]


@command("info")
def info(console: Console, clip: str, scan: bool, allow_playlists: bool, as_json: bool) -> None:
    """Say what a clip is: size, rate, codec, colour, rotation, streams."""
    from vinpaint_cli.video.source.read import probe

    about = probe(clip, playlists=allow_playlists)
    count = _count(console, clip, allow_playlists) if scan else None
    if as_json:
        console.data(as_dict(about, count))
    else:
        lines = _lines(about) + ([] if count is None else _count_lines(count))
        console.lines("\n".join(f"{name:<12}{printable(value)}" for name, value in lines))


def as_dict(about: VideoInfo, count: Count | None) -> dict[str, Any]:
    """Everything known, for a program; fractions are exact texts, with a float beside the rate."""
    found = asdict(about)
    found["rate"] = None if about.rate is None else str(about.rate)
    found["rate_hz"] = None if about.rate is None else float(about.rate)
    found["time_base"] = str(about.time_base)
    found["sample_aspect"] = str(about.sample_aspect)
    names = ("range", "primaries_name", "transfer_name", "matrix_name")
    found["color"] |= dict(zip(names, _color(about.color), strict=True))
    found["metadata"] = dict(about.metadata)
    found["scan"] = None if count is None else asdict(count)
    return found


def _count(console: Console, clip: str, playlists: bool) -> Count:
    """Decode the whole clip, counting frames and the times between them."""
    from vinpaint_cli.pipeline.progress import advance
    from vinpaint_cli.video.source.read import open_source

    source = open_source(clip, playlists=playlists)
    tick = source.info.time_base
    frames, previous, first, end = 0, None, 0, 0
    steps: tuple[int, int] | None = None
    with BarListener(console).stage("count", source.info.frames_from_header) as progress:
        for frame in source.frames():
            if previous is None:
                first = frame.pts
            else:
                step = frame.pts - previous
                steps = (step, step) if steps is None else (min(step, steps[0]), max(step, steps[1]))
            previous, end, frames = frame.pts, frame.pts + frame.duration, frames + 1
            advance(progress)
    return Count(
        frames,
        float((end - first) * tick),
        None if steps is None else float(steps[0] * tick),
        None if steps is None else float(steps[1] * tick),
        # Containers round times to their ticks, which makes neighbours differ by one or two.
        steps is not None and steps[1] - steps[0] > 2,
        tuple(getattr(source, "notes", ())),
    )


def _lines(about: VideoInfo) -> list[tuple[str, str]]:
    rate = "unknown" if about.rate is None else f"{float(about.rate):.6g} frames/s ({about.rate})"
    claimed = "unknown" if about.frames_from_header is None else str(about.frames_from_header)
    lasting = "unknown" if about.duration is None else f"{about.duration:.3f} s"
    shape = "" if about.sample_aspect == 1 else f", pixels {about.sample_aspect}"
    turned = f", rotated by {about.rotation} degrees" if about.rotation else ""
    lines = [
        ("file", about.path),
        ("container", about.container),
        ("video", f"{about.codec}, {about.pix_fmt} ({about.bit_depth} bits)"),
        ("size", f"{about.width}x{about.height}{shape}{turned}{', interlaced' if about.interlaced else ''}"),
        ("rate", f"{rate}, ticks of {about.time_base} s"),
        ("length", f"{lasting}, {claimed} frames by the header"),
        ("colour", "range {}, primaries {}, transfer {}, matrix {}".format(*_color(about.color))),
        *[("stream", _stream(index, about)) for index in range(len(about.streams))],
    ]
    if about.chapters:
        lines.append(("chapters", str(about.chapters)))
    return lines + [("metadata", f"{key}: {value}") for key, value in about.metadata]


def _count_lines(count: Count) -> list[tuple[str, str]]:
    kind = "varying" if count.variable_rate else "constant"
    steps = ""
    if count.shortest is not None and count.longest is not None:
        steps = f", {count.shortest * 1000:.3f} to {count.longest * 1000:.3f} ms between frames"
    lines = [("decoded", f"{count.frames} frames, {count.seconds:.3f} s"), ("timing", f"{kind}{steps}")]
    return lines + [("note", note) for note in count.notes or ("no damage",)]


def _color(color: ColorInfo) -> tuple[str, str, str, str]:
    """Names of range, primaries, transfer and matrix."""
    return (
        _RANGES[color.full_range],
        _PRIMARIES.get(color.primaries, str(color.primaries)),
        _TRANSFERS.get(color.transfer, str(color.transfer)),
        _MATRICES.get(color.matrix, str(color.matrix)),
    )


def _stream(place: int, about: VideoInfo) -> str:
    stream = about.streams[place]
    language = f", {stream.language}" if stream.language else ""
    return f"{stream.index}: {stream.kind}, {stream.codec}{language}"
