"""The life of one simulated job: drawn once from a seed, then a pure function of the time.

All times are whole milliseconds, so that rounding never makes a counter decrease.
"""

from __future__ import annotations

import base64
import functools
import random
from dataclasses import dataclass, replace
from typing import Final, Literal

from exporter.core.jobs import TERMINAL_STATUSES, Job

Outcome = Literal[
    "complete", "flawed", "failed", "unprepared", "cancelled", "paused", "confirmed", "suspended", "stalled", "stuck"
]
"""How a job ends: `flawed` completes with some failed tasks, `unprepared` fails before it starts, `confirmed` is
Suspended until it is confirmed, `suspended` is never confirmed, `stalled` stays Active without progress, `stuck` stays
Preparing."""

OUTCOMES: Final[tuple[Outcome, ...]] = (
    *("complete",) * 4,
    *("flawed",) * 2,
    *("failed",) * 2,
    *("unprepared", "cancelled", "paused", "confirmed", "suspended", "stalled", "stuck"),
)
"""Each run of this many jobs has exactly these outcomes, so that every outcome appears soon."""

OPERATIONS: Final = ("PutObjectTagging", "PutObjectACL", "RestoreObject", "DeleteObjectTagging", "CopyObject")

DESCRIPTIONS: Final = (
    "Tag the logs of last year",
    "Restore for the audit",
    None,
    "",
    'said "quoted", C:\\temp\\new, trailing \\',
    "first line\nsecond line",
    "carriage\rreturn and\ttab",
    "批量打标签 für die Größe 🚚",
    "if a < b && c > d; </Description> ]]>",
    "  blanks around  ",
    'label="x",job_id="y"} 1',
)
"""Includes text that breaks careless writers of XML or label values; None: no description."""

MAX_TASKS: Final = 10_000_000_000
MAX_PRIORITY: Final = 2_147_483_647
FOREVER: Final = 10**18
LONGEST_LIFE: Final = 240_000
"""A job that is not done after this long never will be."""
_CANCELLING: Final = 5_000
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Detail:
    """The fields that only DescribeJob returns; empty or None: omitted. `suspended` is in Unix seconds."""

    failure_code: str = ""
    failure_reason: str = ""
    status_update_reason: str = ""
    suspended: int | None = None
    suspended_cause: str = "Waiting for confirmation"
    """Only if `suspended`."""
    confirmation_required: bool = False
    report: bool = True
    """The job writes a completion report."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole life of one job."""

    id: str
    operation: str
    description: str | None
    priority: int
    created: int
    phases: tuple[tuple[str, int], ...]
    """Each status and its duration; the last one lasts FOREVER."""
    tasks: int
    failures_per_million: int
    """Failed tasks per million."""
    active_time: int
    """Time in Active until all tasks are done."""
    progress_time: int
    """Time in Active after which progress stops; `active_time` if it never does."""
    omits_progress: bool
    """The service omits the progress."""
    failure: tuple[str, str] = ("", "")
    """Code and reason."""

    def at(self, now: int) -> Job:
        """Returns the job at `now`, which is not before its creation."""
        status, start, active = self._phase(now)
        prepared = status not in ("New", "Preparing")
        done = self.tasks * min(active, self.progress_time) // self.active_time
        failed = done * self.failures_per_million // _MILLION
        return Job(
            id=self.id,
            status=status,
            operation=self.operation,
            description=self.description,
            priority=self.priority,
            created=self.created // 1000,
            terminated=start // 1000 if status in TERMINAL_STATUSES else None,
            tasks=self.tasks if prepared and not self.omits_progress else None,
            succeeded=None if self.omits_progress else done - failed,
            failed=None if self.omits_progress else failed,
            elapsed_active=None if self.omits_progress else active // 1000,
        )

    def detail(self, now: int) -> Detail:
        """Returns what DescribeJob adds at `now`."""
        status, start, _ = self._phase(now)
        waits = any(phase == "Suspended" for phase, _ in self.phases)
        code, reason = self.failure if status in ("Failing", "Failed") else ("", "")
        cause = {"Suspended": "awaiting confirmation", "Cancelled": "cancelled by the user", "Failed": reason}
        return Detail(
            failure_code=code,
            failure_reason=reason,
            status_update_reason=cause.get(status, ""),
            suspended=start // 1000 if status == "Suspended" else None,
            confirmation_required=waits,
        )

    def cancelled_at(self, age: int) -> Plan:
        """Returns the same plan, but cancelled at `age` (LONGEST_LIFE or more) if the job would never end."""
        *early, (status, _) = self.phases
        if status in TERMINAL_STATUSES:
            return self
        left = age - _CANCELLING - sum(length for _, length in early)
        return replace(self, phases=(*early, (status, left), ("Cancelling", _CANCELLING), ("Cancelled", FOREVER)))

    def _phase(self, now: int) -> tuple[str, int, int]:
        """Returns the status at `now`, its start, and the time spent in Active so far."""
        start, active = self.created, 0
        for status, length in self.phases[:-1]:
            spent = min(now - start, length)
            active += spent if status == "Active" else 0
            if spent < length:
                return status, start, active
            start += length
        status = self.phases[-1][0]
        return status, start, active + (now - start if status == "Active" else 0)


