"""The fast parser: pages of jobs by regular expressions.

It does not parse XML in general. It recognises a small regular subset of it, from the first byte of the page to the
last, and refuses everything else, which `batch_xml` then parses. A page of the subset is well-formed XML and contains
exactly these jobs, because

- each `<` begins a tag whose name has no prefix, and there are no attributes except one default namespace of the root:
  so there are no comments, CDATA sections, instructions or document types, and all names are in one namespace;
- each start tag is matched together with its end tag, and between elements there is only white space;
- texts contain no character that XML forbids or changes, and references only in Description, where they are checked;
- each known element occurs at most once in its place, so that it does not matter which of two counts.

Quantifiers are possessive if they repeat one character. Those around groups are not, because CPython 3.11 has bugs
there. They need not be: no two alternatives match the same tag, so that each step back fails at once.
"""

from __future__ import annotations

import itertools
import re
from sys import intern
from typing import TYPE_CHECKING, Final, TypeAlias

from exporter.core.jobs import TERMINAL_STATUSES, Job, JobPage
from exporter.providers.batch_values import (
    MAX_PAGE_JOBS,
    MAX_TEXT_BYTES,
    MAX_TOKEN_CHARACTERS,
    MAX_WORD_CHARACTERS,
    parse_time,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_ELEMENTS: Final = 100
"""Known and unknown ones in one place; the documentation knows 12. Each costs a match memory until it ends."""

MAX_EMPTY_ELEMENTS: Final = 20_000
"""In a page, such as `<Description/>`; a page with more of them goes to the XML parser."""

MAX_REFERENCES: Final = 50
"""In a description, such as `&lt;`; one with more of them goes to the XML parser, which needs less time for each."""

_SPACE: Final = r"[ \t\n]*+"
_INDENT: Final = r"\n? *+"
"""Quicker than `_SPACE`; enough for pages in the documented form."""
_NUMBER: Final = "[0-9]{0,18}+"
"""Digits of at most 64 bits, or nothing."""
_TIME: Final = "[ -%'-;=?-~]*+"
"""Printable ASCII characters without markup."""
_WORD: Final = f"[!-%'-;=?-~]{{0,{MAX_TOKEN_CHARACTERS}}}+"
"""The same without blanks."""
_ID: Final = rf"(?!\.\.?<)[!-%'-;=?-~]{{1,{MAX_WORD_CHARACTERS}}}+"
"""The same, and never empty or a path."""
_DESCRIPTION: Final = "[^<]*+"
"""Any characters; `_checked` has the rest of the rules."""
_UNKNOWN: Final = r"[\t\n -%'-;=?-~]*+"
"""The text of a leaf that is not known: ASCII, as its characters are not checked."""

_Tree: TypeAlias = "Mapping[str, str | _Tree]"
"""Each element by its name: the pattern of a leaf's text, or what a container contains."""
_JOB: Final[_Tree] = {
    "CreationTime": _TIME,
    "Description": _DESCRIPTION,
    "JobId": _ID,
    "Operation": _WORD,
    "Priority": _NUMBER,
    "ProgressSummary": {
        "ElapsedTimeInActiveSeconds": _NUMBER,
        "NumberOfTasksFailed": _NUMBER,
        "NumberOfTasksSucceeded": _NUMBER,
        "Timers": {"ElapsedTimeInActiveSeconds": _NUMBER},
        "TotalNumberOfTasks": _NUMBER,
    },
    "Status": _ID,
    "TerminationDate": _TIME,
}
"""What a job contains, in the documented order, which is alphabetical."""

_EMPTY_ELEMENT: Final = re.compile("<([A-Za-z][A-Za-z0-9]*+) ?/>")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|]]>")
_REFERENCE: Final = re.compile("&(?:(amp|apos|gt|lt|quot);|#([0-9]{1,7}+);|#x([0-9A-Fa-f]{1,6}+);)?")
_ENTITIES: Final = {"amp": "&", "apos": "'", "gt": ">", "lt": "<", "quot": '"'}
_XML_CHARACTER: Final = re.compile("[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class PagePattern:
    """Recognises the pages whose jobs have the tag `item`."""

    def __init__(self, item: str) -> None:
        self.item = item
        token = _any_order({"NextToken": _WORD}, itertools.count(1), others=("Jobs", item))
        self._head = re.compile(
            rf'(?:<\?xml version="1\.0"(?: encoding="(?i:UTF-8)")? ?\?>)?{_SPACE}'
            rf'<ListJobsResult(?: xmlns="(?!http://www\.w3\.org/)[A-Za-z0-9:/._-]{{1,100}}+")?>{_SPACE}'
            rf"{token}<Jobs>{_SPACE}"
        )
        self._tail = re.compile(rf"</Jobs>{_SPACE}{token}</ListJobsResult>{_SPACE}\Z")
        self._jobs = [
            re.compile(f"<{item}>{_SPACE}{contents}</{item}>{_SPACE}")
            for contents in (_in_order(_JOB), _any_order(_JOB, itertools.count(1)))
        ]

    def parse(self, body: bytes) -> JobPage | None:
        """The page in `body`; None if it is not of the subset."""
        text = body.decode("latin-1")  # a character for each byte, as only `_checked` needs the real ones
        try:
            page = self._parse(text)
            if page is None and 0 < text.count("/>") <= MAX_EMPTY_ELEMENTS:
                page = self._parse(_EMPTY_ELEMENT.sub(r"<\1></\1>", text))
        except ValueError:
            return None
        return page

    def _parse(self, text: str) -> JobPage | None:
        head = self._head.match(text)
        if head is None:
            return None
        jobs: list[Job] = []
        end = head.end()
        for pattern in self._jobs:  # the second one takes over at the first job that the first one refuses
            while len(jobs) <= MAX_PAGE_JOBS and (match := pattern.match(text, end)):
                jobs.append(_job(match.groups()))
                end = match.end()
        if len(jobs) > MAX_PAGE_JOBS:
            return None
        tail = self._tail.match(text, end)
        if tail is None or (head[1] is not None and tail[1] is not None):
            return None
        return JobPage(jobs, head[1] or tail[1] or None, parser="pattern")


def _in_order(tree: _Tree) -> str:
    """The pattern of the elements of `tree` in their order, each optional, with the groups of `_any_order`."""
    elements = [
        f"<{name}>({content})</{name}>{_INDENT}"
        if isinstance(content, str)
        else f"<{name}>(){_INDENT}{_in_order(content)}</{name}>{_INDENT}"
        for name, content in tree.items()
    ]
    return "".join(f"(?:{element}|)" for element in elements) + "()"  # a question mark takes half as long again


def _any_order(tree: _Tree, group: Iterator[int], others: Iterable[str] = ()) -> str:
    """The pattern of the elements of `tree` in any order, each at most once, and of any leaves that are not known.

    `others` are the names of known elements that are not allowed here. `group` counts the groups of the pattern: one
    for the text of each leaf and for the start of each container, and one behind them for the name of unknown leaves.
    """
    elements = []
    for name, content in tree.items():
        once = f"(?({next(group)})(?!))"  # fails if the group has matched before
        inner = f">({content})" if isinstance(content, str) else f"(>){_SPACE}{_any_order(content, group)}"
        elements.append(f"{name}{once}{inner}</{name}>")
    known = "|".join((*tree, *others))
    elements.append(rf"(?!(?:{known})>)([A-Za-z][A-Za-z0-9]*+)>{_UNKNOWN}</\{next(group)}>")
    return f"(?:<(?:{'|'.join(elements)}){_SPACE}){{0,{MAX_ELEMENTS}}}"


def _job(groups: Sequence[str | None]) -> Job:
    """The job with these texts. Raises ValueError if only the XML parser can read one of them."""
    created, description, job_id, operation, priority, _, old_elapsed, failed, succeeded, _, elapsed, _, *rest = groups
    tasks, _, status, terminated, _ = rest
    if not job_id or not status:
        raise ValueError("no id or no status")
    elapsed = elapsed or old_elapsed
    began = parse_time(created) if created else None
    ended = parse_time(terminated) if terminated else None
    if (created and not began) or (terminated and not ended and status in TERMINAL_STATUSES):
        raise ValueError("blank, or 0")
    values = (
        job_id,
        intern(status),  # few different ones: each is held once, not once for each job
        intern(operation) if operation else None,
        _checked(description) if description else None,
        int(priority) if priority else None,
        began,
        ended,
        int(tasks) if tasks else None,
        int(succeeded) if succeeded else None,
        int(failed) if failed else None,
        int(elapsed) if elapsed else None,
    )
    return tuple.__new__(Job, values)  # as Job._make, which takes a third longer


def _checked(text: str) -> str:
    """The characters of the bytes in `text`, with references replaced, shortened.

    Raises ValueError if they are not UTF-8, or not the text of an XML element.
    """
    size = len(text)  # in bytes; a reference is longer than its character
    if not text.isascii():
        text = text.encode("latin-1").decode()
    if (not text.isprintable() or "]]>" in text) and _FORBIDDEN.search(text):
        raise ValueError("not a text in XML")
    if "&" in text:
        if text.count("&") > MAX_REFERENCES:
            raise ValueError("too many references")
        text = _REFERENCE.sub(_character, text)
    return shorten(text) if size > MAX_TEXT_BYTES else text


def _character(reference: re.Match[str]) -> str:
    name, decimal, hexadecimal = reference.groups()
    if name:
        return _ENTITIES[name]
    character = chr(int(decimal) if decimal else int(hexadecimal or "", 16))
    if not _XML_CHARACTER.fullmatch(character):
        raise ValueError("not a character in XML")
    return character
