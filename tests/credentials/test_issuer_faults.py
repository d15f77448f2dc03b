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
WORDS = {
    "key id": "LTAI5tQnKDaXuq3a5b1yfUxB",
    "key": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    "token": "CAISvQJ1q6Ft5B2yfSjIr5bkD8jtmLxAg6",
    "JWT": TOKEN,
    "letters only": "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWx",
}
ISSUER_NAMES = ("the metadata service ", "AssumeRoleWithOIDC ", "AssumeRoleWithWebIdentity ")


@pytest.fixture
def failure(refreshing, fetch):
    """Returns the message, without its first words, and the reason of the error for a faulty cloud."""

    async def read(made):
        with pytest.raises(CredentialsError) as caught:
            await refreshing(made).get(fetch)
        text = str(caught.value)
        [name] = [name for name in ISSUER_NAMES if text.startswith(name)]
        return text.removeprefix(name), caught.value.reason

    return read


def is_preliminary(seen):
    """Whether the request is for the metadata token or the role's name."""
    return seen.method == "PUT" or seen.path.endswith("/security-credentials/")


def garbled(content):
    """Returns `content` in place of the credentials."""
    return lambda seen: None if is_preliminary(seen) else Response(content)


def changed(name, value):
    """Replaces one field of the credentials."""
    return lambda fields: fields.update({name: value})


async def test_an_error_status(failure, cloud):
    """Each other status than 200 raises an error with its reason, without the body."""
    made = cloud()
    reasons = {}
    for status in (302, 400, 401, 403, 429, 500, 503):
        made.fault = lambda _, status=status: JSONResponse({"Message": "hunter2"}, status)
        text, reasons[status] = await failure(made)
        assert text.startswith(f"returned {status}: ")
        assert "hunter2" not in text
    known = {302: "malformed", 429: "throttled", 500: "http_5xx", 503: "http_5xx"}
    assert reasons == {**dict.fromkeys((400, 401, 403), "auth"), **known}


async def test_a_redirect_is_not_followed(failure, cloud):
    """A redirect is not followed, because the token could be sent anywhere."""
    made = cloud()
    made.fault = lambda seen: None if seen.path == "/elsewhere" else RedirectResponse("/elsewhere", 307)
    text, _ = await failure(made)
    assert text == "returned 307: redirects are not followed"
    assert "/elsewhere" not in {seen.path for seen in made.seen}


async def test_a_body_that_is_not_a_json_object(failure, cloud):
    """A body that is not a JSON object is malformed."""
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
    results = []
    for content in garbage:
        made.fault = garbled(content)
        results.append(await failure(made))
    assert results == [("returned something other than a JSON object", "malformed")] * len(garbage)


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
async def test_a_word_in_the_wrong_place(refreshing, fetch, cloud, caplog, word):
    """A key, a token or a part of one is never shown, wherever in a response it is."""
    caplog.set_level(logging.DEBUG)
    made = cloud()
    shown = []
    for response in (
        PlainTextResponse(word),
        PlainTextResponse(word, 403),
        JSONResponse({"Code": word, "RequestId": word}),
        JSONResponse({"Code": word, "RequestId": word, "Message": word}, 400),
        JSONResponse({"Response": {"Error": {"Code": word}, "RequestId": word}}),
    ):
        for faulty in ({"PUT", "GET", "POST"}, {"GET", "POST"}):
            made.fault = lambda seen, faulty=faulty, response=response: response if seen.method in faulty else None
            with pytest.raises(CredentialsError) as caught:
                await refreshing(made).get(fetch)
            shown.append(str(caught.value))
    text = f"{shown} {[record.getMessage() for record in caplog.records if record.name.startswith('exporter')]}"
    assert word not in text


async def test_an_object_without_credentials(failure, cloud):
    """An object without the documented fields raises an error."""
    made = cloud()
    made.fault = garbled(b"{}")
    assert (await failure(made))[1] in ("malformed", "auth")


@pytest.mark.parametrize("part", [0, 1, 2], ids=["id", "secret", "token"])
async def test_an_invalid_field(failure, cloud, part):
    """A missing or invalid field is named in the error, without its value."""
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


async def test_an_invalid_expiry(failure, cloud):
    """Credentials whose expiry is missing or not in a documented form are not used."""
    name = "Expiration" if "AccessKeyId" in cloud.names else "ExpiredTime"
    words = ["", "soon", "2026-13-01T00:00:00Z", "2026-11-22T00:00:00"]
    values: list[object] = [None, True, [], -1, 0, 1.5, 10**400, 1763800000000, *words]
    made = cloud()
    results = []
    for value in values:
        made.change = changed(name, value)
        results.append(await failure(made))
    assert results == [(f"returned no valid expiry time ({name})", "malformed")] * len(values)


async def test_expired_credentials(failure, cloud):
    """Expired credentials are not used."""
    made = cloud()
    made.lifetime = -60
    assert await failure(made) == ("returned credentials that have already expired", "auth")


@pytest.mark.parametrize(
    "answer",
    [Response(b"x" * 70000), Response(gzip.compress(b" " * 10**7), headers={"content-encoding": "gzip"})],
    ids=["long", "bomb"],
)
async def test_a_huge_response(refreshing, fetch, cloud, answer):
    """A response longer than 64 KiB is rejected."""
    made = cloud()
    made.fault = lambda seen: None if is_preliminary(seen) else answer
    with pytest.raises(CredentialsError, match=r"is larger than 65536 bytes$") as caught:
        await refreshing(made).get(fetch)
    assert caught.value.reason == "too_large"


async def test_a_slow_response(refreshing, fetch, cloud, monkeypatch):
    """A response that does not arrive in time raises a timeout."""
    for module, name in ((oidc, "STS_SECONDS"), (metadata, "METADATA_SECONDS")):
        monkeypatch.setattr(module, name, 0.2)
    made = cloud()
    made.delay = lambda _: 5.0
    with pytest.raises(CredentialsError, match=r"within 0\.2 s$") as caught:
        await refreshing(made).get(fetch)
    assert caught.value.reason == "timeout"


async def test_a_refused_connection(fetch, environment, cloud):
    """A refused connection is reported with its address."""
    source = RefreshingCredentials("testing", cloud().issuer(f"http://127.0.0.1:{free_port()}", environment))
    with pytest.raises(CredentialsError, match=r"127\.0\.0\.1:[0-9]+: Connection refused$") as caught:
        await source.get(fetch)
    assert caught.value.reason == "connect"


async def test_no_secret_is_shown(refreshing, fetch, cloud, caplog):
    """No representation, log line or error contains a secret or the token."""
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


async def test_additional_fields(refreshing, fetch, cloud):
    """Fields that the vendor adds to its response are ignored."""
    made = cloud()
    made.change = lambda fields: fields.update(LastUpdated=iso(time.time()), Added={"later": [1]})
    assert (await refreshing(made).get(fetch)).key_id == "id-1"
