"""What botocore signs is accepted, and nothing that was changed afterwards."""

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
from exporter.simulator.dialects import DIALECTS, tokens
from exporter.simulator.messages import Position
from exporter.simulator.responder import Responder
from tests.serving import serve
from tests.simulator.official_oss import send
from tests.simulator.official_s3 import PATH, sign

NOW = 1_795_325_400.0  # 05:30 UTC, so that a quarter of an hour stays within the day
JOBS = [Job(job_id, "New") for job_id in ("93735294-df46-44d5-8638-6356f335324e", "b/c", "a+b=", "d e&f", "存")]

secrets = st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=30)
words = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=16)
values = st.text(string.ascii_letters + " !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", min_size=1, max_size=16).map(str.strip)


@st.composite
def stores(draw):
    return Store(
        World.fixed(JOBS),
        provider="s3",
        region=draw(st.sampled_from(["us-west-2", "eu-central-1", "cn-north-1"])),
        account_id=draw(st.sampled_from(["111122223333", "012345678901"])),
        access_key_id=draw(words),
        access_key_secret=draw(secrets),
        security_token=draw(st.none() | secrets),
        clock=lambda: NOW,
    )


@st.composite
def questions(draw):
    """A path and a query: any documented parameters in any order, statuses repeated, or one job."""
    if draw(st.integers(0, 3)) == 0:
        return f"{PATH}/{quote(draw(st.sampled_from(JOBS)).id, safe='')}", ""
    token = tokens.encode(Position(2, draw(st.integers(0, 99)), "a"), draw(st.sampled_from([0, 1024])))
    parts = [
        f"maxResults={draw(st.integers(0, 1000))}",
        f"nextToken={quote(token, safe='')}",
        *(f"jobStatuses={status}" for status in STATUSES[:: draw(st.integers(4, 9))]),
    ]
    return PATH, "&".join(draw(st.lists(st.sampled_from(parts), unique=True)))


@st.composite
def signed(draw):
    """A store, and a request to it with extra headers, which botocore signs."""
    store = draw(stores())
    path, query = draw(questions())
    headers = {"user-agent": draw(words), "x-amz-extra": draw(values.filter(bool))}
    headers |= draw(st.sampled_from([{}, {"content-type": "application/xml"}, {"range": "bytes=0-9"}]))
    return store, sign(store, query, headers, path=path, at=NOW + draw(st.integers(-890, 890)))


def answer(store, request, *others):
    reply, _ = Responder([store, *others]).respond(request)
    return reply.status, ET.fromstring(reply.body).findtext("Error/Code")


@given(signed())
@settings(max_examples=300, deadline=None)
def test_what_the_official_package_signs_is_accepted(case):
    """Every request that botocore signs is accepted."""
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


