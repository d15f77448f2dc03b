from __future__ import annotations

import contextlib
import encodings.aliases
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.client.session import MAX_PAGE_BYTES
from exporter.core.errors import MalformedResponse
from exporter.providers.xml import MAX_ATTRIBUTES, MAX_NAMESPACE_CHARACTERS, MAX_TAGS, parse

MAX_GROWTH_MIB = 300
"""Limit for the worst of the documents."""

LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {name} "{f"&{chr(ord(name) - 1)};" * 10}">' for name in "bcdefghij")
    + "]><a>&j;</a>"
)
ATTRIBUTES = " ".join(f'c{number} CDATA "x"' for number in range(5_000))


def in_utf_16(text: str, order: str) -> bytes:
    return text.encode(f"utf-16-{order}")


DOCTYPES: dict[str, str | bytes] = {
    "billion laughs": LAUGHS,
    "quadratic blowup": f'<!DOCTYPE a [<!ENTITY q "{"x" * 50_000}">]><a>{"&q;" * 50_000}</a>',
    "attribute bomb": f"<!DOCTYPE a [<!ATTLIST b {ATTRIBUTES}>]><a>{'<b/>' * 9_000}</a>",
    "external entity": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
    "external DTD": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
    "public DTD": '<!DOCTYPE a PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1:9/a.dtd"><a/>',
    "parameter entity": '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]><a/>',
    "harmless but needless": "<!DOCTYPE a><a/>",
    "after a byte order mark": "\ufeff" + LAUGHS,
    "after a declaration": '<?xml version="1.0" encoding="UTF-8"?>' + LAUGHS,
    "after a long declaration": f'<?xml version="1.0"{" " * 300}?>' + LAUGHS,
    "after a comment": "<!-- " + "x" * 70_000 + " -->" + LAUGHS,
    "after an instruction": "<?a b?>\n" + LAUGHS,
    "Latin-1": '<?xml version="1.0" encoding="iso-8859-1"?>' + LAUGHS,
    "UTF-16 with a byte order mark": LAUGHS.encode("utf-16"),
    "UTF-16 big-endian with a mark": b"\xfe\xff" + in_utf_16(LAUGHS, "be"),
    "UTF-16 without a mark": in_utf_16(LAUGHS, "le"),
    "UTF-16 big-endian without a mark": in_utf_16(LAUGHS, "be"),
    "UTF-16, declared": in_utf_16('<?xml version="1.0" encoding="utf-16le"?>' + LAUGHS, "le"),
}


@pytest.mark.parametrize("name", DOCTYPES)
def test_a_document_type_is_refused(name):
    """A document type is refused at any place and in any encoding; its content is not read."""
    body = DOCTYPES[name]
    with pytest.raises(MalformedResponse, match=r"^the response declares a document type, which is not allowed$"):
        parse(body if isinstance(body, bytes) else body.encode())


