"""Pages of ListJobs. The number of a job determines all of it; jobs with higher numbers are newer."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias
from xml.etree.ElementTree import SubElement, tostring

from defusedxml import ElementTree

from exporter.simulator import make_jobs
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.messages import Style

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from exporter.core.jobs import Job

Order: TypeAlias = Literal["documented", "other"]
"""Of the leaves of a job; "other" is the documented order reversed, with leaves that no documentation mentions."""

PAGE_SIZE: Final = 1000
"""Jobs; what both exporters request, and the maximum of the service."""

NEW_JOBS: Final = 3
"""Added at the front of a churning listing from state to state; as many are removed at its end."""

UNKNOWN_LEAVES: Final = {"Owner": "1234567890123456", "Tier": "Standard", "Revision": "7"}
"""Of each job in the "other" order."""

_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_NOW: Final = 1760000000
_SECONDS_BETWEEN: Final = 5
"""From the creation of one job to that of the next one."""
_VARIANT_JOBS: Final = 10_000_000
"""Job numbers of a variant: more than any listing has jobs."""
_TASKS: Final = 10**9
"""Of a running job: more than it ever completes."""


class Place(NamedTuple):
    """What a page token refers to; `page` counts from 0."""

    variant: int
    target: int
    page: int


def jobs(count: int, variant: int = 0, *, target: int = 0, churn: bool = False) -> list[Job]:
    """The jobs that the target with the number `target` lists, newest first; no job belongs to two targets.

    No job belongs to two variants either. With `churn`, variants are successive states of one listing: from one to the
    next, NEW_JOBS jobs are added and as many removed, so that every page is shifted, and the running ones progress.
    """
    first = variant * (NEW_JOBS if churn else _VARIANT_JOBS)
    state = variant if churn else 0
    return [_job(number, target, state) for number in range(first + count - 1, first - 1, -1)]


def pages(
    count: int,
    variant: int = 0,
    *,
    target: int = 0,
    churn: bool = False,
    token_first: bool = True,
    size: int = PAGE_SIZE,
    order: Order = "documented",
) -> Iterator[bytes]:
    """The pages of `jobs(…)`, of `size` jobs each; their tokens are for `place`, and precede or follow the jobs."""
    listed = jobs(count, variant, target=target, churn=churn)
    style = Style(token_first=token_first)
    starts = range(0, max(count, 1), size)
    for number, start in enumerate(starts, 1):
        token = f"{variant}-{target}-{number}" if number < len(starts) else None
        body = DIALECTS["oss"].list_response(listed[start : start + size], token, style)
        yield body if order == "documented" else _in_other_order(body)


def place(token: str) -> Place:
    """What `token` refers to."""
    variant, target, number = map(int, token.split("-"))
    return Place(variant, target, number)


def _in_other_order(body: bytes) -> bytes:
    """The page `body` in the "other" order."""
    root = ElementTree.fromstring(body)
    for job in root.iterfind("Jobs/JobListDescriptor"):
        _reverse(job)
        for name, text in UNKNOWN_LEAVES.items():
            leaf = SubElement(job, name)
            leaf.text, leaf.tail = text, job[0].tail
    text = tostring(root, encoding="unicode", short_empty_elements=False)
    return _DECLARATION + text.replace("\r", "&#13;").encode()  # a reader would change a bare \r


def _reverse(element: Element) -> None:
    for child in element:
        _reverse(child)
    element[:] = reversed(element)


@functools.cache
def _lives() -> list[Job]:
    """A thousand jobs as an old service lists them; each other job lives as one of these, but later."""
    return make_jobs(1000, "bench", now=_NOW)


def _job(number: int, target: int, state: int) -> Job:
    lives = _lives()
    life = lives[number % len(lives)]
    created = _NOW + number * _SECONDS_BETWEEN
    digits = hashlib.blake2b(f"{target}/{number}".encode(), digest_size=16).hexdigest()
    job = life._replace(
        id=base64.b64encode(digits.encode()).decode(),
        created=created,
        terminated=None if life.terminated is None else created + life.terminated - (life.created or 0),
    )
    if job.status != "Active" or job.succeeded is None:  # it does not run, or has no progress
        return job
    done = (state + 1) * 100 + number % 100
    return job._replace(
        tasks=_TASKS, succeeded=done, failed=0, elapsed_active=(state + 1) * NEW_JOBS * _SECONDS_BETWEEN
    )
