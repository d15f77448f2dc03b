"""One target: one run, one Snapshot. A failure becomes a value, and never affects another target.

At most one run is in progress. A scrape starts it or joins it, and waits no longer than it may; the last one to leave
ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.collector.history import History
from exporter.collector.job_details import DetailCache, fetch_details
from exporter.collector.paginator import Paginator, Progress
from exporter.collector.selection import select
from exporter.core.deadline import Deadline
from exporter.core.errors import InternalError, ScrapeError, TransportError
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

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Run:
    """One listing in progress. Times are readings of the monotonic clock, in seconds."""

    started: float
    deadline: Deadline
    """Of the scrape that waits longest."""
    earliest: float
    """When the first of the waiting scrapes leaves."""
    progress: Progress
    timeout: asyncio.Timeout | None = None
    """Ends the listing, or, once that is complete, the calls of DescribeJob; None before the task has started."""
    recorded: bool = False
    """Whether the outcome is in the history."""


class TargetCollector:
    """Collects the snapshots of one target. `now` returns Unix seconds."""

    def __init__(
        self, target: Target, client: Client, observer: Observer, turns: Turns, *, now: Callable[[], float] = time.time
    ) -> None:
        self.history = History(min_interval=target.min_interval, serve_stale_for=target.serve_stale_for)
        self._target = target
        self._client = client
        self._observer = observer
        self._turns = turns
        self._now = now
        self._runs: SingleFlight[Run, Snapshot] = SingleFlight()
        self._run: Run | None = None
        self._details = DetailCache()

    async def snapshot(self, allowed: float | None) -> Snapshot:
        """A snapshot of the target; it failed with `timeout` if it is not complete after `allowed` seconds."""
        start = time.monotonic()
        snapshot = self.history.reusable(start)
        if snapshot is None:
            timeout = self._target.timeout
            until = start + (timeout if allowed is None else min(timeout, allowed))
            snapshot = await self._wait(self._join(start, until), until)
        return self.history.with_stale_jobs(snapshot, time.monotonic())

    def _join(self, start: float, until: float) -> Run:
        """The run in progress, or a new one if there is none, for a scrape that waits from `start` until `until`."""
        run = self._run
        if run is None or run not in self._runs:
            run = self._run = Run(start, Deadline(until), until, Progress())
        run.deadline.extend(min(until, run.started + self._target.timeout))
        run.earliest = min(run.earliest, until)
        return run

    async def _wait(self, run: Run, until: float) -> Snapshot:
        """The snapshot of `run`, or at the time `until` one that failed with `timeout`."""
        try:
            async with asyncio.timeout_at(until):
                return await self._runs.run(run, lambda: self._collect(run))
        except TimeoutError:
            late = self._failed(run, timed_out(run.progress))
        if run not in self._runs and not run.recorded:  # it was the last one, so this is how the run ended
            self._record(run, late)
        return late

    def stop(self) -> None:
        """End the run in progress, if there is one; the waiting scrapes get what was read."""
        if self._run is not None and self._run.timeout is not None:
            with contextlib.suppress(RuntimeError):  # it is ending already
                self._run.timeout.reschedule(asyncio.get_running_loop().time())

    async def _collect(self, run: Run) -> Snapshot:
        """List the target; every failure becomes a snapshot."""
        try:
            async with asyncio.timeout_at(run.started + self._target.timeout) as run.timeout:
                snapshot = await self._list(run)
        except TimeoutError:
            snapshot = self._failed(run, timed_out(run.progress))
        except ScrapeError as error:
            snapshot = self._failed(run, error)
        except Exception:
            log.exception("internal error (please report it)", extra={"target": self._target.name})
            snapshot = self._failed(run, InternalError("internal error (please report it); see the exporter's log"))
        finally:
            if self._run is run:
                self._run = None  # it holds all jobs
            for parser in run.progress.parsers:
                self._observer.page_parsed(parser)
        self._record(run, snapshot)
        return snapshot

    async def _list(self, run: Run) -> Snapshot:
        """The snapshot of a complete listing. Raises ScrapeError."""
        target = self._target
        session = self._client.session(target, run.deadline)
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
        ids = self._target.jobs.ids
        details = await fetch_details(ids, session)
        if details.error is not None:
            raise details.error
        progress.add_details([details.found[job_id] for job_id in ids if job_id in details.found])
        self._details.keep(details.found)
        if self.history.changed("missing jobs", frozenset(details.missing)) and details.missing:
            log.warning("no such jobs: %s", ", ".join(details.missing), extra={"target": self._target.name})

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
            facts = {"target": self._target.name, "reason": error.reason}
            log.warning("DescribeJob failed; job details are missing: %s", error, extra=facts)

    def _complete(self, run: Run, selection: Selection) -> Snapshot:
        """The snapshot of a complete listing."""
        details: dict[str, JobDetail] = {}
        if "DescribeJob" in self._target.operations:
            details = {job.id: found for job in selection.jobs if (found := self._details.detail(job)) is not None}
        for detail in details.values():
            run.progress.add_unreadable(detail.unreadable)
        return replace(
            self._base(run),
            jobs=selection.jobs,
            details=details,
            counts=selection.counts,
            dropped=selection.dropped,
            unreadable=len(run.progress.unreadable),
            last_success=self._now(),
        )

    def _failed(self, run: Run, error: ScrapeError) -> Snapshot:
        """The snapshot of a listing that failed. From here on the error is a value, and holds no page any more."""
        error.__cause__ = error.__context__ = error.__traceback__ = None
        return replace(self._base(run), error=error)

    def _base(self, run: Run) -> Snapshot:
        """What good and failed snapshots have in common."""
        target = self._target
        return Snapshot(
            *target.labels,
            pages=run.progress.pages,
            duration=time.monotonic() - run.started,
            last_success=self.history.last_success,
            show_descriptions=target.jobs.description,
            credentials_source=target.credentials.name,
            credentials_expire=target.credentials.expires,
        )

    def _record(self, run: Run, snapshot: Snapshot) -> None:
        """Keep what later scrapes need, and log what changed: that a failure lasts is in the metrics already."""
        run.recorded = True
        before = self.history.last
        self.history.record(snapshot, time.monotonic())
        error = snapshot.error
        target = {"target": self._target.name}
        if error is not None:
            changed = self.history.changed("listing", error.reason)
            level = logging.WARNING if changed else logging.DEBUG
            log.log(level, "listing failed: %s", error, extra=target | {"reason": error.reason, "code": error.code})
            return
        self.history.changed("listing", None)
        if before is not None and before.error is not None:
            log.info("listing succeeded again", extra=target)
        unreadable = run.progress.unreadable
        if self.history.changed("unreadable values", len(unreadable)) and unreadable:
            message = "%d values could not be read and have no sample, such as %s"
            log.warning(message, len(unreadable), next(iter(unreadable)), extra=target)


def timed_out(progress: Progress) -> TransportError:
    """The error of a run that was not complete in time."""
    pages = "1 page" if progress.pages == 1 else f"{progress.pages} pages"
    return TransportError(
        f"timed out after {pages}; raise scrape_timeout in Prometheus, or timeout in the configuration",
        reason="timeout",
    )
