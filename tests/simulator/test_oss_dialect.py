from __future__ import annotations

import gzip
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.jobs import STATUSES, Job
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.jobs.plan import Detail
from exporter.simulator.messages import Style
from exporter.simulator.responder import Responder
from exporter.simulator.store import MAX_RECORDED
from tests.serving import serve
from tests.simulator.official_oss import ask, read_jobs, send, sign

NOW = 1_795_325_400.0

DOCUMENTED = """\
<?xml version="1.0" encoding="UTF-8"?>
<ListJobsResult>
   <NextToken>next-page-token-456</NextToken>
   <Jobs>
      <JobListDescriptor>
         <CreationTime>1749983400</CreationTime>
         <Description>Batch job for setting object tags</Description>
         <JobId>MzRjZGU2NGQ3YTY5NGRhMTkxZmZhYzY5OTM5YTcxYWU=</JobId>
         <Operation>PutObjectTagging</Operation>
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
         <TerminationDate>1749987000</TerminationDate>
      </JobListDescriptor>
   </Jobs>
</ListJobsResult>
"""
JOB = Job(
    id="MzRjZGU2NGQ3YTY5NGRhMTkxZmZhYzY5OTM5YTcxYWU=",
    status="Complete",
    operation="PutObjectTagging",
    description="Batch job for setting object tags",
    priority=10,
    created=1749983400,
    terminated=1749987000,
    tasks=1000,
    succeeded=1000,
    failed=0,
    elapsed_active=3600,
)

texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\n\r\t")
)
counts = st.none() | st.integers(0, 2**63 - 1)
jobs = st.builds(
    Job,
    id=texts.filter(bool),
    status=st.sampled_from(STATUSES),
    operation=st.none() | texts,
    description=st.none() | texts,
    priority=counts,
    created=counts,
    terminated=counts,
    tasks=counts,
    succeeded=counts,
    failed=counts,
    elapsed_active=counts,
)
styles = st.builds(Style, *[st.booleans()] * 4)


def test_a_page_has_the_documented_form():
    """A page is written exactly as the reference prints it."""
    assert DIALECTS["oss"].list_response([JOB], "next-page-token-456", Style()).decode() == DOCUMENTED


@given(st.lists(jobs, max_size=5), st.none() | st.text("+:/=?#-_Az0", min_size=1), styles)
@settings(deadline=None)
def test_a_page_tells_its_jobs_in_every_form(listed, token, style):
    """For any jobs and any style, an XML parser reads exactly these jobs."""
    body = DIALECTS["oss"].list_response(listed, token, style)
    assert read_jobs(body) == listed
    root = ET.fromstring(body)
    absent = "" if style.empty_last_token else None
    assert root.findtext("NextToken") == (token or absent)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Style(), ["NextToken", "Jobs"]),
        (Style(token_first=False), ["Jobs", "NextToken"]),
        (Style(unknown_elements=True), ["NextToken", "IsTruncated", "Jobs"]),
    ],
)
def test_forms_of_an_answer(style, expected):
    """Each flag of the style changes its part of the page."""
    root = ET.fromstring(DIALECTS["oss"].list_response([JOB], "t", style))
    assert [child.tag for child in root] == expected
    assert (root.find(".//Labels") is not None) == style.unknown_elements


def test_elapsed_time_may_stand_outside_timers():
    """In the old form the elapsed time is a direct child of ProgressSummary."""
    body = DIALECTS["oss"].list_response([JOB], None, Style(elapsed_in_timers=False))
    assert ET.fromstring(body).findtext(".//ProgressSummary/ElapsedTimeInActiveSeconds") == "3600"
    assert b"Timers" not in body


def test_what_xml_cannot_hold_is_replaced():
    """A control character or a lone surrogate becomes U+FFFD, and the page stays well-formed."""
    body = DIALECTS["oss"].list_response([Job("id", "New", description="a\x00b\x1f\ud800c\uffff")], None, Style())
    assert read_jobs(body)[0].description == "a\ufffdb\ufffd\ufffdc\ufffd"


def listing(url, store, size, more=""):
    """Returns all jobs and all tokens of a listing."""
    jobs: list[Job] = []
    tokens: list[str] = []
    query = f"batchJob&max-keys={size}{more}"
    while True:
        reply = ask(url, store, query + (f"&continuation-token={quote(tokens[-1], safe='')}" if tokens else ""))
        assert reply.status == 200
        jobs += reply.jobs
        if not reply.token:
            return jobs, tokens
        tokens.append(reply.token)


@pytest.mark.parametrize("size", [1, 7, 24, 25, 26, 1000])
def test_following_the_tokens_lists_each_job_once(store, store_url, size):
    """For any page size the pages contain each job once, in order; the last one has no token."""
    jobs, tokens = listing(store_url, store, size)
    assert jobs == store.world.listed
    assert len(tokens) == (25 - 1) // size
    assert len(set(tokens)) == len(tokens)
    assert listing(store_url, store, size) == (jobs, tokens)
    assert [seen.page for seen in store.requests][: len(tokens) + 1] == list(range(1, len(tokens) + 2))


