"""botocore's client, the exporter and the simulated store agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import botocore.exceptions
import botocore.parsers
import botocore.session
import pytest
from botocore.regions import EndpointResolver
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.http import Response
from exporter.core.jobs import STATUSES, Job
from exporter.core.section import Section
from exporter.core.target import JobPolicy
from exporter.providers.endpoint import Endpoint
from exporter.providers.s3 import S3
from exporter.simulator import Fault, Store, World, make_jobs
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.jobs.plan import Detail
from exporter.simulator.messages import Style
from tests.rig import keys, rig, target_at
from tests.simulator.official_s3 import client

if TYPE_CHECKING:
    from exporter.core.errors import Problem

pytestmark = pytest.mark.anyio

THEN = 1_795_325_400
FAILED = Job(
    id="93735294-df46-44d5-8638-6356f335324e",
    status="Failed",
    operation="S3PutObjectTagging",
    description="<&> größe 🚚",
    priority=2**31 - 1,
    created=THEN + 0.048,
    terminated=THEN + 60,
    tasks=20_000_000_000,
    succeeded=0,
    failed=19_999_999_999,
    elapsed_active=59,
)
SUSPENDED = Job(id="3f3c7619-02d3-4779-97f6-1d98dd313108", status="Suspended", operation="LambdaInvoke")
JOBS = [FAILED, SUSPENDED, Job("only-what-is-required", "New"), *make_jobs(25, now=THEN)]
DETAILS = {
    FAILED.id: Detail("ManifestNotFound", "The manifest <a> & its checksum are gone."),
    SUSPENDED.id: Detail(suspended=THEN + 5, confirmation_required=True),
}

texts = st.text("aB1 é世🚚<>&\"'\n\r\t", max_size=8)
counts = st.none() | st.integers(0, 2**63 - 1)
times = st.none() | st.integers(1, 4 * 10**12).map(lambda milliseconds: milliseconds / 1000)  # 0 counts as omitted
jobs = st.builds(
    Job,
    id=texts.map(lambda text: text.replace("\r", "")).filter(str.strip),  # with a line break it would be malformed
    status=st.sampled_from(STATUSES),
    operation=st.none() | st.sampled_from(["S3PutObjectCopy", "LambdaInvoke"]),
    description=st.none() | texts.filter(bool),
    priority=counts,
    created=times,
    terminated=times,
    tasks=counts,
    succeeded=counts,
    failed=counts,
    elapsed_active=counts,
)
styles = st.builds(Style, token_first=st.booleans(), unknown_elements=st.booleans())


@pytest.fixture(scope="module")
def session():
    return botocore.session.Session()


@pytest.fixture
def store() -> Store:
    """A store of S3 with awkward jobs."""
    world = World.fixed(JOBS)
    world.details.update(DETAILS)
    return Store(world, provider="s3", region="eu-west-1", security_token="FwoGZXIvYXdzE+/=EXAMPLE")


@pytest.fixture
def official(store, store_url):
    with client(store, store_url) as made:
        yield made


def read(parsed, operation=None):
    """Returns a job as botocore parsed it."""
    progress = parsed.get("ProgressSummary", {})
    created, terminated = parsed.get("CreationTime"), parsed.get("TerminationDate")
    return Job(
        id=parsed["JobId"],
        status=parsed["Status"],
        operation=operation or parsed.get("Operation"),
        description=parsed.get("Description"),
        priority=parsed.get("Priority"),
        created=created and created.timestamp(),
        terminated=terminated and terminated.timestamp(),
        tasks=progress.get("TotalNumberOfTasks"),
        succeeded=progress.get("NumberOfTasksSucceeded"),
        failed=progress.get("NumberOfTasksFailed"),
        elapsed_active=progress.get("Timers", {}).get("ElapsedTimeInActiveSeconds"),
    )


@given(st.lists(jobs, max_size=3), st.none() | st.text("+:/=?#-_Az0", min_size=1), styles)
@settings(max_examples=100, deadline=None)
def test_the_official_parser_and_ours_read_what_is_written(session, listed, token, style):
    """For any jobs and any style, botocore and the exporter read exactly these jobs and this token."""
    body = DIALECTS["s3"].list_response(listed, token, style)
    shape = session.get_service_model("s3control").operation_model("ListJobs").output_shape
    answer = {"status_code": 200, "headers": {}, "body": body}
    parsed = botocore.parsers.RestXMLParser().parse(answer, shape)
    assert [read(job) for job in parsed.get("Jobs", [])] == listed
    assert parsed.get("NextToken") == token
    assert S3.parse_jobs(body)[:2] == (listed, token)


@pytest.mark.parametrize("size", [1, 7, 28, 1000])
def test_the_official_client_lists_all_pages(official, store, size):
    """The pages that botocore's client reads contain all jobs of the store, in order."""
    jobs: list[Job] = []
    more: dict[str, str] = {}
    while True:
        page = official.list_jobs(AccountId=store.account_id, MaxResults=size, **more)
        jobs += [read(job) for job in page["Jobs"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert jobs == JOBS
    assert len(store.requests) == -(-len(JOBS) // size)
    assert store.requests[0].raw.headers["host"].startswith(f"{store.account_id}.127.0.0.1:")


def test_the_official_client_may_ask_for_some_statuses(official, store):
    """Several statuses, as botocore writes them, select exactly the jobs that have one of them."""
    wanted = ["Failed", "Suspended"]
    page = official.list_jobs(AccountId=store.account_id, JobStatuses=wanted)
    assert [read(job) for job in page["Jobs"]] == [job for job in JOBS if job.status in wanted]


def test_the_official_client_describes_a_job(official, store):
    """A job described by botocore's client is the store's, with the reason why it failed or is suspended."""
    parsed = official.describe_job(AccountId=store.account_id, JobId=FAILED.id)["Job"]
    (operation,) = parsed["Operation"]
    assert read(parsed, operation) == FAILED
    reason = DETAILS[FAILED.id]
    assert parsed["FailureReasons"] == [
        {"FailureCode": reason.failure_code, "FailureReason": reason.failure_reason},
    ]
    parsed = official.describe_job(AccountId=store.account_id, JobId=SUSPENDED.id)["Job"]
    assert parsed["SuspendedDate"].timestamp() == THEN + 5
    assert parsed["ConfirmationRequired"]
    assert parsed["SuspendedCause"]


def test_the_official_client_knows_the_errors(official, store):
    """The store's errors are classes of botocore's model, or have the codes that S3 documents."""
    account = store.account_id
    with pytest.raises(official.exceptions.NotFoundException) as caught:
        official.describe_job(AccountId=account, JobId="no-such-job")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert caught.value.response["ResponseMetadata"]["RequestId"]
    with pytest.raises(official.exceptions.InvalidNextTokenException):
        official.list_jobs(AccountId=account, NextToken="next-page-token-123")
    with pytest.raises(official.exceptions.InvalidRequestException):
        official.list_jobs(AccountId=account, JobStatuses=["Sleeping"])
    store.access_key_secret = "other"
    with pytest.raises(botocore.exceptions.ClientError, match=r"^An error occurred \(SignatureDoesNotMatch\)"):
        official.list_jobs(AccountId=account)


def our_target(store, url, page_size=1000):
    scheme, _, host = url.partition("://")
    api = S3(Endpoint(scheme, host), store.region, store.account_id, page_size)
    credentials = keys(store.access_key_id, store.access_key_secret, store.security_token)
    return target_at(url, region=store.region, provider=api, credentials=credentials, retries=0)


@pytest.mark.parametrize(
    ("page_size", "style"), [(1000, Style()), (9, Style(token_first=False, unknown_elements=True))]
)
async def test_the_exporter_lists_what_the_store_knows(store, store_url, page_size, style):
    """The exporter's listing over real HTTP contains all jobs of the store and all of their fields."""
    store.style, store.token_length = style, 1024
    async with rig(our_target(store, store_url, page_size)) as made:
        listing = await made.snapshot()
    assert listing.error is None
    assert listing.pages == -(-len(JOBS) // page_size)
    assert {job.id: job for job in listing.jobs} == {
        job.id: job._replace(description=job.description or None) for job in JOBS
    }
    assert "jobStatuses" not in "".join(seen.raw.query for seen in store.requests)


async def test_the_exporter_describes_what_the_store_knows(store, store_url):
    """Watched jobs are the store's, with the failure reason and the suspension time; a deleted one is omitted."""
    target = replace(our_target(store, store_url), jobs=JobPolicy(ids=(FAILED.id, "no-such-job", SUSPENDED.id)))
    async with rig(target) as made:
        listing = await made.snapshot()
    assert listing.error is None
    assert {*listing.jobs} == {FAILED, SUSPENDED}
    failed, suspended = listing.details[FAILED.id], listing.details[SUSPENDED.id]
    assert (failed.failure_code, failed.failure_reason) == ("ManifestNotFound", DETAILS[FAILED.id].failure_reason)
    assert (suspended.failure_code, suspended.suspended) == (None, THEN + 5)


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (lambda store: store.permissions.clear(), "access_denied", "s3:ListJobs"),
        (lambda store: setattr(store, "enabled", False), "access_denied", "not enabled"),
        (lambda store: setattr(store, "account_id", "999999999999"), "access_denied", "account_id"),
        (lambda store: setattr(store, "access_key_secret", "other"), "auth", "secret_access_key"),
        (lambda store: setattr(store, "access_key_id", "other"), "auth", "access_key_id"),
        (lambda store: setattr(store, "region", "eu-west-2"), "auth", "region"),
        (lambda store: setattr(store, "security_token", "other"), "auth", "session token is not valid"),
        (lambda store: setattr(store, "token_expires", 0), "auth", "expired"),
        (lambda store: setattr(store, "clock", lambda: THEN * 2), "auth", "clock"),
        (lambda store: store.faults.add(Fault("error", status=503, code="SlowDown")), "throttled", "SlowDown"),
    ],
)
async def test_the_exporter_tells_what_is_wrong(store, store_url, change, reason, says):
    """Each error of the store becomes its reason, a message with a remedy, and both request ids."""
    target = our_target(store, store_url)
    change(store)
    async with rig(target) as made:
        error = await made.failure()
    assert error.reason == reason
    assert says in str(error)
    assert "(request id " in str(error)
    assert ", extended request id " in str(error)
    assert not any(secret in str(error) for secret in (store.access_key_secret, "FwoGZXIvYXdzE", "AWS4-HMAC"))


def test_a_missing_permission_is_named_by_the_operation():
    """An error that denies DescribeJob names its permission and not that of ListJobs."""
    response = Response(403, {}, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
    assert "s3:DescribeJob" in str(S3.error(response, "DescribeJob"))
    assert "s3:ListJobs" not in str(S3.error(response, "DescribeJob"))


def test_the_default_endpoint_is_the_official_one(session):
    """In every region that botocore lists for S3 Control, the exporter requests the same host as botocore."""
    resolver = EndpointResolver(session.get_data("endpoints"))
    partitions = session.get_available_partitions()
    regions = {region for partition in partitions for region in session.get_available_regions("s3control", partition)}
    hosts = {}
    for region in regions:
        problems: list[Problem] = []
        api = S3.from_section(Section({"account_id": "012345678901"}, "", problems), region)
        assert not problems
        hosts[region] = (api.endpoint.scheme, api.endpoint.host)
    official = {region: resolver.construct_endpoint("s3-control", region)["hostname"] for region in regions}
    assert hosts == {region: ("https", f"012345678901.{host}") for region, host in official.items()}
    assert {"us-east-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1", "eusc-de-east-1"} <= regions
