"""The state behind the page: a clip, the marks on it, their masks, and the task in the background."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.errors import Interrupted, OutputError, UsageError, VinpaintError
from vinpaint_cli.mask_making.tracking import write_masks
from vinpaint_cli.masks.prompts import PromptOptions, parse_prompts
from vinpaint_cli.pick.finder import ObjectFinder, TrackedObjects
from vinpaint_cli.pick.marks import (
    Mark,
    MarkHistory,
    Marks,
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
    """``clip`` as written, ``prompts`` with the segmenter and tracker, and the ``output`` for masks.

    ``ask_first``: the output is not overwritten unless that is confirmed on the page.
    ``ends_with_masks``: the page ends once the masks are written.
    """

    clip: str
    output: Path
    prompts: PromptOptions = field(default_factory=PromptOptions)
    ask_first: bool = True
    ends_with_masks: bool = False


class Workbench:
    """The state of one opened page; every method may be called from any thread."""

    def __init__(self, source: FrameSource, finder: ObjectFinder, options: PickOptions) -> None:
        self.options = options
        self.source = SharedSource(source)
        self.ended = threading.Event()
        self._finder = finder
        self._frames = FrameCache(self.source)
        self._session = MarkHistory((source.info.width, source.info.height))
        self._lock = threading.Lock()
        self._finding = threading.Lock()
        self._masks: OrderedDict[tuple[Marks, int], bytes] = OrderedDict()
        self._background = BackgroundTask()
        self._followed: tuple[Marks, TrackedObjects] | None = None
        self._round = 0
        self._written: Marks | None = None

    def start(self) -> None:
        """Start reading the clip in the background."""
        self.source.start()

    def close(self) -> None:
        """Stop reading and the running task."""
        self.source.close()
        self._background.close()

    @property
    def command(self) -> str | None:
        """The `vinpaint remove` command for the marks, or for the masks once written; None without marks."""
        marks = self._session.usable
        if not marks:
            return None
        if self.written is not None:
            return masks_command(self.options.clip, str(self.written))
        return prompt_command(self.options.clip, marks, self.options.prompts)

    @property
    def written(self) -> Path | None:
        """The masks file, as long as it was made from the present marks."""
        fresh = self._written is not None and self._written == self._session.usable
        return self.options.output if fresh else None

    @property
    def marks(self) -> Marks:
        """All marks."""
        return self._session.marks

    def change(self, step: Callable[[MarkHistory], MarkHistory]) -> None:
        """Change the marks by ``step``; raises what it raises."""
        with self._lock:
            self._session = step(self._session)

    def add(self, mark: Mark) -> None:
        """Add a mark; raises UsageError when it lies outside the frame or the clip."""
        if self.source.finished and mark.frame >= self.source.read:
            raise UsageError(f"there is no frame {mark.frame}: the clip has {self.source.read} frames")
        self.change(lambda session: session.add(mark))

    def frame_jpeg(self, index: int) -> bytes:
        """A frame as JPEG; raises VideoError when there is none."""
        return self._frames.jpeg(index)

    def mask_png(self, number: int, frame: int) -> bytes:
        """The mask of one object on one frame, segmented from its marks there, as PNG.

        With marks of kind "not" only, it is the tracked mask, corrected. Raises UsageError (no marks to
        segment from) and what segmenting raises.
        """
        with self._finding:  # one at a time, so that what is requested twice is segmented once
            marks = self._session.at(number, frame)
            key = (marks, self._draft(marks))
            if key not in self._masks:
                self._masks[key] = encode_mask(self._find(number, frame, marks))
            self._masks.move_to_end(key)
            while len(self._masks) > _KEPT_MASKS:
                self._masks.popitem(last=False)
            return self._masks[key]

    def _find(self, number: int, frame: int, marks: Marks) -> Hole:
        options, size = prompt_options(marks, self.options.prompts), self._session.size
        prompts = parse_prompts(options, size, corrections=True)
        if _point_at_object(marks):
            return self._finder.segment(self.source, frame, prompts)
        if not prompts or not self._correctable:
            raise UsageError(f"object {number} is not pointed at on frame {frame}; click it there too")
        return self._finder.correct(self.source, frame, prompts[0], self._result().masks.hole(frame))

    @property
    def _correctable(self) -> bool:
        """Whether the tracked mask is of a single object, so that it can be corrected."""
        return self._followed is not None and len({mark.object for mark in self._followed[0]}) == 1

    def _draft(self, marks: Marks) -> int:
        """Number of the tracking result that the marks correct, 0 when they need none."""
        return 0 if _point_at_object(marks) else self._round

    def tracked_png(self, frame: int) -> bytes:
        """The tracked mask of one frame as PNG; raises UsageError before tracking."""
        return encode_mask(self._result().masks.hole(frame))

    def follow(self) -> None:
        """Track the marked objects through the clip, in the background; raises UsageError without marks."""
        marks = self._session.usable
        if not marks:
            raise UsageError("nothing is pointed at yet; click the object first")
        options = prompt_options(marks, self.options.prompts)

        def work(listener: Listener) -> None:
            self._followed = marks, self._finder.follow(self.source, options, listener)
            self._round += 1

        self._background.start("following", work)

    def stop(self) -> None:
        """Stop the running task."""
        self._background.stop()

    def write(self, overwrite: bool = False) -> None:
        """Write the tracked masks in the background.

        Raises UsageError (nothing tracked, or the marks have changed since) and OutputError (the output
        exists and neither ``overwrite`` nor the options allow to replace it).
        """
        followed, path = self._result(), self.options.output
        marks = self._followed[0] if self._followed else ()
        if marks != self._session.usable:
            raise UsageError("the marks have changed since; follow the object again first")
        if path.exists() and self.options.ask_first and not overwrite:
            raise OutputError(f"{path} exists; allow to replace it, or end and give another --output")

        def work(listener: Listener) -> None:
            write_masks(self.source, followed.masks, path, listener)
            self._written = marks
            if self.options.ends_with_masks:
                threading.Timer(_FAREWELL_SECONDS, self.ended.set).start()

        self._background.start("writing", work)

    def _result(self) -> TrackedObjects:
        if self._followed is None:
            raise UsageError("nothing has been followed yet; follow the object first")
        return self._followed[1]

    def describe(self) -> dict[str, Any]:
        """What the page shows and may change, as a JSON object."""
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

    def _describe_tracked(self, session: MarkHistory) -> dict[str, Any] | None:
        """The tracked masks: confidence, low-confidence ranges, and whether the marks have changed since."""
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
        """What the page shows of the clip, as a JSON object that never changes."""
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


def _point_at_object(marks: Marks) -> bool:
    """Whether any mark is on the object: a click or a box."""
    return any(mark.kind != "not" for mark in marks)


_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Progress of the background task: ``done`` of ``total`` units (None: unknown) of ``stage``.

    ``task`` is its name, ``error`` one line once it failed. ``stopping`` is True from the request to stop
    until it has stopped.
    """

    task: str = ""
    running: bool = False
    stopping: bool = False
    stage: str = ""
    done: int = 0
    total: int | None = None
    error: str | None = None


