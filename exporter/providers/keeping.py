"""What one listing leaves for the next one of its target: pages, and jobs, by the digest of the bytes that told them.

Most of what a service tells was told at the scrape before. A page of the same bytes is not parsed again; of a page in
which a few jobs came or changed, only those are. The result is what parsing the whole page gives, because:

1. What is not known is parsed within the page's own head and tail, by the same parser as ever, together with the
   first job, known or not. There the tag of a job stands as often as the parser finds jobs, to open and to close, and
   nowhere with a prefix; each `<` begins a tag (`xml.is_plain`). So what the parser finds are these very tags, in
   this very place, and each piece is one whole element.
2. A known piece was parsed in this way in an earlier page, in a head with the same tags, hence the same namespaces.
3. Nothing but white space stands between two jobs. So no piece changes what the others mean.

Where any of this does not hold, the whole page is parsed.
"""

from __future__ import annotations

import itertools
from bisect import bisect
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.errors import MalformedResponse
from exporter.providers import xml

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.jobs import Job, JobPage

MAX_KEPT_BYTES: Final = 96 * 1024 * 1024
"""Of the pages kept between the listings of all targets together, as they were told; what is kept of them takes about
as much. It is enough for 100,000 jobs of the usual length. Pages beyond are parsed at each listing."""

SAMPLE_BYTES: Final = 16 * 1024
"""Of the end of a listing's first page: some twenty jobs, by which it is told whether any are known again."""

_SPACE: Final = b" \t\r\n"
"""What XML calls white space, and nothing else: between jobs it means nothing."""

JOB_BYTES: Final = 700
"""What a kept job takes at least, however few bytes told it."""

MAX_HEAD_BYTES: Final = 8 * 1024
"""Ahead of the first job: the longest token, several times over. A page with more of it is parsed whole."""


class _Page(NamedTuple):
    told: JobPage
    size: int
    """Of its text, in bytes."""
    context: bytes = b""
    """The tags ahead of the jobs, on which depends what their names mean."""
    keys: tuple[bytes, ...] = ()
    """The digest of each job's bytes, in the page's order; none where the page could not be cut."""


class _Cut(NamedTuple):
    """A page is `head`, `pieces` and `tail`; a piece ends with the end of a job, and has no white space ahead."""

    head: bytes
    pieces: list[bytes]
    tail: bytes


@dataclass(slots=True)
class Room:
    """How many more bytes of pages may be kept, of all targets together."""

    left: int = MAX_KEPT_BYTES


