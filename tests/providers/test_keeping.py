"""What is kept must change nothing but the time: every page is held against what parsing the whole of it gives."""

from __future__ import annotations

import functools
import time
from hashlib import sha256

import pytest

from exporter.core.errors import MalformedResponse
from exporter.providers import batch_xml
from exporter.providers.batch_xml import XmlFormat, parse_jobs, whole
from exporter.providers.keeping import JOB_BYTES, MAX_KEPT_BYTES, KeptPages, Room
from exporter.simulator import make_jobs, oss_xml
from exporter.simulator.wire import Style

NOW = 1_760_000_000.0
OSS = XmlFormat(item="JobListDescriptor", time=whole)
JOBS = make_jobs(12, now=NOW)
PLAIN = Style()


def eager(kept):
    """`kept`, after which a listing cuts its pages, as after one that has met something again."""
    kept.met = True
    return kept


class Spy:
    """Reads pages with what is kept, and sees how many jobs were parsed for each."""

    def __init__(self, monkeypatch):
        self.kept = eager(KeptPages())
        self.parsed: list[int] = []
        real = batch_xml._page

        def seen(body, dialect):
            told = real(body, dialect)
            self.parsed.append(len(told.jobs))
            return told

        monkeypatch.setattr(batch_xml, "_page", seen)

    def listing(self, *bodies, room=None):
        """The pages of a listing, which is complete, and for each parsing how many jobs it was of."""
        self.parsed.clear()
        kept = KeptPages(self.kept)
        told = [parse_jobs(body, OSS, kept) for body in bodies]
        self.kept = kept.close(room or Room())
        return told, self.parsed[:]


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


def page(jobs, token="next"):
    return oss_xml.page(jobs, token, PLAIN)


def outcome(read):
    """What a reader gives: a page, or the text of its error."""
    try:
        return read()
    except MalformedResponse as error:
        return str(error)


def test_a_page_that_was_met_before_is_not_parsed(spy):
    """The same bytes give the same page, and the very jobs, without any parsing."""
    bodies = [page(JOBS[:5]), page(JOBS[5:9]), page(JOBS[9:], None)]
    first, parsed = spy.listing(*bodies)
    assert parsed == [5, 4, 3]
    second, parsed = spy.listing(*bodies)
    assert (second, parsed) == (first, [])
    assert all(
        a is b for one, other in zip(first, second, strict=True) for a, b in zip(one.jobs, other.jobs, strict=True)
    )


def test_of_a_shifted_page_only_what_is_new_is_parsed(spy):
    """Where jobs came in front, each page is parsed for what no page had before, and for its first job as a proof."""
    spy.listing(page(JOBS[2:7]), page(JOBS[7:], None))
    eager(spy.kept)
    told, parsed = spy.listing(page(JOBS[:5]), page(JOBS[5:10]), page(JOBS[10:], None))
    assert [one.jobs for one in told] == [JOBS[:5], JOBS[5:10], JOBS[10:]]
    assert parsed == [2, 1, 1]


def test_pages_are_cut_only_where_that_pays(spy):
    """Where a listing has met none of the jobs of the last one, the next one parses its pages whole."""
    worlds = [make_jobs(60, seed, now=NOW) for seed in "abc"]

    def parsed(jobs):
        return spy.listing(page(jobs[:40]), page(jobs[40:], None))[1]

    assert [parsed(world) for world in worlds] == [[40, 20]] * 3
    last = worlds[-1]
    assert parsed(last[1:]) == [40, 19]  # the end of the first page is known from the last one: so the next one is cut
    assert parsed(last[2:]) == [40, 18]  # in which nothing is known yet
    assert parsed(last[3:]) == [1, 1]
    assert parsed(worlds[0]) == [40, 20]
    assert parsed(worlds[1]) == [40, 20]
    assert not spy.kept.met


def test_of_a_page_with_a_changed_job_only_that_is_parsed(spy):
    """A job that went on since the last listing is parsed anew, and the others are the very same as before."""
    (first,), _ = spy.listing(page(JOBS))
    eager(spy.kept)
    changed = [*JOBS[:4], JOBS[4]._replace(succeeded=10**6, tasks=10**7), *JOBS[5:]]
    (second,), parsed = spy.listing(page(changed))
    assert second.jobs == changed
    assert parsed == [2]
    assert [a is b for a, b in zip(first.jobs, second.jobs, strict=True)] == [place != 4 for place in range(len(JOBS))]


