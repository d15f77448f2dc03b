from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.core.errors import ScrapeError, ServiceError
from exporter.core.jobs import Job, JobDetail
from exporter.core.snapshot import Snapshot
from exporter.exposition.families import FAMILIES, TARGET_LABELS, assemble, family_lines
from exporter.exposition.self_metrics import OPENMETRICS_END
from tests.exposition import oracle
from tests.exposition.strategies import FULL_JOB, scrapes, text_of

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
    "batchops_job_suspended_info": ("job_id", "cause"),
    "batchops_job_status_reason_info": ("job_id", "reason"),
    "batchops_job_report_info": ("job_id", "bucket", "prefix"),
    "batchops_up": (),
    "batchops_jobs": ("status",),
    "batchops_scrape_duration_seconds": (),
    "batchops_scrape_pages": (),
    "batchops_scrape_jobs_dropped": ("reason",),
    "batchops_scrape_error": ("reason", "code"),
    "batchops_scrape_unreadable_values": (),
    "batchops_last_success_timestamp_seconds": (),
    "batchops_credentials_expiration_timestamp_seconds": ("source",),
}
"""The public contract: every family about targets and jobs, with its labels after those of the target."""

BASE = Snapshot(provider="oss", account="prod", region="cn-hangzhou", pages=1, duration=0.5)


def text(scrape):
    return text_of(scrape).decode()


def samples(families):
    """The samples by family; a duplicate family is an error."""
    families = list(families)
    assert {family.type for family in families} <= {"gauge"}
    assert max(Counter(family.name for family in families).values()) == 1
    return {family.name: family.samples for family in families}


@settings(deadline=None)
@given(scrapes)
def test_text_has_the_samples_of_the_oracle(scrape):
    """Parsed as text 0.0.4, a rendering equals the oracle's families: names, labels, values, order, no timestamps."""
    assert samples(parse_text(text(scrape))) == samples(oracle.families(scrape))


@settings(deadline=None)
@given(scrapes)
def test_openmetrics_has_the_samples_of_the_oracle(scrape):
    """Parsed as OpenMetrics, with its strict grouping and end mark, a rendering equals the oracle's families."""
    assert samples(parse_openmetrics(text(scrape) + OPENMETRICS_END.decode())) == samples(oracle.families(scrape))


@settings(deadline=None)
@given(scrapes)
def test_pieces_are_whole_lines_of_utf8(scrape):
    """Each piece is valid UTF-8 and ends with a line feed, so pieces can be joined, compressed and sent one by one."""
    for piece in assemble([list(zip(*family_lines(snapshot), strict=True)) for snapshot in scrape]):
        assert piece.decode().endswith("\n")


@settings(deadline=None)
@given(scrapes)
def test_families_are_contiguous_and_series_unique(scrape):
    """The lines of a family directly follow its HELP and TYPE, and each series occurs once."""
    lines = text(scrape).removesuffix("\n").split("\n")
    names = [line.split(" ")[2] if line.startswith("# ") else line.partition("{")[0] for line in lines]
    assert [name for name, _ in groupby(names)] == [family.name for family in FAMILIES]
    for name, group in groupby(zip(names, lines, strict=True), key=lambda pair: pair[0]):
        starts = [line.partition(name)[0] for _, line in group]
        assert starts == ["# HELP ", "# TYPE ", *[""] * (len(starts) - 2)]
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("# ")]
    assert max(Counter(series).values(), default=0) <= 1


def test_the_families_are_those_of_the_contract():
    """FAMILIES contains each family of the contract once, with its labels in order."""
    assert {family.name: family.labels for family in FAMILIES} == CONTRACT
    assert len(FAMILIES) == len(CONTRACT)


def test_every_family_shows_its_labels():
    """A snapshot with every value has a sample of each family, with exactly the labels of the family."""
    full = replace(
        BASE,
        jobs=(FULL_JOB,),
        details={
            FULL_JOB.id: JobDetail(FULL_JOB, "AccessDenied", "no role", 1760000050, "confirm", "asked", "reports", "a/")
        },
        counts={"Active": 1},
        dropped={"max": 0},
        unreadable=0,
        error=ScrapeError("slow", reason="timeout"),
        last_success=1.0,
        credentials_source="oidc",
        credentials_expire=2.0,
    )
    parsed = samples(parse_text(text([full])))
    assert parsed.keys() == CONTRACT.keys()
    for name, more in CONTRACT.items():
        assert [tuple(sample.labels) for sample in parsed[name]] == [(*TARGET_LABELS, *more)]


def test_no_description_if_descriptions_are_off():
    """If descriptions are off, the label is absent, not empty."""
    shown = samples(parse_text(text([replace(BASE, jobs=(FULL_JOB,), show_descriptions=False)])))
    assert [tuple(sample.labels) for sample in shown["batchops_job_info"]] == [(*TARGET_LABELS, "job_id", "operation")]


def test_omitted_values_have_no_sample():
    """A job with only an id and a status has samples of its status and info, and no zeros."""
    shown = samples(parse_text(text([replace(BASE, jobs=(Job("job-1", "New"),))])))
    present = {name for name, rows in shown.items() if name.startswith("batchops_job_") and rows}
    assert present == {"batchops_job_status", "batchops_job_info"}


@pytest.mark.parametrize("number", [2**63 - 1, 10_000_000_001, 0])
def test_integers_keep_all_their_digits(number):
    """A 64-bit integer is written with all its digits, not as the nearest float."""
    shown = text([replace(BASE, jobs=(Job("job-1", "Active", tasks=number),))])
    assert f'status="Active"}} {number}\n' in shown


@pytest.mark.parametrize("char", "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_no_label_has_a_line_break(char):
    """In every label of every family, a character at which a line-wise reader splits becomes a space."""
    label = f"a{char}b"
    job = Job(label, label, label, label, 1, 1, 2, 3, 4, 5, 6)
    snapshot = Snapshot(
        provider=label,
        account=label,
        region=label,
        pages=1,
        duration=0.5,
        jobs=(job,),
        details={label: JobDetail(job, label, label, 1760000050, label, label, label, label)},
        counts={label: 1},
        dropped={label: 0},
        error=ServiceError("denied", reason="access_denied", status=403, code=label),
        credentials_source=label,
        credentials_expire=2.0,
    )
    lines = text([snapshot]).splitlines()
    assert lines == text([snapshot]).removesuffix("\n").split("\n")
    values = {value for line in lines for value in re.findall(r'="([^"]*)"', line)}
    assert values == {"a b", "access_denied"}


@pytest.mark.parametrize(("error", "code"), [("AccessDenied", "AccessDenied"), (None, "")])
def test_the_error_code_of_the_service_is_a_label(error, code):
    """`batchops_scrape_error` has the service's own error code, or an empty label if there is none."""
    denied = ServiceError("denied", reason="access_denied", status=403, code=error)
    for failure, shown_code in ((denied, code), (ScrapeError("slow", reason="timeout"), "")):
        (sample,) = samples(parse_text(text([replace(BASE, error=failure)])))["batchops_scrape_error"]
        assert (sample.labels["reason"], sample.labels["code"]) == (failure.reason, shown_code)
