from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.errors import ConfigError
from exporter.core.jobs import STATUSES, Job
from exporter.simulator import Fault, Scenario, Store, World, create_app, make_jobs
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.jobs.plan import Detail
from exporter.simulator.messages import Style
from exporter.simulator.responder import Responder
from tests.serving import serve
from tests.simulator import official_oss
from tests.simulator.official_cos import authorization, sign
from tests.simulator.official_oss import send

NOW = 1_795_325_400.0

DOCUMENTED = """\
<?xml version="1.0" encoding="UTF-8"?>
<ListJobsResult>
   <Jobs>
      <member>
         <CreationTime>2019-12-19T11:07:05Z</CreationTime>
         <Description>example-job</Description>
         <JobId>066d919e-49b9-429e-b844-e17ea7b16421</JobId>
         <Operation>COSPutObjectCopy</Operation>
         <Priority>10</Priority>
         <ProgressSummary>
            <NumberOfTasksFailed>0</NumberOfTasksFailed>
            <NumberOfTasksSucceeded>10</NumberOfTasksSucceeded>
            <TotalNumberOfTasks>10</TotalNumberOfTasks>
         </ProgressSummary>
         <Status>Complete</Status>
         <TerminationDate>2019-12-19T11:07:21Z</TerminationDate>
      </member>
   </Jobs>
   <NextToken>066d919e-49b9-429e-b844-e17ea7b16421</NextToken>
</ListJobsResult>
"""
JOB = Job(
    id="066d919e-49b9-429e-b844-e17ea7b16421",
    status="Complete",
    operation="COSPutObjectCopy",
    description="example-job",
    priority=10,
    created=1576753625,
    terminated=1576753641,
    tasks=10,
    succeeded=10,
    failed=0,
    elapsed_active=9,
)

texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\n\r\t")
)
counts = st.none() | st.integers(0, 2**63 - 1)
times = st.none() | st.integers(0, 253402300799)  # up to the year 9999
jobs = st.builds(
    Job,
    id=texts.filter(bool),
    status=st.sampled_from(STATUSES),
    operation=st.none() | texts,
    description=st.none() | texts,
    priority=counts,
    created=times,
    terminated=times,
    tasks=counts,
    succeeded=counts,
    failed=counts,
    elapsed_active=counts,
)


@pytest.fixture
def store() -> Store:
    """A store of COS with 25 jobs that change only when the test edits them."""
    return Store(World.fixed(make_jobs(25, now=NOW)), provider="cos", region="ap-chengdu")


def read(body: bytes) -> list[Job]:
    """Returns the jobs of a page, read without the exporter's parser."""
    root = ET.fromstring(body)
    assert root.tag == "ListJobsResult"
    return [
        Job(
            id=item.findtext("JobId") or "",
            status=item.findtext("Status") or "",
            operation=item.findtext("Operation"),
            description=item.findtext("Description"),
            priority=number(item.findtext("Priority")),
            created=seconds(item.findtext("CreationTime")),
            terminated=seconds(item.findtext("TerminationDate")),
            tasks=number(item.findtext("ProgressSummary/TotalNumberOfTasks")),
            succeeded=number(item.findtext("ProgressSummary/NumberOfTasksSucceeded")),
            failed=number(item.findtext("ProgressSummary/NumberOfTasksFailed")),
        )
        for item in root.findall("Jobs/member")
    ]


def number(text: str | None) -> int | None:
    return None if text is None else int(text)


def seconds(text: str | None) -> int | None:
    if text is None:
        return None
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def ask(url, store, query="", *, path="/jobs", headers=None):
    """Returns the response to a correctly signed request."""
    return send(url, sign(store, query, headers, path=path))


def ids(reply) -> list[str]:
    return [job.id for job in read(reply.body)]


def test_a_page_has_the_documented_form():
    """A page is written as the reference prints it, without the time in status Active, which COS omits."""
    assert DIALECTS["cos"].list_response([JOB], JOB.id, Style(token_first=False)).decode() == DOCUMENTED


@given(st.lists(jobs, max_size=5), st.builds(Style, *[st.booleans()] * 5))
@settings(deadline=None)
def test_a_page_tells_its_jobs_in_every_form(listed, style):
    """For any jobs and any style, an XML parser reads exactly these jobs, without the time in status Active."""
    body = DIALECTS["cos"].list_response(listed, None, style)
    assert read(body) == [job._replace(elapsed_active=None) for job in listed]
    assert b"ElapsedTime" not in body


