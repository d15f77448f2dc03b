"""What goes wrong, where and how often.

A fault is one of three sorts: it changes which page is answered, what the answer is, or how it is delivered. Several
may meet in one request: they are applied in this order, and within a sort in the order they were added.
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
ANSWER_FAULTS: Final = frozenset({"error", "empty", "body", "redirect", "oversize", "gzip_bomb", "bad_encoding"})
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
"""Each kind with what may be said of it, beside kind, operation, page and times."""

_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "error": {"status": 500, "code": "InternalError", "message": "We encountered an internal error. Please try again."},
    "body": {"status": 200},
    "oversize": {"size": 32 << 20},
    "gzip_bomb": {"size": 64 << 20},
    "bad_encoding": {"encoding": "gzip"},
    "delay": {"seconds": 1.0},
    "drip": {"seconds": 0.05, "size": 1024},
}
_MOST_BYTES: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; what is zero or empty takes the kind's default.

    ===============  =========================================================================================
    repeat_token     the page names the token it was asked with as the next one (page 1: that of page 2)
    endless          there is always a next page, each with a new token; past the last job they are empty
    same_page        the forerunner's jobs once more as a page of their own, then the listing goes on
    error            the service's error `code` with `message`, `status` and `headers`; `bodyless`: in a header
    empty            status 200, no body
    body             status `status` with `headers` and `body`, whatever was asked
    redirect         status 307 to `url`
    oversize         the answer, blown up with white space to `size` bytes; `chunked`: without telling its length
    gzip_bomb        the same, compressed
    bad_encoding     Content-Encoding says `encoding`, but the body is plain
    delay            `seconds` pass ahead of the answer
    drip             the body comes in pieces of `size` bytes, `seconds` apart
    cut              the connection is closed after `size` bytes of the body (0: after half of it)
    close            the connection is closed without an answer
    reset            likewise, with a TCP reset
    ===============  =========================================================================================
    """

    kind: str
    operation: str = ""
    """Only requests of this one, as in ListJobs; empty: any."""
    page: int = 0
    """Only this page of a listing, from 1; 0: any."""
    times: int = 0
    """Gone after so many requests; 0: stays until it is removed."""
    status: int = 0
    code: str = ""
    message: str = ""
    headers: tuple[str, ...] = ()
    """Each as in ``Retry-After: 5``."""
    bodyless: bool = False
    seconds: float = 0.0
    size: int = 0
    url: str = ""
    body: bytes = field(default=b"", repr=False)
    encoding: str = ""
    chunked: bool = False

    def __post_init__(self) -> None:
        if self.kind not in PARAMETERS:
            raise ValueError(f"{self.kind!r} is no kind of fault; known: {', '.join(PARAMETERS)}")
        for name, value in _DEFAULTS.get(self.kind, {}).items():
            object.__setattr__(self, name, getattr(self, name) or value)

    def hits(self, operation: str, page: int) -> bool:
        """Whether it applies to this request."""
        return self.operation in ("", operation) and self.page in (0, page)

    def shown(self) -> dict[str, Any]:
        """What is set, for people and JSON."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.body:
            del told["body"]
            told["base64"] = base64.b64encode(self.body).decode()
        return {name: value for name, value in told.items() if value}


class Faults:
    """The faults of one store."""

    def __init__(self) -> None:
        self._left: dict[Fault, int] = {}

    def add(self, fault: Fault) -> None:
        """From now on `fault` applies; a fault that is there already starts its count anew."""
        self._left[fault] = fault.times

    def remove(self, fault: Fault) -> None:
        """`fault` applies no more, if it did."""
        self._left.pop(fault, None)

    def clear(self) -> None:
        """No fault applies any more."""
        self._left.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._left))

    def take(self, operation: str, page: int) -> list[Fault]:
        """The faults of one request; counts them as applied."""
        hit = [fault for fault in self if fault.hits(operation, page)]
        for fault in hit:
            self._left[fault] -= 1
            if self._left[fault] == 0:
                del self._left[fault]
        return hit


def read_fault(section: Section) -> Fault | None:
    """The fault that `section` tells; None where it tells none, and then its problems say why.

    Keys are the names of `Fault`; a body is given as `text` (one line) or as `base64`.
    """
    before = len(section.problems)
    kind = section.choice("kind", PARAMETERS)
    told: dict[str, Any] = {
        "operation": section.string("operation", pattern="[A-Za-z]*", hint="an operation such as ListJobs"),
        "page": section.integer("page", 0, minimum=1, maximum=1_000_000),
        "times": section.integer("times", 0, minimum=1, maximum=1_000_000),
    }
    if kind:
        told |= {name: _READERS[name](section) for name in PARAMETERS[kind]}
        section.reject_unknown()
    return Fault(kind, **told) if len(section.problems) == before else None


def _body(section: Section) -> bytes:
    text = section.string("text").encode()
    try:
        packed = base64.b64decode(section.string("base64"), validate=True)
    except binascii.Error:
        section.problem("base64", "must be base64")
        return b""
    if text and packed:
        section.problem("text", "is given twice: as text and as base64")
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
    "size": lambda section: section.integer("size", 0, minimum=1, maximum=_MOST_BYTES),
    "url": lambda section: section.string("url", required=True, pattern="[!-~]+", hint="where to"),
    "body": _body,
    "encoding": lambda section: section.string("encoding", pattern="[!-~]+", hint="a content coding such as br"),
    "chunked": lambda section: section.boolean("chunked", default=False),
}