BROKEN = {
    "no XML": b"Service Unavailable",
    "only a declaration": b'<?xml version="1.0" encoding="UTF-8"?>',
    "only a comment": b"<!-- nothing -->",
    "two roots": b"<a/><b/>",
    "text behind the root": b"<a/>b",
    "blank ahead of the declaration": b' <?xml version="1.0"?><a/>',
    "unknown entity": b"<a>&nbsp;</a>",
    "unknown prefix": b"<a:b/>",
    "attribute twice": b'<a b="" b=""/>',
    "NUL in a text": b"<a>\0</a>",
    "NUL in a name": b"<a\0/>",
    "NUL behind the root": b"<a/>\0",
    "only NULs": bytes(1000),
    "control character": b"<a>\x01</a>",
    "reference to NUL": b"<a>&#0;</a>",
    "reference to a surrogate": b"<a>&#xD800;</a>",
    "reference beyond Unicode": b"<a>&#x110000;</a>",
    "surrogates in UTF-8": b"<a>\xed\xa0\xbd\xed\xb8\x80</a>",
    "lone surrogate in UTF-16": b"\xff\xfe" + "<a>\ud800</a>".encode("utf-16-le", "surrogatepass"),
    "half a letter in UTF-16": in_utf_16("<a/>", "le")[:-1],
    "overlong UTF-8": b"<a>\xc0\xbc</a>",
    "Latin-1 undeclared": b"<a>\xe9</a>",
    "UTF-16 declared in ASCII": b'<?xml version="1.0" encoding="utf-16"?><a/>',
    "UTF-7 with a document type": b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>',
    "UTF-7 undeclared": b"+ADw-a/+AD4-",
    "EBCDIC": ('<?xml version="1.0" encoding="cp037"?>' + LAUGHS).encode("cp037"),
    "EBCDIC declared in ASCII": b'<?xml version="1.0" encoding="cp037"?><a/>',
    "unknown encoding": b'<?xml version="1.0" encoding="x-none"?><a/>',
    "encoding that is none": b'<?xml version="1.0" encoding="rot13"?><a/>',
    "closed too early": b"<a></a></a>",
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_documents_are_refused(name):
    """A document that is not XML, or in an unknown encoding, is refused, and its text is not in the message."""
    with pytest.raises(MalformedResponse, match=r"^the response is not well-formed XML( \(line \d+, column \d+\))?$"):
        parse(BROKEN[name])


@pytest.mark.parametrize("start", ["", "<!-- a -->", '<?xml version="1.0" encoding="utf-8"?>'])
def test_a_document_that_ends_early_is_refused(start):
    """A document that is cut off at any place is refused."""
    body = f"{start}<Result><Jobs><Job><JobId>é&amp;&#233;</JobId></Job></Jobs></Result>".encode()
    parse(body)
    for length in range(len(body)):
        with pytest.raises(MalformedResponse):
            parse(body[:length])


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")  # from the codec unicode_escape
@pytest.mark.parametrize("codec", sorted(set(encodings.aliases.aliases.values())))
def test_no_encoding_hides_a_document_type(codec):
    """A document type is refused whatever Python codec the document declares or is written in."""
    declaration = f'<?xml version="1.0" encoding="{codec}"?>'
    bodies = [(declaration + LAUGHS).encode()]
    with contextlib.suppress(LookupError, UnicodeError):  # from bytes to bytes, or not for these letters
        bodies += [(declaration + LAUGHS).encode(codec), declaration.encode() + LAUGHS.encode(codec)]
    for body in bodies:
        with pytest.raises(MalformedResponse):
            parse(body)


pieces = st.sampled_from(
    rb"<a>|</a>|<a b='|'>|<!--|-->|<![CDATA[|]]>|<!DOCTYPE a [|<!ENTITY a 'b'>|]>|&a;|&#|x41;".split(b"|")
    + b"<?xml version='1.0' |encoding='utf-16'|?>|xmlns='|\xff\xfe|\xef\xbb\xbf|\0".split(b"|")
    + [b"x" * MAX_NAMESPACE_CHARACTERS]
)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60) | st.lists(pieces, max_size=12).map(b"".join))
def test_no_bytes_raise_anything_else(body):
    """Any bytes are parsed, or raise MalformedResponse."""
    try:
        root = parse(body)
    except MalformedResponse:
        return
    assert root.tag


def repeated(piece: bytes, count: int, start: bytes = b"<a>", end: bytes = b"</a>") -> bytes:
    return start + piece * count + end


def numbered(piece: bytes, count: int, start: bytes = b"<a>", end: bytes = b"</a>") -> bytes:
    return start + b"".join(piece % number for number in range(count)) + end


