"""What the official SDK signs is accepted, and nothing that was changed afterwards."""

from __future__ import annotations

import string
from dataclasses import replace
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.jobs import STATUSES, Job
from exporter.simulator import Store, World, create_app
from exporter.simulator.dialects import tokens
from exporter.simulator.messages import Position
from exporter.simulator.responder import Responder
from tests.serving import serve
from tests.simulator.official_oss import send, sign

NOW = 1_795_325_400.0  # 05:30 UTC, so that a quarter of an hour stays within the day
STRICT = settings(max_examples=300, deadline=None)

secrets = st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=40)
words = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=24)
values = st.text(string.ascii_letters + string.digits + " !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", min_size=1).map(str.strip)


@st.composite
def stores(draw):
    return Store(
        World.fixed([Job("one", "New"), Job("two", "Active")]),
        region=draw(st.sampled_from(["cn-hangzhou", "ap-southeast-1", "us-west-1"])),
        access_key_id=draw(words),
        access_key_secret=draw(secrets),
        security_token=draw(st.none() | secrets),
        clock=lambda: NOW,
    )


@st.composite
def queries(draw):
    """Any documented parameters, in any order, in any valid encoding."""
    statuses = draw(st.lists(st.sampled_from(STATUSES), unique=True, min_size=1))
    separator = draw(st.sampled_from(["|", " | "]))
    position = draw(st.builds(Position, st.integers(1, 99), st.integers(0, 99), words))
    token = tokens.encode(position, draw(st.sampled_from([0, 64, 1024])))
    parts = [
        f"max-keys={draw(st.integers(1, 1000))}",
        f"batchJobStatuses={quote(separator.join(statuses), safe='')}",
        f"continuation-token={quote(token, safe='')}",
    ]
    chosen = draw(st.lists(st.sampled_from(parts), unique=True))
    return "&".join(draw(st.permutations([draw(st.sampled_from(["batchJob", "batchJob="])), *chosen])))


@st.composite
def signed(draw):
    """A store, a request to it, and the names of the additional signed headers."""
    store = draw(stores())
    headers = {"User-Agent": draw(words), "x-oss-extra": draw(words), "X-Other": draw(values.filter(bool))}
    headers |= draw(st.sampled_from([{}, {"Content-Type": "application/xml"}, {"Content-MD5": "abc=="}]))
    additional = draw(st.lists(st.sampled_from(["host", "User-Agent", "x-other"]), unique=True))
    at = NOW + draw(st.integers(-890, 890))
    return store, sign(store, draw(queries()), headers, additional=additional, at=at), additional


def answer(store, request, *others):
    reply, _ = Responder([store, *others]).respond(request)
    return reply.status, ET.fromstring(reply.body).findtext("Code"), reply.headers.get("x-oss-ec")


@given(signed())
@STRICT
def test_what_the_official_package_signs_is_accepted(case):
    """Every request that the official SDK signs is accepted."""
    store, request, _ = case
    assert answer(store, request) == (200, None, None)
    assert store.requests[-1].status == 200


def changed(request, name, value):
    return replace(request, headers={**request.headers, name: value})


def without(request, name):
    return replace(request, headers={key: value for key, value in request.headers.items() if key != name})


def authorized(request, old, new):
    text = request.headers["authorization"]
    assert old in text
    return changed(request, "authorization", text.replace(old, new, 1))


