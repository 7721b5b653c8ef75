"""index.html of a batch: one page without scripts or addresses elsewhere, a row per job."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from vinpaint_cli.batch.pictures import Drawn
from vinpaint_cli.batch.runner import STATUSES, BatchJob, JobResult

RELOAD_SECONDS = 30

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --done: #16803c; --failed: #c62828;
--skipped: #777; }
@media (prefers-color-scheme: dark) { :root { --done: #4ade80; --failed: #ff7b72; --dim: #999; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1400px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } .dim { color: var(--dim); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); }
td, th { padding: .45rem .7rem; vertical-align: top; }
tbody tr { border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; white-space: nowrap; }
td.names { overflow-wrap: anywhere; min-width: 12rem; max-width: 26rem; }
td.state { white-space: nowrap; font-weight: 600; }
.done { color: var(--done); } .failed { color: var(--failed); } .skipped { color: var(--skipped); }
.error { color: var(--failed); } p.note { color: var(--dim); margin: .2rem 0 0; font-size: .85rem; }
p.error { margin: .2rem 0 0; }
td.picture { width: 60%; min-width: 20rem; } td.picture img { width: 100%; height: auto; display: block; }
.captions { display: grid; grid-template-columns: 1fr 1fr 1fr; font-size: .8rem; color: var(--dim);
text-align: center; }
ul.failures li { margin: .2rem 0; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a job: its file and what it shows, or why there is none."""

    file: str = ""
    drawn: Drawn | None = None
    problem: str = ""


def page(
    jobs: Sequence[BatchJob],
    results: Sequence[JobResult | None],
    pictures: Mapping[int, Picture],
    begun: float,
    now: float,
    ended: bool,
) -> str:
    """The whole page. results: one per job, None for those that are not finished; times are of the clock."""
    reload = "" if ended else f'<meta http-equiv="refresh" content="{RELOAD_SECONDS}">\n'
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{reload}'
            f"<title>vinpaint batch: {_counts(results, ended)}</title>\n<style>{STYLE}</style>\n</head>",
            "<body>",
            f"<h1>{escape(_counts(results, ended))}</h1>",
            f'<p class="dim">{_times(begun, now, ended)}</p>',
            *_failures(results),
            '<div class="wide"><table><thead><tr><th class="number">#</th><th>job</th><th>state</th>'
            '<th class="number">frames</th><th class="number">seconds</th><th>before, hole, after</th>'
            "</tr></thead><tbody>",
            *(
                line
                for job, result in zip(jobs, results, strict=True)
                for line in _row(job, result, pictures.get(job.index), ended)
            ),
            "</tbody></table></div>\n</body>\n</html>\n",
        ]
    )


def _counts(results: Sequence[JobResult | None], ended: bool) -> str:
    """``50 jobs: 45 done, 5 failed``."""
    count = Counter(result.status for result in results if result is not None)
    told = [f"{count[status]} {status}" for status in STATUSES if count[status]]
    left = sum(result is None for result in results)
    if left:
        told.append(f"{left} {'not run' if ended else 'to come'}")
    return f"{len(results)} job{'s' if len(results) != 1 else ''}: {', '.join(told) or 'none'}"


def _times(begun: float, now: float, ended: bool) -> str:
    spent = round(now - begun)
    said = f"{spent // 3600}:{spent // 60 % 60:02d}:{spent % 60:02d} h"
    clock = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) for moment in (begun, now)]
    if ended:
        return f"begun {clock[0]}, ended {clock[1]} ({said})"
    return f"begun {clock[0]}, as of {clock[1]} ({said}); this page is written anew as jobs end"


def _failures(results: Sequence[JobResult | None]) -> Iterator[str]:
    """The failed ones at the top, where somebody in a hurry looks."""
    failed = [result for result in results if result is not None and result.status == "failed"]
    if failed:
        yield '<ul class="failures">'
        for result in failed:
            yield (
                f'<li><a href="#job{result.index}">{escape(_shown(result.input))}</a>: '
                f'<span class="error">{escape(result.reason)}</span></li>'
            )
        yield "</ul>"


def _row(job: BatchJob, result: JobResult | None, picture: Picture | None, ended: bool) -> Iterator[str]:
    status = result.status if result is not None else "not run" if ended else "to come"
    frames = result.report["frames"] if result is not None and result.report else ""
    seconds = f"{result.seconds:.1f}" if result is not None and result.seconds else ""
    code = f" ({result.exit_code})" if result is not None and result.exit_code else ""
    yield f'<tr id="job{job.index}"><td class="number">{job.index + 1}</td>'
    yield f'<td class="names">{_names(job, result)}</td>'
    yield f'<td class="state {status.replace(" ", "-")}">{status}{code}</td>'
    yield f'<td class="number">{frames}</td><td class="number">{seconds}</td>'
    yield f'<td class="picture">{_picture(job, picture)}</td></tr>'


def _names(job: BatchJob, result: JobResult | None) -> str:
    where = f' <span class="dim">{escape(job.line)}</span>' if job.line else ""
    lines = [f"{escape(_shown(job.input))}{where}"]
    if result is not None and result.status in ("done", "skipped"):
        lines.append(f'<p class="note">→ {escape(_shown(result.output))}</p>')
    if result is not None and result.message:
        kind = "error" if result.status == "failed" else "note"
        lines.append(f'<p class="{kind}">{escape(result.reason)}</p>')
    return "".join(lines)


def _picture(job: BatchJob, picture: Picture | None) -> str:
    if picture is None:
        return ""
    if picture.drawn is None:
        return f'<p class="note">{escape(picture.problem)}</p>'
    drawn, file = picture.drawn, quote(picture.file)
    return (
        '<div class="captions"><span>source</span><span>hole</span><span>result</span></div>'
        f'<a href="{file}"><img src="{file}" width="{drawn.width}" height="{drawn.height}" loading="lazy" '
        f'alt="source, hole and result of {escape(_shown(job.input))}"></a>'
        f'<p class="note">frame {drawn.frame}, {drawn.seconds:.2f} s: the one with the largest hole</p>'
    )


def _shown(name: str) -> str:
    """A file name on one line, whatever is in it."""
    return name.replace("\n", "⏎")
