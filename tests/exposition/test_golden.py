from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from exporter import config
from exporter.core.errors import ServiceError
from exporter.core.http import Request
from exporter.core.jobs import STATUSES, Job, JobDetail, JobPage
from exporter.core.snapshot import Snapshot
from exporter.exposition.families import FAMILIES
from exporter.exposition.self_metrics import SelfMetrics
from tests import needs
from tests.exposition.strategies import text_of

GOLDEN = Path(__file__).with_name("metrics.golden.txt")
CONFIG = b"""
accounts:
  - provider: oss
    account: prod
    regions: [cn-hangzhou, ap-southeast-1]
    credentials: {source: static, access_key_id: key, access_key_secret: secret}
"""
LIST_JOBS = Request("ListJobs", "https", "oss.example", "/")
DENIED = ServiceError("no permission", reason="access_denied", status=403, code="AccessDenied")
JOBS = (
    Job("b-3001", "Active", "PutObjectTagging", "Tag the logs", 10, 1760000000, None, 10_000_000_000, 7, 3, 3600),
    Job("b-3002", "New", "RestoreObject", None, 5, 1760003600),
    Job("b-3003", "Complete", "CopyObject", "", 0, 1759990000, 1759999000, 500, 498, 2, 8700),
    Job(
        "b-3004", "Failed", "PutObjectACL", 'said "no" in C:\\temp,\nthen {left}', 1, 1759000000.5, 1759000060, 0, 0, 0
    ),
    Job("b-3006", "Suspended", "PutObjectTagging", None, 10, 1760001000, None, 10, 0, 0, 0),
    Job("b-3005", "Frozen", None, "状态未知 🧊", None, None, None, None, 0, 0, 0),
)
SNAPSHOTS = (
    Snapshot(
        provider="oss",
        account="prod",
        region="cn-hangzhou",
        pages=2,
        duration=0.25,
        jobs=JOBS,
        details={
            "b-3003": JobDetail(JOBS[2], report_bucket="reports"),
            "b-3004": JobDetail(
                JOBS[3],
                "AccessDenied",
                'The role "batch" may not read oss://inventory',
                status_reason="failed",
                report_bucket="acs:oss:::reports",
                report_prefix="2025/b",
            ),
            "b-3006": JobDetail(JOBS[4], suspended=1760001060, suspended_cause="Waiting for confirmation"),
        },
        counts=dict.fromkeys(STATUSES, 0)
        | {"Suspended": 1, "Active": 1, "New": 1, "Complete": 41, "Failed": 1, "Frozen": 1},
        unreadable=1,
        dropped={"max_age": 40, "statuses": 0, "max": 0},
        last_success=1760007200.25,
        credentials_source="oidc",
        credentials_expire=1760010800.0,
    ),
    Snapshot(
        provider="oss",
        account="prod",
        region="ap-southeast-1",
        pages=0,
        duration=0.5,
        error=DENIED,
        last_success=1760000000.0,
        credentials_source="static",
    ),
)


@pytest.fixture
def exposition():
    """A whole exposition in text 0.0.4, as `/metrics` returns after one scrape of two targets."""
    targets = config.parse(CONFIG, file="config.yaml", environment={}).targets
    own = SelfMetrics(version="1.2.3", revision="abcdef0")
    own.keep_only(targets)
    own.config_loaded(1760000000.0)
    for seconds in (0.0625, 0.125):
        own.requested(targets[0], LIST_JOBS, seconds, 200)
    own.requested(targets[1], LIST_JOBS, 0.5, 403)
    own.page_parsed(JobPage([], None, parser="pattern"))
    own.failed(targets[1], LIST_JOBS, DENIED)
    return (text_of(SNAPSHOTS) + own.render(openmetrics=False)).decode()


def steady(text):
    """`text` without what differs between processes and between versions of Python and prometheus_client."""
    lines = [line for line in text.split("\n") if not re.match(r"(# (HELP|TYPE) )?(process|python)_", line)]
    return re.sub(r'pythonversion="[^"]*"', 'pythonversion="<any>"', "\n".join(lines))


def test_golden_exposition(exposition, pytestconfig):
    """The whole exposition equals the golden file byte for byte; people review each change of that file."""
    if pytestconfig.getoption("--golden"):
        GOLDEN.write_text(steady(exposition), encoding="utf-8", newline="")
    assert steady(exposition) == GOLDEN.read_bytes().decode()


def test_the_golden_file_covers_every_family():
    """Every family of a snapshot has a sample in the golden file."""
    text = GOLDEN.read_bytes().decode()
    assert [family.name for family in FAMILIES if f"\n{family.name}{{" not in text] == []


def test_promtool_has_no_complaint(exposition):
    """`promtool check metrics` accepts the whole exposition, including the families about the process."""
    promtool = needs.program("promtool", package="prometheus")
    run = subprocess.run(
        [promtool, "check", "metrics"], input=exposition, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
