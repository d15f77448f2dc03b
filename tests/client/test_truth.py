"""End to end: the samples of a scrape compared with the jobs of the store."""

from __future__ import annotations

import time
from collections import Counter

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.core.jobs import STATUSES, Job
from exporter.simulator import Store, World, create_app, make_jobs
from exporter.simulator.messages import Style
from tests.rig import exporting, keys, target_at, vendors_authorization
from tests.serving import serve

DOCUMENTED = Style()
WILD = Style(elapsed_in_timers=False, token_first=False, empty_last_token=True, unknown_elements=True)
TARGET = {"provider": "oss", "account": 'größe \\ "x"', "region": "cn-hangzhou"}
TOKEN = "CAIS/+=simulated"
AWKWARD = [
    Job("only-what-is-required", "New"),
    Job("zeros", "Active", "PutObjectTagging", "", 0, 1, None, 0, 0, 0, 0),
    Job("largest", "Complete", "X", "d", 2**31 - 1, 2**40, 2**40, 10**10, 10**10, 10**10, 10**9),
    Job("a/b+c=?&<>\"'\\", "A new status", "<Operation>", '\\n is no line end,\nthis is; \\\\ \r\t"}', 1),
    Job("größe🚚", "Frozen ❄", None, " \n ", None, 5, None, None, 3),
]
"""Missing values, zeros, large numbers and text that needs escaping."""
STATED = {
    "batchops_job_tasks": "tasks",
    "batchops_job_tasks_succeeded": "succeeded",
    "batchops_job_tasks_failed": "failed",
    "batchops_job_elapsed_active_seconds": "elapsed_active",
}
PLAIN = {
    "batchops_job_priority": "priority",
    "batchops_job_created_timestamp_seconds": "created",
    "batchops_job_termination_timestamp_seconds": "terminated",
}


ONE_LINE = str.maketrans(dict.fromkeys("\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))
"""Labels contain none of the characters at which a line-wise reader splits."""


def truth(jobs):
    """Every expected sample about jobs: name and labels → value."""
    expected = {}

    def add(name, value, **labels):
        if value is not None:
            expected[name, frozenset({**TARGET, **labels}.items())] = value

    for job in jobs:
        fields = job._asdict()
        add("batchops_job_status", 1, job_id=job.id, status=job.status)
        for name, field in STATED.items():
            add(name, fields[field], job_id=job.id, status=job.status)
        for name, field in PLAIN.items():
            add(name, fields[field], job_id=job.id)
        add(
            "batchops_job_info",
            1,
            job_id=job.id,
            operation=job.operation or "",
            description=(job.description or "").translate(ONE_LINE),
        )
    counts = Counter(job.status for job in jobs)
    for status in {*STATUSES, *counts}:
        add("batchops_jobs", counts[status], status=status)
    return expected


@pytest.mark.parametrize(
    ("style", "token_length", "form"),
    [(DOCUMENTED, 0, "text"), (WILD, 1024, "openmetrics")],
    ids=["as documented", "as seen in practice"],
)
def test_each_field_of_each_job_is_exposed(style, token_length, form):
    """A scrape of 2,500 jobs on three pages with difficult tokens exposes each field of them and nothing else."""
    jobs = make_jobs(2500 - len(AWKWARD), f"{token_length}{form}", now=time.time())
    jobs[1000:1000] = AWKWARD
    store = Store(World.fixed(jobs), security_token=TOKEN, token_length=token_length, style=style)
    with (
        serve(create_app(store)) as url,
        exporting(target_at(url, TARGET["account"], credentials=keys(token=TOKEN))) as exporter,
    ):
        accept = "application/openmetrics-text;version=1.0.0" if form == "openmetrics" else "text/plain"
        response = httpx.get(
            f"{exporter}/probe?target=oss/{TARGET['account']}/cn-hangzhou", headers={"accept": accept}, timeout=20
        )
    families = list((parse_openmetrics if form == "openmetrics" else parse_text)(response.text))
    result = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if family.name.startswith(("batchops_job_", "batchops_jobs"))
    }
    assert result == truth(jobs)
    assert {family.type for family in families} == {"gauge"}
    assert all(sample.timestamp is None for family in families for sample in family.samples)
    of_target = {family.name: [sample.value for sample in family.samples] for family in families}
    assert of_target["batchops_up"] == [1]
    assert of_target["batchops_scrape_pages"] == [3]
    assert of_target["batchops_scrape_jobs_dropped"] == [0, 0, 0]
    assert_signed_as_the_vendor_does(store)


def assert_signed_as_the_vendor_does(store):
    """The three requests were accepted, and each signature equals that of the vendor's own signer."""
    assert [(seen.page, seen.status) for seen in store.requests] == [(1, 200), (2, 200), (3, 200)]
    assert [len(seen.token or "") >= store.token_length for seen in store.requests][1:] == [True, True]
    for seen in store.requests:
        assert seen.raw.headers["authorization"] == vendors_authorization(store, seen.raw)
