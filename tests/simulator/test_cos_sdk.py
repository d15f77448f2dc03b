"""What the official SDK signs is accepted, and nothing that was changed afterwards."""

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
from exporter.simulator.responder import Responder
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
        provider="cos",
        region=draw(st.sampled_from(["ap-chengdu", "ap-guangzhou", "na-siliconvalley"])),
        uin=draw(st.sampled_from(["100000000001", "42"])),
        access_key_id=draw(words),
        access_key_secret=draw(secrets),
        security_token=draw(st.none() | secrets),
        clock=lambda: NOW,
    )


@st.composite
def questions(draw):
    """A path and a query: any documented parameters in any order, or one job."""
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
    """A store, and a request to it with extra headers that the SDK may or may not sign."""
    store = draw(stores())
    path, query = draw(questions())
    headers = {"user-agent": draw(words), "x-cos-extra": draw(values.filter(bool))}
    headers |= draw(st.sampled_from([{}, {"content-type": "application/xml"}, {"range": "bytes=0-9"}]))
    return store, sign(store, query, headers, path=path, at=NOW + draw(st.integers(1 - LATE, EARLY)))


def answer(store, request, *others):
    reply, _ = Responder([store, *others]).respond(request)
    return reply.status, ET.fromstring(reply.body).findtext("Code")


@given(signed())
@settings(max_examples=300, deadline=None)
def test_what_the_official_package_signs_is_accepted(case):
    """Every request that the official SDK signs is accepted."""
    store, request = case
    assert answer(store, request) == (200, None)
    assert store.requests[-1].status == 200


def changed(request, name, value):
    return replace(request, headers={**request.headers, name: value})


def without(request, name):
    return replace(request, headers={key: value for key, value in request.headers.items() if key != name})


def authorized(request, old, new):
    text = request.headers["authorization"]
    assert old in text
    return changed(request, "authorization", text.replace(old, new, 1))


MISMATCH, DENIED, UNSOUND = (403, "SignatureDoesNotMatch"), (403, "AccessDenied"), (400, "InvalidArgument")
MUTATIONS = {
    "a parameter more": (lambda request: replace(request, query=f"{request.query}&a=1"), DENIED),
    "another path": (lambda request: replace(request, path=f"{request.path}/"), MISMATCH),
    "another method": (lambda request: replace(request, method="PUT"), MISMATCH),
    "another host": (lambda request: changed(request, "host", "127.0.0.1"), MISMATCH),
    "another account": (lambda request: changed(request, "x-cos-appid", "1250000001"), MISMATCH),
    "a signed header changed": (lambda request: changed(request, "x-cos-extra", "other!"), MISMATCH),
    "a header more": (lambda request: changed(request, "x-cos-more", "1"), DENIED),
    "a signed header less": (lambda request: without(request, "x-cos-extra"), DENIED),
    "no host": (lambda request: without(request, "host"), DENIED),
    "a list that is shorter": (lambda request: authorized(request, ";x-cos-appid", ""), DENIED),
    "a list that is longer": (lambda request: authorized(request, ";x-cos-extra", ";user-agent;x-cos-extra"), MISMATCH),
    "a parameter in the list": (lambda request: authorized(request, "param-list=", "param-list=a;"), DENIED),
    "another algorithm": (lambda request: authorized(request, "=sha1&", "=sha256&"), UNSOUND),
    "another key": (lambda request: authorized(request, "&q-ak=", "&q-ak=x"), (403, "InvalidAccessKeyId")),
    "another signature": (lambda request: authorized(request, "q-signature=", "q-signature=0"), MISMATCH),
    "no signature in the header": (lambda request: authorized(request, "&q-signature=", "&signature="), UNSOUND),
    "two times": (lambda request: authorized(request, "&q-key-time=", "&q-key-time=1"), UNSOUND),
    "a later end": (lambda request: changed(request, "authorization", _later(request)), MISMATCH),
    "no signature": (lambda request: without(request, "authorization"), DENIED),
    "a signature of another service": (lambda request: changed(request, "authorization", "OSS4-HMAC-SHA256 a"), DENIED),
}


def _later(request):
    start, end = request.headers["authorization"].partition("q-sign-time=")[2].partition("&")[0].split(";")
    return request.headers["authorization"].replace(f"{start};{end}", f"{start};{int(end) + 1}")


