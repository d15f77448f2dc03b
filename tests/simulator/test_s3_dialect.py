from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from exporter.core.errors import ConfigError
from exporter.core.jobs import Job
from exporter.simulator import Fault, Scenario, Store, World
from exporter.simulator.dialects.s3 import S3
from exporter.simulator.jobs.plan import Detail
from exporter.simulator.messages import Style
from exporter.simulator.responder import Responder
from tests.simulator.official_s3 import PATH, sign

NOW = 1_795_325_400.0
JOBS = [Job(f"job-{number:02}", status) for number, status in enumerate(["New", "Active", "Failed", "Complete"] * 6)]

DOCUMENTED = """\
<?xml version="1.0" encoding="UTF-8"?>
<ListJobsResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">
   <NextToken>next-page-token-456</NextToken>
   <Jobs>
      <member>
         <CreationTime>2025-06-15T10:30:00.125Z</CreationTime>
         <Description>Set the tags</Description>
         <JobId>93735294-df46-44d5-8638-6356f335324e</JobId>
         <Operation>S3PutObjectTagging</Operation>
         <Priority>10</Priority>
         <ProgressSummary>
            <NumberOfTasksFailed>0</NumberOfTasksFailed>
            <NumberOfTasksSucceeded>1000</NumberOfTasksSucceeded>
            <Timers>
               <ElapsedTimeInActiveSeconds>3600</ElapsedTimeInActiveSeconds>
            </Timers>
            <TotalNumberOfTasks>1000</TotalNumberOfTasks>
         </ProgressSummary>
         <Status>Complete</Status>
         <TerminationDate>2025-06-15T11:30:00.000Z</TerminationDate>
      </member>
   </Jobs>
</ListJobsResult>
"""
JOB = Job(
    id="93735294-df46-44d5-8638-6356f335324e",
    status="Complete",
    operation="S3PutObjectTagging",
    description="Set the tags",
    priority=10,
    created=1749983400.125,
    terminated=1749987000,
    tasks=1000,
    succeeded=1000,
    failed=0,
    elapsed_active=3600,
)


@pytest.fixture
def store() -> Store:
    """A store of S3 with 24 jobs."""
    return Store(World.fixed(JOBS), provider="s3", region="us-west-2", clock=lambda: NOW)


def ask(store, query="", **more):
    """Returns status and root element of the response to a correctly signed request."""
    reply, _ = Responder([store]).respond(sign(store, query, **more))
    return reply.status, ET.fromstring(reply.body)


def refused(store, query="", **more):
    status, root = ask(store, query, **more)
    assert root.tag == "ErrorResponse"
    return status, root.findtext("Error/Code")


def ids(root):
    return [element.text for element in root.findall("{*}Jobs/{*}member/{*}JobId")]


def test_a_page_has_the_documented_form():
    """A page is written exactly as in the SDKs' model."""
    assert S3.list_response([JOB], "next-page-token-456", Style()).decode() == DOCUMENTED


@pytest.mark.parametrize("size", [1, 7, 23, 24, 25, 1000])
def test_following_the_tokens_lists_each_job_once(store, size):
    """For any page size the pages contain each job once, in order; the last one has no token."""
    listed_ids: list[str | None] = []
    token: str | None = ""
    pages = 0
    while token is not None:
        more = f"&nextToken={quote(token, safe='')}" if token else ""
        status, root = ask(store, f"maxResults={size}{more}")
        assert status == 200
        listed_ids += ids(root)
        token = root.findtext("{*}NextToken")
        pages += 1
    assert listed_ids == [job.id for job in JOBS]
    assert pages == -(-24 // size)
    assert [seen.page for seen in store.requests] == list(range(1, pages + 1))


@pytest.mark.parametrize("query", ["", "maxResults=0", "maxResults=1000"])
def test_page_sizes(store, query):
    """A page has the maximum size if maxResults is missing or 0, and never more than the store allows."""
    assert len(ids(ask(store, query)[1])) == 24
    store.page_size = 10
    assert len(ids(ask(store, query)[1])) == 10


def test_statuses_may_be_repeated(store):
    """A listing can be filtered by one status or, with the parameter repeated, by several."""
    assert ids(ask(store, "jobStatuses=Active")[1]) == [job.id for job in JOBS if job.status == "Active"]
    both = ids(ask(store, "jobStatuses=Active&maxResults=9&jobStatuses=Failed")[1])
    assert both == [job.id for job in JOBS if job.status in ("Active", "Failed")][:9]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("maxResults=1001", "InvalidRequestException"),
        ("maxResults=-1", "InvalidRequestException"),
        ("maxResults=ten", "InvalidRequestException"),
        ("maxResults=", "InvalidRequestException"),
        ("maxResults=%2B5", "InvalidRequestException"),
        ("maxResults=1&maxResults=2", "InvalidRequestException"),
        ("jobStatuses=Sleeping", "InvalidRequestException"),
        ("jobStatuses=Active%7CFailed", "InvalidRequestException"),
        ("jobStatuses=", "InvalidRequestException"),
        ("max-keys=5", "InvalidRequestException"),
        ("nextToken=", "InvalidNextTokenException"),
        ("nextToken=next-page-token-123", "InvalidNextTokenException"),
    ],
)
def test_unsound_questions_are_refused(store, query, code):
    """A request that the reference does not allow returns the model's error, and is recorded."""
    assert refused(store, query) == (400, code)
    assert store.requests[-1].status == 400