def test_page_sizes(store, store_url):
    """A page has 100 jobs by default, and never more than the store allows."""
    store.world.listed[:] = make_jobs(250, now=NOW)
    assert len(ask(store_url, store, "batchJob").jobs) == 100
    store.page_size = 40
    assert len(ask(store_url, store, "batchJob&max-keys=1000").jobs) == 40
    assert len(listing(store_url, store, 1000)[0]) == 250


def test_a_position_survives_what_comes_and_goes(store, store_url):
    """If jobs are added or removed between two pages, the next page continues after the last job seen."""
    world, jobs = store.world, list(store.world.listed)
    first = ask(store_url, store, "batchJob&max-keys=10")
    query = f"batchJob&max-keys=10&continuation-token={quote(first.token or '', safe='')}"
    world.listed[:0] = make_jobs(3, "new ones", now=NOW)
    assert ask(store_url, store, query).jobs == jobs[10:20]
    del world.listed[:8]
    assert ask(store_url, store, query).jobs == jobs[10:20]
    world.listed.remove(jobs[9])
    assert (
        len(ask(store_url, store, query).jobs) == 9
    )  # the place is lost with its job; the number of jobs ahead is left
    world.listed.clear()
    assert ask(store_url, store, query).jobs == []


def test_an_edited_job_is_seen_at_once(store, store_url):
    """A cached page is never older than the world."""
    before = ask(store_url, store, "batchJob").jobs
    assert ask(store_url, store, "batchJob").jobs == before
    store.world.listed[3] = store.world.listed[3]._replace(status="Failed", failed=17)
    after = ask(store_url, store, "batchJob").jobs
    assert [index for index in range(25) if before[index] != after[index]] == [3]
    assert after[3].failed == 17
    assert ask(store_url, store, "batchJob&max-keys=25").token is None
    store.world.listed.append(Job("one more", "New"))
    assert ask(store_url, store, "batchJob&max-keys=25").token


def test_pages_are_not_kept_without_end(store):
    """The number of cached pages is bounded."""
    store.faults.add(Fault("endless"))
    service, query = Responder([store]), "batchJob&max-keys=1"
    for _ in range(530):
        answer, _ = service.respond(sign(store, query))
        token = ET.fromstring(answer.body).findtext("NextToken") or ""
        query = f"batchJob&max-keys=1&continuation-token={quote(token, safe='')}"
    assert store.requests[-1].page == 530
    assert len(service._cached) == 512


@pytest.mark.parametrize("separator", ["|", " | ", "| "])
def test_statuses_are_filtered(store, store_url, separator):
    """A listing can be filtered by several statuses, with and without spaces, over several pages."""
    wanted = {"Complete", "Active"}
    store.world.listed[:] = make_jobs(60, now=NOW)
    chosen = [job for job in store.world.listed if job.status in wanted]
    jobs, tokens = listing(store_url, store, 4, f"&batchJobStatuses={quote(separator.join(sorted(wanted)), safe='')}")
    assert jobs == chosen
    assert len(tokens) == (len(chosen) - 1) // 4 > 3
    assert listing(store_url, store, 4, "&batchJobStatuses=")[0] == store.world.listed


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("batchJob&max-keys=0", 400, "InvalidArgument"),
        ("batchJob&max-keys=1001", 400, "InvalidArgument"),
        ("batchJob&max-keys=ten", 400, "InvalidArgument"),
        ("batchJob&max-keys=", 400, "InvalidArgument"),
        ("batchJob&max-keys=%2B5", 400, "InvalidArgument"),
        ("batchJob&batchJobStatuses=Sleeping", 400, "InvalidArgument"),
        ("batchJob&batchJobStatuses=Active%2CFailed", 400, "InvalidArgument"),
        ("batchJob&continuation-token=", 400, "InvalidArgument"),
        ("batchJob&continuation-token=next-page-token-123", 400, "InvalidArgument"),
        ("batchJob&marker=x", 400, "InvalidArgument"),
        ("batchJob=1", 400, "InvalidArgument"),
        ("acl", 400, "InvalidArgument"),
        ("", 400, "InvalidArgument"),
        ("batchJob&batchJobId=none", 404, "NoSuchJob"),
    ],
)
def test_unsound_questions_are_refused(store, store_url, query, status, code):
    """A request that the reference does not allow returns an error, and is recorded."""
    reply = ask(store_url, store, query)
    assert (reply.status, reply.code) == (status, code)
    assert store.requests[-1].status == status


def test_jobs_are_only_read(store, store_url):
    """A request that would change something, or that names a bucket, returns an error."""
    reply = send(store_url, sign(store, "batchJob", {"Content-Length": "300000"}, method="POST"), b"x" * 300_000)
    assert (reply.status, reply.code) == (405, "MethodNotAllowed")
    reply = send(store_url, sign(store, "batchJob", bucket="logs"))
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


