from __future__ import annotations

import platform
from typing import get_args

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import config
from exporter.core.errors import REASONS, ServiceError
from exporter.core.http import Request
from exporter.core.jobs import JobPage, Parser
from exporter.exposition.self_metrics import OPENMETRICS_END, REQUEST_BUCKETS, SelfMetrics

LIST_JOBS = Request("ListJobs", "https", "oss.example", "/")
API = {
    "batchops_api_requests_total",
    "batchops_api_request_failures_total",
    "batchops_api_request_retries_total",
    "batchops_api_request_duration_seconds",
}
OWN = {
    "batchops_exporter_build_info",
    "batchops_exporter_config_last_reload_successful",
    "batchops_exporter_config_last_reload_success_timestamp_seconds",
    "batchops_exporter_scrapes_in_flight",
    "batchops_exporter_scrapes_rejected_total",
    "batchops_exporter_pages_parsed_total",
}
CONFIG = b"""
accounts:
  - provider: oss
    account: prod
    regions: [cn-hangzhou, ap-southeast-1]
    credentials: {source: static, access_key_id: key, access_key_secret: secret}
    jobs: {describe: false}
"""
"""Two targets."""


@pytest.fixture
def targets():
    return config.parse(CONFIG, file="config.yaml", environment={}).targets


def names(own):
    """The families as text 0.0.4 names them."""
    lines = own.render(openmetrics=False).decode().splitlines()
    return {line.split(" ")[2] for line in lines if line.startswith("# TYPE ")}


def values(own):
    """Each sample's value, by its name and labels."""
    families = parse_text(own.render(openmetrics=False).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}


def of(target, **more):
    """The labels of `target` with `more`, as in the keys of `values`."""
    labels = {"provider": target.provider_name, "account": target.account, "region": target.region, **more}
    return sorted(labels.items())


@pytest.fixture
def own(targets):
    own = SelfMetrics(version="1.2.3", revision="abcdef0", process=False)
    own.keep_only(targets)
    return own


