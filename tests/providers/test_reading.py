"""How each service's responses are read: the rules on the pages of docs/providers."""

from __future__ import annotations

import pytest

from exporter.core.errors import MalformedResponse, ServiceError
from exporter.core.http import Response
from tests.providers.test_contract import every_provider, returned, shown, valid

ERROR = "<Error><Code>{}</Code><Message>the-secret</Message><RequestId>r-1</RequestId></Error>"


@every_provider
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("operation", ["ListJobs", "DescribeJob"])
def test_an_error_with_status_200_is_that_error(provider, operation, wrapped):
    """An error in the body of a response with status 200 is read as that error, and one of the service is transient."""
    api = valid(provider)
    for code, reason, transient in [
        ("AccessDenied", "access_denied", False),
        ("RequestTimeout", "http_4xx", True),
        ("InternalError", "http_5xx", True),
        ("NewCode", "http_5xx", True),
    ]:
        body = f"<ErrorResponse>{ERROR.format(code)}</ErrorResponse>" if wrapped else ERROR.format(code)
        with pytest.raises(ServiceError) as caught:
            (api.parse_jobs if operation == "ListJobs" else api.parse_job)(body.encode())
        error = caught.value
        assert (error.status, error.code, error.reason, error.transient) == (200, code, reason, transient)
        assert str(error).startswith(f"{operation} returned 200 {code}: ")
        assert error.request_id == "r-1"
        assert "the-secret" not in shown(error)


SLOW = "the service did not receive the request in time"


@every_provider
def test_a_slow_request_is_transient(provider):
    """A 400 RequestTimeout is transient, and a 501 NotImplemented is not."""
    slow = valid(provider).error(Response(400, {}, ERROR.format("RequestTimeout").encode()), "ListJobs")
    assert (slow.reason, slow.transient) == ("http_4xx", True)
    assert SLOW in str(slow)
    if provider != "s3":
        none = valid(provider).error(Response(501, {}, ERROR.format("NotImplemented").encode()), "ListJobs")
        assert not none.transient


@every_provider
@pytest.mark.parametrize(
    "shape",
    [
        "{job}",
        "{job}<Jobs></Jobs>",
        "<Jobs>{job}<Unknown><JobId>b</JobId></Unknown></Jobs>",
        "<Jobs><Unknown/></Jobs>",
        "<Job>{job}</Job><Jobs/>",
        "<Jobs>{job}</Jobs><Jobs>{job}</Jobs>",
    ],
)
def test_a_page_in_another_shape_is_malformed(provider, shape):
    """Jobs outside Jobs, or an unknown element among the jobs, make a page malformed for each service."""
    item = valid_item(provider)
    job = f"<{item}><JobId>a</JobId><Status>New</Status></{item}>"
    body = f"<ListJobsResult>{shape.format(job=job)}</ListJobsResult>"
    with pytest.raises(MalformedResponse):
        valid(provider).parse_jobs(body.encode())


def valid_item(provider: str) -> str:
    """The tag of a job in a page."""
    return "JobListDescriptor" if provider == "oss" else "member"


def page_of(provider: str, jobs: str) -> bytes:
    return f"<ListJobsResult><Jobs>{jobs}</Jobs></ListJobsResult>".replace("member", valid_item(provider)).encode()


@every_provider
def test_a_page_has_at_most_1000_jobs(provider):
    """A page of 1000 jobs is read by either parser, whatever was requested; one of 1001 is malformed."""
    job = "<member><JobId>a{}</JobId><Status>New</Status></member>"
    for end in ("", "<!-- -->"):
        body = page_of(provider, "".join(map(job.format, range(1000))) + end)
        assert len(valid(provider, {"page_size": 10}).parse_jobs(body).jobs) == 1000
        body = page_of(provider, "".join(map(job.format, range(1001))) + end)
        with pytest.raises(
            MalformedResponse, match="the page contains 1001 jobs, but no service returns more than 1000"
        ):
            valid(provider).parse_jobs(body)


@every_provider
@pytest.mark.parametrize("end", ["", "<!-- -->"])
def test_a_label_is_bounded(provider, end):
    """A description of 1024 bytes is whole; a longer one ends with an ellipsis, at a whole character, within 1024."""
    job = "<member><JobId>a</JobId><Status>New</Status><Description>{}</Description></member>"
    for text, expected in {
        "x" * 1024: "x" * 1024,
        "x" * 1025: "x" * 1021 + "…",
        "é" * 512: "é" * 512,
        "é" * 15_000: "é" * 510 + "…",
        "世" * 342: "世" * 340 + "…",
        "&amp;" * 40 + "x" * 1000: "&" * 40 + "x" * 981 + "…",
        "&lt;" * 3000: "<" * 1021 + "…",
    }.items():
        (read_job,) = valid(provider).parse_jobs(page_of(provider, job.format(text) + end)).jobs
        assert read_job.description == expected
        assert len(expected.encode()) <= 1024


@every_provider
def test_ids_are_never_changed(provider):
    """Ids that differ by a blank are different jobs; one with a line break, which labels cannot show, is malformed."""
    ids = ["a", " a", "a ", "a a", "a  a", "a\na"]
    job = "<member><JobId>{}</JobId><Status> New\n</Status></member>"
    jobs = valid(provider).parse_jobs(page_of(provider, "".join(map(job.format, ids)))).jobs
    assert [(made.id, made.status) for made in jobs] == [(made, "New") for made in ids]
    for character in "\x85\u2028\u2029":
        for text in (f"a{character}", f"{character}a", f"a{character}b"):
            with pytest.raises(MalformedResponse, match="JobId contains a line break"):
                valid(provider).parse_jobs(page_of(provider, job.format(text)))


@every_provider
def test_zero_is_not_a_time(provider):
    """A creation time of 0 is unreadable; so is a termination of 0 if the job has ended, otherwise it is no value."""
    job = (
        "<member><JobId>{0}</JobId><Status>{1}</Status><CreationTime>{2}</CreationTime>"
        "<TerminationDate>{3}</TerminationDate></member>"
    )
    rows = [("a", "Active", 1, 0), ("b", "Failed", 1, 0), ("c", "Complete", 0, 7), ("d", "Cancelled", 1, "")]
    page = valid(provider).parse_jobs(page_of(provider, "".join(job.format(*row) for row in rows)))
    assert [made.terminated for made in page.jobs] == [None, None, 7, None]
    assert page.unreadable == ("TerminationDate of job b", "CreationTime of job c")


@every_provider
def test_a_value_counts_in_its_place_only(provider):
    """Of two elements in one place the first counts, with all it contains; a value in any other place is ignored."""
    summary = "<ProgressSummary>{}</ProgressSummary>"
    job = (
        "<member><JobId>a</JobId><JobId>b</JobId><Status>New</Status><TotalNumberOfTasks>5</TotalNumberOfTasks>"
        "<Timers><ElapsedTimeInActiveSeconds>7</ElapsedTimeInActiveSeconds></Timers>"
        + summary.format("<NumberOfTasksFailed>1</NumberOfTasksFailed><Status>Failed</Status>")
        + summary.format("<TotalNumberOfTasks>9</TotalNumberOfTasks>")
        + "</member>"
    )
    (made,) = valid(provider).parse_jobs(page_of(provider, job)).jobs
    assert returned(made) == {"id": "a", "status": "New", "failed": 1}
