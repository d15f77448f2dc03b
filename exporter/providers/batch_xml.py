"""The XML dialect that the batch operations of all the clouds share: pages of jobs, and errors.

They differ in the tag of an item and in how a time is written; that is all a provider has to say.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.core.errors import MalformedResponse
from exporter.core.jobs import Job, JobDetail, JobPage
from exporter.providers import xml

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree.ElementTree import Element

    from exporter.providers.keeping import KeptPages

MAX_TOKEN_CHARACTERS: Final = 1024
"""The longest page token that any of the services documents."""

MAX_WORD_CHARACTERS: Final = 256
"""Of a job's id and status; the longest documented id has 64."""

EARLY_BYTES: Final = 4096
"""Of a page, in which an early token is looked for: the longest one and what stands ahead of it."""

_EARLY_TOKEN: Final = re.compile(rb"<NextToken>\s*([!-%%'-;=?-~]{1,%d})\s*</NextToken>" % MAX_TOKEN_CHARACTERS)
"""One of ASCII without blanks and without markup, as all that are documented."""

_LARGEST: Final = 2**63 - 1
_DIGITS: Final = len(str(_LARGEST))

_ELAPSED: Final = "ElapsedTimeInActiveSeconds"
_PROGRESS: Final = frozenset(("NumberOfTasksFailed", "NumberOfTasksSucceeded", "TotalNumberOfTasks", _ELAPSED))
_KNOWN: Final = _PROGRESS | {
    "CreationTime",
    "Description",
    "JobId",
    "Operation",
    "Priority",
    "ProgressSummary",
    "Status",
    "TerminationDate",
    "Timers",
}
"""All that is documented inside a job."""


_TAG_AND_TEXT: Final = attrgetter("tag", "text")


class XmlFormat(NamedTuple):
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


_ISO8601: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")


def iso8601(text: str | None, name: str) -> float | None:
    """The Unix time in element `name`, which is UTC as in 2019-12-19T11:05:40Z; an int where it is whole seconds.

    None where the service was silent. Raises MalformedResponse where the text is no such time; a fraction may stand.
    """
    text = (text or "").strip()
    if not text:
        return None
    try:
        if not _ISO8601.fullmatch(text):
            raise ValueError(text)  # noqa: TRY301 - fromisoformat takes more than the documented form
        seconds = datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise MalformedResponse(f"{name} is not a time such as 2019-12-19T11:05:40Z") from None
    return int(seconds) if seconds.is_integer() else seconds


def peek_next_token(begin: bytes | bytearray) -> str | None:
    """The NextToken that stands ahead of the jobs in `begin`, the first bytes of a page; None where none is told.

    A guess: markup could hide it, so `parse_jobs` decides.
    """
    ahead, _, _ = begin[:EARLY_BYTES].partition(b"<Jobs")
    found = _EARLY_TOKEN.search(ahead)
    return found[1].decode() if found else None


def parse_jobs(body: bytes, dialect: XmlFormat, kept: KeptPages | None = None) -> JobPage:
    """The page in the answer `body` of ListJobs; unknown elements are passed over. Raises MalformedResponse.

    `kept`: look there first, and keep the page there; the result is the same.
    """
    parse = partial(_page, dialect=dialect)
    return parse(body) if kept is None else kept.read(body, dialect.item, parse)


def _page(body: bytes, dialect: XmlFormat) -> JobPage:
    root = xml.parse(body)
    if xml.local_name(root) != "ListJobsResult":
        raise MalformedResponse("the answer's root element is not ListJobsResult")
    space = xml.namespace(root)
    known = frozenset(space + name for name in (*_KNOWN, dialect.item))
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