def test_every_family_of_the_contract_is_there():
    """With `process` there are the families about API requests, the exporter, the process and Python."""
    found = names(SelfMetrics(version="1.2.3", revision="abcdef0"))
    assert found >= API | OWN | {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_info"}
    assert "python_gc_collections_total" in found
    assert {name.partition("_")[0] for name in found} == {"batchops", "process", "python"}


def test_without_process_only_the_api_requests_are_shown():
    """`process=False` hides all that is about the exporter itself; the methods that set it can still be called."""
    own = SelfMetrics(version="1.2.3", revision="abcdef0", process=False)
    own.config_loaded(1.0)
    own.scrape_started()
    own.scrape_rejected()
    own.page_parsed(JobPage([], None))
    assert names(own) == API
    assert own.in_flight == 1


def test_counters_start_at_zero(own, targets):
    """Each target has every counter, for each operation and reason, at 0 before the first request."""
    expected = set()
    for target in targets:
        expected.add(("batchops_api_requests_total", *of(target, operation="ListJobs")))
        expected.add(("batchops_api_request_retries_total", *of(target, operation="ListJobs")))
        for reason in REASONS:
            labels = of(target, operation="ListJobs", reason=reason)
            expected.add(("batchops_api_request_failures_total", *labels))
    shown = values(own)
    counters = {key for key in shown if key[0].endswith("_total")}
    assert counters == expected
    assert set(shown.values()) == {0}


def test_the_histogram_has_a_series_for_each_provider_and_operation(own):
    """The histogram has no target labels; all its buckets, including +Inf, exist from the start."""
    labels = (("operation", "ListJobs"), ("provider", "oss"))
    name = "batchops_api_request_duration_seconds"
    buckets = [dict(key[1:])["le"] for key in values(own) if key[0] == f"{name}_bucket"]
    assert [float(bound) for bound in buckets] == [*REQUEST_BUCKETS, float("inf")]
    assert {key for key in values(own) if key[0] in (f"{name}_sum", f"{name}_count")} == {
        (f"{name}_sum", *labels),
        (f"{name}_count", *labels),
    }


def test_events_count_for_their_target_only(own, targets):
    """A request, a failure and a retry each increase their own counter of their target by 1, and no other."""
    before = values(own)
    own.requested(targets[0], LIST_JOBS, 0.3, 200)
    own.failed(targets[0], LIST_JOBS, ServiceError("slower", reason="throttled", status=429))
    own.retried(targets[1], LIST_JOBS)
    after = values(own)
    histogram = "batchops_api_request_duration_seconds"
    changed = {key: value for key, value in after.items() if value != before[key] and not key[0].startswith(histogram)}
    assert changed == {
        ("batchops_api_requests_total", *of(targets[0], operation="ListJobs")): 1,
        ("batchops_api_request_failures_total", *of(targets[0], operation="ListJobs", reason="throttled")): 1,
        ("batchops_api_request_retries_total", *of(targets[1], operation="ListJobs")): 1,
    }
    labels = (("operation", "ListJobs"), ("provider", "oss"))
    assert after[(f"{histogram}_sum", *labels)] == pytest.approx(0.3)
    assert after[(f"{histogram}_bucket", ("le", "0.25"), *labels)] == 0
    assert after[(f"{histogram}_bucket", ("le", "0.5"), *labels)] == 1


def test_build_and_configuration_are_shown():
    """Version, revision and Python's version are labels; loading a configuration sets its success and its time."""
    own = SelfMetrics(version="1.2.3", revision="abcdef0")
    own.config_loaded(1760000000.25)
    shown = values(own)
    build = [("pythonversion", platform.python_version()), ("revision", "abcdef0"), ("version", "1.2.3")]
    assert shown[("batchops_exporter_build_info", *build)] == 1
    assert shown[("batchops_exporter_config_last_reload_successful",)] == 1
    assert shown[("batchops_exporter_config_last_reload_success_timestamp_seconds",)] == 1760000000.25


def test_scrapes_in_flight_and_rejected_are_counted():
    """The gauge and the number for the limit agree; a rejected scrape is counted, and is not in flight."""
    own = SelfMetrics(version="1.2.3", revision="abcdef0")

    def shown():
        gauge = values(own)[("batchops_exporter_scrapes_in_flight",)]
        assert gauge == own.in_flight
        return gauge, values(own)[("batchops_exporter_scrapes_rejected_total",)]

    assert shown() == (0, 0)
    own.scrape_started()
    own.scrape_rejected()
    assert shown() == (1, 1)
    own.scrape_ended()
    assert shown() == (0, 1)


def test_parsed_pages_are_counted_by_parser():
    """Both parsers start at 0, and a page counts for the one that parsed it."""
    own = SelfMetrics(version="1.2.3", revision="abcdef0")

    def shown():
        return [
            values(own)[("batchops_exporter_pages_parsed_total", ("parser", parser))] for parser in get_args(Parser)
        ]

    assert shown() == [0, 0]
    own.page_parsed(JobPage([], None))
    assert shown() == [0, 1]


def test_nothing_is_shared(own, targets):
    """The global registry has none of these families, and instances do not share their counts."""
    other = SelfMetrics(version="1.2.3", revision="abcdef0", process=False)
    other.keep_only(targets)
    own.requested(targets[0], LIST_JOBS, 0.3, 200)
    assert set(values(other).values()) == {0}
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("batchops_")]


@pytest.mark.parametrize("process", [True, False])
def test_openmetrics_has_the_same_families(targets, process):
    """OpenMetrics has the same families as plain text, and is complete once its end mark is appended."""
    own = SelfMetrics(version="1.2.3", revision="abcdef0", process=process)
    own.keep_only(targets)
    body = own.render(openmetrics=True)
    assert OPENMETRICS_END not in body
    plain = [family.name for family in parse_text(own.render(openmetrics=False).decode())]
    assert [family.name for family in parse_openmetrics((body + OPENMETRICS_END).decode())] == plain


@pytest.mark.parametrize("openmetrics", [True, False])
def test_no_created_series(targets, openmetrics):
    """No counter or histogram has a `_created` series."""
    own = SelfMetrics(version="1.2.3", revision="abcdef0")
    own.keep_only(targets)
    own.requested(targets[0], LIST_JOBS, 0.3, 200)
    assert b"_created" not in own.render(openmetrics=openmetrics)
