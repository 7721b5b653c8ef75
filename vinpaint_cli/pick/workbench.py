"""What the page works on: a clip, the marks on it, the masks that come of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.errors import OutputError, UsageError
from vinpaint_cli.masks.prompts import parse_prompts
from vinpaint_cli.pick.background import Background
from vinpaint_cli.pick.finder import Finder, Followed
from vinpaint_cli.pick.session import (
    Mark,
    Marks,
    Session,
    Tools,
    masks_command,
    prompt_command,
    prompt_options,
)
from vinpaint_cli.pick.source import FrameCache, SharedSource, encode_mask
from vinpaint_cli.pipeline.progress import Listener
from vinpaint_cli.types import FrameSource

if TYPE_CHECKING:
    from vinpaint_cli.types import Hole

_KEPT_MASKS = 64
_FAREWELL_SECONDS = 1.0  # for the page to hear of the end


@dataclass(frozen=True, slots=True)
class PickOptions:
    """``clip`` as written, how objects are found, and where masks are written.

    ``ask_first``: the output must not be replaced unless the person says so on the page.
    ``ends_with_masks``: writing the masks is what the person came for.
    """

    clip: str
    output: Path
    tools: Tools = field(default_factory=Tools)
    ask_first: bool = True
    ends_with_masks: bool = False


class Workbench:
    """Keeps the state of one sitting; every method may be called from any thread."""

    def __init__(self, source: FrameSource, finder: Finder, options: PickOptions) -> None:
        self.options = options
        self.source = SharedSource(source)
        self.ended = threading.Event()
        self._finder = finder
        self._frames = FrameCache(self.source)
        self._session = Session((source.info.width, source.info.height))
        self._lock = threading.Lock()
        self._finding = threading.Lock()
        self._masks: OrderedDict[tuple[Marks, int], bytes] = OrderedDict()
        self._background = Background()
        self._followed: tuple[Marks, Followed] | None = None
        self._round = 0
        self._written: Marks | None = None

    def start(self) -> None:
        """Begin to read the clip."""
        self.source.start()

    def close(self) -> None:
        """Stop whatever is being done."""
        self.source.close()
        self._background.close()

    @property
    def command(self) -> str | None:
        """The command line for what was pointed at, or for the masks once written; None for nothing yet."""
        marks = self._session.usable
        if not marks:
            return None
        if self.written is not None:
            return masks_command(self.options.clip, str(self.written))
        return prompt_command(self.options.clip, marks, self.options.tools)

    @property
    def written(self) -> Path | None:
        """The masks file, while it holds what is pointed at."""
        fresh = self._written is not None and self._written == self._session.usable
        return self.options.output if fresh else None

    @property
    def marks(self) -> Marks:
        """What was pointed at so far."""
        return self._session.marks

    def change(self, step: Callable[[Session], Session]) -> None:
        """Take one step of the session; raises what the step raises."""
        with self._lock:
            self._session = step(self._session)

    def add(self, mark: Mark) -> None:
        """One mark more; UsageError when it lies outside the picture or the clip."""
        if self.source.finished and mark.frame >= self.source.read:
            raise UsageError(f"there is no frame {mark.frame}: the clip has {self.source.read} frames")
        self.change(lambda session: session.add(mark))

    def frame_jpeg(self, index: int) -> bytes:
        """A frame as jpeg; VideoError when there is none."""
        return self._frames.jpeg(index)

    def mask_png(self, number: int, frame: int) -> bytes:
        """The mask of one object on one frame, found from its marks there, as png.

        Where only "not this" is said it is the followed mask, corrected. Raises UsageError (there is nothing
        to find it from) and what finding it raises.
        """
        with self._finding:  # one after the other, so that what was asked for twice is found once
            marks = self._session.at(number, frame)
            key = (marks, self._draft(marks))
            if key not in self._masks:
                self._masks[key] = encode_mask(self._find(number, frame, marks))
            self._masks.move_to_end(key)
            while len(self._masks) > _KEPT_MASKS:
                self._masks.popitem(last=False)
            return self._masks[key]

    def _find(self, number: int, frame: int, marks: Marks) -> Hole:
        options, size = prompt_options(marks, self.options.tools), self._session.size
        prompts = parse_prompts(options, size, corrections=True)
        if _points(marks):
            return self._finder.segment(self.source, frame, prompts)
        if not prompts or not self._correctable:
            raise UsageError(f"object {number} is not pointed at on frame {frame}; click it there too")
        return self._finder.correct(self.source, frame, prompts[0], self._result().masks.hole(frame))

    @property
    def _correctable(self) -> bool:
        """Whether the followed mask is of one object, so that it can be corrected."""
        return self._followed is not None and len({mark.object for mark in self._followed[0]}) == 1

    def _draft(self, marks: Marks) -> int:
        """Number of the followed masks that the marks correct, 0 when they need none."""
        return 0 if _points(marks) else self._round

    def tracked_png(self, frame: int) -> bytes:
        """The followed mask of one frame as png; UsageError before anything was followed."""
        return encode_mask(self._result().masks.hole(frame))

    def follow(self) -> None:
        """Follow what is pointed at through the clip, in the background; UsageError for nothing."""
        marks = self._session.usable
        if not marks:
            raise UsageError("nothing is pointed at yet; click the object first")
        options = prompt_options(marks, self.options.tools)

        def work(listener: Listener) -> None:
            self._followed = marks, self._finder.follow(self.source, options, listener)
            self._round += 1

        self._background.start("following", work)

    def stop(self) -> None:
        """Stop following, or writing."""
        self._background.stop()

    def write(self, replace: bool = False) -> None:
        """Write the followed masks in the background; ``replace`` what stands there.

        Raises UsageError (nothing followed, or the marks have changed since) and OutputError (the output
        exists and nobody allowed to replace it).
        """
        followed, path = self._result(), self.options.output
        marks = self._followed[0] if self._followed else ()
        if marks != self._session.usable:
            raise UsageError("the marks have changed since; follow the object again first")
        if path.exists() and self.options.ask_first and not replace:
            raise OutputError(f"{path} exists; allow to replace it, or end and give another --output")

        def work(listener: Listener) -> None:
            self._finder.write(self.source, followed.masks, path, listener)
            self._written = marks
            if self.options.ends_with_masks:
                threading.Timer(_FAREWELL_SECONDS, self.ended.set).start()

        self._background.start("writing", work)

    def _result(self) -> Followed:
        if self._followed is None:
            raise UsageError("nothing has been followed yet; follow the object first")
        return self._followed[1]

    def describe(self) -> dict[str, Any]:
        """Everything the page shows that changes, as JSON has it."""
        session, doing = self._session, self._background.doing
        return {
            "read": self.source.read,
            "finished": self.source.finished,
            "error": None if self.source.error is None else str(self.source.error),
            "marks": [asdict(mark) | {"text": mark.text} for mark in session.marks],
            "pointed": session.pointed,
            "unknown": session.unknown,
            "undo": bool(session.past),
            "redo": bool(session.future),
            "command": self.command,
            "doing": asdict(doing),
            "tracked": self._describe_tracked(session),
            "written": None if self.written is None else str(self.written),
            "exists": self.options.ask_first and self.options.output.exists(),
            "finder": self._finder.name,
        }

    def _describe_tracked(self, session: Session) -> dict[str, Any] | None:
        """The followed masks: how sure, where to look, and whether the marks have changed since."""
        if self._followed is None:
            return None
        marks, found = self._followed
        return {
            "id": self._round,
            "stale": marks != session.usable,
            "confidence": [round(value, 3) for value in found.confidence],
            "weak": [asdict(stretch) for stretch in found.weak],
            "correctable": self._correctable,
            "notes": found.notes,
        }

    def clip(self) -> dict[str, Any]:
        """What the page shows of the clip and never changes."""
        info = self.source.info
        return {
            "name": Path(info.path).name,
            "width": info.width,
            "height": info.height,
            "rate": float(info.rate or 25),
            "aspect": float(info.sample_aspect or 1),
            "frames": info.frames_from_header,
            "output": str(self.options.output),
            "ends": self.options.ends_with_masks,
        }


def _points(marks: Marks) -> bool:
    """Whether marks show an object, not only what it is not."""
    return any(mark.kind != "not" for mark in marks)