class KeptPages:
    """The pages of one listing, kept for the next one; `before` are those of the last one.

    They are read in a thread, one after the other; a page that is not needed any more may still be read there while
    `close` is called.
    """

    def __init__(self, before: KeptPages | None = None) -> None:
        self._before = before
        self._pages: dict[bytes, _Page] = {}
        self._jobs: dict[bytes, dict[bytes, Job]] = {}
        """By context and key."""
        self.size = 0
        """Bytes of pages that are kept here, once closed."""
        self.met = False
        """Whether anything was known from before."""
        self._sample: frozenset[int] = frozenset()
        """Some jobs of the first page."""
        self._closed = False

    def read(self, body: bytes, item: str, parse: Callable[[bytes], JobPage]) -> JobPage:
        """What `parse` makes of the page `body`, in which `item` is the tag of a job.

        Raises MalformedResponse where `parse` does.
        """
        before = self._before  # which `close` takes away, maybe while this page, not needed any more, is still read
        digest = sha256(body).digest()
        page = before._pages.get(digest) if before else None  # noqa: SLF001 - one of its own kind
        if not self._pages:
            self._sample = _sampled(body, item)
            self.met = before is not None and not self._sample.isdisjoint(before._sample)  # noqa: SLF001 - likewise
        if page is not None:
            self.met = True
        else:
            # To cut a page costs a part of parsing it, and is done where the last listing knew something.
            page = self._pieced(body, item, parse, before) if before is not None and before.met else None
            page = page or _Page(told := parse(body), _size(body, told))
        if not self._closed:
            self._keep(digest, page)
        return page.told

    def close(self, room: Room) -> KeptPages:
        """This, with no more than there is `room` for, and without what was before; it was a whole listing."""
        room.left += self._before.size if self._before else 0
        self._before, self._closed = None, True
        pages = [*self._pages.items()]
        sizes = [*itertools.accumulate(page.size for _, page in pages)]
        fit = bisect(sizes, room.left)
        if fit < len(pages):
            self._pages, self._jobs = {}, {}
            for digest, page in pages[:fit]:
                self._keep(digest, page)
        self.size = sizes[fit - 1] if fit else 0
        room.left -= self.size
        return self

    def _keep(self, digest: bytes, page: _Page) -> None:
        self._pages[digest] = page
        if page.keys:
            self._jobs.setdefault(page.context, {}).update(zip(page.keys, page.told.jobs, strict=True))

    def _pieced(self, body: bytes, item: str, parse: Callable[[bytes], JobPage], before: KeptPages) -> _Page | None:
        """The page, of which `parse` gets only what is not known; None where that would not be sound."""
        cut = _cut(body, item)
        if cut is None:
            return None
        context = _context(cut.head)
        known = before._jobs.get(context, {})
        keys = tuple(sha256(piece).digest() for piece in cut.pieces)
        jobs = [known.get(key) for key in keys]
        asked = [place for place, job in enumerate(jobs) if job is None or place == 0]
        self.met = self.met or any(jobs)
        pieces = [cut.pieces[place] for place in asked]
        rest = b"".join((cut.head, *pieces, cut.tail))
        if not _holds(rest, item, len(pieces)):
            return None
        try:
            told = parse(rest)
        except MalformedResponse:
            return None  # parsing the whole page tells what is wrong, and with which job
        if len(told.jobs) != len(pieces):
            return None
        for place, job in zip(asked, told.jobs, strict=True):
            jobs[place] = jobs[place] or job
        told = told._replace(jobs=[job for job in jobs if job is not None])
        return _Page(told, _size(body, told), context, keys)


def _sampled(page: bytes, item: str) -> frozenset[int]:
    """The last jobs of `page`, which are hardly those that change, in a form that is good enough for a guess."""
    _, *pieces = page[-SAMPLE_BYTES:].split(b"</%b>" % item.encode())
    return frozenset(map(hash, pieces[:-1]))


def _size(body: bytes, told: JobPage) -> int:
    return max(len(body), JOB_BYTES * len(told.jobs))


def _cut(body: bytes, item: str) -> _Cut | None:
    """`body` behind each end of a job; None where it is no list of jobs with white space in between.

    That the jobs stand where they belong, and that each is one element, is not known yet.
    """
    begin, end = b"<%b>" % item.encode(), b"</%b>" % item.encode()
    if not xml.is_bounded(body):
        return None
    *pieces, tail = body.split(end)
    if not pieces:
        return None
    head, found, first = pieces[0].partition(begin)
    pieces[0] = found + first
    pieces = [piece.lstrip(_SPACE) + end for piece in pieces]
    if len(head) > MAX_HEAD_BYTES or not all(piece.startswith(begin) for piece in pieces):
        return None
    return _Cut(head, pieces, tail)


def _context(head: bytes) -> bytes:
    """`head` without the one part that differs from page to page, so that it is as it would be on the last page."""
    ahead, found, rest = head.partition(b"<NextToken>")
    _, closed, behind = rest.partition(b"</NextToken>")
    if not found:
        ahead, closed, behind = head.partition(b"<NextToken/>")
    return ahead.rstrip(_SPACE) + behind if closed else head


def _holds(page: bytes, item: str, jobs: int) -> bool:
    """Whether the tag of a job stands in `page` once to open and once to close each of so many `jobs`.

    It stands nowhere with a prefix, which would be the same tag to the parser and another one to these counts.
    """
    tag = item.encode()
    counted = page.count(b"<" + tag) == page.count(b"</" + tag) == jobs
    return counted and b":" + tag not in page and xml.is_plain(page)