def filled(start: bytes, end: bytes, filling: bytes = b"x") -> bytes:
    """A document as long as a page may be."""
    return start + filling * ((MAX_PAGE_BYTES - len(start) - len(end)) // len(filling)) + end


SPACE = b"u" * (MAX_NAMESPACE_CHARACTERS - 1)
MARKUP = "the response contains more markup than any page of jobs"
LONG_SPACE = "the response has a namespace of over 100 characters"
COSTLY = {
    "a million deep": (lambda: repeated(b"<a>", 10**6) + b"</a>" * 10**6, MARKUP),
    "deepest": (lambda: b"<a>" * (MAX_TAGS // 2) + b"</a>" * (MAX_TAGS // 2), ""),
    "deepest, inspected": (lambda: b"<!---->" + b"<a>" * (MAX_TAGS // 2 - 1) + b"</a>" * (MAX_TAGS // 2 - 1), ""),
    "never closed": (lambda: b"<a>" * MAX_TAGS, "not well-formed"),
    "one tag too many": (lambda: b"<a/>" * (MAX_TAGS + 1), MARKUP),
    "filled with tags": (lambda: filled(b"<a>", b"</a>", b"<b/>"), MARKUP),
    "filled with line ends": (lambda: filled(b"<a>", b"</a>", b"ab\n"), MARKUP),
    "filled with returns": (lambda: filled(b"<a>", b"</a>", b"ab\r"), MARKUP),
    "filled with references": (lambda: filled(b"<a>", b"</a>", b"&#256;"), MARKUP),
    "filled with attributes": (lambda: numbered(b' b%d=""', 10**6, b"<a", b"/>"), MARKUP),
    "most attributes in a namespace": (
        lambda: numbered(b' p:b%d=""', MAX_ATTRIBUTES - 1, b'<a xmlns:p="' + SPACE + b'"', b"/>"),
        "",
    ),
    "one attribute too many": (lambda: numbered(b" b%d = ''", MAX_ATTRIBUTES + 1, b"<a", b"/>"), MARKUP),
    "attributes in UTF-16": (
        lambda: in_utf_16(numbered(b" b%d=''", MAX_ATTRIBUTES + 1, b"<a", b"/>").decode(), "le"),
        MARKUP,
    ),
    "long namespace": (lambda: numbered(b"<b%d/>", 1000, b'<a xmlns="' + b"u" * 10**7 + b'">'), LONG_SPACE),
    "long namespace of a prefix": (
        lambda: numbered(b' p:b%d=""', 1000, b'<a xmlns:p="' + b"u" * 10**7 + b'"', b"/>"),
        LONG_SPACE,
    ),
    "long namespace in UTF-16": (
        lambda: in_utf_16(numbered(b"<b%d/>", 1000, b'<a xmlns="' + b"u" * 10**6 + b'">').decode(), "le"),
        LONG_SPACE,
    ),
    "long text": (lambda: filled(b"<a>", b"</a>"), ""),
    "long comment": (lambda: filled(b"<a><!--", b"--></a>"), ""),
    "long CDATA": (lambda: filled(b"<a><![CDATA[", b"]]></a>"), ""),
    "long instruction": (lambda: filled(b"<a><?b ", b"?></a>"), ""),
    "long name": (lambda: filled(b"<", b"/>"), ""),
    "long attribute": (lambda: filled(b'<a b="', b'"/>'), ""),
    "long, never closed": (lambda: filled(b"<!-- ", b""), "not well-formed"),
}
"""Documents within the size limit of a page, each with a part of the expected error; "": it is parsed."""

CHILD = """
import json, re, sys
from pathlib import Path
from exporter.core.errors import MalformedResponse
from exporter.providers.xml import parse

def mib(name):  # of this process alone, as getrusage() would begin with the memory of the parent
    return int(re.search(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

body = sys.stdin.buffer.read()
before, said = mib("VmRSS"), ""
try:
    parse(body)
except MalformedResponse as error:
    said = str(error)
print(json.dumps([said, mib("VmHWM") - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("name", COSTLY)
def test_no_document_costs_much(name):
    """A document within the size limit of a page is parsed or refused within seconds and with bounded memory."""
    make, expected = COSTLY[name]
    body = make()
    assert len(body) <= MAX_PAGE_BYTES
    child = subprocess.run([sys.executable, "-c", CHILD], input=body, capture_output=True, timeout=60, check=True)
    said, growth = json.loads(child.stdout)
    assert expected in said
    assert bool(said) == bool(expected)
    assert growth < MAX_GROWTH_MIB
