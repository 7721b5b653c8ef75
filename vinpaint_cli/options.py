"""Every option of the program once: its spelling, its help, who takes it and where its value belongs.

From `TABLE` are made the parameters of the commands (`cli.command`), the keys of job files (`batch.schema`),
the labels of fingerprints (`resume.fingerprint`) and the option dataclasses themselves (`build`). A new
option is one row here, and one field in the dataclass that its ``place`` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from types import EllipsisType
from typing import Any, TypeVar

Options = TypeVar("Options")
Values = Mapping[str, Any]
"""Values by the keys of `TABLE`; those of repeatable options are tuples of texts."""

REQUIRED = ...
"""The default of what must be given."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option or argument, as one or several commands take it.

    * ``key``: its name in code and in job files.
    * ``metavar``: what its value looks like; empty for a flag.
    * ``help``: one or two sentences.
    * ``kind``: ``str``, ``int``, ``float``, ``bool`` (a flag), or ``tuple`` for texts that may be repeated.
    * ``place``: ``Class.field`` of the dataclass its value belongs in; ``Job.…`` for what a job file says
      of a job beside its options; empty where only the command looks at it.
    * ``default``: None for "not given"; `REQUIRED`.
    * ``commands``: those that take it, separated by spaces; ``train-pack`` is ``vinpaint train pack``.
    * ``panel``: heading of ``--help`` it stands under; empty for the first.
    * ``spelling``: on the command line, separated by spaces; empty for ``--key``, ``-`` for an argument.
    * ``least``, ``most``: bounds of a number that the command line checks.
    * ``names``: whose names the shell completes: ``methods``, ``weights``, ``segmenters``, …
    * ``action``: ``version`` or ``devices``: what is shown at once in place of what the command does.
    * ``label``: what a fingerprint calls it; None for its spelling, empty when it counts by content.
    """

    key: str
    metavar: str
    help: str
    kind: type = str
    place: str = ""
    default: str | float | bool | EllipsisType | None = None
    commands: str = ""
    panel: str = ""
    spelling: str = ""
    least: float | None = None
    most: float | None = None
    names: str = ""
    action: str = ""
    label: str | None = None

    @property
    def is_argument(self) -> bool:
        """Whether it is given by its position."""
        return self.spelling == "-"

    @property
    def spellings(self) -> tuple[str, ...]:
        """``--flag/--no-flag``, or a long and a short spelling; the long one first."""
        return tuple(self.spelling.split()) or (f"--{self.key.replace('_', '-')}",)

    @property
    def fingerprint_label(self) -> str:
        """Its name in a fingerprint, empty when it counts by content alone."""
        return self.spellings[0].partition("/")[0] if self.label is None else self.label


_CLIPS = "remove batch evaluate"
_MASKS = "remove batch mask train-internal"
_OVERWRITE = "remove mask pick evaluate evaluate-masks train-internal"
_TALK = f"{_OVERWRITE} batch info train-pack train-network train-agreement weights-pull"
_JSON = (
    "remove batch mask info methods evaluate evaluate-masks train-internal weights-list weights-pull "
    "weights-verify weights-import"
)

_argument = partial(Option, default=REQUIRED, spelling="-")
_hole = partial(Option, commands=_MASKS, panel="Where the hole is")
_point = partial(Option, commands=_MASKS, panel="Pointing at it")
_fill = partial(Option, commands=_CLIPS, panel="How it is filled")
_output = partial(Option, commands="remove batch", panel="What comes out")
_run = partial(Option, commands="remove batch", panel="The run")
_ray = partial(Option, commands="remove batch", panel="Over machines")
_batch = partial(Option, commands="batch", panel="The batch")
_measure = partial(Option, commands="evaluate")
_measure_masks = partial(Option, commands="evaluate-masks")
_fit = partial(Option, commands="train-internal")
_pack = partial(Option, commands="train-pack")
_train = partial(Option, commands="train-network")

# fmt: off
TABLE: tuple[Option, ...] = (
    # arguments
    _argument("input", "INPUT", "A video, or a folder of png or jpg pictures.", place="Job.input",
        commands="remove mask pick train-internal"),
    _argument("jobs", "JOBS", "A folder of videos, a pattern in quotes ('clips/*.mp4', '**' for folders "
        "below), clips, a job file (.toml, .csv, .jsonl), or - for a list on standard input: a path or a "
        "JSON object per line.", tuple, commands="batch"),
    _argument("clip", "CLIP", "A video, or a folder of pictures.", commands="info"),
    _argument("dataset", "DATASET", "A tree as DAVIS has it (JPEGImages/CLIP/*.jpg, Annotations/CLIP/*.png), "
        "or a folder of videos.", commands="evaluate"),
    _argument("dataset", "DATASET", "A tree as DAVIS has it: JPEGImages/CLIP/*.jpg and "
        "Annotations/CLIP/*.png.", commands="evaluate-masks"),
    _argument("sources", "SOURCE", "Folders or files.", tuple, commands="train-pack train-agreement"),
    _argument("run", "RUN", "Folder of a run, or a checkpoint.", commands="train-export"),
    _argument("name", "NAME", "A name of `vinpaint weights list`.", names="weights",
        commands="weights-path weights-pull weights-import"),
    _argument("names", "NAME", "Names; all that are here by default.", tuple, default=None,
        commands="weights-verify", names="weights"),
    _argument("file", "FILE", "A file got by other means.", commands="weights-import"),

    # the batch
    _batch("processes", "N", "Clips at a time, each in a process of its own (default: 1, with --engine ray "
        "one for each worker); cores and memory are shared out.", int, spelling="--jobs -j", least=1,
        most=256),
    _batch("keep_going", "", "Do all jobs whatever fails (the default), or start none after the first that "
        "fails: those that run are finished, the rest is told as not run.", bool, default=True,
        spelling="--keep-going/--fail-fast"),
    _batch("skip_existing", "", "Leave out jobs whose output is there: how to go on with a batch.", bool,
        default=False),
    _batch("report", "DIR", "Folder for results.jsonl, index.html and before/after pictures, kept up to date "
        "on the way; an earlier report there is replaced."),

    # where the hole is
    _hole("mask", "PATH", "White = remove: a picture held for all frames, a folder of pictures (one per "
        "frame), or a video. Repeatable; all are united.", tuple, "MaskOptions.masks", label=""),
    _hole("mask_dir", "DIR", "Folder with a mask for each clip, of the clip's name: NAME.png, NAME.mkv or "
        "NAME/.", place="Job.mask_dir", commands="batch"),
    _hole("box", "X,Y,W,H[@START-END]", "Rectangle in pixels or percents (10%,80%,25%,12%), for a range of "
        "time (as of --start) or always. Repeatable.", tuple, "MaskOptions.boxes"),
    _hole("invert", "", "Black is the hole instead of white.", bool, "MaskOptions.invert", False),
    _hole("mask_label", "N", "Only index N of indexed or grey pictures.", int, "MaskOptions.label"),
    _hole("mask_hold", "", "Hold the last mask when there are fewer than frames.", bool, "MaskOptions.hold",
        False),
    _hole("mask_resize", "", "Scale masks to the size of the video.", bool, "MaskOptions.resize", False),
    _hole("text", "", "Text that was put over the picture: subtitles, titles, time codes, names of channels; "
        "letter by letter.", bool, "TextOptions.wanted", False, commands="remove batch mask"),
    _hole("text_kind", "KIND", "overlay, transient (of that, what comes or goes within the clip), persistent "
        "(what stays from its first frame to its last), or all (text of the scene too).", str,
        "TextOptions.kind", "overlay", commands="remove batch mask"),
    _hole("text_region", "X,Y,W,H", "Only text in this rectangle, in pixels or percents. Repeatable.", tuple,
        "TextOptions.regions", commands="remove batch mask"),
    _hole("text_min_height", "PIXELS", "Only lines that are at least so high.", int,
        "TextOptions.least_height", 0, commands="remove batch mask", least=0),
    _hole("dilate", "PIXELS", "Grow the holes of masks, not of boxes or text (default: 4 at 240 lines, "
        "in proportion; thin parts by down to a third).", int, "MaskOptions.dilate"),
    _hole("shadows", "", "Shadows of it go too, where other frames show the ground without; takes 1.2 to 2.3 "
        "times as long.", bool, "MaskOptions.shadows", False, commands="remove batch mask"),
    _hole("feather", "PIXELS", "Soft edge around the hole (default: 2 at 240 lines, 4 at 1080).", int,
        "RemoveOptions.feather", commands="remove batch"),
    _hole("start", "TIME", "Nothing is removed before: seconds after the first frame, HH:MM:SS.mmm, or a "
        "frame (f300).", str, "MaskOptions.start"),
    _hole("end", "TIME", "Nothing is removed from here on.", str, "MaskOptions.end"),

    # pointing at it
    _point("click", "[N:]X,Y[@TIME]", "A point on the object to follow through the clip, on the first frame "
        "or at TIME (12.5, 1:23, f300). Repeatable, on one frame or several; N: keeps several objects "
        "apart.", tuple, "PromptOptions.clicks"),
    _point("not", "[N:]X,Y[@TIME]", "A point that is not of the object. Alone on a frame it corrects the "
        "mask followed to there.", tuple, "PromptOptions.excludes"),
    _point("box_prompt", "[N:]X,Y,W,H[@TIME]", "A rectangle around the object to follow.", tuple,
        "PromptOptions.boxes"),
    _point("from_frame", "[N:]MASK[@TIME]", "A mask picture drawn for one frame, to follow from there. "
        "Repeatable.", tuple, "PromptOptions.from_frames", label=""),
    _point("fix", "fN=MASK", "A mask picture that replaces the mask of frame N, and is followed from as "
        "well.", tuple, "PromptOptions.fixes", label=""),
    _point("candidate", "N", "Which of the things that a click may mean, a part or the whole: 1, the most "
        "likely, to 3.", int, "PromptOptions.candidate", 1, least=1, most=3),
    _point("segmenter", "NAME", "What finds the object under a click: auto, grabcut (no weights), sam …", str,
        "PromptOptions.segmenter", "auto", commands=f"{_MASKS} pick", names="segmenters"),
    _point("segmenter_weights", "FILE|NAME", "Its weights: a file, or a name of `vinpaint weights list`.",
        str, "PromptOptions.segmenter_weights", commands=f"{_MASKS} pick", names="weights", label=""),
    _point("track", "NAME", "What follows the object through the clip.", str, "PromptOptions.tracker", "flow",
        commands=f"{_MASKS} pick", names="trackers"),

    # how it is filled
    _fill("method", "NAME", "See `vinpaint methods`.", str, "RemoveOptions.method", "propagate",
        commands="remove batch", names="methods"),
    _fill("weights", "FILE|NAME", "A .pth or .safetensors file, or a name of `vinpaint weights list`.", str,
        "RemoveOptions.weights", names="weights", label=""),
    _fill("propagate", "", "Bring in real pixels from other frames before the network.", bool,
        "RemoveOptions.propagate", True, commands=f"{_CLIPS} train-internal",
        spelling="--propagate/--no-propagate"),
    _fill("flow", "NAME", "What estimates the optical flow along which those are found: dis, or raft "
        "(after `vinpaint weights pull raft-large`).", str, "RemoveOptions.flow", "dis",
        commands="remove batch train-internal", names="flows"),
    _fill("texture", "", "After propagation: complete what no frame shows with pieces of its "
        "surroundings, unless the method invents it.", bool, "RemoveOptions.texture", True,
        spelling="--texture/--no-texture"),
    _fill("complete", "NAME", "What draws that: patches, or lama, a network (after `vinpaint weights pull "
        "lama`).", str, "RemoveOptions.complete", "patches", names="completers"),
    _fill("device", "auto|cpu|cuda|mps", "Where networks run.", str, "RemoveOptions.device", "auto",
        commands=f"{_CLIPS} pick evaluate-masks train-internal train-network"),
    _fill("list_devices", "", "Say what --device may be, and stop.", bool, default=False, commands="remove",
        action="devices"),
    _fill("precision", "auto|fp32|bf16|fp16", "Numbers of networks.", str, "RemoveOptions.precision", "auto"),
    _fill("memory", "SIZE", "Most memory to take: 8G, 512M or 50% of what is free (default: 60%).", str,
        "RemoveOptions.memory", commands="remove batch"),
    _fill("minutes", "M", "How long `--method internal` fits its network to the clip (default: 5).", float,
        "FitOptions.minutes", commands=f"{_CLIPS} train-internal"),
    _fill("steps", "N", "The same in steps, for a result that repeats.", int, "FitOptions.steps",
        commands=f"{_CLIPS} train-internal"),
    _fill("fit_config", "NAME|FILE", "What is fitted, as in `train-internal --config`.", str,
        "FitOptions.config", "quick", label="--config"),
    _fill("fit_seed", "N", "Of everything a fit draws at random.", int, "FitOptions.seed", 0, label="--seed"),

    # what comes out
    _output("output", "OUT", "A video by its suffix, or a folder of pictures (default: INPUT's name with "
        ".vinpaint).", commands="remove", spelling="--output -o"),
    _output("output", "OUT", "A lossless video (.mkv), or a folder of pictures (default: INPUT's name with "
        ".mask.mkv).", commands="mask", spelling="--output -o"),
    _output("output", "PATTERN", "Where results go, such as 'out/{stem}.mkv' (default: beside each clip, "
        "with .vinpaint).", place="Job.output", commands="batch", spelling="--output -o"),
    _output("output_dir", "DIR", "Folder for results, under the names of the clips; made when it is not "
        "there.", place="Job.output_dir", commands="batch"),
    _output("codec", "NAME", "h264, hevc, vp9, av1, prores, ffv1 … (default: INPUT's).", str,
        "EncodeOptions.codec"),
    _output("crf", "N", "Quality in the codec's measure (default: visually lossless).", float,
        "EncodeOptions.crf"),
    _output("preset", "NAME", "The encoder's speed preset.", str, "EncodeOptions.preset"),
    _output("pix_fmt", "NAME", "Pixel format (default: INPUT's).", str, "EncodeOptions.pix_fmt"),
    _output("lossless", "", "Mathematically lossless mode of the codec.", bool, "EncodeOptions.lossless",
        False),
    _output("preview", "PICTURE", "Draw the hole over a few frames.", commands="mask"),
    _output("events", "FILE", "With --text: when each text is shown, as .srt or .json.", commands="mask"),
    _output("overlay", "VIDEO", "Write the clip with the hole tinted, to look through.", commands="mask"),

    # measuring
    _measure("method", "NAME", "See `vinpaint methods`. Repeatable (default: propagate).", tuple,
        "EvaluateOptions.methods"),
    _measure("masks", "KIND|FOLDER", "stationary, moving, box, moving-ellipse, borrowed (the object of "
        "another clip), objects (the same, swinging besides), or a folder with masks for each clip. "
        "Repeatable (default: stationary).", tuple),
    _measure("size", "WxH|native", "Size that clips are scaled to before all else.", default="432x240"),
    _measure("seed", "N", "Other seeds make other holes.", int, default=0),
    _measure_masks("prompt", "mask|box|point", "What is given of the first annotated frame: its mask, the "
        "box around it, or the deepest point of its object. Repeatable (default: mask).", tuple,
        "EvaluateMasksOptions.prompts"),
    _measure_masks("segmenter", "NAME", "What makes a mask of a point or a box: auto, grabcut, sam …",
        default="auto", names="segmenters"),
    _measure_masks("segmenter_weights", "FILE|NAME", "For a segmenter with a network.", names="weights"),
    _measure_masks("tracker", "NAME", "What follows the mask. Repeatable (default: flow); warp and copy are "
        "measured beside it.", tuple, "EvaluateMasksOptions.trackers", names="trackers"),
    _measure("clips", "A,B,…", "Only these clips (default: all).", commands="evaluate evaluate-masks"),
    _measure("frames", "N", "At most the first N frames of each clip.", int,
        commands="evaluate evaluate-masks"),
    _measure("report", "DIR", "Folder for table.md, results.json and index.html with pictures to look at.",
        commands="evaluate evaluate-masks"),

    # fitting a network to one clip
    _fit("config", "NAME|FILE", "quick: from bundled weights; refine, stack, base: the paper's, from "
        "nothing; or a TOML file.", default="quick"),
    _fit("seed", "N", "Of everything drawn at random.", int, default=0),
    _fit("out", "FILE", "Default: INPUT's name with .internal.safetensors.", spelling="--out -o"),
    _fit("resume", "", "Demand that a fit was stopped here, or start afresh (default: go on when one was).",
        bool, spelling="--resume/--no-resume"),

    # training on many clips
    _train("data", "PACK|FOLDER", "Packs, or folders of them; repeatable.", tuple, default=REQUIRED),
    _pack("out", "PATH", "Where the result goes.", default="data.vpack", spelling="--out -o"),
    _train("out", "PATH", "Where the result goes.", default=REQUIRED, spelling="--out -o"),
    Option("out", "PATH", "Where the result goes.", default="agreement.npz", commands="train-agreement",
        spelling="--out -o"),
    Option("out", "PATH", "Default: METHOD.safetensors.", commands="train-export", spelling="--out -o"),
    _pack("propagated", "N", "Samples with propagated holes.", int, "PackOptions.propagated", 0, least=0),
    _pack("photos", "", "Pack photos.", bool, "PackOptions.photos", True, spelling="--photos/--no-photos"),
    _pack("shots", "", "Pack shots of videos.", bool, "PackOptions.shots", True,
        spelling="--shots/--no-shots"),
    _pack("photos_per_source", "N", "Most photos of one source, 0 = all.", int,
        "PackOptions.photos_per_source", 0, least=0),
    _pack("photo_side", "PX", "Longest side of photos.", int, "PackOptions.photo_side", 640, least=64),
    _pack("shot_frames", "N", "Most frames of one video.", int, "PackOptions.frames_per_video", 240,
        least=24),
    _pack("shot_run", "N", "Frames of a shot.", int, "PackOptions.run", 24, least=5),
    _pack("sample_frames", "N", "Frames of a sample.", int, "PackOptions.frames", 6, least=1),
    _pack("quality", "N", "Quality of the jpegs.", int, "PackOptions.quality", 90, least=1, most=100),
    _pack("still", "PATTERN", "Sources of standing cameras.", str, "PackOptions.still_groups", "intel"),
    _pack("licence", "SOURCE=LICENCE", "Licence of a source; repeatable.", tuple),
    Option("licence", "NAME", "Licence of the weights.", default="Apache-2.0", commands="train-export"),
    Option("clips", "N", "Clips drawn from the sources.", int, default=500, commands="train-agreement",
        least=1),
    Option("steps", "N", "Steps of 8 frames.", int, default=1600, commands="train-agreement", least=1),
    _train("config", "NAME|FILE", "small, base (sttn also tiny) or a TOML file.", default="small"),
    _train("steps", "N", "Length of the run.", int, least=0),
    _train("minutes", "M", "Length of the run instead of steps.", float, least=0),
    _train("batch", "N", "Clips in a batch.", int, least=1),
    _train("size", "WxH", "Size of the clips trained on."),
    _train("rate", "F", "Highest learning rate.", float, least=0),
    _train("precision", "P", "fp32 or bf16."),
    _train("workers", "N", "Processes that draw batches.", int, least=0),
    _train("compile", "", "Use torch.compile.", bool, default=False),
    _train("resume", "DIR", "Go on from this run."),
    _train("seed", "N", "Seed of everything drawn at random.", int,
        commands="train-network train-pack train-agreement"),

    # the page on which a person points at what goes
    Option("output", "OUT", "End when the masks are written here: a lossless video (.mkv), or a folder of "
        "pictures. Without it the page offers to write INPUT's name with .mask.mkv.", commands="pick",
        spelling="--output -o"),
    Option("as_json", "", "One JSON object a line on stdout: the address now, the rest at the end.", bool,
        default=False, commands="pick", spelling="--json"),
    Option("port", "N", "Port of this machine (default: a free one).", int, commands="pick",
        panel="The page"),
    Option("no_browser", "", "Print the address, open no browser.", bool, default=False, commands="pick",
        panel="The page"),

    # the run
    Option("scan", "", "Decode everything: count frames, find damage and varying rate.", bool, default=False,
        commands="info"),
    Option("version", "", "Print the version.", bool, default=False, commands="vinpaint", action="version"),
    Option("list_devices", "", "Say what --device may be.", bool, default=False, commands="vinpaint",
        action="devices"),
    _run("memory", "SIZE", "Most memory to take to look for shadows: 8G, 512M or 50% of what is free "
        "(default: 60%).", commands="mask"),
    _run("work_dir", "DIR", "Where finished parts are kept until the output is whole (default: hidden beside "
        "it).", str, "WorkOptions.folder"),
    _run("keep_work", "", "Keep finished parts after that too.", bool, "WorkOptions.keep", False),
    _run("resume", "", "Demand that a stopped run is gone on with, or start afresh (default: go on if there "
        "is one).", bool, "WorkOptions.resume", spelling="--resume/--no-resume"),
    _run("allow_playlists", "", "Read a playlist (.m3u8, ffconcat) and the files beside or below it that it "
        "names.", bool, "RemoveOptions.playlists", False, commands="remove batch mask info",
        label=""),
    _run("preview", "PICTURE", "Draw the hole over a few frames, and stop.", commands="remove"),
    _run("dry_run", "", "Say what would be done and about how long it takes, and stop.", bool, default=False,
        commands="remove"),
    _run("dry_run", "", "Check everything, list the jobs with their options, and stop.", bool, default=False,
        commands="batch"),
    _run("as_json", "", "One JSON object on stdout.", bool, default=False, commands=_JSON, spelling="--json"),
    _run("yes", "", "Overwrite without asking.", bool, default=False, commands=f"{_OVERWRITE} batch",
        spelling="-y"),
    _run("no", "", "Never overwrite, never ask.", bool, default=False, commands=_OVERWRITE, spelling="-n"),
    _run("quiet", "", "Say nothing but errors.", bool, default=False, commands=f"{_TALK} train-export",
        spelling="-q --quiet"),
    _run("verbose", "", "Say more; show where errors come from.", bool, default=False, commands=_TALK,
        spelling="-v --verbose"),

    # over machines
    _ray("engine", "local|ray", "Who fills: this machine, or workers of a Ray cluster (needs the extra "
        "`ray`).", default="local"),
    _ray("address", "auto|local|HOST:PORT|ray://HOST:PORT", "The cluster (default: auto, the one that runs "
        "on this machine or is named by RAY_ADDRESS). local starts workers here and stops them at the end.",
        str, "RayOptions.address"),
    _ray("shards", "N", "Workers that fill at the same time (default: as many as the cluster has room for).",
        int, "RayOptions.workers"),
    _ray("cpus_per_worker", "N", "CPUs, and threads, of each worker (default: 1).", int, "RayOptions.cpus"),
    _ray("gpus_per_worker", "F", "GPUs of each worker; 0.5 lets two share one (default: 0, networks run on "
        "the CPU).", float, "RayOptions.gpus"),
)
# fmt: on


def options_of(command: str) -> list[Option]:
    """What a command takes, in the order of its help."""
    return [option for option in TABLE if command in option.commands.split()]


@cache
def job_options() -> Mapping[str, Option]:
    """What may be said of a job in a job file, by key."""
    classes = ("Job.", "Mask", "Text", "Prompt", "Remove", "Fit", "Encode", "Work")
    return {option.key: option for option in TABLE if option.place.startswith(classes)}


def build(kind: type[Options], values: Values) -> Options:
    """An option dataclass from values by key, and those it holds with it; what is not there has its default.

    A field gets the value of the option whose ``place`` names it, else the value of its own name; repeatable
    options that were not given leave their fields as they are by default.
    """
    given = {}
    for field in fields(kind):  # type: ignore[arg-type]  # only dataclasses are given
        option = _placed().get(f"{kind.__name__}.{field.name}")
        key = field.name if option is None else option.key
        if is_dataclass(field.default_factory):
            given[field.name] = build(field.default_factory, values)
        elif values.get(key, ()) != ():
            given[field.name] = values[key]
    return kind(**given)


def placed_values(options: object) -> Iterator[tuple[Option, Any]]:
    """Every option that has a place in a dataclass or in those it holds, with the value there."""
    for field in fields(options):  # type: ignore[arg-type]  # only dataclasses are given
        value = getattr(options, field.name)
        option = _placed().get(f"{type(options).__name__}.{field.name}")
        if is_dataclass(value):
            yield from placed_values(value)
        elif option is not None:
            yield option, value


@cache
def _placed() -> Mapping[str, Option]:
    return {option.place: option for option in TABLE if option.place}
