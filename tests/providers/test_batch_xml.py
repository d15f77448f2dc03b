from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.errors import MalformedResponse
from exporter.core.jobs import Job, JobDetail
from exporter.providers import batch_xml
from exporter.providers.batch_xml import XmlFormat

OURS = XmlFormat(item="JobListDescriptor", time=batch_xml.whole)
PROGRESS = {
    "TotalNumberOfTasks": "tasks",
    "NumberOfTasksSucceeded": "succeeded",
    "NumberOfTasksFailed": "failed",
}
LEAVES = {
    "JobId": "id",
    "Status": "status",
    "Operation": "operation",
    "Description": "description",
    "Priority": "priority",
    "CreationTime": "created",
    "TerminationDate": "terminated",
}
UNKNOWN = "<Unknown><Status>Failed</Status><TotalNumberOfTasks>99</TotalNumberOfTasks></Unknown>"

words = st.text("abcXYZ019-_=世", min_size=1, max_size=8)
counts = st.none() | st.integers(0, 2**63 - 1)
jobs = st.builds(
    Job,
    id=words,
    status=words,
    operation=st.none() | words,
    description=st.none() | st.text("ab <>&\"'é世😀\n\t\r", min_size=1, max_size=8),
    priority=counts,
    created=counts,
    terminated=counts,
    tasks=counts,
    succeeded=counts,
    failed=counts,
    elapsed_active=counts,
)


def element(name: str, value: object) -> str:
    return "" if value is None else f"<{name}>{escape(str(value), {chr(13): '&#13;'})}</{name}>"


def written(job: Job, noise: str, *, old: bool) -> str:
    """A job as the service writes it; an `old` one has the elapsed time right under the summary."""
    elapsed = element("ElapsedTimeInActiveSeconds", job.elapsed_active)
    progress = "".join(element(name, getattr(job, field)) for name, field in PROGRESS.items())
    progress += elapsed if old else f"<Timers>{elapsed}</Timers>"
    leaves = "".join(element(name, getattr(job, field)) for name, field in LEAVES.items())
    return f"<JobListDescriptor>{noise}{leaves}<ProgressSummary>{noise}{progress}</ProgressSummary></JobListDescriptor>"


@settings(max_examples=150, deadline=None)
@given(st.lists(jobs, max_size=3), st.none() | words, st.booleans(), st.sampled_from(["", UNKNOWN]), st.booleans())
def test_what_is_written_is_read(listed, token, old, noise, spaced):
    """Any jobs and token are read as they were written, with unknown elements, a namespace, and in older models."""
    space = ' xmlns="http://a.example/"' if spaced else ""
    inner = "".join(written(job, noise, old=old) for job in listed)
    body = f"<ListJobsResult{space}>{noise}{element('NextToken', token)}<Jobs>{inner}</Jobs></ListJobsResult>"
    assert batch_xml.parse_jobs(body.encode(), OURS)[:2] == (listed, token)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("", None), (" \n", None), ("0", 0), ("007", 7), (" 7\n", 7), (str(2**63 - 1), 2**63 - 1)],
)
def test_whole_numbers_are_read(text, expected):
    """Decimal digits, with blanks around them, are a number; nothing is None, and never zero."""
    assert batch_xml.whole(text, "Priority") == expected


@pytest.mark.parametrize(
    "text", [str(2**63), "9" * 19, "9" * 100, "-1", "+1", "1_0", "1e3", "0x1", "1.0", "٣", "²", "1 0"]
)
def test_what_is_no_whole_number_is_refused_by_name(text):
    """What other readers take for a number, but the services do not write, is refused and not shown."""
    with pytest.raises(MalformedResponse, match=r"^Priority is not a whole number of at most 64 bits$"):
        batch_xml.whole(text, "Priority")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        (" \n", None),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-22T05:30:00Z", 1795325400),
        (" 2026-11-22T05:30:00Z\n", 1795325400),
        ("2026-11-22T05:30:00.000Z", 1795325400),
        ("2026-11-22T05:30:00.5Z", 1795325400.5),
        ("2026-11-22T05:30:00.123456789Z", 1795325400.123456),
        ("2024-02-29T23:59:59Z", 1709251199),
    ],
)
def test_iso_times_are_read(text, expected):
    """A time in UTC is Unix seconds: an int where they are whole, so that no fraction is shown that was not told."""
    time = batch_xml.iso8601(text, "CreationTime")
    assert time == expected
    assert type(time) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22",
        "2026-11-22T05:30Z",
        "2026-11-22 05:30:00Z",
        "2026-11-22T05:30:00",
        "2026-11-22T05:30:00z",
        "2026-11-22T05:30:00+08:00",
        "2026-11-22T05:30:00,5Z",
        "2026-11-22T05:30:00.Z",
        "2026-13-22T05:30:00Z",
        "2026-02-29T05:30:00Z",
        "2026-11-22T24:30:00Z",
        "0000-11-22T05:30:00Z",
        "20261122T053000Z",
        "2026-W47-7T05:30:00Z",
        "٢٠٢٦-11-22T05:30:00Z",
        "1795325400",
        "yesterday",
    ],
)
def test_what_is_no_iso_time_is_refused_by_name(text):
    """A day without a time, a time of no zone, and whatever else is not documented, is refused and not shown."""
    with pytest.raises(MalformedResponse, match=r"^CreationTime is not a time such as 2019-12-19T11:05:40Z$"):
        batch_xml.iso8601(text, "CreationTime")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4 * 10**15))