MISMATCH = (403, "SignatureDoesNotMatch")
DENIED = (403, "AccessDenied")
MALFORMED = (400, "AuthorizationHeaderMalformed")
MUTATIONS = {
    "a parameter more": (lambda _, request: replace(request, query=f"{request.query}&maxResults=7"), MISMATCH),
    "a parameter that is empty": (lambda _, request: replace(request, query=f"{request.query}&a"), MISMATCH),
    "another method": (lambda _, request: replace(request, method="PUT"), MISMATCH),
    "another path": (lambda _, request: replace(request, path=f"{request.path}/"), MISMATCH),
    "another way to write the path": (
        lambda _, request: replace(request, path=request.path.replace("j", "%6A")),
        MISMATCH,
    ),
    "another host": (lambda _, request: changed(request, "host", "other.example"), MISMATCH),
    "another account": (lambda _, request: changed(request, "x-amz-account-id", "999999999999"), MISMATCH),
    "a signed header changed": (lambda _, request: changed(request, "x-amz-extra", "other!"), MISMATCH),
    "another payload": (lambda _, request: changed(request, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"), MISMATCH),
    "a second later": (
        lambda _, request: changed(
            request, "x-amz-date", f"{request.headers['x-amz-date'][:-3]}{_other_second(request)}Z"
        ),
        MISMATCH,
    ),
    "another signature": (lambda _, request: authorized(request, "Signature=", "Signature=0"), MISMATCH),
    "a header that is not signed": (lambda _, request: changed(request, "x-amz-more", "1"), DENIED),
    "a header taken off the list": (lambda _, request: authorized(request, ";x-amz-extra", ""), DENIED),
    "a host that is not signed": (lambda _, request: authorized(request, "host;", ""), DENIED),
    "no date": (lambda _, request: without(request, "x-amz-date"), DENIED),
    "a date of another form": (
        lambda _, request: changed(request, "x-amz-date", "Sun, 22 Nov 2026 05:30:00 GMT"),
        DENIED,
    ),
    "a date that is none": (lambda _, request: changed(request, "x-amz-date", "20261322T053000Z"), DENIED),
    "no signature": (lambda _, request: without(request, "authorization"), DENIED),
    "a signed header less": (lambda _, request: without(request, "x-amz-extra"), MALFORMED),
    "a list in another order": (
        lambda _, request: authorized(request, "x-amz-content-sha256;x-amz-date", "x-amz-date;x-amz-content-sha256"),
        MALFORMED,
    ),
    "another day in the scope": (lambda _, request: authorized(request, "/20261122/", "/20261121/"), MALFORMED),
    "another region": (lambda store, request: authorized(request, f"/{store.region}/", "/us-east-9/"), MALFORMED),
    "another service": (lambda _, request: authorized(request, "/s3/", "/s3control/"), MALFORMED),
    "another ending": (lambda _, request: authorized(request, "/aws4_request", "/aws5_request"), MALFORMED),
    "half a signature": (lambda _, request: authorized(request, ", Signature=", ", Sig="), MALFORMED),
    "an old signature": (lambda _, request: changed(request, "authorization", "AWS a:b"), (400, "InvalidRequest")),
    "no payload hash": (lambda _, request: without(request, "x-amz-content-sha256"), (400, "InvalidRequest")),
    "the hash of some payload": (
        lambda _, request: changed(request, "x-amz-content-sha256", "0" * 64),
        (400, "XAmzContentSHA256Mismatch"),
    ),
    "a day earlier": (
        lambda _, request: changed(request, "x-amz-date", f"20261121{request.headers['x-amz-date'][8:]}"),
        (403, "RequestTimeTooSkewed"),
    ),
    "another key": (
        lambda store, request: authorized(request, f"={store.access_key_id}/", f"={store.access_key_id}x/"),
        (403, "InvalidAccessKeyId"),
    ),
}


def _other_second(request):
    return f"{(int(request.headers['x-amz-date'][-3:-1]) + 1) % 60:02}"


@pytest.mark.parametrize("name", MUTATIONS)
@given(signed())
@settings(max_examples=10, deadline=None)
def test_what_was_changed_is_refused(name, case):
    """A request that was changed after it was signed is rejected with the documented code, and recorded."""
    store, request = case
    mutate, expected = MUTATIONS[name]
    assert answer(store, mutate(store, request)) == expected
    assert [(seen.status, seen.operation) for seen in store.requests] == [(expected[0], "")]


@given(signed())
@settings(max_examples=25, deadline=None)
def test_other_headers_are_not_signed(case):
    """A proxy may change or add unsigned headers."""
    store, request = case
    assert answer(store, changed(changed(request, "user-agent", "x"), "via", "1.1 proxy"))[0] == 200


@given(stores(), questions(), st.integers(901, 10**6), st.sampled_from([-1, 1]))
@settings(max_examples=50, deadline=None)
def test_clocks_may_differ_by_a_quarter_of_an_hour(store, question, seconds, sign_of):
    """A request is accepted up to 15 minutes early or late, and rejected from the next second."""
    path, query = question
    assert answer(store, sign(store, query, path=path, at=NOW + sign_of * 900))[0] == 200
    late = answer(store, sign(store, query, path=path, at=NOW + sign_of * seconds))
    assert late == (403, "RequestTimeTooSkewed")


@given(stores(), secrets)
@settings(max_examples=50, deadline=None)
def test_session_tokens(store, token):
    """The store's security token is accepted; wrong, missing, superfluous and expired ones have their codes."""
    right = store.security_token
    request = sign(store)
    store.security_token = f"{token}-"
    assert answer(store, sign(store))[0] == 200
    expected = (403, "InvalidAccessKeyId") if right is None else (400, "InvalidToken")
    assert answer(store, request) == expected
    issued = sign(store)
    store.token_expires = NOW + 0.5
    assert answer(store, issued)[0] == 200
    store.token_expires = NOW
    assert answer(store, issued) == (400, "ExpiredToken")
    store.security_token = store.token_expires = None
    assert answer(store, issued) == (400, "InvalidToken")


@given(stores(), secrets)
@settings(max_examples=50, deadline=None)
def test_the_secret_decides(store, secret):
    """A request signed with another secret is rejected; the error contains key id and string to sign."""
    request = sign(store)
    store.access_key_secret = f"{secret}.another-secret"  # a short one could stand in any text
    reply, _ = Responder([store]).respond(request)
    error = ET.fromstring(reply.body).find("Error")
    assert error is not None
    assert error.findtext("Code") == "SignatureDoesNotMatch"
    assert error.findtext("AWSAccessKeyId") == store.access_key_id
    assert (error.findtext("StringToSign") or "").startswith("AWS4-HMAC-SHA256\n20261122T053000Z\n20261122/")
    for name in ("StringToSign", "CanonicalRequest"):
        assert bytes.fromhex(error.findtext(f"{name}Bytes") or "").decode() == error.findtext(name)
    assert store.access_key_secret not in reply.body.decode()


@given(st.lists(stores(), min_size=2, max_size=4, unique_by=lambda store: (store.access_key_id, store.region)))
@settings(max_examples=50, deadline=None)
def test_key_and_region_pick_the_store(several):
    """On one host each store accepts and records what is signed with its key for its region."""
    service = Responder(several)
    for store in several:
        assert service.respond(sign(store))[0].status == 200
    assert [len(store.requests) for store in several] == [1] * len(several)


def test_stores_of_other_services_stand_beside_it():
    """On a host with stores of several services, a request is accepted and rejected by its own service."""
    store = Store(World.fixed(JOBS), provider="s3", clock=lambda: NOW)
    others = [Store(World.fixed([]), provider=name) for name in DIALECTS if name != "s3"]
    service = Responder([*others, store])
    assert service.respond(sign(store))[0].status == 200
    refused, _ = service.respond(authorized(sign(store), store.access_key_id, "AKIDOTHER"))
    assert ET.fromstring(refused.body).findtext("Error/AWSAccessKeyId") == "AKIDOTHER"
    assert [seen.status for seen in store.requests] == [200, 403]
    assert not any(other.requests for other in others)


def test_the_judge_agrees_over_a_real_socket():
    """The signature is checked over the exact bytes: hostile values arrive as they were signed."""
    store = Store(World.fixed(JOBS), provider="s3", security_token="a+b/c==")
    with serve(create_app(store)) as url:
        for job in JOBS:
            reply = send(url, sign(store, path=f"{PATH}/{quote(job.id, safe='')}", headers={"user-agent": "a (b; c)"}))
            assert reply.status == 200
            assert ET.fromstring(reply.body).findtext("{*}Job/{*}JobId") == job.id
        reply = send(url, authorized(sign(store), "Signature=", "Signature=0"))
        assert b"<Code>SignatureDoesNotMatch</Code>" in reply.body
