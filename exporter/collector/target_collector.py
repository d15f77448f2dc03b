"""Every target under one deadline; a failure becomes a value, and never another target's.

A target has at most one listing in flight. A scrape starts it or joins it and waits no longer than it may; the last
one to give up ends it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.collector.job_details import DetailCache, JobDetails, describe
from exporter.collector.paginator import Ahead, Pages, list_jobs
from exporter.collector.selection import select
from exporter.core.deadline import Deadline
from exporter.core.errors import MalformedResponse, ScrapeError, TransportError
from exporter.core.snapshot import Snapshot
from exporter.core.workers import reading
from exporter.providers.keeping import KeptPages, Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from exporter.client.session import Caller
    from exporter.collector.selection import Selection
    from exporter.core.http import Request
    from exporter.core.interfaces import Observer, Onlooker
    from exporter.core.jobs import Job, JobDetail, JobPage
    from exporter.core.target import Target

DESCRIBE_SHARE: Final = 0.5
"""Of the time that is left when a listing is complete: what DescribeJob may take. The rest is for the answer."""

Made = TypeVar("Made")
Parsed = TypeVar("Parsed")

log = logging.getLogger(__name__)


class Collector:
    """Lists targets. `now` gives Unix seconds: for the age of jobs and the time of a listing."""

    def __init__(
        self, targets: Sequence[Target], caller: Caller, observer: Observer, *, now: Callable[[], float] = time.time
    ) -> None:
        common = Common()
        self._watches = {target.name: Watch(target, caller, observer, now, common) for target in targets}

    @property
    def names(self) -> list[str]:
        """The targets, as `/probe?target=` takes them."""
        return list(self._watches)

    def last(self, name: str) -> Snapshot | None:
        """The outcome of the target's last listing, for people; None before the first one."""
        return self._watches[name].last

    def give_up(self) -> None:
        """End the listings under way; the scrapes that wait for them are answered with what they have."""
        for watch in self._watches.values():
            watch.give_up()

    async def scrape(
        self, names: Iterable[str], allowed: float | None, then: Callable[[Snapshot], Awaitable[Made]]
    ) -> list[Made]:
        """What `then` makes of a listing of each named target, as soon as it is there.

        A listing comes after at most `allowed` seconds (None: only each target's own bound).
        """

        async def one(watch: Watch) -> Made:
            return await then(await watch.listing(allowed))

        return await asyncio.gather(*(one(self._watches[name]) for name in names))


@dataclass(frozen=True, slots=True)
class Common:
    """What all targets have in common."""

    room: Room = field(default_factory=Room)
    ahead: Ahead = field(default_factory=Ahead)


@dataclass(slots=True)
class Flight:
    """One listing under way, and who waits for it. Times are readings of the monotonic clock, in seconds."""

    started: float
    deadline: Deadline
    kept: KeptPages
    soonest: float = float("inf")
    """When the first of those who wait gives up."""
    task: asyncio.Task[Snapshot] = field(init=False)
    pages: Pages = field(default_factory=Pages)
    waiting: int = 0


