"""All pages of a listing, token by token, with the guards that make it end.

A page tells its successor's token long before it has come in whole. So the next page is asked for as soon as the token
is seen, and its way here costs no time of its own. Pages are taken in their order all the same, and what was asked for
early counts only where the parsed page names the same token: the result is that of asking for one page after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core.errors import CredentialsError, PaginationError, ScrapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.http import Request
    from exporter.core.interfaces import Onlooker, Provider
    from exporter.core.jobs import Job, JobPage

MAX_IN_FLIGHT: Final = 4
"""Pages of one listing that are asked for and not yet taken."""


OWN: Final = 2
"""Pages that each listing may have on their way whatever others do, so that slow ones do not hold it up."""

MAX_AHEAD: Final = 64
"""Further pages, of all listings together: so hundreds of targets hold two pages each, and these, in memory at once."""


@dataclass(slots=True)
class Ahead:
    """How many more pages may be on their way beside each listing's own, of all listings together."""

    left: int = MAX_AHEAD


class Read(Protocol):
    """Sends one request and parses its answer."""

    async def __call__(self, request: Request, onlooker: Onlooker, /) -> JobPage:
        """The page; `onlooker` sees it come in. Raises ScrapeError."""


@dataclass(slots=True)
class Pages:
    """What was read so far. It can be looked at while the listing runs, and after it failed."""

    count: int = 0
    """Pages read whole."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """Each job once, by its id; where pages repeat one, the newest answer stands."""


@dataclass(slots=True, eq=False)
class _Asked:
    """One page that was asked for, by `token`; an Onlooker."""

    token: str | None
    tell: Callable[[bytes | bytearray], str | None]
    """Finds the next token in the begin of a page."""
    go_on: Callable[[], None]
    """Called when `next_token` is there."""
    next_token: str | None = None
    """As the page told it early; a guess."""
    unwanted: bool = False
    page: asyncio.Task[JobPage] = field(init=False)

    def see(self, begin: bytes | bytearray) -> bool:
        if self.next_token is None:
            self.next_token = self.tell(begin)
            self.go_on()
        return self.next_token is not None


async def list_jobs(api: Provider, read: Read, pages: Pages, *, max_pages: int, ahead: Ahead) -> None:
    """Read every page into `pages`; `ahead` is shared with the listings of other targets.

    Raises ScrapeError with the number of the page that could not be read. What `pages` holds then is no listing.
    """
    chain = _Chain(api, read, pages, max_pages, ahead)
    try:
        await chain.follow()
    except ScrapeError as error:
        if not isinstance(error, CredentialsError):
            error.page = pages.count + (not isinstance(error, PaginationError))
        raise
    finally:
        await chain.drop()


class _Chain:
    """The pages asked for and not yet taken, in their order."""

    def __init__(self, api: Provider, read: Read, pages: Pages, max_pages: int, ahead: Ahead) -> None:
        self._api = api
        self._read = read
        self._pages = pages
        self._max_pages = max_pages
        self._ahead = ahead
        self._asked: deque[_Asked] = deque()
        self._taken_ahead = 0
        self._guessing = True
        self._taken: set[str] = set()
        """The tokens that the pages taken so far have given."""

    async def follow(self) -> None:
        """Take page after page. Raises ScrapeError."""
        token = None
        while True:
            if self._asked and self._asked[0].token != token:
                self._guessing = False  # once is enough
                await self.drop()
            if not self._asked:
                self._ask(token)
            self._go_on()
            page = await self._asked[0].page
            self._asked.popleft()
            self._settle()
            self._pages.count += 1
            self._pages.jobs.update((job.id, job) for job in page.jobs)
            token = page.next_token
            if token is None or (token in self._taken and self._api.repeated_token_is_last):
                return
            if token in self._taken:
                raise PaginationError("the service gives a page token a second time; the pages would never end")
            if self._pages.count >= self._max_pages:
                raise PaginationError(f"there are more than {self._max_pages} pages; raise max_pages if that is right")
            self._taken.add(token)

    def _ask(self, token: str | None) -> None:
        asked = _Asked(token, self._api.peek_next_token, self._go_on)
        asked.page = asyncio.create_task(self._read(self._api.list_request(token), asked))
        self._asked.append(asked)
        self._settle()

    def _settle(self) -> None:
        """Tell the other listings how many pages are on their way beside our own."""
        ahead = max(0, len(self._asked) - OWN)
        self._ahead.left -= ahead - self._taken_ahead
        self._taken_ahead = ahead

    def _go_on(self) -> None:
        """Ask for the page behind the last one, where its token is known, is new, and there is room for it."""
        token = self._asked[-1].next_token if self._asked and self._guessing else None
        known = token in self._taken or any(asked.token == token for asked in self._asked)
        room = min(MAX_IN_FLIGHT, self._max_pages - self._pages.count) - len(self._asked)
        if token is not None and not known and room > 0 and (len(self._asked) < OWN or self._ahead.left > 0):
            self._ask(token)

    async def drop(self) -> None:
        """End what was asked for and not taken."""
        dropped = [asked.page for asked in self._asked]
        for asked in self._asked:
            asked.unwanted = True
            asked.page.cancel()
        self._asked.clear()
        self._settle()
        await asyncio.gather(*dropped, return_exceptions=True)