@pytest.mark.parametrize("size", [1, 7, 24, 25, 26, 1000])
def test_each_token_is_the_id_of_the_last_job(store, size):
    """The pages contain all jobs in order; every page except the last has its last job as the next token."""
    everyone = [job.id for job in store.world.listed]
    listed_ids: list[str] = []
    with serve(create_app(store)) as url:
        token: str | None = None
        while True:
            reply = ask(url, store, f"maxResults={size}" + (f"&nextToken={quote(token, safe='')}" if token else ""))
            listed_ids += ids(reply)
            if not reply.token:
                break
            token = reply.token
            assert token == listed_ids[-1]
    assert listed_ids == everyone
    assert [seen.page for seen in store.requests] == list(range(1, (25 - 1) // size + 2))


def test_the_last_page_may_name_its_last_job_too(store):
    """With token_on_last_page the last page also has a token, and the page after it is empty and has none."""
    store.style = Style(token_on_last_page=True)
    last = store.world.listed[-1].id
    with serve(create_app(store)) as url:
        reply = ask(url, store)
        assert (reply.token, len(ids(reply))) == (last, 25)
        reply = ask(url, store, f"nextToken={quote(last, safe='')}")
        assert (reply.token, ids(reply)) == (None, [])


def test_a_page_has_a_thousand_jobs_where_nothing_is_asked_for(store):
    """A page has 1000 jobs by default, and never more than the store allows."""
    store.world.listed[:] = make_jobs(1001, now=NOW)
    with serve(create_app(store)) as url:
        assert len(ids(ask(url, store))) == 1000
        store.page_size = 40
        assert len(ids(ask(url, store, "maxResults=1000"))) == 40


@pytest.mark.parametrize("status", STATUSES)
def test_one_status_is_filtered(store, status):
    """A listing can be filtered by one status."""
    store.world.listed[:] = [Job(f"{name}-{number}", name) for number in range(3) for name in STATUSES]
    reply, _ = Responder([store]).respond(sign(store, f"jobStatuses={status}&maxResults=2"))
    assert [job.id for job in read(reply.body)] == [f"{status}-0", f"{status}-1"]
    token = ET.fromstring(reply.body).findtext("NextToken")
    reply, _ = Responder([store]).respond(sign(store, f"jobStatuses={status}&maxResults=2&nextToken={token}"))
    assert [job.id for job in read(reply.body)] == [f"{status}-2"]


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/jobs", "maxResults=0", (400, "InvalidArgument")),
        ("/jobs", "maxResults=1001", (400, "InvalidArgument")),
        ("/jobs", "maxResults=", (400, "InvalidArgument")),
        ("/jobs", "maxResults=%2B5", (400, "InvalidArgument")),
        ("/jobs", "maxresults=5", (400, "InvalidArgument")),
        ("/jobs", "jobStatuses=Sleeping", (400, "InvalidArgument")),
        ("/jobs", "jobStatuses=Active%2CFailed", (400, "InvalidArgument")),
        ("/jobs", "jobStatuses=", (400, "InvalidArgument")),
        ("/jobs", "nextToken=", (400, "InvalidArgument")),
        ("/jobs", "nextToken=66d919e-49b9", (400, "InvalidArgument")),
        ("/jobs", f"nextToken={'a' * 65}", (400, "InvalidArgument")),
        ("/jobs", "marker=x", (400, "InvalidArgument")),
        ("/jobs/none", "maxResults=1", (400, "InvalidArgument")),
        ("/jobs/none", "", (404, "NoSuchJob")),
        ("/jobs/a/b", "", (404, "NoSuchKey")),
        ("/", "", (404, "NoSuchKey")),
        ("/object", "", (404, "NoSuchKey")),
    ],
)
def test_unsound_questions_are_refused(store, path, query, expected):
    """A request that the reference does not allow returns an error, and is recorded."""
    store.world.listed.append(Job("a" * 65, "New"))
    reply, _ = Responder([store]).respond(sign(store, query, path=path))
    assert (reply.status, ET.fromstring(reply.body).findtext("Code")) == expected
    assert store.requests[-1].status == expected[0]


def test_jobs_are_only_read(store):
    """A request that would change a job returns an error."""
    reply, _ = Responder([store]).respond(sign(store, method="POST"))
    assert (reply.status, ET.fromstring(reply.body).findtext("Code")) == (405, "MethodNotAllowed")


def test_an_error_has_the_documented_form(store):
    """An error contains code, message, resource and both ids in its XML, and the ids also in its headers."""
    store.permissions.discard("ListJobs")
    with serve(create_app(store)) as url:
        reply = ask(url, store)
    error = ET.fromstring(reply.body)
    assert reply.status == 403
    assert [child.tag for child in error] == ["Code", "Message", "Resource", "RequestId", "TraceId"]
    assert error.findtext("Code") == "AccessDenied"
    assert "cos:ListJobs" in (error.findtext("Message") or "")
    assert error.findtext("Resource") == "100000000001.cos-control.ap-chengdu.myqcloud.com/jobs"
    assert error.findtext("RequestId") == reply.headers["x-cos-request-id"]
    assert error.findtext("TraceId") == reply.headers["x-cos-trace-id"]
    assert reply.headers["content-type"] == "application/xml"