def test_an_error_has_the_documented_form(store, store_url):
    """An error contains code, message, request id and host in its XML, and id and EC also in its headers."""
    store.permissions.discard("ListJobs")
    reply = ask(store_url, store, "batchJob")
    error = ET.fromstring(reply.body)
    assert reply.status == 403
    assert [child.tag for child in error] == ["Code", "Message", "RequestId", "HostId", "EC"]
    assert error.findtext("Code") == "AccessDenied"
    assert "oss:ListJobs" in (error.findtext("Message") or "")
    assert error.findtext("RequestId") == reply.headers["x-oss-request-id"]
    assert error.findtext("EC") == reply.headers["x-oss-ec"]
    assert reply.headers["content-type"] == "application/xml"


def test_permissions_and_regions_without_the_feature(store, store_url):
    """Each operation needs its permission, and a region without the feature returns an error."""
    store.permissions = {"ListJobs"}
    job_id = quote(store.world.listed[0].id, safe="")
    assert ask(store_url, store, f"batchJob&batchJobId={job_id}").code == "AccessDenied"
    assert ask(store_url, store, "batchJob").status == 200
    store.enabled = False
    assert ask(store_url, store, "batchJob").code == "OperationNotSupported"


def test_a_job_is_described(store, store_url):
    """DescribeJob returns what ListJobs returns, and why a job failed; JobFailure is empty if it did not."""
    job = store.world.listed[0]._replace(status="Failed", description="<&>", tasks=7, succeeded=1, failed=2)
    store.world.listed[0] = job
    query = f"batchJobId={quote(job.id, safe='')}&batchJob"
    well = ET.fromstring(ask(store_url, store, query).body)
    assert [child.tag for child in well.findall("Job/FailureReasons/JobFailure")] == ["JobFailure"]
    assert well.find("Job/FailureReasons/JobFailure/FailureCode") is None
    store.world.details[job.id] = Detail("InternalError", "a < b", "because", confirmation_required=True)
    reply = ask(store_url, store, query, {"Accept-Encoding": "gzip"})
    root = ET.fromstring(gzip.decompress(reply.body))
    assert root.tag == "DescribeJobResult"
    parsed = {element.tag: element.text for element in root.iter() if not len(element)}
    assert parsed.items() >= {
        ("JobId", job.id),
        ("Status", "Failed"),
        ("Description", "<&>"),
        ("TotalNumberOfTasks", "7"),
        ("NumberOfTasksFailed", "2"),
        ("FailureCode", "InternalError"),
        ("FailureReason", "a < b"),
        ("StatusUpdateReason", "because"),
        ("ConfirmationRequired", "true"),
    }
    assert root.find(f"Job/Operation/{job.operation}") is not None
    assert (store.requests[-1].operation, store.requests[-1].page) == ("DescribeJob", 0)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("identity", False), ("gzip;q=0", False), ("gzip; q=0.0", False)],
)
def test_pages_are_compressed_for_who_accepts_it(store, store_url, accepted, packed):
    """A page is compressed only if the client accepts gzip and the store allows it; the content is the same."""
    plain = ask(store_url, store, "batchJob")
    reply = ask(store_url, store, "batchJob", {"Accept-Encoding": accepted})
    assert (reply.headers.get("content-encoding") == "gzip") == packed
    assert (gzip.decompress(reply.body) if packed else reply.body) == plain.body
    store.gzip = False
    assert ask(store_url, store, "batchJob", {"Accept-Encoding": accepted}).body == plain.body


def test_requests_are_recorded(store, store_url):
    """A store records each request: time, operation, page, token and status."""
    store.clock = lambda: NOW
    first = ask(store_url, store, "batchJob&max-keys=20")
    ask(store_url, store, f"batchJob&max-keys=20&continuation-token={quote(first.token or '', safe='')}")
    ask(store_url, store, "batchJob&max-keys=0")
    assert [(seen.operation, seen.page, seen.token, seen.status) for seen in store.requests] == [
        ("ListJobs", 1, None, 200),
        ("ListJobs", 2, first.token, 200),
        ("", 0, None, 400),
    ]
    assert {seen.time for seen in store.requests} == {NOW}
    assert store.requests[0].raw == sign(store, "batchJob&max-keys=20")
    assert store.requests.maxlen == MAX_RECORDED


def test_a_stream_is_served_as_time_goes_by():
    """A store with a stream returns the same jobs, further along, when its clock has moved."""
    now = [NOW]
    store = Store(World.stream(keep=30), clock=lambda: now[0])
    with serve(create_app(store)) as url:
        before = {job.id: job for job in ask(url, store, "batchJob").jobs}
        now[0] += 60
        after = {job.id: job for job in ask(url, store, "batchJob").jobs}
    both = before.keys() & after.keys()
    assert len(both) == 18
    assert any(before[job_id].status != after[job_id].status for job_id in both)
    assert store.world.jobs(NOW + 60) == list(after.values())
