"""What goes wrong, for which requests and how often.

A fault changes which page is returned, what the response is, or how it is delivered. If one request has several
faults, they are applied in this order, and within each group in the order they were added.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.core.section import Section

PAGE_FAULTS: Final = frozenset({"repeat_token", "endless", "same_page"})
RESPONSE_FAULTS: Final = frozenset({"error", "empty", "body", "redirect", "oversize", "gzip_bomb", "bad_encoding"})
DELIVERY_FAULTS: Final = frozenset({"delay", "drip", "cut", "close", "reset"})

PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "repeat_token": (),
    "endless": (),
    "same_page": (),
    "error": ("status", "code", "message", "headers", "bodyless"),
    "empty": (),
    "body": ("status", "headers", "body"),
    "redirect": ("url",),
    "oversize": ("size", "chunked"),
    "gzip_bomb": ("size",),
    "bad_encoding": ("encoding",),
    "delay": ("seconds",),
    "drip": ("seconds", "size"),
    "cut": ("size",),
    "close": (),
    "reset": (),
}
"""The fields that each kind has, in addition to kind, operation, page and times."""

_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "error": {"status": 500, "code": "InternalError", "message": "We encountered an internal error. Please try again."},
    "body": {"status": 200},
    "oversize": {"size": 32 << 20},
    "gzip_bomb": {"size": 64 << 20},
    "bad_encoding": {"encoding": "gzip"},
    "delay": {"seconds": 1.0},
    "drip": {"seconds": 0.05, "size": 1024},
}
_MAX_BYTES: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; zero and empty fields get the kind's default.

    ===============  =========================================================================================
    repeat_token     the next token is the one in the request (page 1: that of page 2)
    endless          there is always a next page, with a new token; after the last job, pages are empty
    same_page        repeats the jobs of the previous page as a page of its own; then the listing goes on
    error            the service's error `code` with `message`, `status` and `headers`; `bodyless`: headers only
    empty            status 200, no body
    body             status `status` with `headers` and `body`, for any request
    redirect         status 307 to `url`
    oversize         the response, padded with white space to `size` bytes; `chunked`: no Content-Length
    gzip_bomb        the same, compressed
    bad_encoding     Content-Encoding says `encoding`, but the body is plain
    delay            the response is sent after `seconds`
    drip             the body is sent in pieces of `size` bytes, `seconds` apart
    cut              the connection is closed after `size` bytes of the body (0: after half of it)
    close            the connection is closed without a response
    reset            the same, with a TCP reset
    ===============  =========================================================================================
    """

    kind: str
    operation: str = ""
    """Only requests of this operation, such as ListJobs; empty: any."""
    page: int = 0
    """Only this page of a listing, counted from 1; 0: any."""
    times: int = 0
    """Removed after this many requests; 0: applies until it is removed."""
    status: int = 0
    code: str = ""
    message: str = ""
    headers: tuple[str, ...] = ()
    """Each in the form ``Retry-After: 5``."""
    bodyless: bool = False
    seconds: float = 0.0
    size: int = 0
    url: str = ""
    body: bytes = field(default=b"", repr=False)
    encoding: str = ""
    chunked: bool = False

    def __post_init__(self) -> None:
        if self.kind not in PARAMETERS:
            raise ValueError(f"{self.kind!r} is not a kind of fault; use one of {', '.join(PARAMETERS)}")
        for name, value in _DEFAULTS.get(self.kind, {}).items():
            object.__setattr__(self, name, getattr(self, name) or value)

    def matches(self, operation: str, page: int) -> bool:
        """Returns whether the fault applies to this request."""
        return self.operation in ("", operation) and self.page in (0, page)

    def as_json(self) -> dict[str, Any]:
        """Returns the fields that are set, for JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.body:
            del values["body"]
            values["base64"] = base64.b64encode(self.body).decode()
        return {name: value for name, value in values.items() if value}


class Faults:
    """The faults of one store."""

    def __init__(self) -> None:
        self._remaining: dict[Fault, int] = {}

    def add(self, fault: Fault) -> None:
        """Applies `fault` from now on; if it is already there, its count starts again."""
        self._remaining[fault] = fault.times

    def remove(self, fault: Fault) -> None:
        """Removes `fault`, if it is there."""
        self._remaining.pop(fault, None)

    def clear(self) -> None:
        """Removes all faults."""
        self._remaining.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._remaining))

    def consume(self, operation: str, page: int) -> list[Fault]:
        """Returns the faults of one request, and counts them as applied."""
        matching = [fault for fault in self if fault.matches(operation, page)]
        for fault in matching:
            self._remaining[fault] -= 1
            if self._remaining[fault] == 0:
                del self._remaining[fault]
        return matching


def read_fault(section: Section) -> Fault | None:
    """Returns the fault in `section`; None if it is invalid, after adding why to the section's problems.

    The keys are the fields of `Fault`; a body is `text` (one line) or `base64`.
    """
    before = len(section.problems)
    kind = section.choice("kind", PARAMETERS)
    parsed: dict[str, Any] = {
        "operation": section.string("operation", pattern="[A-Za-z]*", hint="an operation such as ListJobs"),
        "page": section.integer("page", 0, minimum=1, maximum=1_000_000),
        "times": section.integer("times", 0, minimum=1, maximum=1_000_000),
    }
    if kind:
        parsed |= {name: _READERS[name](section) for name in PARAMETERS[kind]}
        section.reject_unknown()
    return Fault(kind, **parsed) if len(section.problems) == before else None


def _body(section: Section) -> bytes:
    text = section.string("text").encode()
    try:
        packed = base64.b64decode(section.string("base64"), validate=True)
    except binascii.Error:
        section.problem("base64", "must be base64")
        return b""
    if text and packed:
        section.problem("text", "cannot be combined with base64")
    return text or packed


_READERS: Final[dict[str, Callable[[Section], object]]] = {
    "status": lambda section: section.integer("status", 0, minimum=200, maximum=599),
    "code": lambda section: section.string("code"),
    "message": lambda section: section.string("message"),
    "headers": lambda section: tuple(
        section.strings("headers", pattern=r"[A-Za-z0-9-]+: [ -~]*", hint="a header as in 'Retry-After: 5'")
    ),
    "bodyless": lambda section: section.boolean("bodyless", default=False),
    "seconds": lambda section: section.number("seconds", 0.0, minimum=0.0, maximum=3600.0),
    "size": lambda section: section.integer("size", 0, minimum=1, maximum=_MAX_BYTES),
    "url": lambda section: section.string("url", required=True, pattern="[!-~]+", hint="where to"),
    "body": _body,
    "encoding": lambda section: section.string("encoding", pattern="[!-~]+", hint="a content coding such as br"),
    "chunked": lambda section: section.boolean("chunked", default=False),
}
