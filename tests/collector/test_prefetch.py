"""Asking early must change nothing but the time: every listing is held against one that asks for page after page."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collector.paginator import MAX_AHEAD, MAX_IN_FLIGHT, Ahead, Pages, list_jobs
from exporter.core.errors import PaginationError, ScrapeError, ServiceError
from exporter.core.jobs import Job
from exporter.providers.batch_xml import EARLY_BYTES, MAX_TOKEN_CHARACTERS, peek_next_token
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.simulator.oss_xml import page
from exporter.simulator.wire import Style

if TYPE_CHECKING:
    from exporter.core.http import Request
    from exporter.core.interfaces import Onlooker
    from exporter.core.jobs import JobPage

OSS = Oss(Endpoint("https", "oss.example"), "cn-hangzhou")
FIRST, LAST = Style(), Style(token_first=False)


@dataclass(slots=True, frozen=True)
class Repeating(Oss):
    """A service whose last page gives its own token once more."""

    repeated_token_is_last: ClassVar[bool] = True


class Answer(NamedTuple):
    """How one page is answered: its body, cut at `cuts`, each piece after so many turns of the event loop."""

    body: bytes = b""
    cuts: tuple[int, ...] = ()
    turns: int = 0
    fails: bool = False
    """In the middle of the body."""

    def pieces(self) -> list[bytes]:
        """The body in pieces; one that fails lacks the last one."""
        places = sorted({0, len(self.body), *(cut % (len(self.body) + 1) for cut in self.cuts)})
        pieces = [self.body[start:end] for start, end in itertools.pairwise(places)]
        return pieces[:-1] if self.fails else pieces


@dataclass(slots=True)
class Service:
    """Answers by token. `most` is how many requests were under way at once."""

    answers: dict[str | None, Answer]
    api: Oss = OSS
    ahead: Ahead = field(default_factory=Ahead)
    asked: list[str | None] = field(default_factory=list)
    dropped: list[tuple[str | None, bool]] = field(default_factory=list)
    """What was broken off: by which token it was asked for, and whether it was said to be unwanted."""
    under_way: int = 0
    most: int = 0

    async def read(self, request: Request, onlooker: Onlooker) -> JobPage:
        (token,) = [token for token in self.answers if self.api.list_request(token) == request]
        self.asked.append(token)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self._answer(self.answers[token], onlooker)
        except asyncio.CancelledError:
            self.dropped.append((token, onlooker.unwanted))
            raise
        finally:
            self.under_way -= 1

    async def _answer(self, answer: Answer, onlooker: Onlooker) -> JobPage:
        begin, looking = bytearray(), True
        for piece in answer.pieces():
            for _ in range(answer.turns):
                await asyncio.sleep(0)
            begin += piece
            looking = looking and not onlooker.see(begin)
        await asyncio.sleep(0)
        if answer.fails:
            raise ServiceError("busy", reason="http_5xx", status=503)
        return self.api.parse_jobs(bytes(begin))

    async def list(self, max_pages: int = 1000) -> tuple[Pages, str]:
        """What was read, and the error's text, if there is one."""
        pages = Pages()
        try:
            await list_jobs(self.api, self.read, pages, max_pages=max_pages, ahead=self.ahead)
        except ScrapeError as error:
            return pages, str(error)
        finally:
            assert self.under_way == 0
        return pages, ""


def in_sequence(service: Service, max_pages: int) -> tuple[Pages, str]:
    """The same, one page after the other, as plainly as can be."""
    pages, token, given = Pages(), None, set()
    while True:
        answer = service.answers[token]
        try:
            if answer.fails:
                raise ServiceError("busy", reason="http_5xx", status=503)
            told = service.api.parse_jobs(answer.body)
            pages.count += 1
            pages.jobs |= {job.id: job for job in told.jobs}
            token = told.next_token
            if token is None or (token in given and service.api.repeated_token_is_last):
                return pages, ""
            if token in given:
                raise PaginationError("the service gives a page token a second time; the pages would never end")
            if pages.count >= max_pages:
                raise PaginationError(f"there are more than {max_pages} pages; raise max_pages if that is right")
            given.add(token)
        except ScrapeError as error:
            error.page = pages.count + (not isinstance(error, PaginationError))
            return pages, str(error)


def body(ids: str, following: str | None, style: Style = FIRST, lie: str = "") -> bytes:
    """A page; with `lie`, a comment ahead of all that names another token, which only a parser knows to pass over."""
    told = page(
        [Job(name, str(following), description="<NextToken>in-a-text</NextToken>") for name in ids], following, style
    )
    comment = f"<!-- <NextToken>{lie}</NextToken> -->" if lie else ""
    return told.replace(b"<ListJobsResult>", b"<ListJobsResult>" + comment.encode())


