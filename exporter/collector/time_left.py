"""How long Active jobs still take, at the speed that they had so far. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job


class TimeLeft:
    """The estimates for the jobs of one target: from the tasks done (succeeded or failed) per second in status Active.

    If the service does not return these seconds, it takes two listings: then the speed is that since the first listing
    in which the job was Active.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[int, float]] = {}
        """Tasks done and Unix seconds of the first listing; only of the jobs of the last one."""

    def update(self, jobs: Sequence[Job], now: float) -> dict[str, float]:
        """The seconds left, by job id, of those of `jobs` for which they are known. `now`: Unix time of the listing."""
        done = {job.id: (job.succeeded or 0) + (job.failed or 0) for job in jobs if job.status == "Active"}
        self._first = {job_id: self._first.get(job_id, (number, now)) for job_id, number in done.items()}
        left = {}
        for job in jobs:
            if job.id not in done or job.tasks is None:
                continue
            tasks, seconds = done[job.id], float(job.elapsed_active or 0)
            if not seconds:
                before, since = self._first[job.id]
                tasks, seconds = tasks - before, now - since
            if tasks > 0 and seconds > 0:
                left[job.id] = max(0, job.tasks - done[job.id]) * seconds / tasks
        return left
