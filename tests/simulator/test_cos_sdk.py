"""The official package is the judge: what it signs is accepted, and nothing that was changed afterwards."""

from __future__ import annotations

import string
from dataclasses import replace
from itertools import pairwise
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.jobs import STATUSES, Job
from exporter.simulator import Store, World, create_app
from exporter.simulator.dialects import WIRES
from exporter.simulator.responder import Service
from tests.serving import serve
from tests.simulator.official_cos import EARLY, LATE, sign
from tests.simulator.official_oss import send

NOW = 1_795_325_400.0
JOBS = [Job(job_id, "New") for job_id in ("021140d8-67ca", "b/c", "a+b=", "d e&f", "存")]

secrets = st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=40)
words = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=24)
values = st.text(string.ascii_letters + string.digits + " !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", min_size=1).map(str.strip)


@st.composite
def stores(draw):
    return Store(
        World.fixed(JOBS),
        wire=WIRES["cos"],
        region=draw(st.sampled_from(["ap-chengdu", "ap-guangzhou", "na-siliconvalley"])),
        uin=draw(st.sampled_from(["100000000001", "42"])),
        access_key_id=draw(words),
        access_key_secret=draw(secrets),
        security_token=draw(st.none() | secrets),
        clock=lambda: NOW,
    )


@st.composite
def questions(draw):
    """A path and a query: each documented parameter or not, in any order, or one job."""
    if draw(st.integers(0, 3)) == 0:
        return f"/jobs/{quote(draw(st.sampled_from(JOBS)).id, safe='')}", ""
    parts = [
        f"maxResults={draw(st.integers(1, 1000))}",
        f"jobStatuses={draw(st.sampled_from(STATUSES))}",
        f"nextToken={quote(draw(st.sampled_from(JOBS)).id, safe='')}",
    ]
    return "/jobs", "&".join(draw(st.lists(st.sampled_from(parts), unique=True)))


@st.composite
def signed(draw):
    """A store, and a request to it with some more headers, that the package signs or does not."""
    store = draw(stores())
    path, query = draw(questions())
    headers = {"user-agent": draw(words), "x-cos-extra": draw(values.filter(bool))}
    headers |= draw(st.sampled_from([{}, {"content-type": "application/xml"}, {"range": "bytes=0-9"}]))
    return store, sign(store, query, headers, path=path, at=NOW + draw(st.integers(1 - LATE, EARLY)))


def answer(store, head, *others):
    reply, _ = Service([store, *others]).answer(head)
    return reply.status, ET.fromstring(reply.body).findtext("Code")


@given(signed())
@settings(max_examples=300, deadline=None)
def test_what_the_official_package_signs_is_accepted(case):
    """Every request that the official package signs is answered."""
    store, head = case
    assert answer(store, head) == (200, None)
    assert store.requests[-1].status == 200


def changed(head, name, value):
    return replace(head, headers={**head.headers, name: value})


def without(head, name):
    return replace(head, headers={key: value for key, value in head.headers.items() if key != name})


def authorized(head, old, new):
    text = head.headers["authorization"]
    assert old in text
    return changed(head, "authorization", text.replace(old, new, 1))


MISMATCH, DENIED, UNSOUND = (403, "SignatureDoesNotMatch"), (403, "AccessDenied"), (400, "InvalidArgument")
MUTATIONS = {
    "a parameter more": (lambda head: replace(head, query=f"{head.query}&a=1"), DENIED),
    "another path": (lambda head: replace(head, path=f"{head.path}/"), MISMATCH),
    "another method": (lambda head: replace(head, method="PUT"), MISMATCH),
    "another host": (lambda head: changed(head, "host", "127.0.0.1"), MISMATCH),
    "another account": (lambda head: changed(head, "x-cos-appid", "1250000001"), MISMATCH),
    "a signed header changed": (lambda head: changed(head, "x-cos-extra", "other!"), MISMATCH),
    "a header more": (lambda head: changed(head, "x-cos-more", "1"), DENIED),
    "a signed header less": (lambda head: without(head, "x-cos-extra"), DENIED),
    "no host": (lambda head: without(head, "host"), DENIED),
    "a list that is shorter": (lambda head: authorized(head, ";x-cos-appid", ""), DENIED),
    "a list that is longer": (lambda head: authorized(head, ";x-cos-extra", ";user-agent;x-cos-extra"), MISMATCH),
    "a parameter in the list": (lambda head: authorized(head, "param-list=", "param-list=a;"), DENIED),
    "another algorithm": (lambda head: authorized(head, "=sha1&", "=sha256&"), UNSOUND),
    "another key": (lambda head: authorized(head, "&q-ak=", "&q-ak=x"), (403, "InvalidAccessKeyId")),
    "another signature": (lambda head: authorized(head, "q-signature=", "q-signature=0"), MISMATCH),
    "no signature in the header": (lambda head: authorized(head, "&q-signature=", "&signature="), UNSOUND),
    "two times": (lambda head: authorized(head, "&q-key-time=", "&q-key-time=1"), UNSOUND),
    "a later end": (lambda head: changed(head, "authorization", _later(head)), MISMATCH),
    "no signature": (lambda head: without(head, "authorization"), DENIED),
    "a signature of another service": (lambda head: changed(head, "authorization", "OSS4-HMAC-SHA256 a"), DENIED),
}


def _later(head):
    start, end = head.headers["authorization"].partition("q-sign-time=")[2].partition("&")[0].split(";")
    return head.headers["authorization"].replace(f"{start};{end}", f"{start};{int(end) + 1}")