class BackgroundTask:
    """Runs one task at a time in a thread; it is the `Listener` of the task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doing = TaskProgress()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def doing(self) -> TaskProgress:
        """Progress of the task, or of the last one."""
        return self._doing

    def start(self, task: str, work: Callable[[Listener], None]) -> None:
        """Start a task; raises UsageError while another is running."""
        with self._lock:
            if self._doing.running:
                raise UsageError(f"{self._doing.task} is not done yet; wait for it or stop it")
            self._stop.clear()
            self._doing = TaskProgress(task, running=True)
        self._thread = threading.Thread(target=self._run, args=(work,), name="vinpaint-work", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the task to stop at its next step."""
        self._stop.set()
        with self._lock:
            self._doing = replace(self._doing, stopping=self._doing.running)

    def close(self) -> None:
        """Stop, and wait up to 5 seconds for the end."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[BackgroundTask]:
        """Begin a stage of ``total`` units; the listener counts them itself."""
        self._change(stage=name, done=0, total=total)
        yield self

    def note(self, text: str) -> None:
        """Ignored: notes are part of the result."""

    def advance(self, n: int = 1) -> bool:
        """Count ``n`` units more; False when the task should stop."""
        self._change(done=self._doing.done + n)
        return not self._stop.is_set()

    def _run(self, work: Callable[[Listener], None]) -> None:
        error = None
        try:
            work(self)
        except Interrupted:
            pass
        except VinpaintError as exc:
            error = str(exc)
        except MemoryError:
            error = "not enough memory; close other programs, or take a shorter clip"
        except Exception as exc:  # a thread has nobody above it that would say what happened
            error = f"internal error ({type(exc).__name__}: {exc})"
        self._change(running=False, stopping=False, error=error)

    def _change(self, **values: object) -> None:
        with self._lock:
            self._doing = replace(self._doing, **values)  # type: ignore[arg-type]  # fields of TaskProgress