MISMATCH = (403, "SignatureDoesNotMatch", "0002-00000201")
MUTATIONS = {
    "a parameter more": (lambda _, request: replace(request, query=f"{request.query}&max-keys=7"), MISMATCH),
    "a parameter less": (lambda _, request: replace(request, query=request.query.replace("batchJob", "", 1)), MISMATCH),
    "another case of an escape": (lambda _, request: replace(request, query=f"batchJob%61{request.query}"), MISMATCH),
    "another method": (lambda _, request: replace(request, method="PUT"), MISMATCH),
    "another path": (lambda _, request: replace(request, path="/bucket/"), MISMATCH),
    "a signed header changed": (lambda _, request: changed(request, "x-oss-extra", "other!"), MISMATCH),
    "a signed header more": (lambda _, request: changed(request, "x-oss-more", "1"), MISMATCH),
    "a signed header less": (lambda _, request: without(request, "x-oss-extra"), MISMATCH),
    "a content type": (lambda _, request: changed(request, "content-type", "text/plain"), MISMATCH),
    "a second later": (
        lambda _, request: changed(
            request, "x-oss-date", f"{request.headers['x-oss-date'][:-3]}{_other_second(request)}Z"
        ),
        MISMATCH,
    ),
    "a day earlier": (
        lambda _, request: changed(request, "x-oss-date", f"20261121{request.headers['x-oss-date'][8:]}"),
        (403, "RequestTimeTooSkewed", "0002-00000504"),
    ),
    "no date": (lambda _, request: without(request, "x-oss-date"), (403, "AccessDenied", "0002-00000503")),
    "a wrong date": (
        lambda _, request: changed(request, "x-oss-date", request.headers["date"]),
        (403, "AccessDenied", "0002-00000502"),
    ),
    "a date that is none": (
        lambda _, request: changed(request, "x-oss-date", "20261322T053000Z"),
        (403, "AccessDenied", "0002-00000502"),
    ),
    "another day in the scope": (
        lambda _, request: authorized(request, "/20261122/", "/20261121/"),
        (400, "InvalidArgument", "0002-00000212"),
    ),
    "another region": (
        lambda store, request: authorized(request, f"/{store.region}/", "/cn-beijing/"),
        (400, "InvalidArgument", "0002-00000226"),
    ),
    "the region's long name": (
        lambda store, request: authorized(request, f"/{store.region}/", f"/oss-{store.region}/"),
        (400, "InvalidArgument", "0002-00000226"),
    ),
    "another product": (
        lambda _, request: authorized(request, "/oss/", "/ots/"),
        (400, "InvalidArgument", "0002-00000227"),
    ),
    "another ending": (
        lambda _, request: authorized(request, "/aliyun_v4_request", "/aliyun_v3_request"),
        (400, "InvalidArgument", "0002-00000213"),
    ),
    "another key": (
        lambda store, request: authorized(request, f"={store.access_key_id}/", f"={store.access_key_id}x/"),
        (403, "InvalidAccessKeyId", "0002-00000902"),
    ),
    "another signature": (lambda _, request: authorized(request, "Signature=", "Signature=0"), MISMATCH),
    "no payload hash": (lambda _, request: without(request, "x-oss-content-sha256"), (400, "InvalidArgument", None)),
    "no signature": (lambda _, request: without(request, "authorization"), (403, "AccessDenied", None)),
    "an old signature": (
        lambda _, request: changed(request, "authorization", "OSS a:b"),
        (400, "InvalidArgument", None),
    ),
}


def _other_second(request):
    return f"{(int(request.headers['x-oss-date'][-3:-1]) + 1) % 60:02}"


@pytest.mark.parametrize("name", MUTATIONS)
@given(signed())
@settings(max_examples=10, deadline=None)
def test_what_was_changed_is_refused(name, case):
    """A request that was changed after it was signed is rejected with the documented code, and recorded."""
    store, request, _ = case
    mutate, expected = MUTATIONS[name]
    assert answer(store, mutate(store, request)) == expected
    assert [(seen.status, seen.operation) for seen in store.requests] == [(expected[0], "")]


@given(signed().filter(lambda case: case[2]))
@settings(max_examples=50, deadline=None)
def test_additional_headers_are_signed(case):
    """A header in AdditionalHeaders must not change, disappear, or be dropped from the list."""
    store, request, additional = case
    name = additional[0].lower()
    assert answer(store, changed(request, name, f"{request.headers[name]}!")) == MISMATCH
    assert answer(store, without(request, name)) == (400, "InvalidArgument", None)
    listed = ";".join(sorted(map(str.lower, additional)))
    assert answer(store, authorized(request, f",AdditionalHeaders={listed}", "")) == MISMATCH
    assert answer(store, authorized(request, f"={listed}", f"={listed.upper()}"))[1] == "InvalidArgument"


@given(signed().filter(lambda case: not case[2]))
@settings(max_examples=25, deadline=None)
def test_other_headers_are_not_signed(case):
    """A proxy may change Host and User-Agent if they are not signed."""
    store, request, _ = case
    assert answer(store, changed(changed(request, "host", "127.0.0.1:1"), "user-agent", "x"))[0] == 200


