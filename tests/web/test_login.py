"""The guard in front of all routes: login, rate limit, headers; over real sockets."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import httpx
import pytest
import yaml
from starlette.responses import PlainTextResponse

from exporter.web.login import MAX_WAITING, Guard
from exporter.web.web_config import WebConfigFile
from tests.serving import serve

CHEAP, COSTLY = 4, 12
"""Cost of a bcrypt hash: about a millisecond, and a quarter of a second."""


@pytest.fixture
def guarded(tmp_path):
    """Serves a page behind the given web configuration, and yields a client that has no login of its own."""

    @contextlib.contextmanager
    def serving(clock=None, **document):
        path = tmp_path / "web.yml"
        path.write_text(yaml.safe_dump(document))
        clocks = {} if clock is None else {"clock": clock}
        app = Guard(PlainTextResponse("the page"), WebConfigFile(path), **clocks)
        limits = httpx.Limits(max_connections=None)
        with serve(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60, limits=limits) as client:
            yield client

    return serving


def hashed(password, cost=CHEAP):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def test_only_the_right_password_passes(guarded):
    """The right password gets the page each time; any other header gets a 401 that asks for a login."""
    with guarded(basic_auth_users={"alice": hashed("right"), "bob": hashed("other")}) as client:
        assert [client.get("/", auth=("alice", "right")).status_code for _ in range(2)] == [200, 200]
        for headers in (
            {},
            {"authorization": "Bearer abc"},
            {"authorization": "Basic !!!"},
            {"authorization": "Basic YWxpY2U="},
            {"authorization": "Basic /////w=="},
        ):
            refused = client.get("/", headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Basic")
        for login in (("alice", "wrong"), ("alice", ""), ("bob", "right"), ("carol", "right"), ("", "")):
            assert client.get("/", auth=login).status_code == 401


def test_a_password_longer_than_bcrypt_hashes_is_wrong(guarded):
    """A password whose first 72 bytes are right is wrong, as it is another password."""
    password = "x" * 72
    with guarded(basic_auth_users={"alice": hashed(password)}) as client:
        assert client.get("/", auth=("alice", password)).status_code == 200
        assert client.get("/", auth=("alice", password + "y")).status_code == 401


def test_checks_are_bounded_and_known_logins_pass_meanwhile(guarded):
    """While many passwords, also of unknown users, wait for their check, more get a 503, and a known login passes."""
    users = {"slow": hashed("secret", COSTLY), "alice": hashed("right")}
    with guarded(basic_auth_users=users) as client, ThreadPoolExecutor(MAX_WAITING + 10) as threads:
        assert client.get("/", auth=("alice", "right")).status_code == 200
        waiting = [
            threads.submit(client.get, "/", auth=(("slow", "unknown")[number % 2], "wrong"))
            for number in range(MAX_WAITING + 10)
        ]
        assert client.get("/", auth=("alice", "right")).status_code == 200
        assert not all(call.done() for call in waiting)
        responses = [call.result() for call in waiting]
    statuses = [response.status_code for response in responses]
    assert statuses.count(503) >= 1
    assert statuses.count(401) >= MAX_WAITING
    assert len(statuses) == statuses.count(503) + statuses.count(401)
    assert {response.headers.get("retry-after") for response in responses if response.status_code == 503} == {"1"}


def test_the_rate_limit_is_a_token_bucket(guarded):
    """After a burst, one request passes for each interval; the others get a 429."""
    now = [100.0]
    with guarded(lambda: now[0], rate_limit={"interval": "10s", "burst": 2}) as client:

        def statuses(number):
            return [client.get("/").status_code for _ in range(number)]

        assert statuses(3) == [200, 200, 429]
        now[0] += 15
        assert statuses(2) == [200, 429]
        now[0] += 5
        assert statuses(2) == [200, 429]
        now[0] += 1000
        assert statuses(3) == [200, 200, 429]


def test_values_that_need_care(guarded):
    """A header's value may end with a blank, and a hash may be of the first bcrypt; both are valid elsewhere."""
    users = {"alice": hashed("right").replace("$2b$", "$2$")}
    headers = {"Strict-Transport-Security": "max-age=1 "}
    with guarded(http_server_config={"headers": headers}, basic_auth_users=users) as client:
        assert client.get("/", auth=("alice", "wrong")).status_code == 401
        page = client.get("/", auth=("alice", "right"))
        assert (page.status_code, page.headers["strict-transport-security"]) == (200, "max-age=1")


def test_headers_are_set_on_every_response(guarded):
    """The configured headers are on pages and on refusals."""
    headers = {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=3600"}
    with guarded(http_server_config={"headers": headers}, basic_auth_users={"alice": hashed("right")}) as client:
        for response in (client.get("/"), client.get("/", auth=("alice", "right"))):
            assert headers.items() <= {name.title(): text for name, text in response.headers.items()}.items()
