"""One target: one run, one Snapshot. A failure becomes a value, and never affects another target.

At most one run is in progress. A scrape starts it or joins it, and waits no longer than it may; the last one to leave
ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.collector.history import History
from exporter.collector.job_details import DetailCache, fetch_details
from exporter.collector.paginator import Paginator, Progress
from exporter.collector.selection import select
from exporter.collector.trace import Trace
from exporter.core.deadline import Deadline
from exporter.core.errors import REMEDIES, InternalError, ScrapeError, ServiceError, TransportError
from exporter.core.single_flight import SingleFlight
from exporter.core.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.client.session import Client, Session
    from exporter.collector.selection import Selection
    from exporter.core.jobs import Job, JobDetail
    from exporter.core.observer import Observer
    from exporter.core.target import Target
    from exporter.core.workers import Turns

DESCRIBE_SHARE: Final = 0.5
"""Of the time that is left after the last page: what DescribeJob may take. The rest is for rendering and sending."""

NO_TIME_SECONDS: Final = 0.1
"""A scrape that may wait for less is no attempt to list a target."""

LATELY_SECONDS: Final = 120.0
"""So long after a complete listing, a scrape with less time than that took says nothing about the target."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Run:
    """One listing in progress. Times are readings of the monotonic clock, in seconds."""

    started: float
    deadline: Deadline
    """Of the scrape that waits longest."""
    earliest: float
    """When the first of the waiting scrapes leaves."""
    observer: Observer
    """Who learns of its requests."""
    progress: Progress = field(default_factory=Progress)
    timeout: asyncio.Timeout | None = None
    """Ends the listing, or, once that is complete, the calls of DescribeJob; None before the task has started."""
    stopping: bool = False
    """Whether it was ended because the exporter is about to end."""
    recorded: bool = False
    """Whether the outcome is in the history."""


