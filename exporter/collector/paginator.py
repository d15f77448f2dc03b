"""All pages of a listing, token by token, with the checks that make it end.

A page that names its successor at its start lets the next request leave before the page is whole. One page ahead at
most, and what was requested early counts only if the parsed page names the same token: the result is that of requesting
one page after the other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from exporter.core.errors import CredentialsError, PaginationError, ScrapeError
from exporter.core.tasks import release

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.client.session import Session
    from exporter.core.jobs import Job, JobDetail, JobPage


@dataclass(slots=True)
class Progress:
    """What was read so far. It can be looked at while the listing runs, and after it failed."""

    pages: int = 0
    """Pages read whole."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """Each job once, by its id; if pages repeat a job, the newest answer counts."""
    unreadable: dict[str, None] = field(default_factory=dict)
    """The texts of `JobPage.unreadable`, each once, as pages may repeat a job."""

    def add_page(self, page: JobPage) -> None:
        """Add a page of ListJobs."""
        self.pages += 1
        self.jobs.update((job.id, job) for job in page.jobs)
        self.add_unreadable(page.unreadable)

    def add_details(self, details: Iterable[JobDetail]) -> None:
        """Add answers of DescribeJob."""
        for detail in details:
            self.jobs[detail.job.id] = detail.job
            self.add_unreadable(detail.unreadable)

    def add_unreadable(self, values: Iterable[str]) -> None:
        """Add values that could not be read."""
        self.unreadable.update(dict.fromkeys(values))


@dataclass(slots=True, eq=False)
class PageRequest:
    """One page that was requested."""

    token: str | None
    next_token: str | None = None
    """From the start of the page; a guess."""
    page: asyncio.Task[JobPage] = field(init=False)


class Paginator:
    """Reads the pages of one listing into `progress`."""

    def __init__(self, session: Session, progress: Progress, *, max_pages: int) -> None:
        self._session = session
        self._provider = session.target.provider
        self._progress = progress
        self._max_pages = max_pages
        self._seen: set[str] = set()
        """The tokens of the pages read so far."""
        self._current: PageRequest | None = None
        self._ahead: PageRequest | None = None
        self._guessing = True

    async def run(self) -> None:
        """Read every page. Raises ScrapeError with the number of the page that could not be read."""
        token: str | None = None
        try:
            while True:
                self._current = await self._request(token)
                self._prefetch()
                page = await self._current.page
                self._progress.add_page(page)
                self._session.observer.page_parsed(page)
                token = page.next_token
                if self._is_last(token):
                    return
        except ScrapeError as error:
            if not isinstance(error, CredentialsError):
                error.page = self._progress.pages + (not isinstance(error, PaginationError))
            raise
        finally:
            await self._cancel(*self._forget_requests())

    def _is_last(self, token: str | None) -> bool:
        """Whether no page follows the one that named `token`. Raises PaginationError if the pages would never end."""
        if token is None or (token in self._seen and self._provider.repeated_token_is_last):
            return True
        if token in self._seen:
            raise PaginationError("the service returned the same page token twice; the pages would never end")
        if self._progress.pages >= self._max_pages:
            raise PaginationError(f"there are more than {self._max_pages} pages; raise max_pages if that is right")
        self._seen.add(token)
        return False

    async def _request(self, token: str | None) -> PageRequest:
        """The request for the page of `token`, which was sent earlier if the guess was right."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.token == token:
            return ahead
        if ahead is not None:
            self._guessing = False  # one wrong guess is enough
            await self._cancel(ahead)
        return self._send(token)

    def _send(self, token: str | None) -> PageRequest:
        request = PageRequest(token)
        get = self._session.get(
            self._provider.list_request(token), self._provider.parse_jobs, partial(self._peek, request)
        )
        request.page = asyncio.create_task(get)
        request.page.add_done_callback(release)  # its frames refer to the request, and that to the task
        return request

    def _peek(self, request: PageRequest, start: bytes | bytearray) -> bool:
        """Look for the next token in the start of a page; True if it is there, so that no more is shown."""
        request.next_token = self._provider.peek_next_token(start)
        if request is self._current:
            self._prefetch()
        return request.next_token is not None

    def _prefetch(self) -> None:
        """Request the page after the current one, if its token is known and new, and the page may be read."""
        token = self._current.next_token if self._current and self._guessing and self._ahead is None else None
        if token is not None and token not in self._seen and self._progress.pages + 1 < self._max_pages:
            self._ahead = self._send(token)

    def _forget_requests(self) -> tuple[PageRequest | None, PageRequest | None]:
        """The requests in flight, which are referred to no longer, so that an error of theirs is in no cycle."""
        requests = self._current, self._ahead
        self._current = self._ahead = None
        return requests

    @staticmethod
    async def _cancel(*requests: PageRequest | None) -> None:
        pages = [request.page for request in requests if request is not None]
        for page in pages:
            page.cancel()  # does nothing if it is done
        if pages:
            await asyncio.wait(pages)
