"""One request: which store it is for, what that store answers, and what goes wrong with it. No I/O."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.simulator.faults import ANSWER_FAULTS, DELIVERY_FAULTS, PAGE_FAULTS
from exporter.simulator.messages import Answer, Call, Position, Refused
from exporter.simulator.store import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.faults import Fault
    from exporter.simulator.messages import Head
    from exporter.simulator.store import Store

_MOST_PAGES_KEPT: Final = 512


class _Kept(NamedTuple):
    """A page as it was rendered, and what it was rendered from."""

    jobs: list[Job]
    next_position: Position | None
    body: bytes


class Service:
    """Some stores behind one host. The store is picked by the key id and the region that the signature names."""

    def __init__(self, stores: Sequence[Store]) -> None:
        if not stores:
            raise ValueError("at least one store is needed")
        self.stores = tuple(stores)
        self._count = 0
        self._kept: dict[tuple[object, ...], _Kept] = {}

    def answer(self, head: Head) -> tuple[Answer, list[Fault]]:
        """The answer to `head`, and how it is delivered."""
        self._count += 1
        request_id = hashlib.sha256(b"%d" % self._count).hexdigest()[:24].upper()
        store, call, page = self._first(head), None, 0
        faults: list[Fault] = []
        try:
            store = self._store(head, store)
            call = store.wire.admit(head, store, store.clock())
            page = call.position.page if call.operation == "ListJobs" else 0
            faults = store.faults.take(call.operation, page)
            answer = self._serve(store, call, head, request_id, faults)
        except Refused as refused:
            answer = store.wire.refusal(refused, head, request_id)
        delivery = [fault for fault in faults if fault.kind in DELIVERY_FAULTS]
        gone = any(fault.kind in ("close", "reset") for fault in delivery)
        store.requests.append(
            Seen(
                time=store.clock(),
                operation=call.operation if call else "",
                page=page,
                token=call.token if call else None,
                status=0 if gone else answer.status,
                head=head,
            )
        )
        return answer, delivery

    def _first(self, head: Head) -> Store:
        """The first store of the signature's service: what belongs to no store is refused there, and recorded."""
        authorization = head.headers.get("authorization", "")
        return next((store for store in self.stores if authorization.startswith(store.wire.scheme)), self.stores[0])

    def _store(self, head: Head, first: Store) -> Store:
        """The store that `head` is for, one of the service of `first`. Raises Refused where there is none."""
        address = first.wire.address(head)
        known_key = False
        for store in self.stores:
            if address is not None and store.wire is first.wire and store.access_key_id == address[0]:
                if address[1] in ("", store.region):
                    return store
                known_key = True
        raise first.wire.stranger(head, known_key=known_key)

    def _serve(self, store: Store, call: Call, head: Head, request_id: str, faults: list[Fault]) -> Answer:
        spoilt = [fault for fault in faults if fault.kind in ANSWER_FAULTS]
        packed = store.gzip and not spoilt and _accepts_gzip(head)
        headers = store.wire.headers(request_id)
        if call.operation == "ListJobs":
            body = self._page(store, call, {fault.kind for fault in faults} & PAGE_FAULTS, packed=packed)
        else:
            body = _describe(store, call)
            body = gzip.compress(body, 1, mtime=0) if packed else body
        if packed:
            headers["content-encoding"] = "gzip"
        answer = Answer(200, headers, body)
        for fault in spoilt:
            answer = _spoil(answer, fault, store, head, request_id)
        return answer

    def _page(self, store: Store, call: Call, kinds: set[str], *, packed: bool) -> bytes:
        jobs, next_position = _cut_page(store, call, kinds)
        if "repeat_token" in kinds and call.token is not None:
            next_position = call.position
        # A page is rendered anew only where something in it changed: comparing a thousand jobs that are mostly the same
        # objects takes microseconds, rendering them takes milliseconds.
        key = (id(store), call.page_size, call.statuses, call.position.page, store.style, store.token_length, packed)
        kept = self._kept.get(key)
        if kept is None or kept.next_position != next_position or kept.jobs != jobs:
            token = store.wire.token(next_position, store) if next_position else None
            body = store.wire.listed(jobs, token, store.style)
            kept = _Kept(jobs, next_position, gzip.compress(body, 1, mtime=0) if packed else body)
            while len(self._kept) >= _MOST_PAGES_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = kept
        return kept.body


def _cut_page(store: Store, call: Call, kinds: set[str]) -> tuple[list[Job], Position | None]:
    """The jobs of the page and where the next one begins; None where it is the last one."""
    jobs = store.world.jobs(store.clock())
    here, wanted = call.position, call.statuses
    start = _start(jobs, here)
    if "same_page" in kinds and start > 0 and not here.again:
        before = [job for job in jobs[:start] if not wanted or job.status in wanted]
        return before[-call.page_size :], here._replace(page=here.page + 1, again=True)
    places = (place for place in range(start, len(jobs)) if not wanted or jobs[place].status in wanted)
    chosen = list(itertools.islice(places, call.page_size))
    page = [jobs[place] for place in chosen]
    if next(places, None) is None and not kinds & {"endless", "repeat_token"}:
        return page, None
    end = chosen[-1] + 1 if chosen else start
    return page, Position(here.page + 1, end, jobs[end - 1].id if end else "")


def _start(jobs: Sequence[Job], position: Position) -> int:
    """Where the page begins now; the job ahead of it is looked for where it stood, behind that, then anywhere."""
    if position.offset == 0:
        return 0
    stood = min(position.offset, len(jobs))
    places = itertools.chain(range(stood, len(jobs) + 1), range(1, stood))
    return next((place for place in places if place and jobs[place - 1].id == position.last), stood)


def _describe(store: Store, call: Call) -> bytes:
    now = store.clock()
    job = next((job for job in store.world.jobs(now) if job.id == call.job_id), None)
    if job is None:
        raise store.wire.unknown_job(call.job_id)
    return store.wire.described(job, store.world.detail(job.id, now))


def _spoil(answer: Answer, fault: Fault, store: Store, head: Head, request_id: str) -> Answer:
    """`answer` with `fault` in it."""
    headers = {**answer.headers, **dict(_header(line) for line in fault.headers)}
    match fault.kind:
        case "error":
            refused = Refused(fault.status, fault.code, fault.message)
            error = store.wire.refusal(refused, head, request_id, bodyless=fault.bodyless)
            return replace(error, headers=headers | error.headers)
        case "empty":
            return Answer(200, headers, b"")
        case "body":
            return Answer(fault.status, headers, fault.body)
        case "redirect":
            return Answer(307, headers | {"location": fault.url}, b"")
        case "oversize":
            return replace(answer, body=answer.body.ljust(fault.size), chunked=fault.chunked)
        case "gzip_bomb":
            return replace(answer, body=_bomb(answer.body, fault.size), headers=headers | {"content-encoding": "gzip"})
        case _:
            return replace(answer, headers=headers | {"content-encoding": fault.encoding})


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def _bomb(body: bytes, size: int) -> bytes:
    """`body` and white space up to `size` bytes, compressed without ever holding it whole."""
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(body)]
    left, blanks = max(0, size - len(body)), b" " * (1 << 20)
    while left > 0:
        pieces.append(packer.compress(blanks[:left]))
        left -= len(blanks)
    return b"".join((*pieces, packer.flush()))


def _accepts_gzip(head: Head) -> bool:
    words = [word.replace(" ", "") for word in head.headers.get("accept-encoding", "").lower().split(",")]
    return any(word.partition(";")[0] == "gzip" and not word.endswith((";q=0", ";q=0.0")) for word in words)