def draw(seed: int | str, index: int, created: int) -> Plan:
    """Returns the plan of job number `index`; the same arguments give the same plan."""
    rng = random.Random(f"{seed}:{index}")  # noqa: S311 - a simulation, no secret
    outcome = _shuffled_outcomes(seed, index // len(OUTCOMES))[index % len(OUTCOMES)]
    active_time = _duration(rng, 40, 120)
    part = int(active_time * rng.uniform(0.2, 0.8))
    return Plan(
        id=job_id(rng.getrandbits(128)),
        operation=rng.choice(OPERATIONS),
        description=rng.choice(DESCRIPTIONS),
        priority=rng.choice((0, 1, 10, 10, 100, rng.randrange(MAX_PRIORITY), MAX_PRIORITY)),
        created=created,
        phases=_phases(outcome, rng, active_time, part),
        tasks=_tasks(rng),
        failures_per_million=_failures_per_million(outcome, rng),
        active_time=active_time,
        progress_time=part if outcome == "stalled" else active_time,
        omits_progress=outcome == "complete" and rng.random() < 0.2,  # noqa: PLR2004 - about one job in twenty
        failure=_FAILURES.get(outcome, ("", "")),
    )


def job_id(bits: int) -> str:
    """Returns an id in the format of OSS: base64 of hexadecimal digits, 44 characters; `bits` has 128 bits."""
    return base64.b64encode(b"%032x" % bits).decode()


_FAILURES: Final[dict[Outcome, tuple[str, str]]] = {
    "failed": ("JobFailureRateTooHigh", "The failure rate of the tasks is above the threshold."),
    "unprepared": ("ManifestNotFound", "The manifest <oss://inventory/manifest.json> & its checksum cannot be read."),
}


@functools.lru_cache(maxsize=8)  # jobs next to each other share one
def _shuffled_outcomes(seed: int | str, block: int) -> tuple[Outcome, ...]:
    rng = random.Random(f"{seed}:deck:{block}")  # noqa: S311 - a simulation, no secret
    return tuple(rng.sample(OUTCOMES, len(OUTCOMES)))


def _duration(rng: random.Random, minimum: int, maximum: int) -> int:
    """Milliseconds; `minimum` and `maximum` are seconds."""
    return int(rng.uniform(minimum * 1000, maximum * 1000))  # a third of the cost of randrange


def _phases(outcome: Outcome, rng: random.Random, active_time: int, part: int) -> tuple[tuple[str, int], ...]:
    new, preparing = ("New", _duration(rng, 2, 5)), ("Preparing", _duration(rng, 4, 12))
    ready = (new, preparing, ("Ready", _duration(rng, 3, 8)))
    short = _duration(rng, 3, 7)
    complete = (("Completing", short), ("Complete", FOREVER))
    failed = (("Failing", short), ("Failed", FOREVER))
    match outcome:
        case "stuck":
            return (new, ("Preparing", FOREVER))
        case "unprepared":
            return (new, preparing, *failed)
        case "suspended":
            return (*ready, ("Suspended", FOREVER))
        case "confirmed":
            return (*ready, ("Suspended", _duration(rng, 15, 30)), ("Active", active_time), *complete)
        case "stalled":
            return (*ready, ("Active", FOREVER))
        case "failed":
            return (*ready, ("Active", part), *failed)
        case "cancelled":
            return (*ready, ("Active", part), ("Cancelling", short), ("Cancelled", FOREVER))
        case "paused":
            pause = (("Pausing", _duration(rng, 3, 6)), ("Paused", _duration(rng, 10, 20)))
            return (*ready, ("Active", part), *pause, ("Active", active_time - part), *complete)
        case _:
            return (*ready, ("Active", active_time), *complete)


def _tasks(rng: random.Random) -> int:
    return rng.choice((MAX_TASKS, rng.randrange(2**32, MAX_TASKS), *(int(10 ** rng.uniform(2, 7)),) * 14))


def _failures_per_million(outcome: Outcome, rng: random.Random) -> int:
    match outcome:
        case "flawed":
            return rng.randrange(20_000, 200_000)
        case "failed":
            return rng.randrange(500_000, _MILLION)
        case _:
            return 0
