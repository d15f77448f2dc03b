from __future__ import annotations

import gzip
import logging
import time

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from exporter.core.errors import CredentialsError
from exporter.credentials import metadata, oidc
from exporter.credentials.refreshing import RefreshingCredentials
from tests.credentials.issuers import CLOUDS, TOKEN, iso
from tests.rawserver import free_port

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("cloud", CLOUDS),
]
ALL = ("the metadata service ", "AssumeRoleWithOIDC ", "AssumeRoleWithWebIdentity ")


@pytest.fixture
def failure(refreshing, fetch):
    """The error where a cloud answers with a fault, without its first word; and its reason."""

    async def ask(made):
        with pytest.raises(CredentialsError) as caught:
            await refreshing(made).get(fetch)
        text = str(caught.value)
        [who] = [who for who in ALL if text.startswith(who)]
        return text.removeprefix(who), caught.value.reason

    return ask


def asks_first(seen):
    """Whether `seen` is about the token or the role, before it is about keys."""
    return seen.method == "PUT" or seen.path.endswith("/security-credentials/")


def garbled(content):
    """An answer in place of the keys."""
    return lambda seen: None if asks_first(seen) else Response(content)


def changed(name, value):
    """One part of the keys is another."""
    return lambda found: found.update({name: value})


async def test_a_status_that_is_no_success(failure, cloud):
    """Any other status than 200 is an error of its kind; the body is not shown."""
    made = cloud()
    reasons = {}
    for status in (302, 400, 401, 403, 429, 500, 503):
        made.fault = lambda _, status=status: PlainTextResponse("hunter2", status)
        text, reasons[status] = await failure(made)
        assert text.startswith(f"returned {status}: ")
        assert "hunter2" not in text
    known = {302: "malformed", 429: "throttled", 500: "http_5xx", 503: "http_5xx"}
    assert reasons == {**dict.fromkeys((400, 401, 403), "auth"), **known}


async def test_a_redirect_is_not_followed(failure, cloud):
    """Nobody is asked whom the issuer names: the token could go anywhere."""
    made = cloud()
    made.fault = lambda seen: None if seen.path == "/elsewhere" else RedirectResponse("/elsewhere", 307)
    text, _ = await failure(made)
    assert text == "returned 307: redirects are not followed"
    assert "/elsewhere" not in {seen.path for seen in made.seen}


async def test_what_is_no_json_object(failure, cloud):
    """An answer that is no JSON object is malformed, whatever else it is."""
    made = cloud()
    garbage = [
        b"",
        b"hunter2",
        b"[]",
        b'"keys"',
        b"null",
        b"\xff\xfe",
        b"{" * 60000,
        b"[" * 60000,
        b'{"a":1} x',
        b"<a>",
    ]
    found = []
    for content in garbage:
        made.fault = garbled(content)
        found.append(await failure(made))
    assert found == [("returned something other than a JSON object", "malformed")] * len(garbage)


async def test_an_object_without_keys(failure, cloud):
    """An object that holds none of what is documented is an error."""
    made = cloud()
    made.fault = garbled(b"{}")
    assert (await failure(made))[1] in ("malformed", "auth")


@pytest.mark.parametrize("part", [0, 1, 2], ids=["id", "secret", "token"])
async def test_a_part_that_is_no_key(failure, cloud, part):
    """A part that is missing or cannot be a key is named, and its value is not shown."""
    made = cloud()
    name = cloud.names[part]
    for absent in (None, 7, ["x"]):
        made.change = changed(name, absent)
        assert await failure(made) == (f"returned no {name}", "malformed")
    for value in ("", "a b", "a\nb", "schlüssel"):
        made.change = changed(name, value)
        text, reason = await failure(made)
        assert text.startswith(f"returned a {name} that ")
        assert reason == "malformed"
        assert "lüssel" not in text


async def test_an_end_that_is_none(failure, cloud):
    """Keys whose end is not told, or not in a documented form, are not used."""
    name = "Expiration" if "AccessKeyId" in cloud.names else "ExpiredTime"
    words = ["", "soon", "2026-13-01T00:00:00Z", "2026-11-22T00:00:00"]
    values: list[object] = [None, True, [], -1, 0, 1.5, 10**400, 1763800000000, *words]
    made = cloud()
    found = []
    for value in values:
        made.change = changed(name, value)
        found.append(await failure(made))
    assert found == [(f"returned no valid expiry time ({name})", "malformed")] * len(values)


async def test_keys_that_have_expired(failure, cloud):
    """Keys whose end is in the past are not used."""
    made = cloud()
    made.lifetime = -60
    assert await failure(made) == ("returned credentials that have already expired", "auth")


@pytest.mark.parametrize(
    "answer",
    [Response(b"x" * 70000), Response(gzip.compress(b" " * 10**7), headers={"content-encoding": "gzip"})],
    ids=["long", "bomb"],
)
async def test_a_huge_answer(refreshing, fetch, cloud, answer):
    """An answer longer than 64 KiB is not read."""
    made = cloud()
    made.fault = lambda seen: None if asks_first(seen) else answer
    with pytest.raises(CredentialsError) as caught:
        await refreshing(made).get(fetch)
    assert (str(caught.value), caught.value.reason) == ("the answer is longer than 65536 bytes", "too_large")


async def test_a_slow_answer(refreshing, fetch, cloud, monkeypatch):
    """An issuer that does not answer in time is given up, however the answer trickles."""
    for module, name in ((oidc, "STS_SECONDS"), (metadata, "METADATA_SECONDS")):
        monkeypatch.setattr(module, name, 0.2)
    made = cloud()
    made.delay = lambda _: 5.0
    start = time.monotonic()
    with pytest.raises(CredentialsError, match=r"did not answer within 0.2 s$") as caught:
        await refreshing(made).get(fetch)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - start < 2


async def test_nobody_there(fetch, environment, cloud):
    """Where nobody listens, that is said."""
    source = RefreshingCredentials("testing", cloud().issuer(f"http://127.0.0.1:{free_port()}", environment))
    with pytest.raises(CredentialsError, match=r"no connection to 127\.0\.0\.1:[0-9]+: Connection refused$") as caught:
        await source.get(fetch)
    assert caught.value.reason == "connect"


async def test_nothing_secret_is_shown(refreshing, fetch, cloud, caplog):
    """Neither keys nor the token stand in what the source prints as, in a log of any level, or in an error."""
    caplog.set_level(logging.DEBUG)
    made = cloud()
    source = refreshing(made)
    keys = await source.get(fetch)
    shown = f"{keys} {keys!r} {source} {source!r} {source._issuer!r} {source._current!r}"
    made.fault = lambda seen: JSONResponse({"Code": "X", "Message": f"{TOKEN} {seen.body!r}"}, 400)
    source._current = None
    with pytest.raises(CredentialsError) as caught:
        await source.get(fetch)
    shown += f"{caught.value} {caught.value!r} {caplog.text}"
    for secret in (TOKEN, "secret-1", "token-1", "AQAAAB-metadata"):
        assert secret not in shown


async def test_keys_of_the_form_documented(refreshing, fetch, cloud):
    """Whatever the vendor adds to its answer does not matter."""
    made = cloud()
    made.change = lambda found: found.update(LastUpdated=iso(time.time()), Added={"later": [1]})
    assert (await refreshing(made).get(fetch)).key_id == "id-1"
