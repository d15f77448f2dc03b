"""Answers of ListJobs in the documented form. A job's number says all about it; the higher, the newer."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from exporter.simulator import make_jobs
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.messages import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.core.jobs import Job

PAGE_SIZE: Final = 1000
"""Jobs; what both exporters ask for, and the most that they are given."""

NEW_JOBS: Final = 3
"""So many stand in front at each further state of a churning listing, and as many have fallen off."""

_NOW: Final = 1760000000
_APART: Final = 5
"""Seconds from one job's creation to the next one's."""
_FAR: Final = 10_000_000
"""Between the numbers of two variants: more than any listing has jobs."""
_TASKS: Final = 10**9
"""Of a running job: more than it ever does."""

_JOB: Final = re.compile(rb"(<JobListDescriptor>\n)(.*?)( +</JobListDescriptor>)", re.DOTALL)
_ELEMENT: Final = re.compile(rb"^ {9}<.*?\n(?= {9}<[A-Z]|\Z)", re.DOTALL | re.MULTILINE)
_UNKNOWN: Final = (
    b"         <ConfirmationRequired>false</ConfirmationRequired>\n",
    b"         <RoleArn>acs:ram::1234567890123456:role/batch</RoleArn>\n",
)


class Place(NamedTuple):
    """What a page token stands for; `page` counts from 0."""

    variant: int
    target: int
    page: int


def jobs(count: int, variant: int = 0, *, target: int = 0, churn: bool = False) -> list[Job]:
    """What the target with the number `target` lists, newest first; targets have no job in common.

    Two variants have none in common either. With `churn` they are successive states of one listing: at each one
    NEW_JOBS jobs have come and as many gone, so that every page is shifted, and those that run have moved on.
    """
    first = variant * (NEW_JOBS if churn else _FAR)
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
    order: Literal["documented", "other"] = "documented",
) -> Iterator[bytes]:
    """The pages of `jobs(…)`, of `size` jobs; tokens are read by `place`, and are before the jobs or behind them.

    `order`: of the elements of a job; in the other one, there are also leaves that are not documented.
    """
    listed = jobs(count, variant, target=target, churn=churn)
    style = Style(token_first=token_first)
    starts = range(0, max(count, 1), size)
    for number, start in enumerate(starts, 1):
        token = f"{variant}-{target}-{number}" if number < len(starts) else None
        body = DIALECTS["oss"].list_response(listed[start : start + size], token, style)
        yield body if order == "documented" else _JOB.sub(_reordered, body)


def _reordered(job: re.Match[bytes]) -> bytes:
    return b"".join([job[1], *_ELEMENT.findall(job[2])[::-1], *_UNKNOWN, job[3]])


def place(token: str) -> Place:
    """What `token` stands for."""
    variant, target, number = map(int, token.split("-"))
    return Place(variant, target, number)


@functools.cache
def _lives() -> list[Job]:
    """A thousand jobs as a service that has run for long lists them; all others live as one of these, but later."""
    return make_jobs(1000, "bench", now=_NOW)


def _job(number: int, target: int, state: int) -> Job:
    lives = _lives()
    life = lives[number % len(lives)]
    created = _NOW + number * _APART
    digits = hashlib.blake2b(f"{target}/{number}".encode(), digest_size=16).hexdigest()
    job = life._replace(
        id=base64.b64encode(digits.encode()).decode(),
        created=created,
        terminated=None if life.terminated is None else created + life.terminated - (life.created or 0),
    )
    if job.status != "Active" or job.succeeded is None:  # it does not run, or the service tells no progress
        return job
    done = (state + 1) * 100 + number % 100
    return job._replace(tasks=_TASKS, succeeded=done, failed=0, elapsed_active=(state + 1) * NEW_JOBS * _APART)
