"""``vinpaint batch``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.cli.ray_options import ray_options, ray_runner
from vinpaint_cli.errors import BatchFailed, Interrupted, UsageError
from vinpaint_cli.options import Values, job_options

if TYPE_CHECKING:
    from vinpaint_cli.batch.jobs import Batch
    from vinpaint_cli.batch.ray.cluster import RayOptions
    from vinpaint_cli.batch.runner import BatchJob, JobResult, Outcome, Runner


@command("batch")
def batch(
    console: Console,
    values: Values,
    given: Values,
    jobs: tuple[str, ...],
    processes: int | None,
    keep_going: bool,
    skip_existing: bool,
    report: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove things from many videos: a folder, a pattern, or a file that lists jobs with their options.

    A job file is TOML (tables named job, and defaults for all), CSV (a header) or JSON lines.

    Its keys are the options of `vinpaint remove` with underscores; paths count from the file.

    {stem} and {name} in mask and output stand for the clip's name.

    A job's own keys win over options given here, and these over the defaults.

    Everything is checked first: every mistake is reported, and nothing is begun when there is one.
    """
    from vinpaint_cli.batch.jobs import BatchOptions, read_jobs

    ray = ray_options(values)
    defaults = {key: given[key] for key in job_options() if key in given}
    options = BatchOptions(defaults, overwrite=console.yes, skip_existing=skip_existing)
    found = read_jobs(jobs, options, _standard_input() if "-" in jobs else b"")
    _check(console, found)
    if dry_run:
        _show(console, found, skip_existing, as_json)
        return
    with _runner(console, ray, processes, keep_going) as runner:
        _run(console, found, runner, report, skip_existing, as_json)


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "- takes a list of jobs from standard input; pipe one in, as in `find … | vinpaint batch -`"
        )
    return sys.stdin.buffer.read()


def _check(console: Console, found: Batch) -> None:
    """Print every mistake; UsageError when there is one, or nothing to do."""
    for note in found.notes:
        console.say(note)
    for mistake in found.mistakes:
        console.error(str(mistake))
    count = len(found.mistakes)
    if count:
        raise UsageError(f"{count} mistake{'s' if count > 1 else ''} in the jobs; nothing was begun")
    if not found.jobs:
        raise UsageError("there are no jobs; see `vinpaint batch --help`")


@contextmanager
def _runner(
    console: Console, ray: RayOptions | None, processes: int | None, keep_going: bool
) -> Iterator[Runner]:
    from vinpaint_cli.batch.local import LocalRunner
    from vinpaint_cli.cli.progress import job_listeners

    if ray is None:
        with job_listeners(console) as listener_of:
            yield LocalRunner(processes or 1, keep_going, listener_of)
        return
    with ray_runner(ray, processes, keep_going) as runner:
        yield runner


def _run(
    console: Console, found: Batch, runner: Runner, folder: str | None, skip_existing: bool, as_json: bool
) -> None:
    """Do the jobs and print how they end; raises BatchFailed and Interrupted."""
    from vinpaint_cli.batch.report import BatchReport, check_report
    from vinpaint_cli.batch.runner import make_folders, run_batch
    from vinpaint_cli.cli.batch_view import JobReporter, summary

    if folder is not None:
        check_report(Path(folder))
    make_folders(found.folders)
    reporter = JobReporter(console, found.jobs)
    with BatchReport(folder, found.jobs) as report:

        def listen(result: JobResult) -> None:
            report.add(result)
            reporter.report(result)

        outcome = run_batch(found.jobs, runner, listen, skip_existing=skip_existing)
        if outcome.interrupted:
            report.stop()
    summary(console, outcome)
    if folder is not None:
        console.say(f"{folder}: results.jsonl, index.html", "bold")
    if as_json:
        console.data({**outcome.to_dict(), "report": folder})
    _raise_for(outcome)


def _raise_for(outcome: Outcome) -> None:
    """Raise what the exit code stands for: BatchFailed, Interrupted, or nothing."""
    counts, total = outcome.counts, len(outcome.results)
    again = "the same command with --skip-existing"
    if outcome.interrupted:
        raise Interrupted(
            f"stopped with {counts['done']} of {total} jobs done; to go on give {again}, "
            "which takes up unfinished clips where they were"
        )
    if counts["failed"]:
        left = f", {counts['not run']} were not run" if counts["not run"] else ""
        advice = f"{again} and without --fail-fast does the rest" if left else f"{again} tries them again"
        raise BatchFailed(f"{counts['failed']} of {total} jobs failed{left}; {advice}")


def _show(console: Console, found: Batch, skip_existing: bool, as_json: bool) -> None:
    """Print what would be done."""
    described = [describe(job, skip_existing) for job in found.jobs]
    for job, one in zip(found.jobs, described, strict=True):
        console.say(
            f"{job.index + 1}  {one['input']} → {one['output']}{'  (skipped)' if one['skipped'] else ''}"
        )
        said = " ".join(f"{key}={_text(value)}" for key, value in one["options"].items())
        console.say(f"     {job.line + '  ' if job.line else ''}{said}", "dim")
    console.say(f"{len(described)} job{'s' if len(described) > 1 else ''}; nothing was written", "bold")
    if as_json:
        console.data({"dry_run": True, "jobs": described})


def describe(job: BatchJob, skip_existing: bool) -> Mapping[str, Any]:
    """A job for a program, with those of its options that are not the default."""
    from vinpaint_cli.batch.runner import is_there
    from vinpaint_cli.batch.schema import as_values
    from vinpaint_cli.pipeline.output import default_output

    output = job.output or str(default_output(job.input))
    return {
        "index": job.index,
        "line": job.line,
        "input": job.input,
        "output": output,
        "skipped": skip_existing and is_there(output),
        "options": as_values(job.options, job.work),
    }


def _text(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)
