"""What a drill plays: a failure, the alerts that it must raise, and its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.core.jobs import Job
from exporter.simulator.faults import Fault
from exporter.simulator.jobs.plan import Detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.drill.stage import Stage, Target

DAY: Final = 86_400


@dataclass(frozen=True)
class Step:
    """What is done, and which alerts must have arrived before the next step."""

    text: str
    act: Callable[[Stage, Target], None]
    fires: tuple[str, ...] = ()
    """As ALERT/SEVERITY."""
    then: float = 0.0
    """Seconds to wait afterwards."""
    meanwhile: Callable[[Stage, Target], None] | None = None
    """Called again and again until the next step."""


@dataclass(frozen=True)
class Scenario:
    """One failure in one target, or of an exporter. After the last step, every alert that arrived must be resolved."""

    name: str
    text: str
    steps: tuple[Step, ...]
    begin: Callable[[Stage, Target], None] = lambda _, __: None
    """Sets up the jobs before anything is scraped."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of the account."""
    says: tuple[str, ...] = ()
    """Texts that the description of the first alert contains."""
    of_exporters: bool = False
    """It is about all targets, so it is played alone."""

    @property
    def fires(self) -> tuple[str, ...]:
        """Every alert that must arrive, as ALERT/SEVERITY; no other may."""
        return tuple(name for step in self.steps for name in step.fires)


def show(
    status: str, tasks: int | None = None, succeeded: int = 0, failed: int = 0, *, age: float = 0, **detail: Any
) -> Callable[[Stage, Target], None]:
    """Returns an action: from now on the target lists one job, with this status and these numbers.

    `age` is the time in seconds since the job was created; `detail` are fields of Detail.
    """

    def act(_: Stage, target: Target) -> None:
        now = int(time.time())
        job = Job(
            id=f"job-{target.name}",
            status=status,
            operation="CopyObject",
            description=f"Drill: {target.name}",
            priority=10,
            created=now - age,
            terminated=now if status in ("Complete", "Failed", "Cancelled") else None,
            tasks=tasks,
            succeeded=succeeded,
            failed=failed,
            elapsed_active=10,
        )
        target.world.details[job.id] = Detail(**detail)
        target.world.listed[:] = [job]

    return act


def progress(tasks: int) -> Callable[[Stage, Target], None]:
    """Returns an action: one more of so many tasks of the job has succeeded."""

    def act(stage: Stage, target: Target) -> None:
        (job,) = target.world.listed
        show("Active", tasks, (job.succeeded or 0) + 1)(stage, target)

    return act


def list_jobs(count: int) -> Callable[[Stage, Target], None]:
    """Returns an action: from now on the target lists so many jobs, which ended long ago."""

    def act(_: Stage, target: Target) -> None:
        end = time.time() - 10 * DAY
        target.world.listed[:] = [
            Job(f"job-{number}", "Complete", "CopyObject", "old", 10, end - DAY, end, 9, 9, 0, 60)
            for number in range(count)
        ]

    return act


def fault(kind: str, **settings: Any) -> Callable[[Stage, Target], None]:
    """Returns an action: the store has this fault."""
    return lambda _, target: target.store.faults.add(Fault(kind, **settings))


def no_fault(_: Stage, target: Target) -> None:
    """Ends every fault of the store."""
    target.store.faults.clear()


def nothing(_: Stage, __: Target) -> None:
    """Only time passes."""


def wrong_secret(_: Stage, target: Target) -> None:
    """Makes the service refuse the keys."""
    target.store.access_key_secret = "replaced"


def right_secret(_: Stage, target: Target) -> None:
    """Makes the service accept the keys."""
    target.store.access_key_secret = type(target.store).access_key_secret


def stop_issuing(_: Stage, target: Target) -> None:
    """Makes the renewal of the keys fail."""
    target.issuer_works = False


def issue_again(_: Stage, target: Target) -> None:
    """Makes the renewal succeed, with keys that last longer than the drill."""
    target.issuer_works, target.key_seconds = True, 3600.0


def kill(*replicas: int) -> Callable[[Stage, Target], None]:
    """Returns an action: these exporters die."""

    def act(stage: Stage, _: Target) -> None:
        for number in replicas:
            stage.kill_exporter(number)

    return act


