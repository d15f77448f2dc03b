"""`python -m tests.drill.cost`: how long a real Prometheus takes to evaluate the shipped rules, by number of jobs.

One target is scraped, from a page that is made once, so that nothing else uses the machine. 2 % of its jobs have not
ended, and 1 % ended in the last hours. With `--unfinished=1 --every=60`, all of them are Active, which is the worst
case.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from tests.deploy.promserver import prometheus
from tests.deploy.test_rules import RULE_FILES
from tests.drill.shortened import DEPLOY
from tests.serving import serve
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

SCRAPE_SECONDS: Final = 60
EVALUATIONS: Final = 12
"""The first ones find no data."""
TARGET: Final = 'provider="oss",account="prod",region="cn-hangzhou"'


def page(jobs: int, unfinished: float, ended: float, now: float) -> Iterator[str]:
    """Yields the lines of a target with so many jobs, each with the nine series of a job that ended."""
    yield f"batchops_up{{{TARGET}}} 1\n"
    for number in range(jobs):
        runs = number < jobs * unfinished
        status = "Active" if runs else ("Failed" if number % 20 == 0 else "Complete")
        age = 3600 if number < jobs * (unfinished + ended) else 86_400 * (1 + number % 80)
        job = f'{TARGET},job_id="{number:044x}"'
        done = 1000 + number % 7
        yield f'batchops_job_status{{{job},status="{status}"}} 1\n'
        yield f'batchops_job_tasks{{{job},status="{status}"}} 100000\n'
        yield f'batchops_job_tasks_succeeded{{{job},status="{status}"}} {done}\n'
        yield f'batchops_job_tasks_failed{{{job},status="{status}"}} {number % 3}\n'
        yield f'batchops_job_elapsed_active_seconds{{{job},status="{status}"}} 60\n'
        yield f'batchops_job_info{{{job},operation="CopyObject",description="nightly copy {number}"}} 1\n'
        yield f"batchops_job_priority{{{job}}} 10\n"
        yield f"batchops_job_created_timestamp_seconds{{{job}}} {now - age - 3600:.0f}\n"
        if not runs:
            yield f"batchops_job_termination_timestamp_seconds{{{job}}} {now - age:.0f}\n"


def measure(jobs: int, unfinished: float, ended: float, every: int, folder: Path) -> dict[str, float]:
    """Returns the seconds that each rule takes: the shortest of the later evaluations, which nothing slowed down."""
    body = gzip.compress("".join(page(jobs, unfinished, ended, time.time())).encode(), 1)
    headers = {"content-type": "text/plain; version=0.0.4", "content-encoding": "gzip"}

    async def metrics(_: Request) -> Response:
        return Response(body, headers=headers)

    scrapes = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
    with serve(Starlette(routes=[Route("/metrics", metrics)])) as url:
        document = {
            "global": {**scrapes, "evaluation_interval": f"{every}s"},
            "rule_files": [str(DEPLOY / "prometheus" / file) for file in RULE_FILES],
            "scrape_configs": [
                {"job_name": "batchops", "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            ],
        }
        with prometheus(folder / "prometheus", document) as server:
            rounds: dict[str, dict[str, float]] = {}

            def enough() -> bool:
                found: list[dict[str, Any]] = (server.get("rules") or {"groups": []})["groups"]
                for group in found:
                    rounds[group["lastEvaluation"]] = {_name(rule): rule["evaluationTime"] for rule in group["rules"]}
                return len(rounds) >= EVALUATIONS * len(found) > 0

            until(enough, seconds=10 * every * EVALUATIONS, pause=1)
    result: dict[str, float] = {}
    for when in sorted(rounds)[len(rounds) // 2 :]:
        for name, seconds in rounds[when].items():
            result[name] = min(seconds, result.get(name, seconds))
    return result


def _name(rule: dict[str, Any]) -> str:
    labels = rule.get("labels", {})
    return f"{rule['name']} {labels.get('severity') or labels.get('problem', '')}".strip()


def main() -> None:
    """Prints a table of seconds by number of jobs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--unfinished", type=float, default=0.02, help="the share of the jobs that are Active")
    parser.add_argument("--ended", type=float, default=0.01, help="the share of the jobs that ended an hour ago")
    parser.add_argument("--every", type=int, default=15, help="seconds between evaluations; more than they take")
    options = parser.parse_args()
    for jobs in options.jobs:
        with tempfile.TemporaryDirectory(prefix="cost-") as folder:
            seconds = measure(jobs, options.unfinished, options.ended, options.every, Path(folder))
        slowest = sorted(seconds, key=lambda name: -seconds[name])[:10]
        parts = ", ".join(f"{name} {seconds[name]:.3f}" for name in slowest)
        sys.stdout.write(f"{jobs} jobs: {sum(seconds.values()):.2f} s; {parts}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
