"""What one run did, step by step: for people who ask why a scrape fails or is slow (`/probe?…&debug=true`)."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from exporter.core.errors import ScrapeError
    from exporter.core.http import Request
    from exporter.core.jobs import JobPage
    from exporter.core.observer import Observer
    from exporter.core.target import Target

MAX_STEPS: Final = 2000
"""Of one run; those after them are only counted. A listing of 100,000 jobs has 300."""

NOTABLE_WAIT_SECONDS: Final = 0.001
"""A shorter wait for the rate limit or for keys is no step."""

_TOKEN: Final = re.compile(r"(?i)((?:^|[?&])[^=&]*token=)([^&]*)")


class Step(NamedTuple):
    """One thing that happened, `at` so many seconds after the run had started."""

    at: float
    text: str


class Trace:
    """An observer that writes down the steps of one run, and passes all of them on to `observer`, which counts.

    It holds no secret: it only sees requests that are not signed yet, and leaves out the page tokens in their URLs.
    `started` is a reading of the monotonic clock, in seconds.
    """

    def __init__(self, observer: Observer, started: float) -> None:
        self.steps: list[Step] = []
        self.omitted = 0
        """Steps after the first MAX_STEPS."""
        self._observer = observer
        self._started = started
        self._pages = 0

    def prepared(self, target: Target, request: Request, *, turn: float, keys: float) -> None:
        """One request can be sent, after it waited so many seconds for its turn and for its keys."""
        self._observer.prepared(target, request, turn=turn, keys=keys)
        if target.requests_per_second and turn >= NOTABLE_WAIT_SECONDS:
            self._add(f"{request.operation} waited {turn:.3f} s for its turn; see requests_per_second")
        if keys >= NOTABLE_WAIT_SECONDS:
            self._add(f"{request.operation} waited {keys:.3f} s for its keys")

    def requested(self, target: Target, request: Request, seconds: float, status: int | None) -> None:
        """One request was sent and answered with `status` after `seconds`; None: there was no whole response."""
        self._observer.requested(target, request, seconds, status)
        result = "had no whole response" if status is None else f"returned {status}"
        url = _TOKEN.sub(r"\1<token>", request.url)
        self._add(f"{request.operation} {result} after {seconds:.3f} s: {request.method} {url}")

    def failed(self, target: Target, request: Request, error: ScrapeError) -> None:
        """One request failed, or its response could not be read."""
        self._observer.failed(target, request, error)
        self._add(f"{request.operation} failed ({error.reason}): {error}")

    def retried(self, target: Target, request: Request) -> None:
        """One request is sent again."""
        self._observer.retried(target, request)
        self._add(f"{request.operation} is sent again")

    def page_parsed(self, page: JobPage) -> None:
        """One page of a listing was parsed."""
        self._observer.page_parsed(page)
        self._pages += 1
        follows = "the last page" if page.next_token is None else "with the token of a next page"
        self._add(f"page {self._pages} has {len(page.jobs)} jobs, read by the parser {page.parser}, {follows}")

    def _add(self, text: str) -> None:
        if len(self.steps) < MAX_STEPS:
            self.steps.append(Step(time.monotonic() - self._started, text))
        else:
            self.omitted += 1
