"""The XML dialect that the batch operations of all services share: pages of jobs, one job, and errors.

The services differ only in the tag of a job in a page, and in the form of a time.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from exporter.core.errors import MalformedResponse
from exporter.core.http import Response
from exporter.core.jobs import TERMINAL_STATUSES, Job, JobDetail, JobPage
from exporter.providers import xml
from exporter.providers.batch_values import (
    MAX_PAGE_JOBS,
    MAX_TOKEN_CHARACTERS,
    MAX_WORD_CHARACTERS,
    parse_int,
    parse_moment,
    parse_time,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree.ElementTree import Element

    from exporter.core.errors import ServiceError
    from exporter.providers.batch_pattern import PagePattern

Value = TypeVar("Value")
ToError: TypeAlias = "Callable[[Response, str], ServiceError]"
"""`Provider.error`."""

ERROR_ROOTS: Final = ("Error", "ErrorResponse")

EARLY_BYTES: Final = 4096
"""The start of a page in which `peek_next_token` looks: the longest token and what precedes it."""

_EARLY_TOKEN: Final = re.compile(rb"<NextToken>\s*([!-%%'-;=?-~]{1,%d})\s*</NextToken>" % MAX_TOKEN_CHARACTERS)
"""Only ASCII without blanks and markup, like all documented tokens."""


def peek_next_token(start: bytes | bytearray) -> str | None:
    """The NextToken before the jobs in `start`, the first bytes of a page; None if there is none.

    A guess, as a comment could contain it: `parse_jobs` decides.
    """
    head, _, _ = start[:EARLY_BYTES].partition(b"<Jobs")
    token = _EARLY_TOKEN.search(head)
    return token[1].decode() if token else None


def parse_jobs(body: bytes, pattern: PagePattern, to_error: ToError) -> JobPage:
    """The page in the response `body` of ListJobs: by `pattern`, or by the XML parser if that refuses it.

    Unknown elements in a job, or beside Jobs, are ignored. Raises MalformedResponse, and what `to_error` returns if the
    body is an error, although the status is 200.
    """
    return pattern.parse(body) or _parse_page(body, pattern.item, to_error)


def _parse_page(body: bytes, item: str, to_error: ToError) -> JobPage:
    root = _root(body, "ListJobs", to_error)
    space = xml.namespace(root)
    jobs: list[Job] = []
    unreadable: list[str] = []
    for element in _items(root, space, item):
        try:
            jobs.append(_job(_Leaves(element, space, unreadable)))
        except MalformedResponse as error:
            raise MalformedResponse(f"job {len(jobs) + 1} of the page: {error}") from None
    token = (root.findtext(f"{space}NextToken") or "").strip()
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise MalformedResponse(f"NextToken is longer than {MAX_TOKEN_CHARACTERS} characters")
    return JobPage(jobs, token or None, tuple(unreadable))


def _root(body: bytes, operation: str, to_error: ToError) -> Element:
    """The root of the response to `operation`. Raises MalformedResponse, and what `to_error` returns for an error."""
    root = xml.parse(body)
    name = xml.local_name(root.tag)
    if name in ERROR_ROOTS:
        raise to_error(Response(HTTPStatus.OK, {}, body), operation)
    if name != f"{operation}Result":
        raise MalformedResponse(f"the response's root element is not {operation}Result")
    return root


def _items(root: Element, space: str, item: str) -> Element:
    """The element Jobs of a page. Raises MalformedResponse if it is not the only place with jobs, or has more in it."""
    containers = root.findall(f"{space}Jobs")
    others = [child for child in root if child.tag != f"{space}Jobs"]
    nested = {element.tag for other in others for element in other.iter()}  # few, though elements may be many
    if item in map(xml.local_name, {other.tag for other in others}) or "JobId" in map(xml.local_name, nested):
        raise MalformedResponse("the response contains jobs outside Jobs")
    if len(containers) != 1:
        raise MalformedResponse(f"the response contains {'more than one' if containers else 'no'} Jobs element")
    (jobs,) = containers
    if any(child.tag != space + item for child in jobs):
        raise MalformedResponse(f"Jobs contains other elements than {item}")
    if any((text or "").strip() for text in (jobs.text, *(child.tail for child in jobs))):
        raise MalformedResponse("Jobs contains text")
    if len(jobs) > MAX_PAGE_JOBS:
        raise MalformedResponse(f"the page contains {len(jobs)} jobs, but no service returns more than {MAX_PAGE_JOBS}")
    return jobs


class _Leaves(NamedTuple):
    """Reads the leaves of one job, whose names are in the namespace `space`.

    A value counts only at its documented path. Of two elements with the same name in one place, the first one counts.
    """

    job: Element
    space: str
    unreadable: list[str]
    """Values that could not be read are appended here."""

    def text(self, path: str) -> str | None:
        """The text of the leaf at `path`, exactly as sent; None if it is absent or empty."""
        element: Element | None = self.job
        for name in path.split("/"):
            element = None if element is None else element.find(self.space + name)
        return None if element is None else element.text or None

    def shown(self, path: str) -> str | None:
        """The text of the leaf at `path` without blanks around it, shortened; None if it is absent or blank."""
        return shorten((self.text(path) or "").strip()) or None

    def word(self, name: str) -> str:
        """The job's id or status, exactly as sent. Raises MalformedResponse if it cannot be one."""
        word = self.text(name) or ""
        if not word.strip():
            raise MalformedResponse(f"{name} is missing or empty")
        if len(word) > MAX_WORD_CHARACTERS or word in (".", ".."):  # which would be another place in a URL's path
            raise MalformedResponse(f"{name} is longer than {MAX_WORD_CHARACTERS} characters, or a path")
        if len(f"{word} ".replace("\n", " ").splitlines()) > 1:  # as a label, it would look like a blank
            raise MalformedResponse(f"{name} contains a line break")
        return word

    def read(self, path: str, parse: Callable[[str | None], Value | None]) -> Value | None:
        """What `parse` returns for the leaf at `path`; None if it raises ValueError."""
        try:
            return parse(self.text(path))
        except ValueError:
            self.unreadable.append(f"{path.rpartition('/')[2]} of job {self.word('JobId')}")
            return None


