"""A Prometheus that has the last six hours of some simulated stores, made in a minute.

The exporter is scraped with a clock that jumps from minute to minute. promtool writes the samples, and then the results
of the shipped rules, as blocks of a Prometheus.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import yaml

from exporter import cli, config
from exporter.simulator import Fault, Scenario, World, create_app
from tests import needs
from tests.deploy.promserver import logs, prometheus
from tests.rig import exporting
from tests.serving import serve
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail

RULES: Final = tuple(sorted((Path(__file__).parents[2] / "deploy/prometheus").glob("*.rules.yml")))
MINUTE: Final = 60
LENGTH: Final = (6 * 60 + 30) * MINUTE
SPARE: Final = 10 * MINUTE
"""The history goes on for some time, so that the dashboards can be drawn with ranges that end now."""
THROTTLED: Final = 3 * 60 * MINUTE
"""This long before the end a service refuses some requests."""
SLOWNESS: Final = 60
"""A job of the demo lives some minutes: here, some hours."""
STORES: Final = {
    "jobs": {"every": "40s", "keep": 36},
    "stores": [
        {"provider": "oss", "regions": ["cn-hangzhou", "ap-southeast-1"]},
        {"provider": "cos", "regions": ["ap-guangzhou"]},
        {"provider": "s3", "regions": ["us-east-1"]},
    ],
}
DESCRIPTIONS: Final = {
    "CopyObject": "Move to the new bucket",
    "DeleteObjectTagging": "Remove the old tags",
    "PutObjectACL": "Close what is public",
    "PutObjectTagging": "Tag the logs of last year",
    "RestoreObject": "Restore for the audit",
}


class Clock:
    """A clock that shows `now`, in Unix seconds, until somebody sets it."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class SlowWorld(World):
    """The jobs of `world`, which take SLOWNESS times as long, and have one description per operation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def jobs(self, now: float) -> list[Job]:
        return [self._slow(job) for job in self._world.jobs(now / SLOWNESS)]

    def detail(self, job_id: str, now: float) -> Detail:
        return self._world.detail(job_id, now / SLOWNESS)

    def _slow(self, job: Job) -> Job:
        times = {name: getattr(job, name) for name in ("created", "terminated", "elapsed_active")}
        return job._replace(
            description=DESCRIPTIONS.get(job.operation or ""),
            **{name: value * SLOWNESS for name, value in times.items() if value is not None},
        )


@contextlib.contextmanager
def six_hours(folder: Path) -> Iterator[str]:
    """Yields the URL of the Prometheus; its files are in `folder`."""
    end = (time.time() + SPARE) // MINUTE * MINUTE
    data = folder / "data"
    (folder / "samples").write_text("".join(_samples(end)) + "# EOF\n")
    _promtool("openmetrics", folder / "samples", data)
    levels = 5  # a rule reads what the calls before it have written
    for _ in range(levels):
        with _server(folder) as url:
            span = (f"--start={end - LENGTH:.0f}", f"--end={end:.0f}", f"--url={url}", f"--output-dir={data}")
            _promtool("rules", *span, *RULES)
    with _server(folder) as url:
        yield url


def _promtool(*arguments: object) -> None:
    program = needs.program("promtool", package="prometheus")
    command = [program, "tsdb", "create-blocks-from", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    # A series that has ended is not shown for five more minutes: blocks do not say when a series ended.
    with prometheus(folder, {}, f"--query.lookback-delta={MINUTE}s") as server:
        until(lambda: server.get("query", query="batchops_up"), pause=0.2, state=lambda: logs([server]))
        yield str(server.api.base_url).removesuffix("/api/v1/")


def _samples(end: float) -> Iterator[str]:
    """Yields a page of the exporter for each minute, with its time behind each sample."""
    clock = Clock(end - LENGTH)
    stores = Scenario.from_mapping(STORES, clock=clock).stores
    for store in stores:
        store.world = SlowWorld(store.world)
    with serve(create_app(stores)) as url:
        document = yaml.safe_dump({"accounts": [cli._demo_account(store, url) for store in stores]}).encode()
        targets = config.parse(document, file="demo", environment={}).targets
        with exporting(*targets, now=clock) as base, httpx.Client(base_url=base, timeout=30) as client:
            while clock.now <= end:
                if end - clock.now == THROTTLED:
                    stores[0].faults.add(Fault("error", status=503, code="SlowDown", times=40))
                page = client.get("/metrics").raise_for_status().text
                for name, labels, value in re.findall(r"^(batchops_\w+)(?:\{(.*)\})? (\S+)$", page, re.MULTILINE):
                    every = ",".join(filter(None, (labels, 'job="batchops",instance="localhost:10083"')))
                    yield f"{name}{{{every}}} {value} {clock.now:.0f}\n"
                clock.now += MINUTE


def large_job(prometheus: str) -> str:
    """Returns the id of an Active job that makes progress and has failed tasks: the one with the most tasks."""
    jobs = "batchops:job_eta:seconds and on (job_id) (batchops:job_tasks_failed:max > 0)"
    query = f"topk(1, batchops:job_tasks:max and on (job_id) ({jobs}))"
    response = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30)
    (found,) = response.raise_for_status().json()["data"]["result"]
    return str(found["metric"]["job_id"])
