"""What is kept of a target between scrapes. Pure: times are readings of the monotonic clock in seconds.

The last snapshot is kept for `min_interval`, the last good one for `serve_stale_for`, and of each subject worth a log
line the last state, so that only changes are logged. For the landing page the last snapshot is kept always, with a few
of its jobs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exporter.collector.time_left import TimeLeft

if TYPE_CHECKING:
    from exporter.core.snapshot import Snapshot

SUMMARY_SECONDS: Final = 3600.0
"""Between two log lines about a target that keeps failing for the same reason."""


class History:
    """The history of one target. Both intervals are in seconds; 0: nothing is kept."""

    def __init__(self, *, min_interval: float, serve_stale_for: float) -> None:
        self.last: Snapshot | None = None
        """The last snapshot, with `time_left`; of its jobs and details only those of `Snapshot.notable`."""
        self.last_success: float | None = None
        """Unix seconds of the end of the last complete listing."""
        self._min_interval = min_interval
        self._serve_stale_for = serve_stale_for
        self._newest: tuple[Snapshot, float] | None = None
        self._good: tuple[Snapshot, float] | None = None
        self._stale: tuple[Snapshot, Snapshot] | None = None
        self._time_left = TimeLeft()
        self._states: dict[str, object] = {}
        self._repeats = 0
        """Failures since the last line about them."""
        self._quiet_until = 0.0

    def record(self, snapshot: Snapshot, now: float) -> None:
        """Keep of `snapshot`, which was completed or failed at `now`, what later scrapes need."""
        details = {job.id: snapshot.details[job.id] for job in snapshot.notable if job.id in snapshot.details}
        left = self._time_left.update(snapshot.notable, snapshot.ended) if snapshot.error is None else {}
        self.last = replace(snapshot, jobs=(), details=details, time_left=left)
        self.last_success = snapshot.last_success
        if self._min_interval:
            self._newest = snapshot, now
        if self._serve_stale_for and snapshot.error is None:
            self._good, self._stale = (snapshot, now), None

    def reusable(self, now: float) -> Snapshot | None:
        """The last snapshot, if it is younger than `min_interval` at `now`."""
        if self._newest is not None and now - self._newest[1] < self._min_interval:
            return self._newest[0]
        return None

    def with_stale_jobs(self, snapshot: Snapshot, now: float) -> Snapshot:
        """`snapshot`; if it failed, with the jobs of the last good one, as long as `serve_stale_for` allows.

        For the same failed snapshot it is the same object, so that it is rendered once.
        """
        if snapshot.error is None or self._good is None or now - self._good[1] >= self._serve_stale_for:
            return snapshot
        if self._stale is None or self._stale[0] is not snapshot:
            good = self._good[0]
            stale = replace(
                snapshot,
                jobs=good.jobs,
                details=good.details,
                counts=good.counts,
                dropped=good.dropped,
                unreadable=good.unreadable,
            )
            self._stale = snapshot, stale
        return self._stale[1]

    def failures_to_log(self, reason: object, now: float) -> int:
        """How many failures a log line at `now` is about; 0: there is to be none, as the last one was not long ago.

        The first failure with a `reason` has its own line, those after it have one in SUMMARY_SECONDS.
        """
        changed = self.changed("listing", reason)
        self._repeats = 1 if changed else self._repeats + 1
        if not changed and now < self._quiet_until:
            return 0
        number, self._repeats, self._quiet_until = self._repeats, 0, now + SUMMARY_SECONDS
        return number

    def changed(self, subject: str, state: object) -> bool:
        """Whether `state` of `subject` differs from the last one (at first: from None), and so is worth a log line."""
        before = self._states.get(subject)
        self._states[subject] = state
        return state != before
