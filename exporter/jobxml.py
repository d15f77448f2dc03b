"""The XML dialect that the batch operations of all the clouds share: pages of jobs, and errors.

They differ in the tag of an item and in how a time is written; that is all a provider has to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from exporter import xmltree
from exporter.errors import MalformedResponse
from exporter.model import Job, JobPage

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree.ElementTree import Element

MAX_TOKEN_CHARACTERS: Final = 1024
"""The longest page token that any of the services documents."""

_LARGEST: Final = 2**63 - 1
_DIGITS: Final = len(str(_LARGEST))


_KNOWN: Final = frozenset(
    (
        "CreationTime",
        "Description",
        "ElapsedTimeInActiveSeconds",
        "JobId",
        "NumberOfTasksFailed",
        "NumberOfTasksSucceeded",
        "Operation",
        "Priority",
        "ProgressSummary",
        "Status",
        "TerminationDate",
        "Timers",
        "TotalNumberOfTasks",
    )
)
"""All that is documented inside a job."""


class Dialect(NamedTuple):
    """How one service writes.

    `item` is the tag of a job in `Jobs`, `time` reads the text of the element with that name as Unix seconds.
    """

    item: str
    time: Callable[[str | None, str], float | None]


def whole(text: str | None, name: str) -> int | None:
    """The count, or the Unix time, in element `name`; None where the service was silent.

    Raises MalformedResponse where the text is no whole number of at most 64 bits.
    """
    if text is None:
        return None
    if text.isdecimal() and len(text) < _DIGITS and text.isascii():  # nearly all of them
        return int(text)
    text = text.strip()
    if not text:
        return None
    if text.isdecimal() and len(text) <= _DIGITS and text.isascii() and int(text) <= _LARGEST:
        return int(text)
    raise MalformedResponse(f"{name} is not a whole number of at most 64 bits")


def parse_jobs(body: bytes, dialect: Dialect) -> JobPage:
    """The page in the answer `body` of ListJobs; unknown elements are passed over. Raises MalformedResponse."""
    root = xmltree.parse(body)
    if xmltree.local_name(root) != "ListJobsResult":
        raise MalformedResponse("the answer's root element is not ListJobsResult")
    space = xmltree.namespace(root)
    known = _KNOWN | {dialect.item}
    jobs: list[Job] = []
    for container in root.iterfind(f"{space}Jobs"):
        items = container.findall(space + dialect.item)
        if len(container) and not items:
            raise MalformedResponse(f"Jobs holds elements, but no {dialect.item}")
        for item in items:
            try:
                jobs.append(_job(item, space, dialect, known))
            except MalformedResponse as error:
                raise MalformedResponse(f"job {len(jobs) + 1} of the page: {error}") from None
    return JobPage(jobs, _token(root.findtext(f"{space}NextToken")))


def _token(text: str | None) -> str | None:
    token = (text or "").strip()
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise MalformedResponse(f"NextToken is longer than {MAX_TOKEN_CHARACTERS} characters")
    return token or None


def _job(item: Element, space: str, dialect: Dialect, known: frozenset[str]) -> Job:
    leaf = _leaves(item, space, known)
    get = leaf.get
    return Job(
        id=_word(leaf, "JobId"),
        status=_word(leaf, "Status"),
        operation=(get("Operation") or "").strip() or None,
        description=get("Description") or None,
        priority=whole(get("Priority"), "Priority"),
        created=dialect.time(get("CreationTime"), "CreationTime"),
        terminated=dialect.time(get("TerminationDate"), "TerminationDate"),
        tasks=whole(get("TotalNumberOfTasks"), "TotalNumberOfTasks"),
        succeeded=whole(get("NumberOfTasksSucceeded"), "NumberOfTasksSucceeded"),
        failed=whole(get("NumberOfTasksFailed"), "NumberOfTasksFailed"),
        elapsed_active=whole(get("ElapsedTimeInActiveSeconds"), "ElapsedTimeInActiveSeconds"),
    )


def _leaves(item: Element, space: str, known: frozenset[str]) -> dict[str, str | None]:
    """The texts of a job's documented leaves, by their names.

    One walk over all that the job holds is fastest, but right only where nothing in it is unknown: an unknown
    container may hold leaves of a known name.
    """
    if not space:
        leaves = {element.tag: element.text for element in item.iter()}
        if leaves.keys() <= known:
            return leaves
    leaves = _texts(item, space)
    progress = item.find(f"{space}ProgressSummary")
    if progress is not None:
        leaves |= _texts(progress, space)
        timers = progress.find(f"{space}Timers")
        if timers is not None:  # older models have the elapsed time right under the summary
            leaves |= _texts(timers, space)
    return leaves


def _texts(element: Element, space: str) -> dict[str, str | None]:
    """The texts of the element's children, by their names without `space`."""
    return {child.tag.removeprefix(space): child.text for child in element}


def _word(leaf: dict[str, str | None], name: str) -> str:
    word = (leaf.get(name) or "").strip()
    if not word:
        raise MalformedResponse(f"{name} is missing or empty")
    return word


class ErrorBody(NamedTuple):
    """What an error's XML tells; None where it is silent. The rest of it may echo secrets and is left alone."""

    code: str | None
    message: str | None
    request_id: str | None


def parse_error(body: bytes) -> ErrorBody:
    """What the XML of an error answer tells; nothing where it is none. Never raises."""
    try:
        root = xmltree.parse(body)
    except MalformedResponse:
        return ErrorBody(None, None, None)
    found = {xmltree.local_name(leaf): (leaf.text or "").strip() or None for leaf in root.iter()}
    return ErrorBody(found.get("Code"), found.get("Message"), found.get("RequestId"))
