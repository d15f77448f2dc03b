"""Each fault as a client sees it, over real sockets."""

from __future__ import annotations

import base64
import gzip
import http.client
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from exporter.simulator import Fault, create_app
from exporter.simulator.faults import PARAMETERS, Faults
from tests.serving import serve
from tests.simulator.official_oss import ask, sign

if TYPE_CHECKING:
    from exporter.core.jobs import Job

PAGE = "batchJob&max-keys=10"


def follow(url, store, most=10):
    """Returns the pages of a listing by token, up to a limit, and the last token."""
    pages: list[list[Job]] = []
    token = None
    while len(pages) < most:
        reply = ask(url, store, PAGE + (f"&continuation-token={quote(token, safe='')}" if token else ""))
        pages.append(reply.jobs)
        token = reply.token
        if not token:
            break
    return pages, token


def test_an_error_has_its_status_code_and_headers(store, store_url):
    """`error` responds as the service would: status, code, message, and headers that slow a client down."""
    headers = ("Retry-After: 7", "x-oss-qos-delay-time: 1500")
    fault = Fault("error", status=503, code="ServiceUnavailable", message="a < b", headers=headers)
    store.faults.add(fault)
    reply = ask(store_url, store, PAGE)
    assert (reply.status, reply.code) == (503, "ServiceUnavailable")
    assert b"<Message>a &lt; b</Message>" in reply.body
    assert (reply.headers["retry-after"], reply.headers["x-oss-qos-delay-time"]) == ("7", "1500")
    assert reply.headers["content-type"] == "application/xml"
    assert store.requests[-1].status == 503
    store.faults.remove(fault)
    assert ask(store_url, store, PAGE).status == 200


def test_an_error_may_stand_in_a_header(store, store_url):
    """A `bodyless` error has its XML in x-oss-err, in base64; the default is InternalError."""
    store.faults.add(Fault("error", bodyless=True))
    reply = ask(store_url, store, PAGE)
    assert (reply.status, reply.body) == (500, b"")
    assert b"<Code>InternalError</Code>" in base64.b64decode(reply.headers["x-oss-err"])


def test_faults_may_be_of_some_requests_only(store, store_url):
    """A fault applies to its page or operation, as many times as configured, and to no other request."""
    store.faults.add(Fault("error", page=2, times=2))
    store.faults.add(Fault("error", page=1, operation="DescribeJob"))  # which has no pages
    store.faults.add(Fault("empty", operation="DescribeJob"))
    first = ask(store_url, store, PAGE)
    second = f"{PAGE}&continuation-token={quote(first.token or '', safe='')}"
    assert [ask(store_url, store, second).status for _ in range(3)] == [500, 500, 200]
    assert len(list(store.faults)) == 2
    assert ask(store_url, store, f"batchJob&batchJobId={quote(first.jobs[0].id, safe='')}").body == b""
    store.faults.clear()
    assert ask(store_url, store, f"batchJob&batchJobId={quote(first.jobs[0].id, safe='')}").body != b""


def test_refused_requests_do_not_use_a_fault_up(store, store_url):
    """A fault is counted only for a request that the store accepted."""
    store.faults.add(Fault("error", times=1))
    assert ask(store_url, store, "batchJob&max-keys=0").status == 400
    assert [ask(store_url, store, PAGE).status for _ in range(2)] == [500, 200]


def test_a_delay_passes_before_the_answer(store, store_url):
    """`delay` delays the whole response, which is then correct."""
    store.faults.add(Fault("delay", seconds=0.3))
    begun = time.monotonic()
    assert len(ask(store_url, store, PAGE).jobs) == 10
    assert time.monotonic() - begun >= 0.3