def _job(leaves: _Leaves) -> Job:
    """The job. Raises MalformedResponse if it has no readable id or status."""
    elapsed = "ProgressSummary/Timers/ElapsedTimeInActiveSeconds"
    if leaves.text(elapsed) is None:
        elapsed = "ProgressSummary/ElapsedTimeInActiveSeconds"  # of older models
    job_id, status, description = leaves.word("JobId"), leaves.word("Status").strip(), leaves.text("Description")
    return Job(
        id=job_id,
        status=status,
        operation=leaves.shown("Operation"),
        description=description and shorten(description),
        priority=leaves.read("Priority", parse_int),
        created=leaves.read("CreationTime", parse_moment),
        terminated=leaves.read("TerminationDate", parse_moment if status in TERMINAL_STATUSES else parse_time),
        tasks=leaves.read("ProgressSummary/TotalNumberOfTasks", parse_int),
        succeeded=leaves.read("ProgressSummary/NumberOfTasksSucceeded", parse_int),
        failed=leaves.read("ProgressSummary/NumberOfTasksFailed", parse_int),
        elapsed_active=leaves.read(elapsed, parse_int),
    )


def parse_job(body: bytes, to_error: ToError) -> JobDetail:
    """The job in the response `body` of DescribeJob; unknown elements are ignored. Raises as `parse_jobs`."""
    root = _root(body, "DescribeJob", to_error)
    space = xml.namespace(root)
    item = root.find(f"{space}Job")
    if item is None:
        raise MalformedResponse("the response contains no Job")
    leaves = _Leaves(item, space, [])
    job = _job(leaves)
    operation = item.find(f"{space}Operation/*")  # here it is a container, whose child has the operation's name
    if operation is not None:
        job = job._replace(operation=xml.local_name(operation.tag))
    failure = item.find(f"{space}FailureReasons/*")  # the first one; its name differs between the services
    reasons = None if failure is None else _Leaves(failure, space, [])
    reported = (leaves.shown("Report/Enabled") or "").lower() == "true"
    return JobDetail(
        job,
        failure_code=reasons.shown("FailureCode") if reasons else None,
        failure_reason=reasons.shown("FailureReason") if reasons else None,
        suspended=leaves.read("SuspendedDate", parse_time),
        suspended_cause=leaves.shown("SuspendedCause"),
        status_reason=leaves.shown("StatusUpdateReason"),
        report_bucket=leaves.shown("Report/Bucket") if reported else None,
        report_prefix=leaves.shown("Report/Prefix") if reported else None,
        unreadable=tuple(leaves.unreadable),
    )


class ErrorBody(NamedTuple):
    """The parts of an error's XML that are used; None if omitted. The rest of it may echo secrets and is not read."""

    code: str | None
    request_id: str | None


def parse_error(body: bytes) -> ErrorBody:
    """The parts of the error in `body`, bare or wrapped; all None if it is not the XML of an error. Never raises."""
    try:
        root = xml.parse(body)
    except MalformedResponse:
        return ErrorBody(None, None)
    errors = [element for element in (root, *root) if xml.local_name(element.tag) == "Error"]
    leaves = (*root, *errors[0]) if errors else ()
    texts = {xml.local_name(leaf.tag): (leaf.text or "").strip() or None for leaf in leaves}
    return ErrorBody(texts.get("Code"), texts.get("RequestId"))
