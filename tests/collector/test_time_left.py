from __future__ import annotations

import pytest

from exporter.collector.time_left import TimeLeft
from exporter.core.jobs import Job

WHOLE = Job("a", "Active", tasks=100, succeeded=15, failed=5, elapsed_active=40)
TIMELESS = WHOLE._replace(elapsed_active=None)
"""As a service returns it that does not measure the time in status Active."""


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        (WHOLE, 160.0),
        (WHOLE._replace(succeeded=None), 760.0),
        (WHOLE._replace(succeeded=95), 0.0),
        (WHOLE._replace(succeeded=500), 0.0),
    ],
)
def test_active_time_gives_the_speed(job, seconds):
    """With its time in status Active one listing is enough: the tasks left by the tasks done per second so far."""
    assert TimeLeft().update([job], 1000.0) == {"a": seconds}


@pytest.mark.parametrize(
    "job",
    [
        TIMELESS,
        WHOLE._replace(elapsed_active=0),
        WHOLE._replace(succeeded=0, failed=0),
        WHOLE._replace(tasks=None),
        WHOLE._replace(status="Suspended"),
        Job("a", "Active"),
    ],
)
def test_it_is_unknown_without_a_speed(job):
    """Without progress, a number of tasks or a time, and in any status but Active, nothing is claimed."""
    assert TimeLeft().update([job], 1000.0) == {}


def test_two_listings_give_the_speed():
    """Without the time in status Active the speed is that since the first listing in which the job was Active."""
    times = TimeLeft()
    assert times.update([TIMELESS], 1000.0) == {}
    assert times.update([TIMELESS], 1010.0) == {}
    assert times.update([TIMELESS._replace(succeeded=25)], 1020.0) == {"a": 140.0}
    assert times.update([TIMELESS._replace(succeeded=55)], 1040.0) == {"a": 40.0}


def test_a_pause_starts_again():
    """A job that was not Active in between, or has less progress than before, has no speed from before."""
    times = TimeLeft()
    times.update([TIMELESS], 1000.0)
    times.update([TIMELESS._replace(status="Paused")], 1010.0)
    assert times.update([TIMELESS._replace(succeeded=45)], 1020.0) == {}
    assert times.update([TIMELESS], 1030.0) == {}


def test_only_the_last_jobs_are_kept():
    """Nothing is kept of a job that the last listing did not have, so memory is bounded by one listing."""
    times = TimeLeft()
    times.update([TIMELESS._replace(id=f"{number}") for number in range(100)], 1000.0)
    times.update([TIMELESS], 1010.0)
    assert list(times._first) == ["a"]