@pytest.mark.parametrize("name", MUTATIONS)
@given(signed())
@settings(max_examples=10, deadline=None)
def test_what_was_changed_is_refused(name, case):
    """A request that was changed after it was signed is refused, and recorded."""
    store, head = case
    mutate, expected = MUTATIONS[name]
    assert answer(store, mutate(head)) == expected
    assert [(seen.status, seen.operation) for seen in store.requests] == [(expected[0], "")]


@given(signed())
@settings(max_examples=25, deadline=None)
def test_other_headers_are_not_signed(case):
    """A proxy may change and add headers that the signature does not cover."""
    store, head = case
    assert answer(store, changed(changed(head, "via", "1.1 proxy"), "user-agent", "x"))[0] == 200


@given(stores(), questions(), st.integers(0, 10**6), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_signature_holds_from_its_first_to_its_last_second(store, question, seconds, late):
    """Ahead of its time and behind it a signature is refused, each with the documented error."""
    path, query = question
    for at, expected in {
        NOW + EARLY: (200, None),
        NOW + EARLY + 1 + seconds: (403, "RequestTimeTooSkewed"),
        NOW - late: (200, None),
        NOW - late - 1 - seconds: (403, "AccessDenied"),
    }.items():
        head = sign(store, query, path=path, at=at, late=late)
        assert answer(store, head) == expected
    assert b"<Message>Request has expired</Message>" in Service([store]).answer(head)[0].body


@given(stores(), questions(), secrets)
@settings(max_examples=50, deadline=None)
def test_security_tokens(store, question, token):
    """A token is accepted where it is the store's; wrong, missing, superfluous and expired ones are refused."""
    path, query = question
    head = sign(store, query, path=path)
    store.security_token = f"{token}-"
    assert answer(store, sign(store, query, path=path))[0] == 200
    assert answer(store, head) == (403, "InvalidAccessKeyId")
    issued = sign(store, query, path=path)
    store.token_expires = NOW + 0.5
    assert answer(store, issued)[0] == 200
    store.token_expires = NOW
    assert answer(store, issued) == (400, "ExpiredToken")
    store.security_token = None
    assert answer(store, issued) == (403, "InvalidAccessKeyId")


@given(stores(), questions(), secrets)
@settings(max_examples=50, deadline=None)
def test_the_secret_decides(store, question, secret):
    """A request signed with another secret is refused; the error echoes what was signed, and never the secret."""
    path, query = question
    head = sign(store, query, path=path)
    store.access_key_secret = f"{secret}?!"
    reply, _ = Service([store]).answer(head)
    error = ET.fromstring(reply.body)
    assert error.findtext("Code") == "SignatureDoesNotMatch"
    assert (error.findtext("StringToSign") or "").startswith("sha1\n1795325340;")
    assert (error.findtext("FormatString") or "").startswith("get\n/jobs")
    assert store.access_key_secret not in reply.body.decode()


@given(
    st.lists(stores(), min_size=2, max_size=4, unique_by=lambda store: (store.access_key_id, store.region)),
    questions(),
)
@settings(max_examples=50, deadline=None)
def test_key_and_host_pick_the_store(several, question):
    """Behind one address each store answers, and records, what is signed with its key for the host of its region."""
    service = Service(several)
    for store in several:
        assert service.answer(sign(store, question[1], path=question[0]))[0].status == 200
    assert [len(store.requests) for store in several] == [1] * len(several)


@given(stores(), questions())
@settings(max_examples=25, deadline=None)
def test_a_host_of_another_form_names_no_region(store, question):
    """On a loopback address, the key alone picks the store, whatever its region."""
    other = replace(store, access_key_id=f"{store.access_key_id}-")
    for host in ("127.0.0.1:10084", "localhost", "[::1]:10084"):
        head = sign(store, question[1], {"host": host}, path=question[0])
        assert answer(store, head, other) == (200, None)
        assert answer(other, head, store) == (200, None)
    assert len(store.requests) == 6


def test_a_host_of_another_account_or_region_is_refused():
    """The account of the host must be the key's, and the key must be known in its region."""
    store = Store(World.fixed(JOBS), wire=WIRES["cos"], region="ap-chengdu", clock=lambda: NOW)
    for host in ("43.cos-control.ap-chengdu.myqcloud.com", "100000000001.cos-control.ap-beijing.myqcloud.com"):
        assert answer(store, sign(store, "", {"host": host})) == DENIED
    assert answer(store, sign(store, "", {"x-cos-appid": "100000000001"})) == DENIED


def test_the_judge_agrees_over_a_real_socket():
    """The signature is checked from what stands on the wire: hostile values arrive as they were signed."""
    store = Store(World.fixed(JOBS), wire=WIRES["cos"], security_token="a+b/c==&;~")
    with serve(create_app(store)) as url:
        for before, after in pairwise(JOBS):
            query = f"nextToken={quote(before.id, safe='')}&maxResults=1"
            reply = send(url, sign(store, query, {"user-agent": "a (b; c)"}))
            assert (reply.status, ET.fromstring(reply.body).findtext("Jobs/member/JobId")) == (200, after.id)
            described = send(url, sign(store, path=f"/jobs/{quote(after.id, safe='')}"))
            assert ET.fromstring(described.body).findtext("Job/JobId") == after.id
        refused = send(url, authorized(sign(store), "q-signature=", "q-signature=0"))
        assert (refused.status, refused.code) == MISMATCH
