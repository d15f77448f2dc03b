"""The life of one simulated job: drawn once from a seed, then a pure function of the time.

All times in here are whole milliseconds, so that nothing that must not decrease does so by rounding.
"""

from __future__ import annotations

import base64
import functools
import random
from dataclasses import dataclass, replace
from typing import Final, Literal

from exporter.core.jobs import TERMINAL_STATUSES, Job

Fate = Literal[
    "complete", "flawed", "failed", "unprepared", "cancelled", "paused", "confirmed", "suspended", "stalled", "stuck"
]
"""How a job ends: `flawed` completes with some failed tasks, `unprepared` fails before it starts, `confirmed` waits
for a confirmation and gets it, `suspended` never does, `stalled` stays Active without progress, `stuck` stays in
Preparing."""

DECK: Final[tuple[Fate, ...]] = (
    *("complete",) * 4,
    *("flawed",) * 2,
    *("failed",) * 2,
    *("unprepared", "cancelled", "paused", "confirmed", "suspended", "stalled", "stuck"),
)
"""Each of these once in as many jobs in a row: all fates can be seen soon."""

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
"""Also what breaks a careless writer of XML or of label values; None: the job has none."""

MOST_TASKS: Final = 10_000_000_000
MOST_PRIORITY: Final = 2_147_483_647
FOREVER: Final = 10**18
LONGEST_LIFE: Final = 240_000
"""Who is not done after so long never will be."""
_CANCELLING: Final = 5_000
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Detail:
    """What only DescribeJob tells. `suspended`: Unix seconds. Empty or None: nothing to tell."""

    failure_code: str = ""
    failure_reason: str = ""
    status_update_reason: str = ""
    suspended: int | None = None
    confirmation_required: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One job's whole life."""

    id: str
    operation: str
    description: str | None
    priority: int
    created: int
    phases: tuple[tuple[str, int], ...]
    """Each status with how long it lasts; the last one lasts FOREVER."""
    tasks: int
    failing: int
    """Of a million tasks, how many fail."""
    full: int
    """Time in Active that all tasks take."""
    reach: int
    """Time in Active after which progress stands still; `full` where it does not."""
    silent: bool
    """The service tells no progress at all."""
    failure: tuple[str, str] = ("", "")
    """Code and reason."""

    def at(self, now: int) -> Job:
        """The job at `now`, which is not before its creation."""
        status, begun, active = self._phase(now)
        prepared = status not in ("New", "Preparing")
        done = self.tasks * min(active, self.reach) // self.full
        failed = done * self.failing // _MILLION
        return Job(
            id=self.id,
            status=status,
            operation=self.operation,
            description=self.description,
            priority=self.priority,
            created=self.created // 1000,
            terminated=begun // 1000 if status in TERMINAL_STATUSES else None,
            tasks=self.tasks if prepared and not self.silent else None,
            succeeded=None if self.silent else done - failed,
            failed=None if self.silent else failed,
            elapsed_active=None if self.silent else active // 1000,
        )

    def detail(self, now: int) -> Detail:
        """What DescribeJob adds at `now`."""
        status, begun, _ = self._phase(now)
        waits = any(phase == "Suspended" for phase, _ in self.phases)
        code, reason = self.failure if status in ("Failing", "Failed") else ("", "")
        cause = {"Suspended": "awaiting confirmation", "Cancelled": "cancelled by the user", "Failed": reason}
        return Detail(
            failure_code=code,
            failure_reason=reason,
            status_update_reason=cause.get(status, ""),
            suspended=begun // 1000 if status == "Suspended" else None,
            confirmation_required=waits,
        )

    def cancelled_at(self, age: int) -> Plan:
        """The same life, but cancelled at `age`, at least LONGEST_LIFE, where it has no end of its own."""
        *early, (status, _) = self.phases
        if status in TERMINAL_STATUSES:
            return self
        left = age - _CANCELLING - sum(length for _, length in early)
        return replace(self, phases=(*early, (status, left), ("Cancelling", _CANCELLING), ("Cancelled", FOREVER)))

    def _phase(self, now: int) -> tuple[str, int, int]:
        """The status at `now`, when it began, and the time spent in Active so far."""
        begun, active = self.created, 0
        for status, length in self.phases[:-1]:
            spent = min(now - begun, length)
            active += spent if status == "Active" else 0
            if spent < length:
                return status, begun, active
            begun += length
        status = self.phases[-1][0]
        return status, begun, active + (now - begun if status == "Active" else 0)