@pytest.mark.parametrize(
    ("path", "method", "query", "expected"),
    [
        (PATH, "POST", "", (405, "MethodNotAllowed")),
        (f"{PATH}/job-01", "DELETE", "", (405, "MethodNotAllowed")),
        (f"{PATH}/job-01/tagging", "GET", "", (404, "UnknownOperationException")),
        (f"{PATH}/", "GET", "", (404, "UnknownOperationException")),
        (f"/x{PATH}/job-01", "GET", "", (404, "UnknownOperationException")),
        ("/jobs", "GET", "", (404, "UnknownOperationException")),
        (f"{PATH}/job-01", "GET", "maxResults=5", (400, "InvalidRequestException")),
        (f"{PATH}/job-01", "GET", "jobStatuses=New", (400, "InvalidRequestException")),
        (f"{PATH}/none", "GET", "", (404, "NotFoundException")),
    ],
)
def test_jobs_are_only_read(store, path, method, query, expected):
    """A request that would change something, or that no client sends, returns an error."""
    assert refused(store, query, path=path, method=method) == expected


def test_the_account_must_be_right(store):
    """The account is in a header, and in the host if the host is a name; it must be the store's."""
    other = "999999999999"
    assert refused(store, headers={"x-amz-account-id": other}) == (400, "InvalidRequestException")
    address = {"host": "127.0.0.1:10084"}
    assert ask(store, headers=address)[0] == 200
    assert refused(store, headers={**address, "x-amz-account-id": other}) == (403, "AccessDenied")
    request = sign(Store(store.world, provider="s3", region=store.region, account_id=other, clock=store.clock))
    assert Responder([store]).respond(request)[0].status == 403


def test_permissions_and_regions_that_are_not_enabled(store):
    """Each operation needs its permission, which the error names; a region that is not enabled returns an error."""
    store.permissions = {"ListJobs"}
    status, root = ask(store, path=f"{PATH}/job-01")
    assert (status, root.findtext("Error/Code")) == (403, "AccessDenied")
    assert "s3:DescribeJob" in (root.findtext("Error/Message") or "")
    assert ask(store)[0] == 200
    store.enabled = False
    assert refused(store) == (403, "AllAccessDisabled")


def test_an_error_has_the_documented_form(store):
    """An error is wrapped, and its two request ids are also in headers; without a body, only there."""
    store.faults.add(Fault("error", status=503, code="SlowDown", message="Reduce your request rate.", times=1))
    reply, _ = Responder([store]).respond(sign(store))
    root = ET.fromstring(reply.body)
    assert [element.tag for element in root] == ["Error", "RequestId", "HostId"]
    assert [element.text for element in root.findall("Error/*")] == ["SlowDown", "Reduce your request rate."]
    assert root.findtext("RequestId") == reply.headers["x-amz-request-id"]
    assert root.findtext("HostId") == reply.headers["x-amz-id-2"]
    store.faults.add(Fault("error", status=503, bodyless=True))
    reply, _ = Responder([store]).respond(sign(store))
    assert (reply.status, reply.body) == (503, b"")
    assert reply.headers["x-amz-request-id"]


def test_a_job_is_described(store):
    """DescribeJob returns what ListJobs returns, why a job failed, and since when and why it is suspended."""
    store.world.listed[:] = [JOB._replace(status="Failed"), JOB._replace(id="b", status="Suspended")]
    store.world.details[JOB.id] = Detail("ManifestNotFound", "a < b")
    store.world.details["b"] = Detail(suspended=1_749_985_000, confirmation_required=True)
    status, root = ask(store, path=f"{PATH}/{JOB.id}")
    assert (status, root.tag.rpartition("}")[2]) == (200, "DescribeJobResult")
    assert [element.text for element in root.findall("{*}Job/{*}FailureReasons/{*}member/*")] == [
        "ManifestNotFound",
        "a < b",
    ]
    assert root.find("{*}Job/{*}Operation/{*}S3PutObjectTagging") is not None
    assert root.find("{*}Job/{*}SuspendedDate") is None
    _, root = ask(store, path=f"{PATH}/b")
    assert root.findtext("{*}Job/{*}SuspendedDate") == "2025-06-15T10:56:40.000Z"
    assert root.findtext("{*}Job/{*}SuspendedCause")
    assert root.findtext("{*}Job/{*}ConfirmationRequired") == "true"
    assert [(seen.operation, seen.page) for seen in store.requests] == [("DescribeJob", 0)] * 2


def test_a_scenario_may_be_of_this_service():
    """A scenario names the provider and the account of its stores; the account must have 12 digits."""
    (store,) = Scenario.from_mapping({"provider": "s3", "account_id": "012345678901", "regions": ["us-west-2"]}).stores
    assert ask(store)[0] == 200
    assert (store.provider, store.account_id, store.region) == ("s3", "012345678901", "us-west-2")
    with pytest.raises(ConfigError, match=r"^account_id: must be 12 digits, in quotes$"):
        Scenario.from_mapping({"provider": "s3", "account_id": "12345678901"})


def test_an_unsigned_request_is_refused(store):
    """An unsigned request is denied with the service's own error."""
    signed = sign(store)
    request = replace(
        signed, headers={name: signed.headers[name] for name in signed.headers.keys() - {"authorization"}}
    )
    reply, _ = Responder([store]).respond(request)
    assert (reply.status, ET.fromstring(reply.body).findtext("Error/Code")) == (403, "AccessDenied")
