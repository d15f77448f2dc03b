"""Picks the store that a request is for, and builds its response, with the store's faults. No I/O."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.simulator.dialects import DIALECTS
from exporter.simulator.faults import DELIVERY_FAULTS, PAGE_FAULTS, RESPONSE_FAULTS
from exporter.simulator.messages import Position, RawResponse, RecordedRequest, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.dialects.dialect import Dialect
    from exporter.simulator.faults import Fault
    from exporter.simulator.messages import ParsedRequest, RawRequest
    from exporter.simulator.store import Store

_MAX_CACHED_PAGES: Final = 512


class _CachedPage(NamedTuple):
    """A rendered page, and what it was rendered from."""

    jobs: list[Job]
    next_position: Position | None
    body: bytes


class Responder:
    """Responds for several stores on one host; the key id and the region of the signature pick the store."""

    def __init__(self, stores: Sequence[Store]) -> None:
        if not stores:
            raise ValueError("at least one store is needed")
        self.stores = tuple(stores)
        self._count = 0
        self._cached: dict[tuple[object, ...], _CachedPage] = {}

    def respond(self, request: RawRequest) -> tuple[RawResponse, list[Fault]]:
        """Returns the response to `request`, and the faults in its delivery."""
        self._count += 1
        request_id = hashlib.sha256(b"%d" % self._count).hexdigest()[:24].upper()
        store, parsed, page = self._first_store(request), None, 0
        faults: list[Fault] = []
        try:
            store = self._matching_store(request, store)
            parsed = _dialect(store).authorize(request, store, store.clock())
            page = parsed.position.page if parsed.operation == "ListJobs" else 0
            faults = store.faults.consume(parsed.operation, page)
            response = self._build(store, parsed, request, request_id, faults)
        except RequestRejected as rejection:
            response = _dialect(store).error_response(rejection, request, request_id)
        delivery = [fault for fault in faults if fault.kind in DELIVERY_FAULTS]
        closed = any(fault.kind in ("close", "reset") for fault in delivery)
        store.requests.append(
            RecordedRequest(
                time=store.clock(),
                operation=parsed.operation if parsed else "",
                page=page,
                token=parsed.token if parsed else None,
                status=0 if closed else response.status,
                raw=request,
            )
        )
        return response, delivery

    def _first_store(self, request: RawRequest) -> Store:
        """Returns the first store whose dialect has the request's scheme; it rejects what matches no store."""
        authorization = request.headers.get("authorization", "")
        return next(
            (store for store in self.stores if authorization.startswith(_dialect(store).scheme)), self.stores[0]
        )

    def _matching_store(self, request: RawRequest, first: Store) -> Store:
        """Returns the store of `first`'s provider that `request` is for. Raises RequestRejected if there is none."""
        address = _dialect(first).key_and_region(request)
        known_key = False
        for store in self.stores:
            if address is not None and store.provider == first.provider and store.access_key_id == address[0]:
                if address[1] in ("", store.region):
                    return store
                known_key = True
        raise _dialect(first).unknown_credentials(request, known_key=known_key)

    def _build(
        self, store: Store, parsed: ParsedRequest, request: RawRequest, request_id: str, faults: list[Fault]
    ) -> RawResponse:
        response_faults = [fault for fault in faults if fault.kind in RESPONSE_FAULTS]
        compressed = store.gzip and not response_faults and _accepts_gzip(request)
        headers = _dialect(store).common_headers(request_id)
        if parsed.operation == "ListJobs":
            body = self._page(store, parsed, {fault.kind for fault in faults} & PAGE_FAULTS, compressed=compressed)
        else:
            body = _describe(store, parsed)
            body = gzip.compress(body, 1, mtime=0) if compressed else body
        if compressed:
            headers["content-encoding"] = "gzip"
        response = RawResponse(200, headers, body)
        for fault in response_faults:
            response = _apply(response, fault, store, request, request_id)
        return response

    def _page(self, store: Store, parsed: ParsedRequest, kinds: set[str], *, compressed: bool) -> bytes:
        jobs, next_position = _cut_page(store, parsed, kinds)
        if "repeat_token" in kinds and parsed.token is not None:
            next_position = parsed.position
        # A page is rendered again only if it changed: comparing a thousand jobs, mostly the same objects, takes
        # microseconds; rendering them takes milliseconds.
        key = (
            id(store),
            parsed.page_size,
            parsed.statuses,
            parsed.position.page,
            store.style,
            store.token_length,
            compressed,
        )
        cached = self._cached.get(key)
        if cached is None or cached.next_position != next_position or cached.jobs != jobs:
            token = _dialect(store).page_token(next_position, store) if next_position else None
            body = _dialect(store).list_response(jobs, token, store.style)
            cached = _CachedPage(jobs, next_position, gzip.compress(body, 1, mtime=0) if compressed else body)
            while len(self._cached) >= _MAX_CACHED_PAGES:
                del self._cached[next(iter(self._cached))]
            self._cached[key] = cached
        return cached.body


