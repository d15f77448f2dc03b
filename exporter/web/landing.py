"""The landing page, for people who open the exporter in a browser. It shows the last snapshots, and calls nothing.

It is made from `landing.html` and `landing.css`. All values are escaped by the template: names, descriptions and error
messages may contain anything.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import platform
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from exporter import __version__
from exporter.core.errors import REMEDIES
from exporter.core.jobs import STATUSES, TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template

    from exporter.core.jobs import Job, JobDetail
    from exporter.core.snapshot import Snapshot

MAX_JOBS: Final = 1000
"""On the page, of all targets together; of what follows only the number is shown."""

MAX_OPEN_JOBS: Final = 100
"""Lists of jobs after this many jobs on the page are folded."""

_STYLE: Final = Path(__file__).with_name("landing.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}

_WAITING: Final = {"Suspended": "to be confirmed", "Paused": "paused", "Pausing": "paused soon"}
"""What is shown instead of the time left."""

_ORDER: Final = {"Failing": 0, "Active": 1, "Suspended": 2}
"""Of the statuses of unfinished jobs on the page; all others come after them."""

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


class Moment(NamedTuple):
    """A point in time."""

    iso: str
    text: str
    """How long ago, or in how long."""


class Bar(NamedTuple):
    """The share of a job's tasks, in percent."""

    done: float
    """Succeeded."""
    failed: float


@dataclass(frozen=True, slots=True)
class JobView:
    """What the page shows of a job."""

    id: str
    status: str
    kind: str
    """The CSS class of the status."""
    operation: str
    description: str
    reason: str
    bar: Bar | None
    progress: str
    left: str
    ended: Moment | None


@dataclass(frozen=True, slots=True)
class ListView:
    """Some jobs of a target; `open`: not folded."""

    title: str
    jobs: Sequence[JobView]
    open: bool


@dataclass(frozen=True, slots=True)
class ErrorView:
    """Why a listing failed."""

    reason: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TargetView:
    """What the page shows of a target. `state`: up, down, or "not listed yet"."""

    name: str
    state: str
    probe: str
    """The URL of its metrics."""
    ended: Moment | None = None
    duration: str = ""
    pages: str = ""
    success: Moment | None = None
    error: ErrorView | None = None
    keys: str = ""
    expire: Moment | None = None
    counts: Sequence[tuple[str, str]] = ()
    lists: Sequence[ListView] = ()


def page(rows: Sequence[tuple[str, Snapshot | None]], *, base: str, metrics: str, now: float) -> str:
    """The page at the Unix time `now` for the targets in `rows`, each with its last snapshot (None: not listed yet).

    Targets that are down come first. `base` precedes each link, `metrics` is the path of the metrics.
    """
    places = MAX_JOBS
    views = []
    for name, snapshot in sorted(rows, key=lambda row: row[1] is None or row[1].error is None):
        view = _target(name, snapshot, base, now, places)
        places -= sum(len(jobs.jobs) for jobs in view.lists)
        views.append(view)
    states = Counter(view.state for view in views)
    counts = sum((Counter(snapshot.counts) for _, snapshot in rows if snapshot and snapshot.counts), Counter[str]())
    links = {
        metrics: "Metrics",
        "/-/metrics": "Metrics of the exporter",
        "/config": "Configuration",
        "/sd": "Service discovery",
        "/docs": "Documentation",
        "/-/healthy": "Health",
        "/-/ready": "Readiness",
    }
    return _template().render(
        title=f"{states['down']} down - batchops-exporter" if states["down"] else "batchops-exporter",
        style=_STYLE,
        version=__version__,
        python=platform.python_version(),
        links=[{"url": base + path, "text": text} for path, text in links.items()],
        states=[(state, states[state]) for state in ("down", "up", "not listed yet") if states[state]],
        counts=_counts(counts),
        targets=views,
        now=_moment(now, now),
    )


