from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.collector.paginator import Paginator, Progress
from exporter.core.errors import CredentialsError, MalformedResponse, PaginationError, ServiceError, TransportError
from exporter.core.jobs import Job, JobPage
from exporter.exposition.self_metrics import SelfMetrics
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.client.session import Session
    from exporter.core.errors import ScrapeError
    from exporter.core.http import Request

pytestmark = pytest.mark.anyio

COUNTER = SelfMetrics(version="1", revision="r", process=False)
OSS = Oss(Endpoint("https", "oss.example"), "cn-hangzhou")


@dataclass(slots=True, frozen=True)
class Repeating(Oss):
    """A service whose last page repeats its own token."""

    repeated_token_is_last: ClassVar[bool] = True


@dataclass(slots=True)
class Shelf:
    """A session with a service in memory: the page, or the error, for each token."""

    pages: Mapping[str | None, JobPage | ScrapeError]
    provider: Oss = OSS
    requested: list[str] = field(default_factory=list)
    """The query of each request, in order."""
    progress: Progress = field(default_factory=Progress)
    observer: SelfMetrics = COUNTER

    @property
    def target(self):
        return self

    async def get(self, request: Request, parse, on_progress) -> JobPage:
        del parse, on_progress
        self.requested.append(request.query)
        (page,) = [page for token, page in self.pages.items() if self.provider.list_request(token) == request]
        await asyncio.sleep(0)
        if isinstance(page, JobPage):
            return page
        raise page

    async def walk(self, *, max_pages: int = 1000) -> Progress:
        await Paginator(cast("Session", self), self.progress, max_pages=max_pages).run()
        return self.progress

    def queries(self, *tokens: str | None) -> list[str]:
        return [self.provider.list_request(token).query for token in tokens]


def page(next_token: str | None, *ids: str, status: str = "Active") -> JobPage:
    return JobPage([Job(name, status) for name in ids], next_token)


def error(reason: str) -> ScrapeError:
    match reason:
        case "malformed":
            return MalformedResponse("not what is documented")
        case "timeout":
            return TransportError("no response", reason="timeout", transient=True)
        case _:
            return ServiceError("busy", reason="http_5xx", status=503)


async def test_one_page_is_one_request():
    """A first page without a token ends the listing: one request, and the jobs in their order."""
    shelf = Shelf({None: page(None, "c", "a", "b")})
    progress = await shelf.walk()
    assert progress.pages == 1
    assert list(progress.jobs) == ["c", "a", "b"]
    assert shelf.requested == shelf.queries(None)


async def test_tokens_are_followed_to_the_end():
    """Each page is requested exactly once, by the token of the page before, and jobs keep the pages' order."""
    shelf = Shelf({None: page("p2", "d", "c"), "p2": page("p/3=", "b"), "p/3=": page(None, "a")})
    progress = await shelf.walk()
    assert progress.pages == 3
    assert list(progress.jobs) == ["d", "c", "b", "a"]
    assert shelf.requested == shelf.queries(None, "p2", "p/3=")


async def test_a_page_without_jobs_does_not_end_a_listing():
    """Only a missing token ends a listing; an empty page with a token does not."""
    shelf = Shelf({None: page("2"), "2": page("3"), "3": page(None, "a")})
    progress = await shelf.walk()
    assert (progress.pages, list(progress.jobs)) == (3, ["a"])


async def test_a_store_without_jobs_is_an_empty_listing():
    """One page without jobs is a complete listing."""
    progress = await Shelf({None: page(None)}).walk()
    assert progress == Progress(pages=1)


async def test_a_job_appears_once_with_its_newest_values():
    """A job that pages repeat keeps its first place and has its newest values."""
    shelf = Shelf(
        {
            None: JobPage([Job("a", "New"), Job("b", "New"), Job("a", "Ready")], "2"),
            "2": page(None, "c", "a", status="Active"),
        }
    )
    progress = await shelf.walk()
    assert list(progress.jobs.values()) == [Job("a", "Active"), Job("b", "New"), Job("c", "Active")]


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        ({None: "x", "x": "x"}, 2),
        ({None: "x", "x": "y", "y": "x"}, 3),
        ({None: "x", "x": "y", "y": "z", "z": "z"}, 4),
    ],
)
async def test_a_repeated_token_is_an_error(tokens, read):
    """A token that any earlier page returned is refused before it is requested again."""
    shelf = Shelf({token: page(following, "a") for token, following in tokens.items()})
    with pytest.raises(
        PaginationError, match=rf"^page {read}: the service returned the same page token twice"
    ) as caught:
        await shelf.walk()
    assert caught.value.reason == "pagination"
    assert len(shelf.requested) == read