class TargetCollector:
    """Collects the snapshots of one target. `now` returns Unix seconds."""

    def __init__(self, target: Target, client: Client, turns: Turns, *, now: Callable[[], float] = time.time) -> None:
        self.history = History(min_interval=target.min_interval, serve_stale_for=target.serve_stale_for)
        self.target = target
        self._client = client
        self._turns = turns
        self._now = now
        self._runs: SingleFlight[Run, Snapshot] = SingleFlight()
        self._run: Run | None = None
        """The run that scrapes can join."""
        self._running: set[Run] = set()
        self._details = DetailCache()

    async def snapshot(self, allowed: float | None) -> Snapshot:
        """A snapshot of the target; it failed with `timeout` if it is not complete after `allowed` seconds."""
        start = time.monotonic()
        snapshot = self.history.reusable(start)
        if snapshot is None:
            until = self._until(start, allowed)
            snapshot = await self._wait(self._join(start, until), start, until)
        return self.history.with_stale_jobs(snapshot, time.monotonic())

    def _until(self, start: float, allowed: float | None) -> float:
        """When a scrape leaves that began at `start` and may take `allowed` seconds."""
        timeout = self.target.timeout
        return start + (timeout if allowed is None else min(timeout, allowed))

    def _join(self, start: float, until: float) -> Run:
        """The run in progress, or a new one if there is none, for a scrape that waits from `start` until `until`."""
        run = self._run
        if run is None or run not in self._runs:
            run = self._run = Run(start, Deadline(until), until, self._client.observer)
        run.deadline.extend(min(until, run.started + self.target.timeout))
        run.earliest = min(run.earliest, until)
        return run

    async def _wait(self, run: Run, start: float, until: float) -> Snapshot:
        """The snapshot of `run`, or at the time `until` one that failed with `timeout`."""
        try:
            async with asyncio.timeout_at(until):
                return await self._runs.run(run, lambda: self._collect(run))
        except TimeoutError:
            late = self._failed(run, ended_early(run))
        if run not in self._runs and not run.recorded and self._had_time(until - start):  # it was the last one
            self._record(run, late)
        return late

    def _had_time(self, seconds: float) -> bool:
        """Whether a scrape that waited for so long says something about the target: that it had time for a listing."""
        needed, last = NO_TIME_SECONDS, self.history.last
        if last is not None and last.last_success is not None and last.error is None:
            lately = self._now() - last.last_success < LATELY_SECONDS
            needed = max(needed, last.duration if lately else 0.0)
        return seconds >= min(needed, 0.99 * self.target.timeout)  # less a rounding error

    @property
    def is_running(self) -> bool:
        """Whether a run is in progress."""
        return bool(self._running)

    def stop(self) -> None:
        """End the runs in progress; the waiting scrapes get what was read."""
        for run in self._running:
            if run.timeout is not None:
                run.stopping = True
                with contextlib.suppress(RuntimeError):  # it is ending already
                    run.timeout.reschedule(asyncio.get_running_loop().time())

    async def traced(self, allowed: float | None) -> tuple[Snapshot, Trace]:
        """A snapshot from a run of its own, after at most `allowed` seconds, and what the run did.

        Other scrapes do not share the run, and its snapshot is not kept; answers of DescribeJob are.
        """
        start = time.monotonic()
        until = self._until(start, allowed)
        trace = Trace(self._client.observer, start)
        run = Run(start, Deadline(until), until, trace)
        try:
            async with asyncio.timeout_at(until):
                return await self._outcome(run), trace
        except TimeoutError:
            return self._failed(run, ended_early(run)), trace

    async def _collect(self, run: Run) -> Snapshot:
        """List the target, and record the outcome."""
        snapshot = await self._outcome(run)
        self._record(run, snapshot)
        return snapshot

    async def _outcome(self, run: Run) -> Snapshot:
        """List the target; every failure becomes a snapshot."""
        self._running.add(run)
        try:
            async with asyncio.timeout_at(run.started + self.target.timeout) as run.timeout:
                snapshot = await self._list(run)
        except TimeoutError:
            snapshot = self._failed(run, ended_early(run))
        except ScrapeError as error:
            snapshot = self._failed(run, error)
        except Exception:
            log.exception("internal error (please report it)", extra={"target": self.target.name})
            snapshot = self._failed(run, InternalError("internal error (please report it); see the exporter's log"))
        finally:
            self._running.discard(run)
            run.timeout = None  # it refers to this task, whose frames refer to it
            if self._run is run:
                self._run = None  # it holds all jobs
        return snapshot

    async def _list(self, run: Run) -> Snapshot:
        """The snapshot of a complete listing. Raises ScrapeError."""
        target = self.target
        session = self._client.session(target, run.deadline, run.observer)
        if target.jobs.ids:
            await self._read_watched_jobs(session, run.progress)
        else:
            await Paginator(session, run.progress, max_pages=target.max_pages).run()
        selection = await self._turns.run(
            select,
            [*run.progress.jobs.values()],
            statuses=target.jobs.statuses,
            max_age=target.jobs.max_age,
            maximum=target.jobs.max,
            now=self._now(),
        )
        if target.jobs.describe and not target.jobs.ids:
            await self._describe(run, session, selection.jobs)
        return self._complete(run, selection)

    async def _read_watched_jobs(self, session: Session, progress: Progress) -> None:
        """Read the jobs that `jobs.ids` names, all of them or none; those that do not exist are logged once."""
        ids = self.target.jobs.ids
        details = await fetch_details(ids, session)
        if details.error is not None:
            raise details.error
        progress.add_details([details.found[job_id] for job_id in ids if job_id in details.found])
        self._details.keep(details.found)
        if self.history.changed("missing jobs", frozenset(details.missing)) and details.missing:
            log.warning("no such jobs: %s", ", ".join(details.missing), extra={"target": self.target.name})

    async def _describe(self, run: Run, session: Session, jobs: Sequence[Job]) -> None:
        """Fetch details of some of `jobs`; if that fails, it is logged, and the listing stays good."""
        now = time.monotonic()
        ids = await self._turns.run(self._details.choose, jobs, now)
        if not ids:
            return
        until = run.earliest if run.earliest > now else run.deadline.at  # a scrape that has left does not count
        run.timeout = asyncio.timeout(DESCRIBE_SHARE * (until - now))  # from here on, to end the run loses no listing
        error = await self._details.update(ids, session, run.timeout, now=now)
        if self.history.changed("DescribeJob", error and error.reason) and error is not None:
            facts = {"target": self.target.name, "reason": error.reason}
            log.warning("DescribeJob failed; job details are missing: %s", error, extra=facts)

    def _complete(self, run: Run, selection: Selection) -> Snapshot:
        """The snapshot of a complete listing."""
        details: dict[str, JobDetail] = {}
        if "DescribeJob" in self.target.operations:
            details = {job.id: found for job in selection.jobs if (found := self._details.detail(job)) is not None}
        for detail in details.values():
            run.progress.add_unreadable(detail.unreadable)
        return replace(
            self._base(run),
            jobs=selection.jobs,
            notable=selection.notable,
            details=details,
            counts=selection.counts,
            dropped=selection.dropped,
            unreadable=len(run.progress.unreadable),
            last_success=self._now(),
        )

    def _failed(self, run: Run, error: ScrapeError) -> Snapshot:
        """The snapshot of a listing that failed. From here on the error is a value, and holds no page any more."""
        return replace(self._base(run), error=error.detached())

    def _base(self, run: Run) -> Snapshot:
        """What good and failed snapshots have in common."""
        target = self.target
        return Snapshot(
            *target.labels,
            pages=run.progress.pages,
            duration=time.monotonic() - run.started,
            ended=self._now(),
            last_success=self.history.last_success,
            show_descriptions=target.jobs.description,
            credentials_source=target.credentials.name,
            credentials_expire=target.credentials.expires,
        )

    def _record(self, run: Run, snapshot: Snapshot) -> None:
        """Keep what later scrapes need, and log what changed."""
        run.recorded = True
        before = self.history.last
        self.history.record(snapshot, time.monotonic())
        error = snapshot.error
        target = {"target": self.target.name}
        if error is not None and run.stopping:
            log.info("listing ended: %s", error, extra=target)  # no fault of the target, and no remedy
            return
        if error is not None:
            self._log_failure(error)
            return
        self.history.changed("listing", None)
        if before is not None and before.error is not None:
            log.info("listing succeeded again", extra=target)
        unreadable = run.progress.unreadable
        if self.history.changed("unreadable values", len(unreadable)) and unreadable:
            message = "%d values could not be read and have no sample, such as %s"
            log.warning(message, len(unreadable), next(iter(unreadable)), extra=target)

    def _log_failure(self, error: ScrapeError) -> None:
        """Log a failed listing: the first one of a reason, and then once an hour how many there were."""
        failures = self.history.failures_to_log(error.reason, time.monotonic())
        facts = {
            "target": self.target.name,
            "reason": error.reason,
            "code": error.code,
            "request_id": error.request_id if isinstance(error, ServiceError) else None,
            "remedy": REMEDIES[error.reason],
        }
        extra = {name: fact for name, fact in facts.items() if fact}
        if failures > 1:
            log.warning("listing still fails: %s", error, extra=extra | {"failures": failures})
        else:
            log.log(logging.WARNING if failures else logging.DEBUG, "listing failed: %s", error, extra=extra)


def ended_early(run: Run) -> TransportError:
    """The error of a run that was not complete in time."""
    pages = "1 page" if run.progress.pages == 1 else f"{run.progress.pages} pages"
    if run.stopping:
        return TransportError(f"ended after {pages}, because the exporter is stopping", reason="timeout")
    return TransportError(
        f"timed out after {pages}; raise scrape_timeout in Prometheus, or timeout in the configuration",
        reason="timeout",
    )
