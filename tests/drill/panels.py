"""`python -m tests.drill.panels`: how long a real Prometheus takes for each query of the dashboards, over six hours.

The data folder is filled before: 100,000 jobs, of which one in ten is recent, and the series that the shipped rules
record for them. Series of single jobs have a sample every 3 or 5 minutes, all others every minute.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests import needs
from tests.deploy.promserver import prometheus
from tests.deploy.test_dashboards import DASHBOARDS
from tests.deploy.test_dashboards_live import asked
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS: Final = 100_000
RECENT: Final = 10_000
BLOCK: Final = 7200
"""Seconds of one block of the data folder."""
HOURS: Final = 6
ROUNDS: Final = 5
TARGET: Final = 'provider="oss",account="prod",region="cn-hangzhou"'
STATUSES: Final = ("Active", "Suspended", "Complete", "Complete", "Failed")


def families(end: int) -> Iterator[tuple[str, int, list[tuple[str, float]]]]:
    """Yields each family: its name, the seconds between its samples, and its series with their values."""
    ids = [f"{number:044x}" for number in range(JOBS)]
    own = [f'{TARGET},job_id="{job}"' for job in ids]
    status = [STATUSES[number % 5] if number < RECENT else "Complete" for number in range(JOBS)]
    kinds = [f'{own[n]},status="{status[n]}",operation="CopyObject",description="nightly {n}"' for n in range(RECENT)]
    ended = [n for n in range(JOBS) if status[n] not in ("Active", "Suspended")]
    recent = [n for n in ended if n < RECENT]
    created = end - 80_000
    yield "batchops_job_status", 300, [(f'{own[n]},status="{status[n]}"', 1) for n in range(JOBS)]
    yield "batchops_job_created_timestamp_seconds", 300, [(own[n], created - n) for n in range(JOBS)]
    yield "batchops_job_termination_timestamp_seconds", 300, [(own[n], end - 60 - n) for n in ended]
    yield "batchops_job_priority", 300, [(own[n], 10) for n in range(JOBS)]
    codes = 'failure_code="ManifestNotFound",failure_reason="There is no such object."'
    failed = [n for n in recent if status[n] == "Failed"]
    yield "batchops_job_failure_info", 300, [(f"{own[n]},{codes}", 1) for n in failed]
    yield "batchops:recent_job_created:max", 180, [(kinds[n], created - n) for n in range(RECENT)]
    yield "batchops:recent_job_end:timestamp_seconds", 180, [(own[n], end - 60 - n) for n in recent]
    for name, value in (("job_tasks", 9e4), ("job_tasks_done", 3e4), ("job_tasks_failed", 3), ("job_info", 1)):
        yield f"batchops:{name}:max", 180, [(own[n], value) for n in range(RECENT)]
    yield "batchops:job_progress:ratio", 180, [(own[n], 0.3) for n in range(RECENT)]
    active = [n for n in range(RECENT) if status[n] == "Active"]
    yield "batchops:job_eta:seconds", 180, [(own[n], 1000 + n) for n in active]
    newest = [f'{own[n]},operation="CopyObject"' for n in range(20)]
    yield "batchops:newest_job_status:code", 60, [(labels, 5) for labels in newest]
    counts = [f'{TARGET},status="{name}",operation="CopyObject"' for name in dict.fromkeys(STATUSES)]
    yield "batchops:recent_jobs:count", 60, [(labels, RECENT / 5) for labels in counts]
    for kind in ("succeeded", "failed"):
        yield f"batchops:tasks_{kind}:rate5m", 60, [(f'{TARGET},operation="CopyObject"', 100)]
    for name in ("up", "scrape_duration_seconds", "last_success_timestamp_seconds", "scrape_unreadable_values"):
        yield f"batchops_{name}", 60, [(TARGET, 1)]
    yield "batchops_jobs", 60, [(f'{TARGET},status="{name}"', 1) for name in dict.fromkeys(STATUSES)]


def fill(folder: Path, end: int) -> None:
    """Writes the blocks."""
    program = needs.program("promtool", package="prometheus")
    for start in range(end - HOURS * 3600, end, BLOCK):
        page = folder / "page"
        with page.open("w") as file:
            for name, step, series in families(end):
                file.write(f"# TYPE {name} gauge\n")
                times = range(start, start + BLOCK, step)
                for labels, value in series:
                    file.write("".join([f"{name}{{{labels}}} {value:.10g} {when}\n" for when in times]))
            file.write("# EOF\n")
        command = [program, "tsdb", "create-blocks-from", "openmetrics", str(page), str(folder / "data")]
        subprocess.run(command, check=True, capture_output=True)
        page.unlink()


def main() -> None:
    """Prints the slowest queries; for each the shortest of several rounds."""
    end = int(time.time()) // BLOCK * BLOCK
    with tempfile.TemporaryDirectory(prefix="panels-") as name:
        folder = Path(name)
        fill(folder, end)
        at = str(end - 60)
        times = {"start": str(end - HOURS * 3600), "end": at, "step": "60"}
        with prometheus(folder, {}) as server:
            until(lambda: server.get("query", query="batchops_up", time=at), seconds=120, pause=1)
            seconds: dict[tuple[str, str], float] = {}
            for query in [query for board in DASHBOARDS for query in asked(board, job=f"{1:044x}", rate="4m")]:
                key = "match[]" if query.path.startswith("label") else "query"
                parameters = times if query.path != "query" else {"time": at}
                for _ in range(ROUNDS):
                    begin = time.perf_counter()
                    server.api.get(query.path, params={key: query.expression, **parameters}).raise_for_status()
                    took = time.perf_counter() - begin
                    seconds[query[::2]] = min(took, seconds.get(query[::2], took))
    for (where, expression), took in sorted(seconds.items(), key=lambda item: -item[1])[:12]:
        sys.stdout.write(f"{took:.2f} s  {where}  {re.sub(r'{.*?}', '', expression)[:100]}\n")
    sys.stdout.write(f"{len(seconds)} queries, the slowest {max(seconds.values()):.2f} s\n")


if __name__ == "__main__":
    main()