async def test_a_repeated_token_may_be_the_end():
    """If the service is known to repeat its last token, that ends the listing, and all of it counts."""
    shelf = Shelf({None: page("a", "a"), "a": page("b", "b"), "b": page("b", "b", "c")}, Repeating(OSS.endpoint, "r"))
    progress = await shelf.walk()
    assert (progress.pages, list(progress.jobs)) == (3, ["a", "b", "c"])
    assert len(shelf.requested) == 3


@pytest.mark.parametrize("max_pages", [1, 2, 3])
async def test_too_many_pages_are_an_error(max_pages):
    """Pages beyond the limit are not requested, and the message names the setting that raises it."""
    shelf = Shelf({None: page("1"), **{str(number): page(str(number + 1)) for number in range(1, 9)}})
    with pytest.raises(
        PaginationError, match=rf"^page {max_pages}: there are more than {max_pages} pages; raise max_pages"
    ):
        await shelf.walk(max_pages=max_pages)
    assert len(shelf.requested) == max_pages


@pytest.mark.parametrize("max_pages", [3, 4])
async def test_as_many_pages_as_allowed_are_no_error(max_pages):
    """A listing may have exactly as many pages as the limit says."""
    shelf = Shelf({None: page("2"), "2": page("3"), "3": page(None, "a")})
    assert (await shelf.walk(max_pages=max_pages)).pages == 3


@pytest.mark.parametrize("reason", ["malformed", "timeout", "http_5xx"])
@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_an_error_names_its_page(failing, reason):
    """An error ends the listing, names the page that could not be read, from 1, and keeps its reason."""
    responses: list[JobPage | ScrapeError] = [page("2", "a"), page("3", "b"), page(None, "c")]
    responses[failing - 1] = error(reason)
    shelf = Shelf(dict(zip((None, "2", "3"), responses, strict=True)))
    with pytest.raises(type(error(reason)), match=f"^page {failing}: {error(reason)}$") as caught:
        await shelf.walk()
    assert caught.value.reason == reason
    assert caught.value.page == failing
    assert shelf.progress.pages == failing - 1
    assert len(shelf.requested) == failing


async def test_a_credentials_error_names_no_page():
    """A credentials error names no page, because none was requested."""
    shelf = Shelf({None: CredentialsError("there are no keys", reason="config")})
    with pytest.raises(CredentialsError, match=r"^there are no keys$"):
        await shelf.walk()


async def test_progress_can_be_read_while_the_listing_runs():
    """The progress grows with each page, so an interrupted listing can report how many pages it read."""
    seen = []

    class Watched(Shelf):
        async def get(self, request: Request, parse, on_progress) -> JobPage:
            seen.append((self.progress.pages, len(self.progress.jobs)))
            return await super().get(request, parse, on_progress)

    progress = await Watched({None: page("2", "a", "b"), "2": page(None, "c")}).walk()
    assert [*seen, (progress.pages, len(progress.jobs))] == [(0, 0), (1, 2), (2, 3)]


chains = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(chains, st.integers(1, 8))
def test_any_chain_of_pages_ends(chain, max_pages):
    """Any chain yields each job once in the order of its first page, or the limit error, without extra requests."""
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
        progress = asyncio.run(shelf.walk(max_pages=max_pages))
        newest = {name: str(token) for token, ids in zip(tokens, chain, strict=True) for name in ids}
        assert {job.id: job.status for job in progress.jobs.values()} == newest
        assert list(progress.jobs) == list(dict.fromkeys(name for ids in chain for name in ids))
    assert shelf.requested == shelf.queries(*tokens[:max_pages])
