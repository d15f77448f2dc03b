"""The provider, the listing and the store together: each job is listed exactly once, wherever the last page ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collector.paginator import Paginator, Progress
from exporter.core.errors import PaginationError
from exporter.core.secrets import Credentials, Secret
from exporter.core.target import JobPolicy
from exporter.exposition.self_metrics import SelfMetrics
from exporter.providers.cos import Cos
from exporter.providers.endpoint import Endpoint
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from exporter.simulator.jobs.plan import Detail
from exporter.simulator.messages import RawRequest, Style
from exporter.simulator.responder import Responder
from tests.rig import keys, rig, target_at
from tests.serving import serve

if TYPE_CHECKING:
    from exporter.client.session import Session

NOW = 1_795_325_400.0
DOCUMENTED = Style()
KEYS = Credentials(Store.access_key_id, Secret(Store.access_key_secret))


def store_of(count, style=DOCUMENTED):
    jobs = [job._replace(elapsed_active=None, description=None) for job in make_jobs(count, now=NOW)]
    return Store(World.fixed(jobs), provider="cos", style=style, clock=lambda: NOW)


class Direct:
    """A session that passes requests to the store without a socket."""

    def __init__(self, store: Store, page_size: int) -> None:
        endpoint = Endpoint("https", "100000000001.cos-control.cn-hangzhou.myqcloud.com")
        self.provider = Cos(endpoint, Store.appid, page_size)
        self.responder = Responder([store])
        self.observer = SelfMetrics(version="1", revision="r", process=False)

    @property
    def target(self):
        return self

    async def get(self, request, parse, on_progress):
        del on_progress
        signed = self.provider.sign(request, KEYS, NOW)
        headers = {**signed.headers, "host": signed.host}
        answer, _ = self.responder.respond(RawRequest(signed.method, signed.path, signed.query, headers))
        assert answer.status == 200, answer.body
        return parse(answer.body)


def listed(store: Store, page_size: int, *, max_pages: int = 1000) -> Progress:
    """What a listing reads from the store."""
    progress = Progress()
    session = cast("Session", Direct(store, page_size))
    asyncio.run(Paginator(session, progress, max_pages=max_pages).run())
    return progress


sizes = st.tuples(st.integers(0, 30), st.integers(1, 31)) | st.tuples(st.integers(0, 6), st.integers(1, 5)).map(
    lambda pair: (pair[0] * pair[1], pair[1])  # the last page is full
)
styles = st.builds(Style, *[st.booleans()] * 5)


@given(sizes, styles)
@settings(max_examples=300, deadline=None)
def test_no_job_is_lost_and_none_comes_twice(size, style):
    """For any number of jobs, page size and style, each job is listed once, in order, in the expected requests."""
    count, page_size = size
    store = store_of(count, style)
    assert list(listed(store, page_size).jobs.values()) == store.world.listed
    # After a last page with a token, only one more request shows that there are no more jobs.
    asks_once_more = style.token_on_last_page and count > 0
    assert len(store.requests) == max(1, -(-count // page_size)) + asks_once_more


@pytest.mark.parametrize("fault", ["endless", "repeat_token"])
@pytest.mark.parametrize("count", [6, 7])
def test_a_service_that_never_ends_is_left(fault, count):
    """A listing ends even if every page names a next one: at an empty page, or at a repeated token."""
    store = store_of(count)
    store.faults.add(Fault(fault))
    pages = listed(store, 3)
    assert pages.pages <= 4
    assert list(pages.jobs.values()) == store.world.listed[: len(pages.jobs)]


def test_more_pages_than_allowed_are_an_error():
    """A listing with more full pages than allowed fails, as for every service."""
    with pytest.raises(PaginationError):
        listed(store_of(7), 2, max_pages=3)
    assert listed(store_of(7), 2, max_pages=4).pages == 4


@pytest.mark.anyio
@pytest.mark.parametrize("flag", [False, True])
async def test_a_listing_over_real_sockets(flag):
    """A listing over HTTP sends signature, host, port, security token and temporary keys as the store expects."""
    store = store_of(30, Style(token_on_last_page=flag))
    store.security_token = "a+b/c==&;~"
    with serve(create_app(store)) as url:
        target = target_at(url, provider=_api(url, 10), credentials=keys(token=store.security_token))
        async with rig(target, now=lambda: NOW) as made:
            listing = await made.snapshot()
    assert listing.error is None
    assert list(listing.jobs) == store.world.listed
    assert [seen.status for seen in store.requests] == [200] * (4 if flag else 3)


@pytest.mark.anyio
@pytest.mark.parametrize("most", [1, 3, 5])
async def test_pages_that_are_not_full_are_followed(most):
    """If the service returns fewer jobs than requested, together with a token, the listing is complete all the same."""
    store = store_of(8)
    store.page_size = most
    with serve(create_app(store)) as url:
        async with rig(target_at(url, provider=_api(url, 1000)), now=lambda: NOW) as made:
            listing = await made.snapshot()
    assert (listing.error, list(listing.jobs)) == (None, store.world.listed)


@pytest.mark.anyio
async def test_jobs_described_over_real_sockets():
    """Watched jobs are described one by one, whatever their ids contain; a deleted one is omitted."""
    store = store_of(2)
    awkward = store.world.listed[0]._replace(id="a/b%2F?c&d=+;~!", status="Failed")
    store.world.listed.append(awkward)
    store.world.details[awkward.id] = Detail("ManifestNotFound", "It is gone.")
    with serve(create_app(store)) as url:
        policy = JobPolicy(ids=("none", awkward.id))
        async with rig(target_at(url, provider=_api(url, 10), jobs=policy), now=lambda: NOW) as made:
            listing = await made.snapshot()
    assert listing.error is None
    assert listing.jobs == (awkward,)
    detail = listing.details[awkward.id]
    assert (detail.failure_code, detail.failure_reason) == ("ManifestNotFound", "It is gone.")
    assert sorted(seen.status for seen in store.requests) == [200, 404]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("seconds", "reason", "says"),
    [(-901, "auth", "clock"), (-900, None, ""), (60, None, ""), (61, "auth", "clock")],
)
async def test_how_far_the_clock_may_be_off(seconds, reason, says):
    """A clock may be up to 15 minutes slow or one minute fast; otherwise the error names the clock."""
    store = store_of(1)
    with serve(create_app(store)) as url:
        async with rig(target_at(url, provider=_api(url, 10)), now=lambda: NOW + seconds) as made:
            listing = await made.snapshot()
    assert (listing.error and listing.error.reason) == reason
    assert says in str(listing.error)


def _api(url: str, page_size: int) -> Cos:
    scheme, _, host = url.partition("://")
    return Cos(Endpoint(scheme, host), Store.appid, page_size)
