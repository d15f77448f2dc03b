from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.client.session import MAX_PAGE_BYTES
from exporter.core.errors import MalformedResponse
from exporter.providers import batch_xml
from exporter.providers.batch_pattern import PagePattern
from exporter.providers.cos import Cos
from tests.providers.batch_documents import write
from tests.providers.test_xml_attacks import BROKEN, COSTLY, DOCTYPES, MAX_GROWTH_MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.providers.batch_documents import Document

PATTERNS = {item: PagePattern(item) for item in ("JobListDescriptor", "member")}
DOCUMENTS = int(os.environ.get("BATCH_DOCUMENTS", "400"))
"""How many documents each property sees; more of them with `BATCH_DOCUMENTS=100000`."""

seeds = st.integers(0, 2**64 - 1)


def agree(document: Document) -> bool:
    """Whether the pattern recognises `document`; if it does, both parsers must return the same page."""
    by_pattern = PATTERNS[document.item].parse(document.body)
    if by_pattern is None:
        return False
    by_xml = batch_xml._parse_page(document.body, document.item, Cos.error)
    assert repr(by_pattern) == repr(by_xml._replace(parser="pattern"))
    return True


@settings(max_examples=DOCUMENTS)
@given(seeds, st.sampled_from([0.002, 0.01, 0.05]))
def test_the_pattern_agrees_or_refuses(seed, odd):
    """Of a page that is changed anywhere, the pattern returns what the XML parser does, or it refuses the page."""
    agree(write(random.Random(seed), odd=odd))


@settings(max_examples=DOCUMENTS)
@given(seeds)
def test_the_pattern_recognises_every_plain_page(seed):
    """A page without any oddity is recognised: in any order, with unknown or empty leaves, indented or not."""
    assert agree(write(random.Random(seed)))


