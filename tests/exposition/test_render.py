from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.core.errors import ScrapeError
from exporter.core.jobs import Job, JobDetail
from exporter.core.snapshot import Snapshot
from exporter.exposition.families import FAMILIES, TARGET_LABELS, assemble, blocks
from exporter.exposition.self_metrics import OPENMETRICS_END
from tests.exposition import oracle
from tests.exposition.strategies import FULL_JOB, scrapes

CONTRACT = {
    "batchops_job_tasks": ("job_id", "status"),
    "batchops_job_tasks_succeeded": ("job_id", "status"),
    "batchops_job_tasks_failed": ("job_id", "status"),
    "batchops_job_elapsed_active_seconds": ("job_id", "status"),
    "batchops_job_status": ("job_id", "status"),
    "batchops_job_info": ("job_id", "operation", "description"),
    "batchops_job_priority": ("job_id",),
    "batchops_job_created_timestamp_seconds": ("job_id",),
    "batchops_job_termination_timestamp_seconds": ("job_id",),
    "batchops_job_failure_info": ("job_id", "failure_code", "failure_reason"),
    "batchops_job_suspended_timestamp_seconds": ("job_id",),
    "batchops_up": (),
    "batchops_jobs": ("status",),
    "batchops_scrape_duration_seconds": (),
    "batchops_scrape_pages": (),
    "batchops_scrape_jobs_dropped": ("reason",),
    "batchops_scrape_error": ("reason",),
    "batchops_last_success_timestamp_seconds": (),
    "batchops_credentials_expiration_timestamp_seconds": ("source",),
}
"""What users hold on to: every family about targets and jobs, with its labels beside those of the target."""

BASE = Snapshot(provider="oss", account="prod", region="cn-hangzhou", pages=1, duration=0.5)


def text(scrape):
    return b"".join(assemble([*map(blocks, scrape)])).decode()


def samples(families):
    """The samples by family; a family that stands twice is an error."""
    families = list(families)
    assert {family.type for family in families} <= {"gauge"}
    assert max(Counter(family.name for family in families).values()) == 1
    return {family.name: family.samples for family in families}


@settings(deadline=None)
@given(scrapes)
def test_text_holds_the_samples_of_the_oracle(scrape):
    """Read as text 0.0.4, a rendering is the oracle's families: names, labels, values, order, and no timestamps."""
    assert samples(parse_text(text(scrape))) == samples(oracle.families(scrape))


@settings(deadline=None)
@given(scrapes)
def test_openmetrics_holds_the_samples_of_the_oracle(scrape):
    """Read as OpenMetrics, which is strict about grouping and its end mark, a rendering is the oracle's families."""
    assert samples(parse_openmetrics(text(scrape) + OPENMETRICS_END.decode())) == samples(oracle.families(scrape))


@settings(deadline=None)
@given(scrapes)
def test_pieces_are_whole_lines_of_utf8(scrape):
    """Each piece is UTF-8 and ends with a line, so whoever joins, compresses or sends the pieces breaks nothing."""
    for piece in assemble([*map(blocks, scrape)]):
        assert piece.decode().endswith("\n")


@settings(deadline=None)
@given(scrapes)
def test_families_stand_together_and_no_series_twice(scrape):
    """The lines of a family follow its HELP and TYPE without another's between, and no series stands twice."""
    lines = text(scrape).removesuffix("\n").split("\n")
    names = [line.split(" ")[2] if line.startswith("# ") else line.partition("{")[0] for line in lines]
    assert [name for name, _ in groupby(names)] == [family.name for family in FAMILIES]
    for name, group in groupby(zip(names, lines, strict=True), key=lambda pair: pair[0]):
        starts = [line.partition(name)[0] for _, line in group]
        assert starts == ["# HELP ", "# TYPE ", *[""] * (len(starts) - 2)]
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("# ")]
    assert max(Counter(series).values(), default=0) <= 1


def test_the_families_are_those_of_the_contract():
    """FAMILIES names each promised family once, with its labels in their order."""
    assert {family.name: family.labels for family in FAMILIES} == CONTRACT
    assert len(FAMILIES) == len(CONTRACT)


def test_every_family_shows_its_labels():
    """A listing that tells everything gives each family at least one sample, with exactly its family's labels."""
    full = replace(
        BASE,
        jobs=(FULL_JOB,),
        details={FULL_JOB.id: JobDetail(FULL_JOB, "AccessDenied", "no role", 1760000050)},
        counts={"Active": 1},
        dropped={"max": 0},
        error=ScrapeError("slow", reason="timeout"),
        last_success=1.0,
        credentials_source="oidc",
        credentials_expire=2.0,
    )
    parsed = samples(parse_text(text([full])))
    assert parsed.keys() == CONTRACT.keys()
    for name, more in CONTRACT.items():
        assert [tuple(sample.labels) for sample in parsed[name]] == [(*TARGET_LABELS, *more)]


def test_no_description_without_describe():
    """Where descriptions are switched off the label is absent, not empty."""
    shown = samples(parse_text(text([replace(BASE, jobs=(FULL_JOB,), show_descriptions=False)])))
    assert [tuple(sample.labels) for sample in shown["batchops_job_info"]] == [(*TARGET_LABELS, "job_id", "operation")]


def test_what_the_service_did_not_tell_has_no_sample():
    """A job known by id and status alone has its status and its info, and nothing that reads as 0."""
    shown = samples(parse_text(text([replace(BASE, jobs=(Job("job-1", "New"),))])))
    told = {name for name, found in shown.items() if name.startswith("batchops_job_") and found}
    assert told == {"batchops_job_status", "batchops_job_info"}


@pytest.mark.parametrize("number", [2**63 - 1, 10_000_000_001, 0])
def test_whole_numbers_pass_through_digit_by_digit(number):
    """A 64-bit count is written with all its digits, not as the nearest float."""
    shown = text([replace(BASE, jobs=(Job("job-1", "Active", tasks=number),))])
    assert f'status="Active"}} {number}\n' in shown