def test_any_iso_time_is_the_time_that_was_written(microseconds):
    """A time that is written with microseconds is read as exactly that time."""
    time = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
    assert batch_xml.iso8601(time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "CreationTime") == time.timestamp()


def test_a_dialect_has_its_own_tag_and_time():
    """The tag of an item and the form of a time are the provider's; the tag of a failure may be any."""
    theirs = XmlFormat(item="member", time=batch_xml.iso8601)
    job = b"<JobId>a</JobId><Status>New</Status><CreationTime>2026-11-22T05:30:00.500Z</CreationTime>"
    page = b"<ListJobsResult><Jobs><member>" + job + b"</member></Jobs></ListJobsResult>"
    assert batch_xml.parse_jobs(page, theirs).jobs == [Job("a", "New", created=1795325400.5)]
    described = b"<DescribeJobResult><Job>" + job + b"</Job></DescribeJobResult>"
    assert batch_xml.parse_job(described, theirs) == JobDetail(Job("a", "New", created=1795325400.5))
    with pytest.raises(MalformedResponse, match=r"^job 1 of the page: CreationTime is not a whole number"):
        batch_xml.parse_jobs(page, theirs._replace(time=batch_xml.whole))
    with pytest.raises(MalformedResponse, match=r"^Jobs holds elements, but no JobListDescriptor$"):
        batch_xml.parse_jobs(page, OURS)


ERRORS = {
    "bare": ("<Error><Code>A</Code><Message>m</Message><RequestId>r</RequestId></Error>", ("A", "r")),
    "wrapped": ("<ErrorResponse><Error><Code>A</Code></Error><RequestId>r</RequestId></ErrorResponse>", ("A", "r")),
    "in a namespace": ('<Error xmlns="http://a.example/"><Code>A</Code></Error>', ("A", None)),
    "silent": ("<Error/>", (None, None)),
    "empty": ("<Error><Code/><RequestId> </RequestId></Error>", (None, None)),
    "with blanks": ("<Error>\n <Code>\n A </Code>\n</Error>", ("A", None)),
    "with more codes inside": (
        "<Error><Details><Code>B</Code></Details><Code>A</Code><RequestId>r<Code>C</Code></RequestId></Error>",
        ("A", "r"),
    ),
    "of a web page": ("<html><body><Code>A</Code><RequestId>r</RequestId></body></html>", (None, None)),
    "a page of jobs": ("<ListJobsResult><Jobs/><Code>A</Code></ListJobsResult>", (None, None)),
    "too deep in something else": ("<a><b><Error><Code>A</Code></Error></b></a>", (None, None)),
    "nothing": ("", (None, None)),
    "no XML": ("Service Unavailable", (None, None)),
    "with a document type": ('<!DOCTYPE Error [<!ENTITY a "A">]><Error><Code>&a;</Code></Error>', (None, None)),
    "as deep as can be": (f"<!-- --><Error><Code>A</Code>{'<a>' * 50_000}{'</a>' * 50_000}</Error>", ("A", None)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_tells_its_code_and_request_id(name):
    """Code and request id come from the Error itself, wherever it may stand, and from nowhere else."""
    text, expected = ERRORS[name]
    assert batch_xml.parse_error(text.encode()) == expected


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=50) | st.text(max_size=20).map("<Error><Code>{}</Code></Error>".format).map(str.encode))
def test_reading_an_error_never_raises(body):
    """Whatever an error's body holds, it tells two words or nothing."""
    code, request_id = batch_xml.parse_error(body)
    assert code is None or (code and code == code.strip())
    assert request_id is None
