"""The text that `/probe?…&debug=true` has before the metrics: what the run did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.core.errors import REMEDIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.collector.trace import Trace
    from exporter.core.snapshot import Snapshot

CONTENT_TYPE: Final = "text/plain; charset=utf-8"


def text(snapshot: Snapshot, trace: Trace, *, started: float, allowed: float | None) -> str:
    """What the run of `snapshot` did; it started at so many Unix seconds.

    `allowed`: seconds that the scrape timeout left for it; None: there was none.
    """
    return "\n".join(
        [*_head(snapshot, started, allowed), "", *_steps(trace), "", *_result(snapshot), "", "Metrics:", ""]
    )


def _head(snapshot: Snapshot, started: float, allowed: float | None) -> Iterator[str]:
    limit = "its own timeout" if allowed is None else f"its own timeout, and {allowed:.3f} s from the scrape timeout"
    yield f"Debug run of {snapshot.provider}/{snapshot.account}/{snapshot.region}, started {_time(started)}."
    yield f"Limited by {limit}. Other scrapes do not share this run, and its result is not kept."
    expire = snapshot.credentials_expire
    until = "" if expire is None else f", they expire {_time(expire)}"
    yield f"Keys from the source {snapshot.credentials_source}{until}."


def _steps(trace: Trace) -> Iterator[str]:
    yield "Steps, with the seconds since the start:"
    for step in trace.steps:
        yield f"{step.at:9.3f}  {step.text}"
    if trace.omitted:
        yield f"           {trace.omitted} more steps are not shown"


def _result(snapshot: Snapshot) -> Iterator[str]:
    pages = "1 page" if snapshot.pages == 1 else f"{snapshot.pages} pages"
    error = snapshot.error
    if error is not None:
        code = f", code {error.code}" if error.code else ""
        yield f"Result: down after {snapshot.duration:.3f} s and {pages}, reason {error.reason}{code}."
        yield f"Error: {error}"
        yield f"What to do: {REMEDIES[error.reason]}."
        return
    yield f"Result: up after {snapshot.duration:.3f} s and {pages}."
    counts, dropped = snapshot.counts or {}, snapshot.dropped or {}
    listed = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    yield f"Jobs listed: {sum(counts.values())}{f' ({listed})' if listed else ''}."
    left_out = ", ".join(f"{number} by jobs.{setting}" for setting, number in dropped.items() if number)
    yield f"Jobs with series: {len(snapshot.jobs)}{f'; left out: {left_out}' if left_out else ''}."
    yield f"Jobs with details: {len(snapshot.details)}. Values that could not be read: {snapshot.unreadable or 0}."


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