@pytest.mark.parametrize("name", MUTATIONS)
@given(signed())
@settings(max_examples=10, deadline=None)
def test_what_was_changed_is_refused(name, case):
    """A request that was changed after it was signed is rejected, and recorded."""
    store, request = case
    mutate, expected = MUTATIONS[name]
    assert answer(store, mutate(request)) == expected
    assert [(seen.status, seen.operation) for seen in store.requests] == [(expected[0], "")]


@given(signed())
@settings(max_examples=25, deadline=None)
def test_other_headers_are_not_signed(case):
    """A proxy may change and add headers that the signature does not cover."""
    store, request = case
    assert answer(store, changed(changed(request, "via", "1.1 proxy"), "user-agent", "x"))[0] == 200


@given(stores(), questions(), st.integers(0, 10**6), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_signature_holds_from_its_first_to_its_last_second(store, question, seconds, late):
    """A signature is rejected before and after its validity, with the documented error for each."""
    path, query = question
    for at, expected in {
        NOW + EARLY: (200, None),
        NOW + EARLY + 1 + seconds: (403, "RequestTimeTooSkewed"),
        NOW - late: (200, None),
        NOW - late - 1 - seconds: (403, "AccessDenied"),
    }.items():
        request = sign(store, query, path=path, at=at, late=late)
        assert answer(store, request) == expected
    assert b"<Message>Request has expired</Message>" in Responder([store]).respond(request)[0].body


@given(stores(), questions(), secrets)
@settings(max_examples=50, deadline=None)
def test_security_tokens(store, question, token):
    """The store's security token is accepted; wrong, missing, superfluous and expired ones are rejected."""
    path, query = question
    request = sign(store, query, path=path)
    store.security_token = f"{token}-"
    assert answer(store, sign(store, query, path=path))[0] == 200
    assert answer(store, request) == (403, "InvalidAccessKeyId")
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
    """A request signed with another secret is rejected; the error contains the signed text, but never the secret."""
    path, query = question
    request = sign(store, query, path=path)
    store.access_key_secret = f"{secret}?!"
    reply, _ = Responder([store]).respond(request)
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
    """On one address each store accepts and records what is signed with its key for the host of its region."""
    service = Responder(several)
    for store in several:
        assert service.respond(sign(store, question[1], path=question[0]))[0].status == 200
    assert [len(store.requests) for store in several] == [1] * len(several)


@given(stores(), questions())
@settings(max_examples=25, deadline=None)
def test_a_host_of_another_form_names_no_region(store, question):
    """On a loopback address, the key alone selects the store, whatever its region."""
    other = replace(store, access_key_id=f"{store.access_key_id}-")
    for host in ("127.0.0.1:10084", "localhost", "[::1]:10084"):
        request = sign(store, question[1], {"host": host}, path=question[0])
        assert answer(store, request, other) == (200, None)
        assert answer(other, request, store) == (200, None)
    assert len(store.requests) == 6


def test_a_host_of_another_account_or_region_is_refused():
    """The account in the host must be the key's, and the key must exist in its region."""
    store = Store(World.fixed(JOBS), provider="cos", region="ap-chengdu", clock=lambda: NOW)
    for host in ("43.cos-control.ap-chengdu.myqcloud.com", "100000000001.cos-control.ap-beijing.myqcloud.com"):
        assert answer(store, sign(store, "", {"host": host})) == DENIED
    assert answer(store, sign(store, "", {"x-cos-appid": "100000000001"})) == DENIED


def test_the_judge_agrees_over_a_real_socket():
    """The signature is checked over the exact bytes: hostile values arrive as they were signed."""
    store = Store(World.fixed(JOBS), provider="cos", security_token="a+b/c==&;~")
    with serve(create_app(store)) as url:
        for before, after in pairwise(JOBS):
            query = f"nextToken={quote(before.id, safe='')}&maxResults=1"
            reply = send(url, sign(store, query, {"user-agent": "a (b; c)"}))
            assert (reply.status, ET.fromstring(reply.body).findtext("Jobs/member/JobId")) == (200, after.id)
            described = send(url, sign(store, path=f"/jobs/{quote(after.id, safe='')}"))
            assert ET.fromstring(described.body).findtext("Job/JobId") == after.id
        refused = send(url, authorized(sign(store), "q-signature=", "q-signature=0"))
        assert (refused.status, refused.code) == MISMATCH