def _job(item: Element, space: str, dialect: XmlFormat, known: frozenset[str]) -> Job:
    leaf = _leaves(item, space, known)
    get = leaf.get
    return Job(  # by place: by name, it takes twice as long
        _word(leaf, "JobId"),
        _word(leaf, "Status"),
        (get("Operation") or "").strip() or None,
        get("Description") or None,
        whole(get("Priority"), "Priority"),
        dialect.time(get("CreationTime"), "CreationTime"),
        dialect.time(get("TerminationDate"), "TerminationDate"),
        whole(get("TotalNumberOfTasks"), "TotalNumberOfTasks"),
        whole(get("NumberOfTasksSucceeded"), "NumberOfTasksSucceeded"),
        whole(get("NumberOfTasksFailed"), "NumberOfTasksFailed"),
        whole(get(_ELAPSED), _ELAPSED),
    )


def _leaves(item: Element, space: str, known: frozenset[str]) -> dict[str, str | None]:
    """The texts of a job's documented leaves, by their names.

    One walk over all that the job holds is fastest, but right only where nothing in it is unknown or stands twice: an
    unknown container may hold leaves of a known name.
    """
    elements = [*item.iter()]
    leaves = dict(map(_TAG_AND_TEXT, elements))
    if len(leaves) == len(elements) and leaves.keys() <= known:
        return {tag.removeprefix(space): text for tag, text in leaves.items()} if space else leaves
    leaves = {name: text for name, text in _texts(item, space).items() if name not in _PROGRESS}
    progress = item.find(f"{space}ProgressSummary")
    if progress is not None:
        leaves |= {name: text for name, text in _texts(progress, space).items() if name in _PROGRESS}
        elapsed = progress.findtext(f"{space}Timers/{space}{_ELAPSED}")
        leaves[_ELAPSED] = elapsed or leaves.get(_ELAPSED)  # older models have it right under the summary
    return leaves


def _texts(element: Element, space: str) -> dict[str, str | None]:
    """The texts of the element's children in the namespace `space`, by their names without it."""
    return {child.tag[len(space) :]: child.text for child in element if child.tag.startswith(space)}


def _word(leaf: dict[str, str | None], name: str) -> str:
    word = (leaf.get(name) or "").strip()
    if not word:
        raise MalformedResponse(f"{name} is missing or empty")
    if len(word) > MAX_WORD_CHARACTERS or word in (".", ".."):  # which would be another place in a path
        raise MalformedResponse(f"{name} is longer than {MAX_WORD_CHARACTERS} characters, or no name")
    return word


def parse_job(body: bytes, dialect: XmlFormat) -> JobDetail:
    """The job in the answer `body` of DescribeJob; unknown elements are passed over. Raises MalformedResponse."""
    root = xml.parse(body)
    if xml.local_name(root) != "DescribeJobResult":
        raise MalformedResponse("the answer's root element is not DescribeJobResult")
    space = xml.namespace(root)
    item = root.find(f"{space}Job")
    if item is None:
        raise MalformedResponse("the answer holds no Job")
    job = _job(item, space, dialect, frozenset())
    operation = item.find(f"{space}Operation/*")  # here a container: its child has the operation's name
    if operation is not None:
        job = job._replace(operation=xml.local_name(operation))
    failure = item.find(f"{space}FailureReasons/*")  # the first one; it has the name of a type, or that of any item
    reasons = {} if failure is None else _texts(failure, space)
    return JobDetail(
        job,
        failure_code=(reasons.get("FailureCode") or "").strip() or None,
        failure_reason=(reasons.get("FailureReason") or "").strip() or None,
        suspended=dialect.time(item.findtext(f"{space}SuspendedDate"), "SuspendedDate"),
    )


class ErrorBody(NamedTuple):
    """What an error's XML tells; None where it is silent. The rest of it may echo secrets and is left alone."""

    code: str | None
    request_id: str | None


def parse_error(body: bytes) -> ErrorBody:
    """What the XML of an error answer tells, an `Error` bare or wrapped; nothing where it is none. Never raises."""
    try:
        root = xml.parse(body)
    except MalformedResponse:
        return ErrorBody(None, None)
    errors = [element for element in (root, *root) if xml.local_name(element) == "Error"]
    leaves = (*root, *errors[0]) if errors else ()
    found = {xml.local_name(leaf): (leaf.text or "").strip() or None for leaf in leaves}
    return ErrorBody(found.get("Code"), found.get("RequestId"))
