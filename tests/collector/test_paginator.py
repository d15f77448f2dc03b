from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collector.paginator import Ahead, Pages, list_jobs
from exporter.core.errors import CredentialsError, MalformedResponse, PaginationError, ServiceError, TransportError
from exporter.core.jobs import Job, JobPage
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.errors import ScrapeError
    from exporter.core.http import Request
    from exporter.core.interfaces import Onlooker

pytestmark = pytest.mark.anyio

OSS = Oss(Endpoint("https", "oss.example"), "cn-hangzhou")


@dataclass(slots=True, frozen=True)
class Repeating(Oss):
    """A service whose last page gives its own token once more."""

    repeated_token_is_last: ClassVar[bool] = True


@dataclass(slots=True)
class Shelf:
    """A service in memory: the page, or the error, that each query is answered with."""

    pages: Mapping[str | None, JobPage | ScrapeError]
    api: Oss = OSS
    asked: list[str] = field(default_factory=list)
    """The query of each request, in their order."""

    async def read(self, request: Request, _: Onlooker) -> JobPage:
        self.asked.append(request.query)
        (page,) = [page for token, page in self.pages.items() if self.api.list_request(token) == request]
        await asyncio.sleep(0)
        if isinstance(page, JobPage):
            return page
        raise page

    async def walk(self, *, max_pages: int = 1000, pages: Pages | None = None) -> Pages:
        pages = Pages() if pages is None else pages
        await list_jobs(self.api, self.read, pages, max_pages=max_pages, ahead=Ahead())
        return pages

    def queries(self, *tokens: str | None) -> list[str]:
        return [self.api.list_request(token).query for token in tokens]


def page(next_token: str | None, *ids: str, status: str = "Active") -> JobPage:
    return JobPage([Job(name, status) for name in ids], next_token)


def error(reason: str) -> ScrapeError:
    match reason:
        case "malformed":
            return MalformedResponse("not what is documented")
        case "timeout":
            return TransportError("no answer", reason="timeout", transient=True)
        case _:
            return ServiceError("busy", reason="http_5xx", status=503)


async def test_one_page_is_one_request():
    """A first page without a token ends the listing: one request, and the jobs in their order."""
    shelf = Shelf({None: page(None, "c", "a", "b")})
    pages = await shelf.walk()
    assert pages.count == 1
    assert list(pages.jobs) == ["c", "a", "b"]
    assert shelf.asked == shelf.queries(None)


async def test_tokens_are_followed_to_the_end():
    """Each page is asked for exactly once, by the token that the page before gave, and jobs keep the pages' order."""
    shelf = Shelf({None: page("p2", "d", "c"), "p2": page("p/3=", "b"), "p/3=": page(None, "a")})
    pages = await shelf.walk()
    assert pages.count == 3
    assert list(pages.jobs) == ["d", "c", "b", "a"]
    assert shelf.asked == shelf.queries(None, "p2", "p/3=")


async def test_a_page_without_jobs_does_not_end_a_listing():
    """Only a missing token ends a listing; an empty page with a token does not."""
    shelf = Shelf({None: page("2"), "2": page("3"), "3": page(None, "a")})
    pages = await shelf.walk()
    assert (pages.count, list(pages.jobs)) == (3, ["a"])


async def test_a_store_without_jobs_is_an_empty_listing():
    """One page without jobs is a complete listing."""
    pages = await Shelf({None: page(None)}).walk()
    assert pages == Pages(count=1, jobs={})


async def test_a_job_appears_once_with_its_newest_answer():
    """A job that pages repeat keeps its first place and has what was said of it last."""
    shelf = Shelf(
        {
            None: JobPage([Job("a", "New"), Job("b", "New"), Job("a", "Ready")], "2"),
            "2": page(None, "c", "a", status="Active"),
        }
    )
    pages = await shelf.walk()
    assert list(pages.jobs.values()) == [Job("a", "Active"), Job("b", "New"), Job("c", "Active")]


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        ({None: "x", "x": "x"}, 2),
        ({None: "x", "x": "y", "y": "x"}, 3),
        ({None: "x", "x": "y", "y": "z", "z": "z"}, 4),
    ],
)
async def test_a_repeated_token_is_an_error(tokens, read):
    """A token that was given before, by whichever page, is refused before it is asked for again."""
    shelf = Shelf({token: page(following, "a") for token, following in tokens.items()})
    with pytest.raises(PaginationError, match=rf"^page {read}: the service gives a page token a second time") as caught:
        await shelf.walk()
    assert caught.value.reason == "pagination"
    assert len(shelf.asked) == read