def test_an_error_without_a_body_keeps_its_id(store):
    """An error without a body has only the request id, in its headers."""
    store.faults.add(Fault("error", status=503, code="SlowDown", bodyless=True))
    with serve(create_app(store)) as url:
        reply = ask(url, store)
    assert (reply.status, reply.body) == (503, b"")
    assert reply.headers["x-cos-request-id"]
    assert "SlowDown" not in str(reply.headers)


def test_one_permission_is_for_both_operations(store):
    """DescribeJob needs only the permission of ListJobs; a region without the feature rejects both."""
    described = sign(store, path=f"/jobs/{quote(store.world.listed[0].id, safe='')}")
    service = Responder([store])
    store.permissions = {"ListJobs"}
    assert [service.respond(request)[0].status for request in (sign(store), described)] == [200, 200]
    store.permissions = {"DescribeJob"}
    assert [service.respond(request)[0].status for request in (sign(store), described)] == [403, 403]
    store.permissions, store.enabled = {"ListJobs"}, False
    assert [service.respond(request)[0].status for request in (sign(store), described)] == [405, 405]


def test_the_appid_is_needed(store):
    """A correctly signed request without the APPID is rejected."""
    whole = sign(store)
    headers = {"host": whole.headers["host"]}
    url, now = f"https://{headers['host']}/jobs", store.clock()
    signed = authorization("GET", url, headers, store.access_key_id, store.access_key_secret, now=now)
    bare = replace(whole, headers={**headers, "authorization": signed})
    reply, _ = Responder([store]).respond(bare)
    assert (reply.status, ET.fromstring(reply.body).findtext("Code")) == (400, "InvalidArgument")


def test_a_job_is_described(store):
    """DescribeJob returns why a job failed and since when it is suspended; JobFailure is empty if it did not fail."""
    job = store.world.listed[0]._replace(status="Suspended", description="<&>", tasks=7)
    store.world.listed[0] = job
    path = f"/jobs/{quote(job.id, safe='')}"
    with serve(create_app(store)) as url:
        well = ET.fromstring(ask(url, store, path=path).body)
        store.world.details[job.id] = Detail(
            "InternalError", "a < b", "because", 1576778435, confirmation_required=True
        )
        reply = ask(url, store, path=path, headers={"accept-encoding": "gzip"})
    assert [child.tag for child in well.findall("Job/FailureReasons/JobFailure")] == ["JobFailure"]
    assert well.find("Job/FailureReasons/JobFailure/FailureCode") is None
    assert well.find("Job/SuspendedDate") is None
    root = ET.fromstring(gzip.decompress(reply.body))
    assert root.tag == "DescribeJobResult"
    parsed = {element.tag: element.text for element in root.iter() if not len(element)}
    assert parsed.items() >= {
        ("JobId", job.id),
        ("Status", "Suspended"),
        ("SuspendedDate", "2019-12-19T18:00:35Z"),
        ("Description", "<&>"),
        ("TotalNumberOfTasks", "7"),
        ("FailureCode", "InternalError"),
        ("FailureReason", "a < b"),
        ("StatusUpdateReason", "because"),
        ("ConfirmationRequired", "true"),
    }
    assert root.find(f"Job/Operation/{job.operation}") is not None
    assert [child.tag for child in root[0]] == sorted(child.tag for child in root[0])
    assert "ElapsedTimeInActiveSeconds" not in parsed
    assert (store.requests[-1].operation, store.requests[-1].page) == ("DescribeJob", 0)


def test_stores_of_several_services_stand_behind_one_host(store):
    """A request is accepted or rejected by the service whose signature it has."""
    other = Store(World.fixed([Job("one", "New")]), region=store.region)
    service = Responder([other, store])
    assert b"<member>" in service.respond(sign(store))[0].body
    assert b"<JobListDescriptor>" in service.respond(official_oss.sign(other, "batchJob"))[0].body
    store.access_key_id = f"{store.access_key_id}x"
    unknown = sign(store)
    store.access_key_id = other.access_key_id
    assert "x-cos-request-id" in service.respond(unknown)[0].headers
    assert [len(other.requests), len(store.requests)] == [1, 2]


def test_a_scenario_may_be_of_cos():
    """A scenario names the provider and the account; two stores may differ only in the provider."""
    same = {"regions": ["ap-chengdu"]}
    stores = Scenario.from_mapping(
        {
            "answers": {"token_on_last_page": True},
            "stores": [{"provider": "cos", "uin": "42", "appid": "43"} | same, same],
        }
    ).stores
    assert [store.provider for store in stores] == ["cos", "oss"]
    assert (stores[0].uin, stores[0].appid) == ("42", "43")
    assert stores[0].style == Style(token_on_last_page=True)


def test_problems_with_the_service_of_a_scenario():
    """An unknown provider and an invalid account are reported."""
    with pytest.raises(ConfigError) as caught:
        Scenario.from_mapping({"provider": "cso", "uin": "a", "appid": ""})
    assert [problem.path for problem in caught.value.problems] == ["provider", "uin", "appid"]
