from __future__ import annotations

from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.errors import MalformedResponse
from exporter.core.jobs import Job, JobPage
from exporter.providers import batch_xml
from exporter.providers.batch_pattern import PagePattern
from exporter.providers.cos import Cos

OURS, THEIRS = PagePattern("JobListDescriptor"), PagePattern("member")
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
    created=st.none() | st.integers(1, 2**63 - 1),
    terminated=st.none() | st.integers(1, 2**63 - 1),
    tasks=counts,
    succeeded=counts,
    failed=counts,
    elapsed_active=counts,
)


def element(name: str, value: object) -> str:
    return "" if value is None else f"<{name}>{escape(str(value), {chr(13): '&#13;'})}</{name}>"


def written(job: Job, noise: str, *, old: bool) -> str:
    """A job as the service writes it; an `old` one has the elapsed time directly in the summary."""
    elapsed = element("ElapsedTimeInActiveSeconds", job.elapsed_active)
    progress = "".join(element(name, getattr(job, field)) for name, field in PROGRESS.items())
    progress += elapsed if old else f"<Timers>{elapsed}</Timers>"
    leaves = "".join(element(name, getattr(job, field)) for name, field in LEAVES.items())
    return f"<JobListDescriptor>{noise}{leaves}<ProgressSummary>{noise}{progress}</ProgressSummary></JobListDescriptor>"


@settings(max_examples=150, deadline=None)
@given(st.lists(jobs, max_size=3), st.none() | words, st.booleans(), st.sampled_from(["", UNKNOWN]), st.booleans())
def test_written_pages_are_read(listed, token, old, noise, spaced):
    """Any jobs and token are read as written, with unknown elements, a namespace, and in older models."""
    space = ' xmlns="http://a.example/"' if spaced else ""
    inner = "".join(written(job, noise, old=old) for job in listed)
    body = f"<ListJobsResult{space}>{noise}{element('NextToken', token)}<Jobs>{inner}</Jobs></ListJobsResult>"
    assert batch_xml.parse_jobs(body.encode(), OURS, Cos.error)[:2] == (listed, token)


def page(inner: str, root: str = "ListJobsResult") -> bytes:
    return f"<{root}>{inner}</{root.split(maxsplit=1)[0]}>".encode()


JOB = "<member><JobId>a</JobId><Status>New</Status></member>"
SHAPES = {
    "no Jobs": ("", "contains no Jobs element"),
    "no Jobs but a token": ("<NextToken>t</NextToken>", "contains no Jobs element"),
    "two Jobs": ("<Jobs/><Jobs/>", "contains more than one Jobs element"),
    "job beside Jobs": (f"<Jobs/>{JOB}", "contains jobs outside Jobs"),
    "job without Jobs": (JOB, "contains jobs outside Jobs"),
    "jobs in another container": (f"<JobList>{JOB}</JobList><Jobs/>", "contains jobs outside Jobs"),
    "jobs with another tag in another container": (
        "<List><Job><JobId>a</JobId></Job></List><Jobs/>",
        "contains jobs outside Jobs",
    ),
    "Jobs of another namespace": (f'<Jobs xmlns="u">{JOB}</Jobs>', "contains jobs outside Jobs"),
    "empty Jobs of another namespace": ('<Jobs xmlns="u"/>', "contains no Jobs element"),
    "job of another namespace": (f'<Jobs><x:member xmlns:x="u"/>{JOB}</Jobs>', "Jobs contains other elements"),
    "other element among the jobs": (f"<Jobs>{JOB}<Count>1</Count></Jobs>", "Jobs contains other elements than member"),
    "text before a job": (f"<Jobs>a{JOB}</Jobs>", "Jobs contains text"),
    "text behind a job": (f"<Jobs>{JOB}a</Jobs>", "Jobs contains text"),
    "text instead of jobs": ("<Jobs>none</Jobs>", "Jobs contains text"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_page_in_another_shape_is_malformed(name):
    """A page in another shape than documented is malformed, and never a page without jobs."""
    inner, message = SHAPES[name]
    with pytest.raises(MalformedResponse, match=message):
        batch_xml.parse_jobs(page(inner), THEIRS, Cos.error)


def test_an_empty_list_is_a_page_without_jobs():
    """An empty Jobs element, with unknown elements beside it, is a page without jobs."""
    assert batch_xml.parse_jobs(page("<Owner><ID>1</ID></Owner><Jobs> </Jobs>"), THEIRS, Cos.error) == JobPage([], None)


def test_an_unreadable_value_costs_only_itself():
    """Each value that cannot be read is None and reported with the job's id; all other values are as sent."""
    values = "<CreationTime>soon</CreationTime><Priority>high</Priority><TerminationDate>7</TerminationDate>"
    job = f"<member><JobId>b</JobId><Status>New</Status>{values}</member>"
    assert batch_xml.parse_jobs(page(f"<Jobs>{JOB}{job}</Jobs>"), THEIRS, Cos.error) == JobPage(
        [Job("a", "New"), Job("b", "New", terminated=7)], None, ("Priority of job b", "CreationTime of job b"), "xml"
    )


def test_of_two_leaves_the_first_one_counts():
    """If a leaf of a job is there twice, the first one counts."""
    job = JOB.replace("</JobId>", "</JobId><JobId>b</JobId>")
    assert batch_xml.parse_jobs(page(f"<Jobs>{job}</Jobs>"), THEIRS, Cos.error).jobs == [Job("a", "New")]


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
    "as deep as can be": (f"<!-- --><Error><Code>A</Code>{'<a>' * 34_000}{'</a>' * 34_000}</Error>", ("A", None)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_its_code_and_request_id(name):
    """Code and request id come from the Error itself, bare or wrapped, and from nowhere else."""
    text, expected = ERRORS[name]
    assert batch_xml.parse_error(text.encode()) == expected


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=50) | st.text(max_size=20).map("<Error><Code>{}</Code></Error>".format).map(str.encode))
def test_reading_an_error_never_raises(body):
    """Any body of an error has two words, or nothing."""
    code, request_id = batch_xml.parse_error(body)
    assert code is None or (code and code == code.strip())
    assert request_id is None
