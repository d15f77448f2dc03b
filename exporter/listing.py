"""All pages of a listing, token by token, with the guards that make it end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.errors import CredentialsError, ListingError, PaginationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.jobapi import JobApi, Request
    from exporter.model import Job, JobPage


@dataclass(slots=True)
class Pages:
    """What was read so far. It can be looked at while the listing runs, and after it failed."""

    count: int = 0
    """Pages read whole."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """Each job once, by its id; where pages repeat one, the newest answer stands."""


async def list_jobs(
    api: JobApi,
    read: Callable[[Request], Awaitable[JobPage]],
    pages: Pages,
    *,
    max_pages: int,
) -> None:
    """Read every page into `pages`. `read` sends one request and parses its answer.

    Raises ListingError with the number of the page that could not be read. What `pages` holds then is no listing.
    """
    token: str | None = None
    seen: set[str] = set()
    while True:
        try:
            page = await read(api.list_jobs(token))
            pages.count += 1
            pages.jobs.update((job.id, job) for job in page.jobs)
            token = page.next_token
            if token is None or (token in seen and api.repeated_token_ends):
                return
            if token in seen:
                raise PaginationError("the service gives a page token a second time; the pages would never end")
            if pages.count >= max_pages:
                raise PaginationError(f"there are more than {max_pages} pages; raise max_pages if that is right")
            seen.add(token)
        except ListingError as error:
            if not isinstance(error, CredentialsError):
                error.page = pages.count + (not isinstance(error, PaginationError))
            raise