def test_one_known_job_is_enough_to_go_on_cutting(spy):
    """Where nearly all jobs of a listing have changed, the next one is cut all the same."""
    spy.listing(page(JOBS))
    eager(spy.kept)
    spy.listing(page([JOBS[0], *(job._replace(tasks=10**7) for job in JOBS[1:])]))
    assert spy.kept.met


def test_jobs_that_are_gone_are_forgotten(spy):
    """Only the last listing is kept: what it did not hold is parsed when it comes again."""
    spy.listing(page(JOBS))
    eager(spy.kept)
    spy.listing(page(JOBS[:6]))
    eager(spy.kept)
    told, parsed = spy.listing(page(JOBS))
    assert told[0].jobs == JOBS
    assert parsed == [7]  # the first one, and six that were gone


def size(jobs):
    """What a page of them takes of the room."""
    return max(len(page(jobs)), JOB_BYTES * len(jobs))


def test_no_more_is_kept_than_there_is_room_for(spy):
    """Pages are kept from the first one on until the room is full; the others are parsed at each listing."""
    parts = [JOBS[:5], JOBS[5:9], JOBS[9:]]
    first, second, third = map(size, parts)
    room = Room(left=first + second + third - 1)
    for _ in range(3):
        told, parsed = spy.listing(*map(page, parts), room=room)
        assert [one.jobs for one in told] == parts
        assert (spy.kept.size, room.left) == (first + second, third - 1)
    assert parsed == [3]
    spy.listing(page(JOBS[:2]), room=room)
    assert (spy.kept.size, room.left) == (size(JOBS[:2]), first + second + third - 1 - size(JOBS[:2]))


def test_one_target_leaves_another_what_it_does_not_need():
    """Targets share the room: the first come keeps what it has, and gives it back when its listing shrinks."""
    eight, four, three = JOBS[:8], JOBS[:4], JOBS[:3]
    room = Room(left=size(eight))

    def listed(before, jobs):
        kept = KeptPages(before)
        parse_jobs(page(jobs), OSS, kept)
        return kept.close(room)

    large, small = listed(None, eight), listed(None, four)
    assert (large.size, small.size, room.left) == (size(eight), 0, 0)
    large = listed(large, three)
    small = listed(small, four)
    assert (large.size, small.size, room.left) == (size(three), size(four), size(eight) - size(three) - size(four))


def test_small_jobs_count_for_what_they_take(spy):
    """A job takes its part of the room, however few bytes told it."""
    body = around(*(job(str(number)) for number in range(100)))
    room = Room()
    spy.listing(body, room=room)
    assert spy.kept.size == MAX_KEPT_BYTES - room.left == 100 * JOB_BYTES > len(body)


def test_a_page_that_is_still_read_when_all_is_settled_is_not_kept():
    """What was asked for in vain may be parsed a moment later than its listing ends: it takes no room."""
    kept = KeptPages()
    parse_jobs(page(JOBS[:3]), OSS, kept)
    kept.close(Room())
    parse_jobs(page(JOBS[3:]), OSS, kept)
    assert kept._pages.keys() == {sha256(page(JOBS[:3])).digest()}


@pytest.mark.parametrize("hostile", [b" " * 200_000, b"\n" * 300_000, b"<NextToken>" * 30_000, b"<a/>" * 80_000])
def test_the_time_to_cut_a_page_grows_with_its_length_alone(hostile):
    """A page with much ahead of its jobs is parsed whole, and nothing in cutting it grows with the square of that."""
    body = around(job("1"), job("2")).replace(b"<Jobs>", hostile + b"<Jobs>")
    start = time.process_time()
    assert outcome(functools.partial(parse_jobs, body, OSS, KeptPages(eager(KeptPages())))) == outcome(
        functools.partial(parse_jobs, body, OSS)
    )
    assert time.process_time() - start < 5  # with the square, minutes