@given(stores(), queries(), st.integers(901, 10**6), st.sampled_from([-1, 1]))
@settings(max_examples=50, deadline=None)
def test_clocks_may_differ_by_a_quarter_of_an_hour(store, query, seconds, sign_of):
    """A request is accepted up to 15 minutes early or late, and rejected from the next second."""
    assert answer(store, sign(store, query, at=NOW + sign_of * 900))[0] == 200
    late = answer(store, sign(store, query, at=NOW + sign_of * seconds))
    assert late == (403, "RequestTimeTooSkewed", "0002-00000504")


@given(stores(), queries(), secrets)
@settings(max_examples=50, deadline=None)
def test_security_tokens(store, query, token):
    """The store's security token is accepted; wrong, missing, superfluous and expired ones have their codes."""
    right = store.security_token
    request = sign(store, query)
    store.security_token = f"{token}-"
    assert answer(store, sign(store, query))[0] == 200
    if right is None:
        assert answer(store, request) == (403, "InvalidAccessKeyId", "0002-00000003")
    else:
        assert answer(store, request) == (403, "InvalidSecurityToken", "0002-00000008")
    issued = sign(store, query)
    store.token_expires = NOW + 0.5
    assert answer(store, issued)[0] == 200
    store.token_expires = NOW
    assert answer(store, issued) == (403, "SecurityTokenExpired", "0002-00000007")
    store.security_token = store.token_expires = None
    assert answer(store, issued) == (403, "InvalidSecurityToken", "0002-00000008")


@given(stores(), queries(), secrets)
@settings(max_examples=50, deadline=None)
def test_the_secret_decides(store, query, secret):
    """A request signed with another secret is rejected; the error contains key id and string to sign."""
    request = sign(store, query)
    store.access_key_secret = f"{secret}.another-secret"  # a short one could stand in any text
    reply, _ = Responder([store]).respond(request)
    error = ET.fromstring(reply.body)
    assert error.findtext("Code") == "SignatureDoesNotMatch"
    assert error.findtext("OSSAccessKeyId") == store.access_key_id
    assert (error.findtext("StringToSign") or "").startswith("OSS4-HMAC-SHA256\n20261122T053000Z\n20261122/")
    assert bytes.fromhex(error.findtext("StringToSignBytes") or "").decode() == error.findtext("StringToSign")
    assert store.access_key_secret not in reply.body.decode()


@given(
    st.lists(stores(), min_size=2, max_size=4, unique_by=lambda store: (store.access_key_id, store.region)), queries()
)
@settings(max_examples=50, deadline=None)
def test_key_and_region_pick_the_store(several, query):
    """On one host each store accepts and records what is signed with its key for its region."""
    service = Responder(several)
    for store in several:
        assert service.respond(sign(store, query))[0].status == 200
    assert [len(store.requests) for store in several] == [1] * len(several)


def test_the_judge_agrees_over_a_real_socket():
    """The signature is checked over the exact bytes: hostile values arrive as they were signed."""
    store = Store(World.fixed([Job(str(number), "New") for number in range(30)]), security_token="a+b/c==")
    with serve(create_app(store)) as url:
        token = None
        for page in range(1, 4):
            query = "max-keys=10&batchJob=&batchJobStatuses=New%20%7c%20Active"
            query += f"&continuation-token={quote(token, safe='')}" if token else ""
            request = sign(store, query, {"User-Agent": "a (b; c)"}, additional=["host", "user-agent"])
            reply = send(url, request)
            assert (reply.status, reply.jobs[0].id) == (200, str(page * 10 - 10))
            token = reply.token
        assert token is None
        assert send(url, authorized(request, "Signature=", "Signature=0")).code == "SignatureDoesNotMatch"


def test_a_recorded_request_can_be_judged_again(store, store_url):
    """A recorded request is complete enough for the official SDK to sign it again."""
    store.clock = lambda: NOW
    sent = sign(store, "batchJob&max-keys=5", additional=["host"])
    assert send(store_url, sent).status == 200
    seen = store.requests[0]
    again = sign(store, seen.raw.query, {"host": seen.raw.headers["host"]}, additional=["host"], at=seen.time)
    assert again.headers["authorization"] == seen.raw.headers["authorization"] == sent.headers["authorization"]
