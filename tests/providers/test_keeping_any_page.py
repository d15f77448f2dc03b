"""Differential: whatever the pages, what is kept changes nothing of what is read."""

from __future__ import annotations

import functools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.jobs import Job
from exporter.providers.batch_xml import XmlFormat, iso8601, parse_jobs, whole
from exporter.providers.keeping import KeptPages, Room
from exporter.simulator import WIRES, make_jobs
from exporter.simulator.wire import Style
from tests.providers.test_keeping import eager, outcome

OSS = XmlFormat(item="JobListDescriptor", time=whole)
MEMBER = XmlFormat(item="member", time=iso8601)
CLOUDS = {name: (wire.listed, OSS if name == "oss" else MEMBER) for name, wire in WIRES.items()}
JOBS = make_jobs(12, now=1_760_000_000.0)
PLAIN = Style()

FRAGMENTS = [
    *(
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<?x",
        b"?>",
        b"<!DOCTYPE a>",
        b"\0",
        b"\xff",
        b"&",
        b"&amp;",
        b"<",
        b">",
        b" ",
        b"x",
    ),
    *(b"<Jobs>", b"</Jobs>", b"<Jobs/>", b"</Jobs><Jobs>", b"<a>", b"</a>", b"<a/>", b"<a><Jobs>", b"</Jobs></a>"),
    *(b"<NextToken>t</NextToken>", b"<NextToken/>", b'<a xmlns="x">', b' xmlns="x"', b"<JobId>1</JobId>", b"<Status>"),
    *(
        b"%b%b" % (open_, name)
        for open_ in (b"<", b"</")
        for name in (b"TAG>", b"TAG >", b"TAG/>", b"TAG a='<'>", b"TAGS>")
    ),
    *(
        b"</TAG></a><a><TAG>",
        b"<TAG><TAG>",
        b"</TAG></TAG>",
        b"</TAG><!-- --><TAG>",
        b"<!-- <TAG> -->",
        b"<![CDATA[</TAG>]]>",
    ),
]
"""Whatever may make a cut in the wrong place; TAG is the tag of a job."""


@st.composite
def listings(draw):
    """A cloud's dialect, and pages of a few listings, of mostly the same jobs; some of them mangled."""
    write, dialect = CLOUDS[draw(st.sampled_from([*CLOUDS]))]
    style = draw(st.builds(Style, *[st.booleans()] * 5))
    bodies = []
    for _ in range(draw(st.integers(1, 3))):
        first, count = draw(st.integers(0, 5)), draw(st.integers(0, 6))
        body = write(JOBS[first : first + count], draw(st.sampled_from([None, "a", "b"])), style)
        for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
            body = draw(mangled(body, dialect.item.encode()))
        bodies.append([body] * draw(st.integers(1, 2)))
    return dialect, bodies


def mangled(body: bytes, tag: bytes) -> st.SearchStrategy[bytes]:
    """`body` with a piece cut out, doubled or moved, or a fragment put in; mostly where a tag begins or ends."""
    places = sorted({0, len(body), *(place for found in re.finditer(rb"<[^>]*>", body) for place in found.span())})
    place = st.sampled_from(places) | st.integers(0, len(body))
    fragment = st.sampled_from(FRAGMENTS).map(lambda text: text.replace(b"TAG", tag))

    def put(at: int, text: bytes) -> bytes:
        return body[:at] + text + body[at:]

    def move(ends: tuple[int, int], at: int, *, keep: bool) -> bytes:
        start, end = sorted(ends)
        rest = body if keep else body[:start] + body[end:]
        return rest[: min(at, len(rest))] + body[start:end] + rest[min(at, len(rest)) :]

    return (
        st.builds(put, place, fragment)
        | st.builds(move, st.tuples(place, place), place, keep=st.booleans())
        | st.builds(lambda ends: body[: min(ends)] + body[max(ends) :], st.tuples(place, place))
    )


@settings(max_examples=300, deadline=None)
@given(listings())
def test_any_page_is_read_as_it_would_be_without_what_is_kept(given_):
    """Mangled or not, met before or not, in whichever order: the same jobs, the same token, or the same error."""
    dialect, bodies = given_
    kept = KeptPages()
    for listing in bodies:
        kept = KeptPages(eager(kept))
        for body in listing:
            expected = outcome(functools.partial(parse_jobs, body, dialect))
            assert outcome(functools.partial(parse_jobs, body, dialect, kept)) == expected
        kept.close(Room())


jobs = st.lists(
    st.builds(
        lambda name, status, text, tasks: Job(name, status, description=text, tasks=tasks),
        st.sampled_from("abcdef"),
        st.sampled_from(["Active", "Failed"]),
        st.none() | st.text(st.sampled_from("<>&\"'x \n?!-]member"), min_size=1, max_size=8),
        st.none() | st.integers(0, 9),
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*CLOUDS]), st.lists(jobs, min_size=2, max_size=4))
def test_any_text_in_a_job_is_read_as_it_would_be(cloud, worlds):
    """Whatever a description holds, and however often a job comes, goes and changes."""
    write, dialect = CLOUDS[cloud]
    kept = KeptPages()
    for world in worlds:
        body = write(world, None, PLAIN)
        kept = KeptPages(eager(kept))
        assert parse_jobs(body, dialect, kept) == parse_jobs(body, dialect)
        kept.close(Room())