def draw(seed: int | str, index: int, created: int) -> Plan:
    """The plan of job number `index`, created at `created`; the same for the same arguments."""
    rng = random.Random(f"{seed}:{index}")  # noqa: S311 - a simulation, no secret
    fate = _deck(seed, index // len(DECK))[index % len(DECK)]
    full = _span(rng, 40, 120)
    part = int(full * rng.uniform(0.2, 0.8))
    return Plan(
        id=job_id(rng.getrandbits(128)),
        operation=rng.choice(OPERATIONS),
        description=rng.choice(DESCRIPTIONS),
        priority=rng.choice((0, 1, 10, 10, 100, rng.randrange(MOST_PRIORITY), MOST_PRIORITY)),
        created=created,
        phases=_phases(fate, rng, full, part),
        tasks=_tasks(rng),
        failing=_failing(fate, rng),
        full=full,
        reach=part if fate == "stalled" else full,
        silent=fate == "complete" and rng.random() < 0.2,  # noqa: PLR2004 - about one job in twenty
        failure=_FAILURES.get(fate, ("", "")),
    )


def job_id(bits: int) -> str:
    """An id as OSS makes them: base64 of hexadecimal digits, 44 characters; `bits` are 128."""
    return base64.b64encode(b"%032x" % bits).decode()


_FAILURES: Final[dict[Fate, tuple[str, str]]] = {
    "failed": ("JobFailureRateTooHigh", "The failure rate of the tasks is above the threshold."),
    "unprepared": ("ManifestNotFound", "The manifest <oss://inventory/manifest.json> & its checksum cannot be read."),
}


@functools.lru_cache(maxsize=8)  # neighbours ask for the same one
def _deck(seed: int | str, block: int) -> tuple[Fate, ...]:
    rng = random.Random(f"{seed}:deck:{block}")  # noqa: S311 - a simulation, no secret
    return tuple(rng.sample(DECK, len(DECK)))


def _span(rng: random.Random, least: int, most: int) -> int:
    """Milliseconds; `least` and `most` are seconds."""
    return int(rng.uniform(least * 1000, most * 1000))  # a third of the cost of randrange


def _phases(fate: Fate, rng: random.Random, full: int, part: int) -> tuple[tuple[str, int], ...]:
    new, preparing = ("New", _span(rng, 2, 5)), ("Preparing", _span(rng, 4, 12))
    ready = (new, preparing, ("Ready", _span(rng, 3, 8)))
    short = _span(rng, 3, 7)
    complete = (("Completing", short), ("Complete", FOREVER))
    failed = (("Failing", short), ("Failed", FOREVER))
    match fate:
        case "stuck":
            return (new, ("Preparing", FOREVER))
        case "unprepared":
            return (new, preparing, *failed)
        case "suspended":
            return (*ready, ("Suspended", FOREVER))
        case "confirmed":
            return (*ready, ("Suspended", _span(rng, 15, 30)), ("Active", full), *complete)
        case "stalled":
            return (*ready, ("Active", FOREVER))
        case "failed":
            return (*ready, ("Active", part), *failed)
        case "cancelled":
            return (*ready, ("Active", part), ("Cancelling", short), ("Cancelled", FOREVER))
        case "paused":
            pause = (("Pausing", _span(rng, 3, 6)), ("Paused", _span(rng, 10, 20)))
            return (*ready, ("Active", part), *pause, ("Active", full - part), *complete)
        case _:
            return (*ready, ("Active", full), *complete)


def _tasks(rng: random.Random) -> int:
    return rng.choice((MOST_TASKS, rng.randrange(2**32, MOST_TASKS), *(int(10 ** rng.uniform(2, 7)),) * 14))


def _failing(fate: Fate, rng: random.Random) -> int:
    match fate:
        case "flawed":
            return rng.randrange(20_000, 200_000)
        case "failed":
            return rng.randrange(500_000, _MILLION)
        case _:
            return 0