def start(*replicas: int) -> Callable[[Stage, Target], None]:
    """Returns an action: these exporters are started again."""

    def act(stage: Stage, _: Target) -> None:
        for number in replicas:
            stage.start_exporter(number)

    return act


SUSPENDED: Final = show("Suspended", 10)
DONE: Final = show("Complete", 1000, 1000)
ACTIVE: Final = show("Active", 1000, 400)
TOO_MANY: Final = {"status": 503, "code": "QpsLimitExceeded", "message": "Please reduce your request rate."}
WAITS: Final = "BatchJobAwaitingConfirmation/warning"
UNLISTED: Final = "BatchOpsListingFailed/warning"

SCENARIOS: Final = (
    Scenario(
        "job-fails",
        "A job that runs fails.",
        (
            Step(
                "the job fails",
                show("Failed", 1000, 400, failure_code="ManifestNotFound", failure_reason="There is no such object."),
                fires=("BatchJobFailed/critical",),
            ),
        ),
        begin=ACTIVE,
        settings={"jobs": {"describe": True}},
        says=("Reason: ManifestNotFound (There is no such object).",),
    ),
    Scenario(
        "tasks-fail",
        "Tasks of a job that runs fail.",
        (
            Step(
                "100 of 1,100 tasks have failed",
                show("Active", 10**6, 1000, 100),
                fires=("BatchJobTasksFailing/warning",),
            ),
            Step("all others succeed", show("Complete", 10**6, 10**6 - 100, 100)),
        ),
        begin=show("Active", 10**6, 1000),
        says=("has failed in 9.091% of its done tasks.",),
    ),
    Scenario(
        "nothing-succeeded",
        "A job is Complete, and all its tasks have failed.",
        (Step("the job is Complete", show("Complete", 500, 0, 500), fires=("BatchJobNothingSucceeded/critical",)),),
        begin=show("Active", 500),
        says=("all its 500 done tasks failed.",),
    ),
    Scenario(
        "no-tasks",
        "A job is Complete, and had no tasks.",
        (Step("the job is Complete", show("Complete", 0), fires=("BatchJobNothingSucceeded/warning",)),),
        begin=show("Preparing"),
        says=("its manifest lists no objects.",),
    ),
    Scenario(
        "job-stalls",
        "A job that runs makes no progress.",
        (Step("it stays at 400 of 1,000 tasks", ACTIVE, fires=("BatchJobStalled/warning",)), Step("it ends", DONE)),
        begin=show("Preparing"),
        says=("is Active, but has completed no task for",),
    ),
    Scenario(
        "job-is-suspended",
        "A job waits for its confirmation.",
        (Step("the job is Suspended", SUSPENDED, fires=(WAITS,)), Step("it is confirmed, and ends", DONE)),
        begin=show("Preparing"),
        says=("is Suspended, for",),
    ),
    Scenario(
        "job-is-suspended-for-long",
        "A job waits for its confirmation for more than 12 days: one alert, and only the critical one.",
        (
            Step(
                "12 days have passed",
                show("Suspended", 10, age=12 * DAY),
                fires=("BatchJobAwaitingConfirmation/critical",),
            ),
            Step("it is confirmed, and ends", DONE),
        ),
        begin=show("Preparing"),
        says=("and fails after 14 days.",),
    ),
    Scenario(
        "job-does-not-start",
        "A job does not start.",
        (
            Step("it is New, then Preparing", show("Preparing"), fires=("BatchJobStuckBeforeStart/warning",)),
            Step("it is cancelled", show("Cancelled")),
        ),
        begin=show("New"),
        says=("has been New, Preparing or Ready for an hour.",),
    ),
    Scenario(
        "job-is-paused",
        "A job is paused, and forgotten.",
        (
            Step("the job is paused", show("Paused", 1000, 400), fires=("BatchJobStuckInTransition/warning",)),
            Step("it is cancelled", show("Cancelled", 1000, 400)),
        ),
        begin=show("Pausing", 1000, 400),
        says=("It is Paused now.",),
    ),
    Scenario(
        "job-is-slow",
        "A job that runs needs more than a day for its remaining tasks.",
        (
            Step(
                "two tasks of 1,000,000 succeed each second",
                nothing,
                meanwhile=progress(10**6),
                fires=("BatchJobSlow/warning",),
            ),
            Step("it ends", DONE),
        ),
        begin=show("Active", 10**6),
        says=("at its speed of the last 30 minutes.",),
    ),
    Scenario(
        "keys-expire",
        "The renewal of temporary keys fails.",
        (
            Step("the issuer fails", stop_issuing, fires=("BatchOpsCredentialsExpiring/warning",)),
            Step("the issuer works again", issue_again),
        ),
        settings={"credentials": {"source": "metadata"}},
        says=("The keys from the source metadata expire in",),
    ),
    Scenario(
        "keys-are-refused",
        "The service refuses the keys.",
        (
            Step("the secret is replaced", wrong_secret, fires=(UNLISTED,)),
            Step("the secret is right again", right_secret),
        ),
        says=("Reason: auth (SignatureDoesNotMatch). To do: check the keys and the clock",),
    ),
    Scenario(
        "api-throttles",
        "The service rejects some requests because of its rate limit; retries succeed.",
        (
            Step(
                "one request in a second is rejected",
                nothing,
                meanwhile=fault("error", operation="ListJobs", times=1, **TOO_MANY),
                fires=("BatchOpsThrottled/warning",),
            ),
            Step("no request is rejected", no_fault),
        ),
    ),
    Scenario(
        "api-throttles-all",
        "The service rejects all requests because of its rate limit: one alert, with the reason.",
        (
            Step("all requests are rejected", fault("error", **TOO_MANY), fires=(UNLISTED,), then=20),
            Step("no request is rejected", no_fault),
        ),
        says=("Reason: throttled (QpsLimitExceeded). To do: scrape less often",),
    ),
    Scenario(
        "target-is-down",
        "A target is down, with a job whose alert fires: that alert neither resolves nor fires again.",
        (
            Step("a job waits for its confirmation", SUSPENDED, fires=(WAITS,)),
            Step("the region closes all connections", fault("close"), fires=(UNLISTED,), then=15),
            Step("the region is back", no_fault, then=15),
            Step("the job is confirmed, and ends", DONE),
        ),
        begin=show("Preparing"),
        says=("is Suspended, for",),
    ),
    Scenario(
        "target-is-down-for-long",
        "A target is down for more than an hour: the critical alert comes after the warning.",
        (
            Step(
                "the region closes all connections",
                fault("close"),
                fires=(UNLISTED, "BatchOpsListingFailed/critical"),
            ),
            Step("the region is back", no_fault),
        ),
        says=("No exporter has listed this target for an hour.",),
    ),
    Scenario(
        "jobs-are-dropped",
        "A target has more jobs than jobs.max.",
        (
            Step("five jobs are listed", list_jobs(5), fires=("BatchOpsJobsDropped/warning",)),
            Step("two are", list_jobs(2)),
        ),
        begin=list_jobs(2),
        settings={"jobs": {"max": 2}},
        says=("3 jobs exceed jobs.max",),
    ),
    Scenario(
        "one-exporter-dies",
        "One of two exporters dies: the alerts on jobs stay.",
        (
            Step("a job waits for its confirmation", SUSPENDED, fires=(WAITS,)),
            Step("the second exporter is killed", kill(1), fires=("BatchOpsTargetDown/warning",), then=10),
            Step("it is started again", start(1), then=10),
            Step("the job is confirmed, and ends", DONE),
        ),
        begin=show("Preparing"),
        of_exporters=True,
    ),
    Scenario(
        "exporters-die",
        "Both exporters die: one alert for both, and the alerts on jobs stay.",
        (
            Step("a job waits for its confirmation", SUSPENDED, fires=(WAITS,)),
            Step("both exporters are killed", kill(0, 1), fires=("BatchOpsExporterAbsent/critical",), then=20),
            Step("they are started again", start(0, 1), then=15),
            Step("the job is confirmed, and ends", DONE),
        ),
        begin=show("Preparing"),
        of_exporters=True,
    ),
)
