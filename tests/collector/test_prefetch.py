"""Requesting a page early only saves time: each listing equals one that requests page after page."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collector.paginator import Paginator, Progress
from exporter.core.errors import ScrapeError, ServiceError
from exporter.core.jobs import Job
from exporter.exposition.self_metrics import SelfMetrics
from exporter.providers.batch_values import MAX_TOKEN_CHARACTERS
from exporter.providers.batch_xml import EARLY_BYTES, peek_next_token
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.messages import Style

if TYPE_CHECKING:
    from exporter.client.session import Session
    from exporter.core.http import Request

COUNTER = SelfMetrics(version="1", revision="r", process=False)
OSS = Oss(Endpoint("https", "oss.example"), "cn-hangzhou")
FIRST, LAST = Style(), Style(token_first=False)


@dataclass(slots=True, frozen=True)
class Repeating(Oss):
    """A service whose last page repeats its own token."""

    repeated_token_is_last: ClassVar[bool] = True


class Response(NamedTuple):
    """How one page is sent: its body, cut at `cuts`, each piece after `passes` passes of the event loop."""

    body: bytes = b""
    cuts: tuple[int, ...] = ()
    passes: int = 0
    fails: bool = False
    """Whether it breaks off in the middle of the body."""

    def pieces(self) -> list[bytes]:
        """The body in pieces; a response that fails lacks the last one."""
        places = sorted({0, len(self.body), *(cut % (len(self.body) + 1) for cut in self.cuts)})
        pieces = [self.body[start:end] for start, end in itertools.pairwise(places)]
        return pieces[:-1] if self.fails else pieces


@dataclass(slots=True)
class Service:
    """A session with a service in memory. `most` is the largest number of requests in flight at the same time."""

    responses: dict[str | None, Response]
    provider: Oss = OSS
    requested: list[str | None] = field(default_factory=list)
    cancelled: list[str | None] = field(default_factory=list)
    in_flight: int = 0
    observer: SelfMetrics = COUNTER
    most: int = 0

    @property
    def target(self):
        return self

    async def get(self, request: Request, parse, on_progress):
        (token,) = [token for token in self.responses if self.provider.list_request(token) == request]
        self.requested.append(token)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._respond(self.responses[token], parse, on_progress)
        except asyncio.CancelledError:
            self.cancelled.append(token)
            raise
        finally:
            self.in_flight -= 1

    async def _respond(self, response: Response, parse, on_progress):
        received, looking = bytearray(), True
        for piece in response.pieces():
            for _ in range(response.passes):
                await asyncio.sleep(0)
            received += piece
            looking = looking and not on_progress(received)
        await asyncio.sleep(0)
        if response.fails:
            raise ServiceError("busy", reason="http_5xx", status=503)
        return parse(bytes(received))

    async def list(self, max_pages: int = 1000) -> tuple[Progress, str]:
        """What was read, and the text of the error, if any."""
        progress = Progress()
        try:
            await Paginator(cast("Session", self), progress, max_pages=max_pages).run()
        except ScrapeError as error:
            return progress, str(error)
        finally:
            assert self.in_flight == 0
        return progress, ""


def in_sequence(service: Service, max_pages: int) -> tuple[Progress, str]:
    """The same result, from requesting one page after the other."""
    progress, token, seen = Progress(), None, set()
    while True:
        response = service.responses[token]
        if response.fails:
            return progress, f"page {progress.pages + 1}: busy"
        try:
            parsed = service.provider.parse_jobs(response.body)
        except ScrapeError as error:
            return progress, f"page {progress.pages + 1}: {error}"
        progress.add_page(parsed)
        token = parsed.next_token
        if token is None or (token in seen and service.provider.repeated_token_is_last):
            return progress, ""
        if token in seen:
            problem = "the service returned the same page token twice; the pages would never end"
            return progress, f"page {progress.pages}: {problem}"
        if progress.pages >= max_pages:
            problem = f"there are more than {max_pages} pages; raise max_pages if that is right"
            return progress, f"page {progress.pages}: {problem}"
        seen.add(token)


def body(ids: str, following: str | None, style: Style = FIRST, lie: str = "") -> bytes:
    """A page; with `lie`, a comment at its start names another token, which only a parser knows to skip."""
    text: bytes = DIALECTS["oss"].list_response(
        [Job(name, str(following), description="<NextToken>in-a-text</NextToken>") for name in ids], following, style
    )
    comment = f"<!-- <NextToken>{lie}</NextToken> -->" if lie else ""
    return text.replace(b"<ListJobsResult>", b"<ListJobsResult>" + comment.encode())


TOKENS = "tuvwxyz"
responses = st.builds(
    Response,
    body=st.builds(
        body,
        st.text("abcdef", max_size=4),
        st.sampled_from([None, *TOKENS]),
        st.builds(Style, token_first=st.booleans(), empty_last_token=st.booleans(), unknown_elements=st.booleans()),
        st.sampled_from(["", "", "", *TOKENS]),
    ),
    cuts=st.lists(st.integers(0, 5000), max_size=6).map(tuple),
    passes=st.integers(0, 3),
    fails=st.sampled_from([False] * 9 + [True]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys((None, *TOKENS), responses)),
    st.sampled_from([OSS, Repeating(OSS.endpoint, "r")]),
    st.integers(1, 9),
)
def test_any_pages_are_listed_as_in_sequence(pages, provider, max_pages):
    """Prefetching any pages returns the jobs, the number of pages and the error of requesting them in sequence.

    The pages vary in arrival order, token position, cuts, false tokens and faults.
    """
    service = Service(pages, provider)
    assert asyncio.run(service.list(max_pages)) == in_sequence(service, max_pages)
    assert service.most <= 2


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.lists(st.integers(0, 5000), max_size=4), st.integers(0, 3)), min_size=12, max_size=12),
    st.sampled_from([FIRST, LAST]),
)
def test_an_honest_service_gets_one_request_for_each_page(count, ways, style):
    """If no page lies or fails, each page is requested exactly once, in order, and nothing is cancelled."""
    tokens = [None, *map(str, range(1, count))]
    pages = {
        token: Response(body(f"{index:x}", following, style), tuple(cuts), passes)
        for index, (token, following, (cuts, passes)) in enumerate(zip(tokens, [*tokens[1:], None], ways, strict=False))
    }
    service = Service(pages)
    progress, error = asyncio.run(service.list())
    assert (progress.pages, error, service.requested, service.cancelled) == (count, "", tokens, [])


def chain(count: int, style: Style = FIRST) -> Service:
    """A service with `count` pages, each of which arrives slowly after its token."""
    tokens = [None, *map(str, range(1, count))]
    return Service(
        {
            token: Response(body("a", following, style), tuple(range(200, 600, 50)), passes=5)
            for token, following in zip(tokens, [*tokens[1:], None], strict=True)
        }
    )


@pytest.mark.parametrize(("style", "most"), [(FIRST, 2), (LAST, 1)], ids=["token first", "token last"])
def test_at_most_one_page_is_requested_early(style, most):
    """A token at the start of a page allows one more request at the same time, a token at its end none."""
    service = chain(20, style)
    asyncio.run(service.list())
    assert service.most == most


def test_pages_beyond_the_limit_are_not_requested():
    """`max_pages` also limits the pages requested early."""
    service = chain(20)
    _, error = asyncio.run(service.list(max_pages=3))
    assert error == "page 3: there are more than 3 pages; raise max_pages if that is right"
    assert service.requested == [None, "1", "2"]


def test_a_wrong_guess_costs_one_request():
    """A page requested early with a token that the parsed page does not contain is cancelled."""
    service = Service(
        {
            None: Response(body("a", "1", lie="2"), (600,), passes=2),
            "1": Response(body("b", None)),
            "2": Response(body("z", None), (100,), passes=99),
        }
    )
    progress, error = asyncio.run(service.list())
    assert (list(progress.jobs), error) == (["a", "b"], "")
    assert (service.requested, service.cancelled) == ([None, "2", "1"], ["2"])


def test_a_cancelled_listing_cancels_its_requests():
    """At the deadline both the page being read and the one requested early are cancelled."""
    service = Service({token: Response(body("a", "1"), (600,), 10**6 if token else 3) for token in (None, "1")})
    service.responses[None] = Response(body("a", "1"), (600, 601), 10**6)

    async def ended():
        async with asyncio.timeout(0.05):
            await service.list()

    with pytest.raises(TimeoutError):
        asyncio.run(ended())
    assert service.cancelled == service.requested


@pytest.mark.parametrize(
    ("start", "token"),
    [
        (b"<ListJobsResult><NextToken>abc/+=:?#-_</NextToken><Jobs>", "abc/+=:?#-_"),
        (b"<ListJobsResult>\n <NextToken> abc\n</NextToken>", "abc"),
        (b"<ListJobsResult><NextToken>abc</NextTok", None),
        (b"<ListJobsResult><NextToken></NextToken><Jobs>", None),
        (b"<ListJobsResult><NextToken/><Jobs>", None),
        (b"<ListJobsResult><Jobs></Jobs><NextToken>abc</NextToken>", None),
        (b"<ListJobsResult><NextToken>a&amp;b</NextToken>", None),
        (b"<ListJobsResult><NextToken>a b</NextToken>", None),
        ("<ListJobsResult><NextToken>ä</NextToken>".encode(), None),
        (b"<NextToken>%b</NextToken>" % (b"a" * MAX_TOKEN_CHARACTERS), "a" * MAX_TOKEN_CHARACTERS),
        (b"<NextToken>%b</NextToken>" % (b"a" * (MAX_TOKEN_CHARACTERS + 1)), None),
        (b" " * EARLY_BYTES + b"<NextToken>abc</NextToken>", None),
    ],
)
def test_a_token_is_used_early_only_if_it_is_certain(start, token):
    """Only a whole token of documented characters, before the jobs and near the start, is requested early."""
    assert peek_next_token(bytearray(start)) == token