class Watch:
    """One target: its flight, and what is kept of its last listings."""

    def __init__(
        self, target: Target, caller: Caller, observer: Observer, now: Callable[[], float], common: Common
    ) -> None:
        self.last: Snapshot | None = None
        self._target = target
        self._caller = caller
        self._observer = observer
        self._now = now
        self._common = common
        self._flight: Flight | None = None
        self._kept: KeptPages | None = None
        """The pages of the last complete listing."""
        self._newest: Snapshot | None = None
        """The outcome of the last flight, good or not, where `min_interval` asks to keep it."""
        self._newest_at = 0.0
        self._good: Snapshot | None = None
        """The last complete listing, where `serve_stale_for` asks to keep it."""
        self._good_at = 0.0
        self._stale: tuple[Snapshot, Snapshot] | None = None
        """A failed listing, and itself with the jobs of the last good one: one object, so that it is rendered once."""
        self._last_success: float | None = None
        self._reasons = DetailCache()
        self._unexplained: str | None = None
        """Why DescribeJob failed in the last listing."""
        self._gone: set[str] = set()
        """Watched jobs that did not exist in the last listing."""

    async def listing(self, allowed: float | None) -> Snapshot:
        """The target's listing, failed with `timeout` where it is not complete after `allowed` seconds."""
        start = time.monotonic()
        target = self._target
        if self._newest is not None and start - self._newest_at < target.min_interval:
            return self._with_stale(self._newest)
        listing = await self._fly(start, target.timeout if allowed is None else min(target.timeout, allowed))
        return self._with_stale(listing)

    def _with_stale(self, failed: Snapshot) -> Snapshot:
        """A `failed` listing with the jobs of the last good one, as long as `serve_stale_for` allows."""
        good = self._good
        if failed.error is None or good is None or time.monotonic() - self._good_at >= self._target.serve_stale_for:
            return failed
        if self._stale is None or self._stale[0] is not failed:
            stale = replace(failed, jobs=good.jobs, details=good.details, counts=good.counts, dropped=good.dropped)
            self._stale = failed, stale
        return self._stale[1]

    async def _fly(self, start: float, bound: float) -> Snapshot:
        """The outcome of the flight; it is started where there is none, and given up after `bound` seconds."""
        flight = self._flight
        if flight is None or flight.task.done():
            flight = self._flight = Flight(start, Deadline(start + bound), KeptPages(self._kept))
            flight.task = asyncio.create_task(self._list(flight), name=f"listing {self._target.name}")
        flight.deadline.extend(min(start + bound, flight.started + self._target.timeout))
        flight.soonest = min(flight.soonest, start + bound)
        flight.waiting += 1
        try:
            done, _ = await asyncio.wait({flight.task}, timeout=start + bound - time.monotonic())
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()  # which does nothing where it is done
                if self._flight is flight:
                    self._flight = None  # it holds all jobs, and would until the next scrape
        if done and not flight.task.cancelled():
            return flight.task.result()
        late = self._outcome(flight, _timeout(flight))
        if not flight.waiting:  # else the flight goes on, and its own end is what counts
            self._record(late)
        return late

    def give_up(self) -> None:
        """End the flight, if there is one."""
        if self._flight is not None:
            self._flight.task.cancel()

    async def _list(self, flight: Flight) -> Snapshot:
        """List the target; whatever happens is told in the outcome."""
        try:
            async with asyncio.timeout_at(flight.started + self._target.timeout):
                if self._target.jobs.ids:
                    await self._watch(flight)
                else:
                    await self._read_pages(flight)
                chosen = await reading.do(self._select, flight.pages)
                if self._target.jobs.describe:
                    await self._explain(flight, chosen.jobs)
                return self._ended(flight, chosen)
        except TimeoutError:
            return self._ended(flight, _timeout(flight))
        except ScrapeError as error:
            return self._ended(flight, error)
        except Exception:
            log.exception("a fault of the exporter itself; please report it", extra={"target": self._target.name})
            return self._ended(flight, MalformedResponse("the exporter failed to read the answer; see its log"))

    async def _read_pages(self, flight: Flight) -> None:
        parse = partial(self._target.provider.parse_jobs, kept=flight.kept)

        async def page(request: Request, onlooker: Onlooker) -> JobPage:
            return await self._read(request, flight.deadline, parse, onlooker)

        target, ahead = self._target, self._common.ahead
        await list_jobs(target.provider, page, flight.pages, max_pages=target.max_pages, ahead=ahead)
        self._kept = flight.kept.close(self._common.room)

    async def _watch(self, flight: Flight) -> None:
        """The jobs that the configuration names, all of them or none; those that do not exist are told once."""
        described = JobDetails()
        await describe(self._target.jobs.ids, self._target.provider, self._reader(flight), described)
        found = described.found
        flight.pages.jobs |= {job_id: found[job_id].job for job_id in self._target.jobs.ids if job_id in found}
        self._reasons.keep(described.found)
        if set(described.gone) - self._gone:
            log.warning("no such jobs: %s", ", ".join(described.gone), extra={"target": self._target.name})
        self._gone = set(described.gone)

    async def _explain(self, flight: Flight, jobs: Sequence[Job]) -> None:
        """Ask why, in what time is left; that this fails is told, and no reason to lose the listing."""
        seconds = DESCRIBE_SHARE * (flight.soonest - time.monotonic())
        error = await self._reasons.explain(jobs, self._target.provider, self._reader(flight), seconds=seconds)
        reason = error.reason if error else None
        if error is not None and reason != self._unexplained:
            log.warning("jobs are not explained: %s", error, extra={"target": self._target.name, "reason": reason})
        self._unexplained = reason

    def _reader(self, flight: Flight) -> Callable[[Request], Awaitable[JobDetail]]:
        return lambda request: self._read(request, flight.deadline, self._target.provider.parse_job)

    async def _read(
        self,
        request: Request,
        deadline: Deadline,
        parse: Callable[[bytes], Parsed],
        onlooker: Onlooker | None = None,
    ) -> Parsed:
        """What `parse`, which runs in a thread, makes of the answer to `request`."""
        body = await self._caller.call(self._target, request, deadline, onlooker)
        try:
            return await reading.do(parse, body)
        except MalformedResponse as error:
            self._observer.failed(self._target, request.operation, error.reason)
            raise

    def _select(self, pages: Pages) -> Selection:
        policy = self._target.jobs
        return select(
            list(pages.jobs.values()),
            statuses=policy.statuses,
            max_age=policy.max_age,
            most=policy.max,
            now=self._now(),
        )

    def _ended(self, flight: Flight, outcome: Selection | ScrapeError) -> Snapshot:
        """The listing that `flight` ended with of itself; what later scrapes need of it is kept."""
        if isinstance(outcome, ScrapeError):  # is a value from here on, and must not hold the page that it is about
            outcome.__cause__ = outcome.__context__ = outcome.__traceback__ = None
        else:
            self._last_success = self._now()
        listing = self._outcome(flight, outcome)
        self._record(listing)
        now = time.monotonic()
        if self._target.min_interval:
            self._newest, self._newest_at = listing, now
        if self._target.serve_stale_for and listing.error is None:
            self._good, self._good_at, self._stale = listing, now, None
        return listing

    def _record(self, listing: Snapshot) -> None:
        """Tell people: in the log what changed, on the landing page how it stands."""
        self._tell(listing.error)
        self.last = replace(listing, jobs=(), details={})

    def _outcome(self, flight: Flight, outcome: Selection | ScrapeError) -> Snapshot:
        target = self._target
        listing = Snapshot(
            provider=target.provider_name,
            account=target.account,
            region=target.region,
            pages=flight.pages.count,
            duration=time.monotonic() - flight.started,
            error=outcome if isinstance(outcome, ScrapeError) else None,
            last_success=self._last_success,
            show_descriptions=target.jobs.description,
            credentials_source=target.credentials.name,
            credentials_expire=target.credentials.expires,
        )
        if isinstance(outcome, ScrapeError):
            return listing
        details = {}
        if "DescribeJob" in target.operations:
            details = {job.id: detail for job in outcome.jobs if (detail := self._reasons.of(job)) is not None}
        return replace(listing, jobs=outcome.jobs, details=details, counts=outcome.counts, dropped=outcome.dropped)

    def _tell(self, error: ScrapeError | None) -> None:
        """Log what changed: a failure that lasts is a metric, and its log line at each scrape would be noise."""
        before = self.last.error if self.last is not None else None
        facts = {"target": self._target.name, "reason": error.reason if error else ""}
        if error is not None:
            changed = before is None or before.reason != error.reason
            log.log(logging.WARNING if changed else logging.DEBUG, "listing failed: %s", error, extra=facts)
        elif before is not None:
            log.info("listing succeeds again", extra={"target": self._target.name})


def _timeout(flight: Flight) -> TransportError:
    error = TransportError(
        f"the listing was not complete when the time was up; {flight.pages.count} pages were read"
        " (raise scrape_timeout in Prometheus, or timeout in the configuration)",
        reason="timeout",
    )
    error.page = flight.pages.count + 1
    return error