async def test_a_repeated_token_may_be_the_end():
    """Where the service is known to repeat its last token, that ends the listing, and all of it counts."""
    shelf = Shelf({None: page("a", "a"), "a": page("b", "b"), "b": page("b", "b", "c")}, Repeating(OSS.endpoint, "r"))
    pages = await shelf.walk()
    assert (pages.count, list(pages.jobs)) == (3, ["a", "b", "c"])
    assert len(shelf.asked) == 3


@pytest.mark.parametrize("max_pages", [1, 2, 3])
async def test_too_many_pages_are_an_error(max_pages):
    """Pages beyond the bound are not asked for, and the message names the key that raises it."""
    shelf = Shelf({None: page("1"), **{str(number): page(str(number + 1)) for number in range(1, 9)}})
    with pytest.raises(
        PaginationError, match=rf"^page {max_pages}: there are more than {max_pages} pages; raise max_pages"
    ):
        await shelf.walk(max_pages=max_pages)
    assert len(shelf.asked) == max_pages


@pytest.mark.parametrize("max_pages", [3, 4])
async def test_as_many_pages_as_allowed_are_no_error(max_pages):
    """A listing may have exactly as many pages as the bound says."""
    shelf = Shelf({None: page("2"), "2": page("3"), "3": page(None, "a")})
    assert (await shelf.walk(max_pages=max_pages)).count == 3


@pytest.mark.parametrize("reason", ["malformed", "timeout", "http_5xx"])
@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_an_error_names_its_page(failing, reason):
    """An error ends the listing, names the page that could not be read, from 1, and keeps its reason."""
    answers: list[JobPage | ScrapeError] = [page("2", "a"), page("3", "b"), page(None, "c")]
    answers[failing - 1] = error(reason)
    shelf = Shelf(dict(zip((None, "2", "3"), answers, strict=True)))
    pages = Pages()
    with pytest.raises(type(error(reason)), match=f"^page {failing}: {error(reason)}$") as caught:
        await shelf.walk(pages=pages)
    assert caught.value.reason == reason
    assert caught.value.page == failing
    assert pages.count == failing - 1
    assert len(shelf.asked) == failing


async def test_missing_keys_are_not_about_a_page():
    """An error of the credentials names no page, as none was asked for."""
    shelf = Shelf({None: CredentialsError("there are no keys", reason="config")})
    with pytest.raises(CredentialsError, match=r"^there are no keys$"):
        await shelf.walk()


async def test_what_was_read_can_be_seen_meanwhile():
    """The pages grow while the listing runs, so that one that is cut off can tell how far it came."""
    pages, seen = Pages(), []

    class Watched(Shelf):
        async def read(self, request: Request, onlooker: Onlooker) -> JobPage:
            seen.append((pages.count, len(pages.jobs)))
            return await super().read(request, onlooker)

    await Watched({None: page("2", "a", "b"), "2": page(None, "c")}).walk(pages=pages)
    assert [*seen, (pages.count, len(pages.jobs))] == [(0, 0), (1, 2), (2, 3)]


chains = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(chains, st.integers(1, 8))
def test_any_chain_of_pages_ends(chain, max_pages):
    """Whatever the pages: each job once in the order of its first page, or the bound, and never a page too many."""
    tokens = [None, *map(str, range(1, len(chain)))]
    shelf = Shelf(
        MappingProxyType(
            {
                token: page(following, *ids, status=str(token))
                for token, following, ids in zip(tokens, [*tokens[1:], None], chain, strict=True)
            }
        )
    )
    if len(chain) > max_pages:
        with pytest.raises(PaginationError):
            asyncio.run(shelf.walk(max_pages=max_pages))
    else:
        pages = asyncio.run(shelf.walk(max_pages=max_pages))
        newest = {name: str(token) for token, ids in zip(tokens, chain, strict=True) for name in ids}
        assert {job.id: job.status for job in pages.jobs.values()} == newest
        assert list(pages.jobs) == list(dict.fromkeys(name for ids in chain for name in ids))
    assert shelf.asked == shelf.queries(*tokens[:max_pages])