@functools.cache
def _template() -> Template:
    """The template. Jinja2 is imported when the page is first requested, because that takes longer than all else."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - see above

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(__file__).with_name("landing.html").read_text(encoding="utf-8"))


def _target(name: str, snapshot: Snapshot | None, base: str, now: float, places: int) -> TargetView:
    """The view of a target, with at most `places` jobs."""
    probe = f"{base}/probe?target={quote(name, safe='/')}"
    if snapshot is None:
        return TargetView(name, "not listed yet", probe)
    error = snapshot.error
    return TargetView(
        name,
        "up" if error is None else "down",
        probe,
        ended=_moment(snapshot.ended, now),
        duration=_duration(snapshot.duration),
        pages="1 page" if snapshot.pages == 1 else f"{snapshot.pages:,} pages",
        success=_moment(snapshot.last_success, now),
        error=None if error is None else ErrorView(error.reason, str(error), REMEDIES[error.reason]),
        keys=snapshot.credentials_source,
        expire=_moment(snapshot.credentials_expire, now),
        counts=_counts(snapshot.counts or {}),
        lists=_lists(snapshot, now, places),
    )


def _counts(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Statuses with jobs, in the order of a job's life, then newer statuses."""
    order = dict.fromkeys((*STATUSES, *counts))
    return [(status, f"{counts[status]:,}") for status in order if counts.get(status)]


def _lists(snapshot: Snapshot, now: float, places: int) -> list[ListView]:
    """Unfinished jobs, then those that failed lately; at most `places` of both."""
    jobs = [_job(job, snapshot, now) for job in snapshot.notable[:places]]
    unfinished = [job for job in jobs if job.status not in TERMINAL_STATUSES]
    failed = [job for job in jobs if job.status in TERMINAL_STATUSES]
    unfinished.sort(key=lambda job: _ORDER.get(job.status, len(_ORDER)))
    total = sum(number for status, number in (snapshot.counts or {}).items() if status not in TERMINAL_STATUSES)
    shown = "" if len(unfinished) == total else f"{len(unfinished)} of "
    opened = places > MAX_JOBS - MAX_OPEN_JOBS
    lists = [
        ListView(f"Unfinished jobs: {shown}{total:,}", unfinished, opened),
        ListView(f"Failed in the last 24 hours: the newest {len(failed)}", failed, opened),
    ]
    return [jobs for jobs in lists if jobs.jobs]


def _job(job: Job, snapshot: Snapshot, now: float) -> JobView:
    kinds = {"Failed": "failed", "Failing": "failed", "Suspended": "waiting", "Paused": "waiting"}
    ended = job.status in TERMINAL_STATUSES
    return JobView(
        id=job.id,
        status=job.status,
        kind=kinds.get(job.status, ""),
        operation=job.operation or "",
        description=job.description or "" if snapshot.show_descriptions else "",
        reason=_reason(snapshot.details.get(job.id)),
        bar=_bar(job),
        progress=_progress(job),
        left="" if ended else _left(job, snapshot.time_left.get(job.id)),
        ended=_moment(job.terminated, now) if ended else None,
    )


def _reason(detail: JobDetail | None) -> str:
    return "" if detail is None else ": ".join(filter(None, (detail.failure_code, detail.failure_reason)))


def _bar(job: Job) -> Bar | None:
    if not job.tasks or job.succeeded is None:
        return None
    done = min(100.0, max(0.0, 100 * job.succeeded / job.tasks))
    return Bar(round(done, 2), round(min(100 - done, max(0.0, 100 * (job.failed or 0) / job.tasks)), 2))


def _progress(job: Job) -> str:
    if job.tasks is None:
        return "number of tasks unknown"
    if job.succeeded is None:
        return f"{job.tasks:,} tasks, progress unknown"
    failed = f", {job.failed:,} failed" if job.failed else ""
    return f"{job.succeeded:,} of {job.tasks:,} tasks succeeded{failed}"


def _left(job: Job, seconds: float | None) -> str:
    if job.status in _WAITING:
        return _WAITING[job.status]
    if seconds is None:
        return "time left unknown"
    return "almost done" if seconds < 1 else f"about {_duration(seconds)} left"


def _moment(seconds: float | None, now: float) -> Moment | None:
    """The moment at so many Unix seconds; None also for a time that no calendar has."""
    if seconds is None:
        return None
    try:
        iso = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return None
    age = now - seconds
    if abs(age) < 1:
        return Moment(iso, "just now")
    return Moment(iso, f"{_duration(age)} ago" if age > 0 else f"in {_duration(-age)}")


def _duration(seconds: float) -> str:
    """A duration in the one or two largest units that matter to people."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:,.0f} d {seconds % _DAY // _HOUR:.0f} h"