def _dialect(store: Store) -> Dialect:
    return DIALECTS[store.provider]


def _cut_page(store: Store, parsed: ParsedRequest, kinds: set[str]) -> tuple[list[Job], Position | None]:
    """Returns the jobs of the page and the position of the next page; None if it is the last page."""
    jobs = store.world.jobs(store.clock())
    position, wanted = parsed.position, parsed.statuses
    start = _start(jobs, position)
    if "same_page" in kinds and start > 0 and not position.again:
        before = [job for job in jobs[:start] if not wanted or job.status in wanted]
        return before[-parsed.page_size :], position._replace(page=position.page + 1, again=True)
    indices = (index for index in range(start, len(jobs)) if not wanted or jobs[index].status in wanted)
    selected = list(itertools.islice(indices, parsed.page_size))
    page = [jobs[index] for index in selected]
    if next(indices, None) is None and not kinds & {"endless", "repeat_token"}:
        return page, None
    end = selected[-1] + 1 if selected else start
    return page, Position(position.page + 1, end, jobs[end - 1].id if end else "")


def _start(jobs: Sequence[Job], position: Position) -> int:
    """Returns the index of the page's first job now.

    The job before it is searched for at its old index, then after it, then before it.
    """
    if position.offset == 0:
        return 0
    expected = min(position.offset, len(jobs))
    indices = itertools.chain(range(expected, len(jobs) + 1), range(1, expected))
    return next((index for index in indices if index and jobs[index - 1].id == position.last), expected)


def _describe(store: Store, parsed: ParsedRequest) -> bytes:
    now = store.clock()
    job = next((job for job in store.world.jobs(now) if job.id == parsed.job_id), None)
    if job is None:
        raise _dialect(store).unknown_job(parsed.job_id)
    return _dialect(store).describe_response(job, store.world.detail(job.id, now))


def _apply(response: RawResponse, fault: Fault, store: Store, request: RawRequest, request_id: str) -> RawResponse:
    """Returns `response` with `fault` applied."""
    headers = {**response.headers, **dict(_header(line) for line in fault.headers)}
    match fault.kind:
        case "error":
            rejection = RequestRejected(fault.status, fault.code, fault.message)
            error = _dialect(store).error_response(rejection, request, request_id, bodyless=fault.bodyless)
            return replace(error, headers=headers | error.headers)
        case "empty":
            return RawResponse(200, headers, b"")
        case "body":
            return RawResponse(fault.status, headers, fault.body)
        case "redirect":
            return RawResponse(307, headers | {"location": fault.url}, b"")
        case "oversize":
            return replace(response, body=response.body.ljust(fault.size), chunked=fault.chunked)
        case "gzip_bomb":
            return replace(
                response, body=_bomb(response.body, fault.size), headers=headers | {"content-encoding": "gzip"}
            )
        case _:
            return replace(response, headers=headers | {"content-encoding": fault.encoding})


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def _bomb(body: bytes, size: int) -> bytes:
    """Returns `body`, padded with white space to `size` bytes and compressed without holding all of it in memory."""
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(body)]
    left, blank = max(0, size - len(body)), b" " * (1 << 20)
    while left > 0:
        pieces.append(packer.compress(blank[:left]))
        left -= len(blank)
    return b"".join((*pieces, packer.flush()))


def _accepts_gzip(request: RawRequest) -> bool:
    words = [word.replace(" ", "") for word in request.headers.get("accept-encoding", "").lower().split(",")]
    return any(word.partition(";")[0] == "gzip" and not word.endswith((";q=0", ";q=0.0")) for word in words)