def test_a_drip_comes_in_pieces(store, store_url):
    """`drip` pauses between the pieces of the body, which arrives complete."""
    whole = ask(store_url, store, PAGE).body
    store.faults.add(Fault("drip", seconds=0.02, size=len(whole) // 12))
    begun = time.monotonic()
    assert ask(store_url, store, PAGE).body == whole
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize(("size", "part"), [(0, None), (17, 17), (1 << 20, -1)])
def test_a_cut_leaves_a_part_of_the_body(store, store_url, caplog, size, part):
    """`cut` announces the full length, sends half of the body or `size`, never all of it, and logs nothing."""
    whole = len(ask(store_url, store, PAGE).body)
    store.faults.add(Fault("cut", size=size))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(store_url, store, PAGE)
    expected = {None: whole // 2, -1: whole - 1}.get(part, part)
    assert (len(caught.value.partial), caught.value.expected) == (expected, whole - (expected or 0))
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_cut_meets_a_compressed_page_too(store, store_url):
    """Delivery faults leave the response unchanged: it is compressed if the client accepts gzip."""
    store.faults.add(Fault("cut"))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(store_url, store, PAGE, {"Accept-Encoding": "gzip"})
    assert caught.value.partial.startswith(b"\x1f\x8b")


@pytest.mark.parametrize(
    ("kind", "error"), [("close", http.client.RemoteDisconnected), ("reset", ConnectionResetError)]
)
def test_a_connection_may_end_without_an_answer(store, store_url, caplog, kind, error):
    """`close` and `reset` close the connection before any byte and log nothing; the next request is served."""
    store.faults.add(Fault(kind, times=1))
    with pytest.raises(error) as caught:
        ask(store_url, store, PAGE)
    assert type(caught.value) is error
    assert store.requests[-1].status == 0
    assert ask(store_url, store, PAGE).status == 200
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_an_answer_may_be_empty(store, store_url):
    """`empty` returns status 200 without a body."""
    store.faults.add(Fault("empty"))
    assert (ask(store_url, store, PAGE).status, ask(store_url, store, PAGE).body) == (200, b"")


def test_an_answer_may_be_anything(store, store_url):
    """`body` returns the given status, headers and bytes, whatever the client accepts."""
    store.faults.add(Fault("body", status=203, body=b"<html>\x00\xff", headers=("Content-Type: text/html",)))
    reply = ask(store_url, store, PAGE, {"Accept-Encoding": "gzip"})
    assert (reply.status, reply.body, reply.headers["content-type"]) == (203, b"<html>\x00\xff", "text/html")
    assert "content-encoding" not in reply.headers


def test_a_token_may_repeat(store, store_url):
    """With `repeat_token` the second page names its own token as the next one, forever."""
    store.faults.add(Fault("repeat_token"))
    pages, token = follow(store_url, store, most=4)
    assert [seen.token for seen in store.requests] == [None, token, token, token]
    assert pages[0] == store.world.listed[:10]
    assert pages[1:] == [store.world.listed[10:20]] * 3


def test_pages_may_never_end(store, store_url):
    """With `endless` there is always a next page with a new token; after the last job the pages are empty."""
    store.faults.add(Fault("endless"))
    pages, _ = follow(store_url, store, most=8)
    tokens = {seen.token for seen in store.requests}
    assert [len(page) for page in pages] == [10, 10, 5, 0, 0, 0, 0, 0]
    assert len(tokens) == 8


def test_a_page_may_come_twice(store, store_url):
    """With `same_page` the jobs of each page are repeated as another page, and the listing is complete and ends."""
    store.faults.add(Fault("same_page"))
    pages, token = follow(store_url, store)
    jobs = store.world.listed
    assert token is None
    assert pages == [jobs[:10], jobs[:10], jobs[10:20], jobs[10:20], jobs[20:]]


def test_a_redirect_names_its_goal(store, store_url):
    """`redirect` returns status 307 with a Location."""
    store.faults.add(Fault("redirect", url="http://127.0.0.1:9/elsewhere"))
    reply = ask(store_url, store, PAGE)
    assert (reply.status, reply.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_may_be_too_large(store, store_url, chunked):
    """`oversize` pads a page to a size and keeps it valid, with or without a Content-Length."""
    store.faults.add(Fault("oversize", size=3_000_000, chunked=chunked))
    reply = ask(store_url, store, PAGE, {"Accept-Encoding": "gzip"})
    assert len(reply.body) == 3_000_000
    assert len(reply.jobs) == 10
    assert reply.headers.get("content-length") == (None if chunked else "3000000")


def test_a_small_answer_may_grow(store, store_url):
    """`gzip_bomb` is a small compressed page that expands to the given size."""
    store.faults.add(Fault("gzip_bomb", size=20_000_000))
    reply = ask(store_url, store, PAGE)
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 40_000
    assert len(gzip.decompress(reply.body)) == 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "br", "nonsense"])
def test_an_encoding_may_be_a_lie(store, store_url, encoding):
    """`bad_encoding` declares an encoding for a plain body."""
    store.faults.add(Fault("bad_encoding", encoding=encoding))
    reply = ask(store_url, store, PAGE)
    assert reply.headers["content-encoding"] == encoding
    assert len(reply.jobs) == 10


def test_faults_meet(store, store_url):
    """Several faults of different kinds apply to one request."""
    store.faults.add(Fault("drip", size=50, seconds=0.03))
    store.faults.add(Fault("delay", seconds=0.1))
    store.faults.add(Fault("error", status=502, code="BadGateway"))
    begun = time.monotonic()
    assert ask(store_url, store, PAGE).code == "BadGateway"
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize("fault", [Fault("delay", seconds=60), Fault("drip", seconds=60)])
def test_a_client_that_goes_away_ends_the_wait(store, fault):
    """A delayed response is abandoned when its client disconnects, so that the server can stop immediately."""
    store.faults.add(fault)
    begun = time.monotonic()
    with serve(create_app(store)) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=0.3)
        connection.request("GET", f"/?{PAGE}", headers=sign(store, PAGE).headers)
        with pytest.raises(TimeoutError):
            connection.getresponse().read()
        connection.close()
    assert time.monotonic() - begun < 5


def test_an_unknown_kind_is_refused():
    """A fault of an unknown kind raises ValueError."""
    with pytest.raises(ValueError, match="'explode' is not a kind of fault; use one of repeat_token"):
        Fault("explode")


def test_faults_are_counted_apart():
    """A fault that is added again starts its count again, and consuming one request's faults leaves the others."""
    faults = Faults()
    once, twice = Fault("empty", times=1), Fault("delay", times=2, operation="ListJobs")
    faults.add(once)
    faults.add(twice)
    assert faults.consume("DescribeJob", 0) == [once]
    faults.add(once)
    assert faults.consume("ListJobs", 1) == [twice, once]
    assert faults.consume("ListJobs", 2) == [twice]
    assert list(faults) == []
    faults.remove(once)


@pytest.mark.parametrize("kind", PARAMETERS)
def test_every_kind_is_in_the_docstring(kind):
    """The table in Fault's docstring has a line for each kind."""
    assert f"\n    {kind} " in (Fault.__doc__ or "")