def test_a_page_of_nothing_but_ends_is_refused_before_it_is_cut(spy):
    """More markup than a page of jobs has is not even cut into pieces."""
    body = b"</JobListDescriptor>" * 400_000
    with pytest.raises(MalformedResponse, match="more markup than any page of jobs"):
        spy.listing(body)


def test_a_listing_that_failed_leaves_what_was_kept():
    """Pages of a listing that is never closed are not met again; those before it still are."""
    body, other = page(JOBS[:3]), page(JOBS[3:])
    good = KeptPages()
    first = parse_jobs(body, OSS, good)
    good.close(Room())
    parse_jobs(other, OSS, KeptPages(good))
    again = KeptPages(good)
    assert parse_jobs(body, OSS, again) is first
    assert parse_jobs(other, OSS, again).jobs == JOBS[3:]


def job(name: str, operation: str = "<Operation>Copy</Operation>") -> bytes:
    return b"<JobListDescriptor><JobId>%b</JobId>%b<Status>New</Status></JobListDescriptor>" % (
        name.encode(),
        operation.encode(),
    )


def around(*pieces: bytes, head: bytes = b"") -> bytes:
    return b"<ListJobsResult%b><Jobs>%b</Jobs></ListJobsResult>" % (head, b"".join(pieces))


TWO_SPACES = b' xmlns="x" xmlns:a="x"'
PREFIXED = "<a:Operation>Copy</a:Operation>"
OPEN, CLOSE, CLOSED = b"<JobListDescriptor>", b"</JobListDescriptor>", b"</JobListDescriptor >"


def prefixed(text: bytes) -> bytes:
    return text.replace(b"JobListDescriptor", b"a:JobListDescriptor")


def beside(first: bytes, second: bytes, *listed: bytes) -> bytes:
    """A page with two jobs beside those that are listed."""
    body = around(*listed, head=TWO_SPACES)
    return body.replace(b"<Jobs>", b"<Others>" + first + second + b"</Others><Jobs>")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(
            around(job("1"), job("2", PREFIXED), head=TWO_SPACES),
            around(job("1"), job("2", PREFIXED), head=b' xmlns="x" xmlns:a="y"'),
            id="the head gives a name another meaning",
        ),
        pytest.param(
            around(job("1"), job("2", PREFIXED), head=TWO_SPACES),
            around(job("1"), b'</Jobs><Jobs xmlns:a="y">', job("3"), job("2", PREFIXED), head=TWO_SPACES),
            id="what stands between two jobs gives a name another meaning",
        ),
        pytest.param(
            around(job("1"), job("2")),
            around(
                *(job("1"), OPEN, b"<JobId>3</JobId><Status>New</Status>", job("4"), job("2"), OPEN, CLOSED, CLOSED),
                job("5"),
            ),
            id="a job stands inside of another one",
        ),
        pytest.param(
            around(job("1"), job("2"), head=TWO_SPACES),
            around(
                *(job("1"), OPEN, b"<JobId>3</JobId><!--", CLOSE, job("2"), OPEN, b"--><Status>New</Status>", CLOSE),
                prefixed(job("4")),
                head=TWO_SPACES,
            ),
            id="a job stands in a comment",
        ),
        pytest.param(
            around(job("1"), job("2")),
            around(job("1"), job("2")).replace(b"Jobs>", b"Others>"),
            id="jobs stand where none belong",
        ),
        pytest.param(
            beside(job("1"), job("2"), prefixed(job("3")), prefixed(job("4"))),
            beside(job("1"), job("2"), prefixed(job("3"))),
            id="jobs stand where none belong, and as many with a prefix where they do",
        ),
        pytest.param(
            around(job("1"), job("2"), head=TWO_SPACES),
            around(job("1"), job("2"), head=TWO_SPACES).join((b"<?x ", b"?>")) + around(job("3")),
            id="jobs stand in an instruction ahead of all",
        ),
    ],
)
def test_a_known_job_is_not_taken_for_what_it_is_not_there(before, now):
    """Where the bytes of a job that was met before mean something else now, the page is parsed whole."""
    kept = KeptPages(eager(KeptPages()))
    parse_jobs(before, OSS, kept)
    expected = parse_jobs(now, OSS)
    assert parse_jobs(now, OSS, KeptPages(eager(kept.close(Room())))) == expected