TOKENS = "tuvwxyz"
answers = st.builds(
    Answer,
    body=st.builds(
        body,
        st.text("abcdef", max_size=4),
        st.sampled_from([None, *TOKENS]),
        st.builds(Style, token_first=st.booleans(), empty_last_token=st.booleans(), unknown_elements=st.booleans()),
        st.sampled_from(["", "", "", *TOKENS]),
    ),
    cuts=st.lists(st.integers(0, 5000), max_size=6).map(tuple),
    turns=st.integers(0, 3),
    fails=st.sampled_from([False] * 9 + [True]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys((None, *TOKENS), answers)),
    st.sampled_from([OSS, Repeating(OSS.endpoint, "r")]),
    st.integers(1, 9),
)
def test_any_pages_are_listed_as_in_sequence(told, api, max_pages):
    """Whatever the pages, their order of arrival, the place of their tokens, the cuts, the lies and the faults.

    The jobs, their order, the number of pages and the error are those of asking for one page after the other.
    """
    service = Service(told, api)
    assert asyncio.run(service.list(max_pages)) == in_sequence(service, max_pages)
    assert service.most <= MAX_IN_FLIGHT
    assert service.ahead.left == MAX_AHEAD
    assert all(unwanted for _, unwanted in service.dropped)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.lists(st.integers(0, 5000), max_size=4), st.integers(0, 3)), min_size=12, max_size=12),
    st.sampled_from([FIRST, LAST]),
)
def test_an_honest_service_is_asked_once_for_each_page(count, ways, style):
    """Where no page lies and none fails, each page is asked for exactly once, in its order, and nothing is dropped."""
    tokens = [None, *map(str, range(1, count))]
    told = {
        token: Answer(body(f"{index:x}", following, style), tuple(cuts), turns)
        for index, (token, following, (cuts, turns)) in enumerate(zip(tokens, [*tokens[1:], None], ways, strict=False))
    }
    service = Service(told)
    pages, error = asyncio.run(service.list())
    assert (pages.count, error, service.asked, service.dropped) == (count, "", tokens, [])


def test_four_pages_are_in_flight_at_most():
    """Tokens that stand first let four pages come at a time, never more; tokens that stand last, one."""
    most = []
    for style in (FIRST, LAST):
        tokens = [None, *map(str, range(1, 20))]
        told = {
            token: Answer(body("a", following, style), tuple(range(200, 600, 50)), turns=5)
            for token, following in zip(tokens, [*tokens[1:], None], strict=True)
        }
        service = Service(told)
        asyncio.run(service.list())
        most.append(service.most)
    assert most == [MAX_IN_FLIGHT, 1]


def test_all_listings_together_have_so_many_pages_on_their_way():
    """Two pages for each listing, and the few that they share: these are used, never passed, and given back."""
    tokens = [None, *map(str, range(1, 20))]
    told = {
        token: Answer(body("a", following), tuple(range(200, 600, 50)), turns=5)
        for token, following in zip(tokens, [*tokens[1:], None], strict=True)
    }
    ahead = Ahead(left=5)
    services = [Service(told, ahead=ahead) for _ in range(10)]
    least, most = [], []

    async def all_of_them():
        async with asyncio.TaskGroup() as group:
            listings = [group.create_task(service.list()) for service in services]
            while not all(listing.done() for listing in listings):
                least.append(ahead.left)
                most.append(sum(service.under_way for service in services))
                await asyncio.sleep(0)

    asyncio.run(all_of_them())
    assert (min(least), ahead.left) == (0, 5)
    assert 2 * len(services) < max(most) <= 2 * len(services) + 5
    assert [service.asked for service in services] == [tokens] * len(services)


def test_a_listing_asks_early_whatever_others_hold():
    """Where slow listings hold all that is shared, another one still has two pages on their way."""
    tokens = [None, *map(str, range(1, 6))]
    told = {
        token: Answer(body("a", following), tuple(range(200, 600, 50)), turns=5)
        for token, following in zip(tokens, [*tokens[1:], None], strict=True)
    }
    service = Service(told, ahead=Ahead(left=0))
    asyncio.run(service.list())
    assert (service.most, service.ahead.left) == (2, 0)


def test_pages_beyond_the_bound_are_not_asked_for():
    """`max_pages` holds for what is asked for early, too."""
    tokens = [None, *map(str, range(1, 20))]
    told = {
        token: Answer(body("a", following), (1000,), turns=9)
        for token, following in zip(tokens, [*tokens[1:], None], strict=True)
    }
    service = Service(told)
    _, error = asyncio.run(service.list(max_pages=3))
    assert error == "page 3: there are more than 3 pages; raise max_pages if that is right"
    assert service.asked == tokens[:3]


def test_a_wrong_guess_costs_a_request_and_nothing_else():
    """A page that was asked for by a token which the parsed page does not name is broken off, as unwanted."""
    service = Service(
        {
            None: Answer(body("a", "1", lie="2"), (600,), turns=2),
            "1": Answer(body("b", None)),
            "2": Answer(body("z", None), (100,), turns=99),
        }
    )
    pages, error = asyncio.run(service.list())
    assert (list(pages.jobs), error) == (["a", "b"], "")
    assert service.asked == [None, "2", "1"]
    assert service.dropped == [("2", True)]


def test_a_listing_that_is_ended_ends_what_it_asked_for():
    """At the deadline, the page that was waited for is broken off, and those asked for early with it, unwanted."""
    tokens = [None, "1", "2"]
    service = Service({token: Answer(body("a", "1" if token is None else "2"), (600,), 10**6) for token in tokens})
    service.answers[None] = Answer(body("a", "1"), (600,), 3)

    async def ended():
        async with asyncio.timeout(0.05):
            await service.list()

    with pytest.raises(TimeoutError):
        asyncio.run(ended())
    assert service.dropped[0] == (service.asked[-len(service.dropped)], False)
    assert all(unwanted for _, unwanted in service.dropped[1:])


@pytest.mark.parametrize(
    ("begin", "token"),
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
def test_a_token_is_seen_where_nothing_about_it_is_in_doubt(begin, token):
    """Only a whole token of documented characters ahead of the jobs, and near the begin, is asked by early."""
    assert peek_next_token(bytearray(begin)) == token