PLAIN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListJobsResult>\n<NextToken>t</NextToken>\n<Jobs>\n'
    "<member>\n<Description>a &amp; é</Description>\n<JobId>a</JobId>\n<Priority>7</Priority>\n<ProgressSummary>\n"
    "<NumberOfTasksFailed>1</NumberOfTasksFailed>\n<Timers>\n</Timers>\n</ProgressSummary>\n<Status>New</Status>\n"
    "</member>\n</Jobs>\n</ListJobsResult>\n"
)
REFUSED = {
    "byte order mark": ("<?xml", "\ufeff<?xml"),
    "blank before the declaration": ("<?xml", " <?xml"),
    "other version": ('"1.0"', '"1.1"'),
    "other encoding": ("UTF-8", "latin-1"),
    "standalone": ('"UTF-8"', '"UTF-8" standalone="yes"'),
    "other root": ("ListJobsResult", "ListJobsResults"),
    "attribute of the root": ("<ListJobsResult>", "<ListJobsResult a='b'>"),
    "prefix declared": ("<ListJobsResult>", "<ListJobsResult xmlns:x='u'>"),
    "namespace of xml": ("<ListJobsResult>", '<ListJobsResult xmlns="http://www.w3.org/XML/1998/namespace">'),
    "long namespace": ("<ListJobsResult>", f'<ListJobsResult xmlns="{"u" * 101}">'),
    "namespace of a job": ("<member>", '<member xmlns="u">'),
    "attribute of a leaf": ("<JobId>", "<JobId a=''>"),
    "blank in a start tag": ("<JobId>", "<JobId >"),
    "blank in an end tag": ("</JobId>", "</JobId >"),
    "comment": ("<JobId>", "<!-- --><JobId>"),
    "CDATA section": ("é", "<![CDATA[é]]>"),
    "instruction": ("<JobId>", "<?a?><JobId>"),
    "document type": ("<ListJobsResult>", "<!DOCTYPE a><ListJobsResult>"),
    "text between jobs": ("<member>", "a<member>"),
    "text between leaves": ("<JobId>", "a<JobId>"),
    "two leaves": ("<JobId>", "<JobId>b</JobId><JobId>"),
    "two empty leaves": ("<JobId>", "<Operation/><Operation/><JobId>"),
    "two summaries": ("<ProgressSummary>", "<ProgressSummary/><ProgressSummary>"),
    "two Timers": ("<Timers>", "<Timers/><Timers>"),
    "two Jobs": ("<Jobs>", "<Jobs/><Jobs>"),
    "two tokens": ("<NextToken>", "<NextToken/><NextToken>"),
    "two tokens, around the jobs": ("</Jobs>", "</Jobs><NextToken/>"),
    "job beside Jobs": ("<Jobs>", "<member/><Jobs>"),
    "other element among the jobs": ("<member>", "<Count>1</Count><member>"),
    "element in a leaf": ("é", "<b/>"),
    "unknown container": ("<JobId>", "<Tags><Tag>a</Tag></Tags><JobId>"),
    "no id": ("<JobId>a</JobId>", ""),
    "no status": ("<Status>New</Status>", ""),
    "empty id": ("<JobId>a<", "<JobId><"),
    "id that is a path": ("<JobId>a<", "<JobId>..<"),
    "blank in an id": ("<JobId>a<", "<JobId>a <"),
    "long id": ("<JobId>a<", f"<JobId>{'a' * 257}<"),
    "id that is not ASCII": ("<JobId>a<", "<JobId>é<"),
    "reference in an id": ("<JobId>a<", "<JobId>&#97;<"),
    "number that is none": (">7<", ">high<"),
    "number of other digits": (">7<", ">\u0667<"),
    "large number": (">7<", f">{2**63}<"),
    "carriage return": ("é", "\r"),
    "control character": ("é", "\x0b"),
    "character that XML forbids": ("é", "\uffff"),
    "end of a CDATA section": ("é", "]]>"),
    "unknown entity": ("é", "&eacute;"),
    "open reference": ("é", "&amp"),
    "reference to a control character": ("é", "&#11;"),
    "reference to a surrogate": ("é", "&#xD800;"),
    "reference beyond Unicode": ("é", "&#x110000;"),
    "unknown leaf with a reference": ("<JobId>", "<A>&amp;</A><JobId>"),
    "unknown leaf with a control character": ("<JobId>", "<A>\x01</A><JobId>"),
    "no end": ("</ListJobsResult>", ""),
    "more behind the root": ("</ListJobsResult>", "</ListJobsResult>a"),
    "NUL behind the root": ("</ListJobsResult>", "</ListJobsResult>\0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_beyond_the_subset_is_refused(name):
    """A single change to a plain page, beyond the subset, makes the pattern refuse it."""
    old, new = REFUSED[name]
    assert old in PLAIN
    assert PATTERNS["member"].parse(PLAIN.encode()) is not None
    assert PATTERNS["member"].parse(PLAIN.replace(old, new).encode()) is None


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_only_utf_8_is_recognised(encoding):
    """The same page in another encoding is refused."""
    assert PATTERNS["member"].parse(PLAIN.encode(encoding)) is None


def test_pages_are_parsed_by_the_pattern_first():
    """A plain page reports the parser `pattern`; a page that the pattern refuses, `xml`, with the same jobs."""
    plain = batch_xml.parse_jobs(PLAIN.encode(), PATTERNS["member"], Cos.error)
    other = batch_xml.parse_jobs(f"{PLAIN}<!-- -->".encode(), PATTERNS["member"], Cos.error)
    assert (plain.parser, other.parser) == ("pattern", "xml")
    assert plain.jobs == other.jobs
    assert plain.jobs[0].description == "a & é"


@pytest.mark.parametrize("name", [*DOCTYPES, *BROKEN])
def test_attacks_on_xml_parsers_are_refused(name):
    """The pattern refuses every document type and every document that is not well-formed, and so does `parse_jobs`."""
    body = DOCTYPES[name] if name in DOCTYPES else BROKEN[name]
    body = body if isinstance(body, bytes) else body.encode()
    assert PATTERNS["member"].parse(body) is None
    with pytest.raises(MalformedResponse):
        batch_xml.parse_jobs(body, PATTERNS["member"], Cos.error)


def filled(start: str, piece: str, end: str) -> bytes:
    """A page as long as it may be."""
    count = (MAX_PAGE_BYTES - len(start) - len(end)) // len(piece.encode())
    return (start + piece * count + end).encode()


HEAD, TAIL = "<ListJobsResult><Jobs>", "</Jobs></ListJobsResult>"
JOB, JOB_END = "<member><JobId>a</JobId><Status>b</Status>", "</member>"
LONG: dict[str, Callable[[], bytes]] = {
    "most jobs": lambda: filled(HEAD, JOB + JOB_END, TAIL),
    "most jobs, one of them broken": lambda: filled(HEAD, JOB + JOB_END, JOB + TAIL),
    "most jobs in another order": lambda: filled(HEAD + "<member><A/></member>", JOB + JOB_END, TAIL),
    "most leaves": lambda: filled(HEAD + JOB, "<A></A>", JOB_END + TAIL),
    "most leaves, no end": lambda: filled(HEAD + JOB, "<A></A>", TAIL),
    "most empty leaves, no end": lambda: filled(HEAD + JOB, "<A/>", TAIL),
    "most leaves of a summary, no end": lambda: filled(f"{HEAD}{JOB}<ProgressSummary>", "<A></A>", TAIL),
    "most leaves of Timers, no end": lambda: filled(f"{HEAD}{JOB}<ProgressSummary><Timers>", "<A></A>", TAIL),
    "most summaries": lambda: filled(HEAD + JOB, "<ProgressSummary></ProgressSummary>", JOB_END + TAIL),
    "most leaves beside Jobs, no end": lambda: filled("<ListJobsResult>", "<A></A>", ""),
    "most tags that open": lambda: filled(HEAD + JOB, "<A>", JOB_END + TAIL),
    "long description": lambda: filled(f"{HEAD}{JOB}<Description>", "x", f"</Description>{JOB_END}{TAIL}"),
    "long description, no end": lambda: filled(f"{HEAD}{JOB}<Description>", "é", TAIL),
    "long description of references": lambda: filled(
        f"{HEAD}{JOB}<Description>", "&#9;", f"</Description>{JOB_END}{TAIL}"
    ),
    "long id": lambda: filled(f"{HEAD}<member><JobId>", "x", f"</JobId>{JOB_END}{TAIL}"),
    "long number": lambda: filled(f"{HEAD}{JOB}<Priority>", "1", f"</Priority>{JOB_END}{TAIL}"),
    "long time": lambda: filled(f"{HEAD}{JOB}<CreationTime>", "1", f"</CreationTime>{JOB_END}{TAIL}"),
    "long unknown leaf, no end": lambda: filled(f"{HEAD}{JOB}<A>", "x", TAIL),
    "long name of a leaf": lambda: filled(f"{HEAD}{JOB}<", "A", f"></A>{JOB_END}{TAIL}"),
    "long token": lambda: filled("<ListJobsResult><NextToken>", "x", "</NextToken><Jobs/></ListJobsResult>"),
    "long white space": lambda: filled(HEAD, " ", TAIL),
    "long white space at the start": lambda: filled("", " ", "<a/>"),
    "long white space at the end": lambda: filled(HEAD + TAIL, " ", "a"),
    "long white space between leaves": lambda: filled(HEAD + JOB, " ", TAIL),
}
"""Pages that make a careless pattern slow: as long as is allowed."""

CHILD = """
import json, re, sys, time
from pathlib import Path
from exporter.core.errors import MalformedResponse
from exporter.providers import batch_xml
from exporter.providers.batch_pattern import PagePattern
from exporter.providers.cos import Cos

def mib(name):  # of this process alone, as getrusage() would begin with the memory of the parent
    return int(re.search(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

body, pattern = sys.stdin.buffer.read(), PagePattern("member")
before, start = mib("VmRSS"), time.process_time()
page = pattern.parse(body)
seconds = time.process_time() - start
try:
    other = batch_xml._parse_page(body, "member", Cos.error)
except MalformedResponse:
    other = None
same = page is None or page._replace(parser="xml") == other
print(json.dumps([same, seconds, mib("VmHWM") - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("name", [*LONG, *COSTLY])
def test_no_page_costs_much(name):
    """The pattern needs seconds of CPU time for the largest and worst pages, and bounded memory."""
    body = LONG[name]() if name in LONG else COSTLY[name][0]()
    assert len(body) <= MAX_PAGE_BYTES
    child = subprocess.run([sys.executable, "-c", CHILD], input=body, capture_output=True, timeout=60, check=True)
    same, seconds, growth = json.loads(child.stdout)
    assert same
    assert seconds < 20  # it is below 2 on a quiet machine; a step back for each character would take days
    assert growth < MAX_GROWTH_MIB
