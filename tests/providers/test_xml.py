from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.errors import MalformedResponse
from exporter.providers import xml
from exporter.providers.xml import parse

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Any character that XML allows. Controls are written as references, the rest in several ways.
letters = st.characters(codec="utf-8", exclude_characters="￾￿", exclude_categories=["Cc", "Cs"])
texts = st.text("a1 <>&\"']=/é世😀\t\n\r", max_size=8) | st.text(letters, max_size=3)
spaces = st.sampled_from(["", " ", "\n  ", "\t"])
between = st.sampled_from(["<!-- a -->", "<!--<Status>Failed</Status>-->", "<?b c?>", "<?xml-stylesheet d?>"])
"""Parts of a document without a meaning."""

styles = st.sampled_from(["escaped", "decimal", "hexadecimal", "cdata"])
leaves = st.tuples(
    st.sampled_from(["JobId", "Status", "Description", "Ω"]), st.lists(st.tuples(texts, styles), max_size=3)
)
pages = st.lists(st.lists(leaves, max_size=4), max_size=3)
forms = st.sampled_from(
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-8", '<?xml version="1.0"?>'),
        ("utf-8", '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'),
        ("utf-8", "<?xml version='1.0' encoding='Utf-8'?>"),
        ("utf-8", f'<?xml version="1.0"{" " * 300}encoding="utf-8"?>'),
        ("utf-8-sig", '<?xml version="1.0" encoding="utf-8" ?>'),
        ("utf-16", '<?xml version="1.0" encoding="UTF-16"?>'),
        ("utf-16", ""),
        ("utf-16-le", '<?xml version="1.0" encoding="utf-16le"?>'),
        ("utf-16-be", '<?xml version="1.0" encoding="utf-16be"?>'),
    ]
)
"""Encodings that can write every character, with their declarations."""


def written(text: str, style: str) -> str:
    """`text` in one of the forms that a document may have."""
    if style == "cdata" and "]]>" not in text and "\r" not in text:
        return f"<![CDATA[{text}]]>"
    if style in ("decimal", "hexadecimal"):
        return "".join(f"&#{ord(letter)};" if style == "decimal" else f"&#x{ord(letter):x};" for letter in text)
    for letter, reference in {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}.items():
        text = text.replace(letter, reference)
    return text


def plain(page: list[list[tuple[str, list[tuple[str, str]]]]], space: str) -> str:
    """`page` as the services write it: no declaration, no comment, no CDATA section."""
    jobs = (
        "".join(f"<{name}>{''.join(written(text, 'escaped') for text, _ in pieces)}</{name}>" for name, pieces in job)
        for job in page
    )
    return f"<Result{space}>{''.join(f'<Job>{job}</Job>' for job in jobs)}</Result>"


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bytes]:
    """A page in its plain form, and the same page in any other."""
    page, space = draw(pages), draw(st.sampled_from(["", ' xmlns="http://a.example/"']))
    encoding, declaration = draw(forms)
    noise = st.lists(between, max_size=1).map("".join)
    jobs = ""
    for job in page:
        jobs += "<Job >"
        for name, pieces in job:
            inner = "".join(written(text, style) + draw(noise) for text, style in pieces)
            jobs += f"<{name}\n>{draw(noise)}{inner}</{name} >{draw(noise)}"
        jobs += f"</Job>{draw(noise)}"
    whole = f"{declaration}{draw(noise)}{draw(spaces)}<Result{space} >{jobs}</Result>{draw(noise)}{draw(spaces)}"
    return plain(page, space), whole.encode(encoding)


def seen(element: Element) -> tuple[object, ...]:
    """Everything that a reader sees of an element."""
    return element.tag, element.text or "", element.attrib, element.tail, [seen(child) for child in element]


@settings(max_examples=250, deadline=None)
@given(documents())
def test_the_form_of_a_document_does_not_matter(forms_of_a_page):
    """A page is the same tree in any encoding, with any comments, CDATA sections and references, inspected or not."""
    simple, other = forms_of_a_page[0].encode(), forms_of_a_page[1]
    assert xml._is_harmless(simple)
    trees = [seen(parse(simple)), seen(parse(other))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml, "_is_harmless", lambda _: False)
        trees += [seen(parse(simple)), seen(parse(other))]
    assert trees == [trees[0]] * 4


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("latin-1", "ISO-8859-1"), ("ascii", "us-ascii"), ("cp1252", "windows-1252"), ("koi8-r", "KOI8-R")],
)
def test_other_encodings_are_read(encoding, name):
    """A document in a single-byte encoding is read if it declares it."""
    text = {"latin-1": "é", "ascii": "e", "cp1252": "€", "koi8-r": "Ж"}[encoding]
    root = parse(f'<?xml version="1.0" encoding="{name}"?><a>{text}</a>'.encode(encoding))
    assert root.text == text


@pytest.mark.parametrize(
    ("body", "harmless"),
    [
        (b"<a/>", True),
        (b'<?xml version="1.0"?><a/>', True),
        (b"<?xml version='1.0' encoding = 'Utf-8'?><a/>", True),
        (b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?><a/>', True),
        (b'<a xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><b/></a>', True),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>', False),
        (b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-7"?><a/>', False),
        (b'<?xml version="1.0"' + b" " * 200 + b'encoding="utf-7"?><a/>', False),
        (b'<?xml version="1.0"', False),
        (b"<a><!-- b --></a>", False),
        (b"<a><![CDATA[b]]></a>", False),
        (b"<!DOCTYPE a><a/>", False),
        ("<a/>".encode("utf-16"), False),
        (b'<a xmlns="' + b"u" * 101 + b'"/>', False),
        (b'<a><b c=">" xmlns:d="' + b"u" * 101 + b'"/></a>', False),
    ],
)
def test_what_the_bytes_prove(body, harmless):
    """Only UTF-8 without `<!` and without a long namespace is parsed without inspection."""
    assert xml._is_harmless(body) is harmless


@pytest.mark.parametrize("body", [b"", b" ", b"\n\t\r\n "])
def test_an_empty_body_has_its_own_message(body):
    """An empty or blank body is refused with a message of its own."""
    with pytest.raises(MalformedResponse, match="has an empty body"):
        parse(body)


def test_names_come_with_and_without_their_namespace():
    """An element's name is split into local name and namespace; the latter may be empty."""
    plain, spaced = parse(b"<Result/>"), parse(b'<Result xmlns="http://a.example/b/"/>')
    assert [xml.local_name(root.tag) for root in (plain, spaced)] == ["Result", "Result"]
    assert [xml.namespace(root) for root in (plain, spaced)] == ["", "{http://a.example/b/}"]


@pytest.mark.parametrize("body", [b"<a></b>", b"<!-- --><a></b>"])
def test_the_place_of_an_error_is_reported(body):
    """A malformed document is refused with line and column, inspected or not, and without any of its text."""
    with pytest.raises(MalformedResponse, match=r"^the response is not well-formed XML \(line 1, column \d+\)$"):
        parse(body)
