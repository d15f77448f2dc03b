"""Parses bytes to an element tree, as fast as the C parser and safe against the known attacks on XML parsers.

Whoever responds instead of the service can make the parser use memory and time in proportion to the response, not more.
Source of the attacks: https://docs.python.org/3/library/xml.html#xml-security
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from exporter.core.errors import MalformedResponse

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element
    from xml.sax.xmlreader import AttributesImpl

MAX_TAGS: Final = 70_000
"""Limit of start and end tags in a document; a page of 1000 jobs has 28,000. They cost the most time."""

MAX_ATTRIBUTES: Final = 20_000
"""Limit of what looks like an attribute; a page of jobs has one, or more if descriptions contain some."""

MAX_MARKS: Final = 350_000
"""Limit of the characters for each of which the parser creates an object; a page of 1000 jobs has about 50,000."""

SMALL_BYTES: Final = 1024 * 1024
"""No document of this size takes more memory than MAX_MARKS elements; a page of 1000 jobs has about 750,000."""

MAX_NAMESPACE_CHARACTERS: Final = 100
"""The parser copies the namespace into each name, so that its length and the number of names multiply."""

MAX_DECLARATION_BYTES: Final = 200
"""A document with a longer XML declaration is parsed twice."""

_MARKS: Final = b"<=&\r\n"
_ATTRIBUTE: Final = re.compile(rb"""=[\0 \t\r\n]*["']""")
"""Also in UTF-16, and also some characters of texts."""
_WEB_PAGE: Final = re.compile(rb"\s*<(?:!doctype\s+)?html[\s>]", re.IGNORECASE)
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_ENCODING: Final = re.compile(rb"""encoding\s*=\s*["']([^"']*)""")
_LONG_NAMESPACE: Final = re.compile(rb"xmlns[^<]{%d}" % MAX_NAMESPACE_CHARACTERS)


def parse(body: bytes) -> Element:
    """The root element of the XML document `body`, whose size the caller has limited.

    Raises MalformedResponse if it is empty or not well-formed, declares a document type or a namespace of more than
    MAX_NAMESPACE_CHARACTERS, or contains too much markup.
    """
    if not body.strip():
        raise MalformedResponse("the response has an empty body instead of the documented XML")
    if not _is_bounded(body):
        raise MalformedResponse("the response contains more markup than any page of jobs")
    if _WEB_PAGE.match(body):
        raise MalformedResponse(
            "the response is a web page, not XML from the service; check whether a proxy or a login page responds"
        )
    try:
        if not _is_harmless(body):
            _inspect(body)
        return ET.fromstring(body)  # noqa: S314 - proven harmless, by its bytes or by `_inspect`
    except DefusedXmlException as error:
        raise MalformedResponse("the response declares a document type, which is not allowed") from error
    except (ET.ParseError, SAXParseException, LookupError, ValueError) as error:
        raise MalformedResponse(f"the response is not well-formed XML{_place(error)}") from error


def _is_harmless(body: bytes) -> bool:
    """Whether the bytes alone prove that `body` has no document type and no long namespace.

    They do if it is UTF-8 without `<!`: then it contains no comment and no CDATA section either.
    """
    if (b"!" in body and b"<!" in body) or b"\0" in body or _LONG_NAMESPACE.search(body):
        return False
    start = body[:MAX_DECLARATION_BYTES].removeprefix(_UTF8_BOM)
    if not start.startswith(b"<?xml"):
        return True
    declaration, end, _ = start.partition(b"?>")
    encoding = _ENCODING.search(declaration)
    return bool(end) and (encoding is None or encoding[1].lower() == b"utf-8")


def _is_bounded(body: bytes) -> bool:
    """Whether `body` is within the limits of markup; that of marks only matters if it is not small."""
    if body.count(b"<") > MAX_TAGS or len(_ATTRIBUTE.findall(body)) > MAX_ATTRIBUTES:
        return False
    return len(body) <= SMALL_BYTES or len(body) - len(body.translate(None, _MARKS)) <= MAX_MARKS


def _inspect(body: bytes) -> None:
    """Look for what `_is_harmless` could not exclude. Raises an error of the parser if it is there."""
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(_Namespaces())
    parser.feed(body)  # all at once: in pieces, the time would grow with the square of the longest token
    parser.close()


class _Namespaces(ContentHandler):
    """Receives names as they are written, so that a namespace costs its length only once."""

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: ARG002, N802 - the names are SAX's
        for key, value in attrs.items():
            if key.startswith("xmlns") and len(value) > MAX_NAMESPACE_CHARACTERS:
                raise MalformedResponse(f"the response has a namespace of over {MAX_NAMESPACE_CHARACTERS} characters")


def _place(error: Exception) -> str:
    if isinstance(error, SAXParseException):
        line, column = error.getLineNumber(), error.getColumnNumber()
    else:
        line, column = getattr(error, "position", (0, 0))
    return f" (line {line}, column {column})" if line else ""


def local_name(tag: str) -> str:
    """The name of an element with this tag, without its namespace."""
    return tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    """The element's namespace in the form of a prefix of its name, `{uri}`; empty if it has none."""
    head, brace, _ = str(element.tag).rpartition("}")
    return head + brace
