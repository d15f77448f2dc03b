from __future__ import annotations

import asyncio
import threading
import time

import pytest

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials import sdk
from exporter.credentials.sdk import Identity
from exporter.credentials.sdk_aws import AwsSdk
from tests.credentials.conftest import offline

pytestmark = pytest.mark.anyio


class Slow(AwsSdk):
    """A package that blocks until `go` is set."""

    extra = "slow"
    module = "json"

    def __init__(self):
        super().__init__(Identity())
        self.go = threading.Event()
        self.threads = []

    def load(self, *, fresh=False):  # noqa: ARG002 - it keeps nothing
        self.threads.append(threading.current_thread())
        self.go.wait(10)
        return Credentials("i", Secret("s"))


class Raising(Slow):
    """A package that raises."""

    def __init__(self, error):
        self.error = error

    def load(self, *, fresh=False):  # noqa: ARG002 - it keeps nothing
        raise self.error


class Refused(Exception):
    """An error like those of Tencent's package."""

    def __init__(self, code):
        self.code = code
        super().__init__("hunter2")

    def get_code(self):
        return self.code


@pytest.fixture
def slow():
    """A package that no longer blocks when the test ends."""
    package = Slow()
    yield package
    package.go.set()


async def failure(issuer):
    with pytest.raises(CredentialsError) as caught:
        await issuer.issue(offline, time.time())
    return str(caught.value), caught.value.reason


async def test_the_event_loop_is_not_blocked(slow):
    """While a package blocks, the event loop runs."""
    result = asyncio.create_task(sdk.SdkIssuer(slow).issue(offline, time.time()))
    for _ in range(10):
        await asyncio.sleep(0.001)
    assert not result.done()
    slow.go.set()
    issued = await result
    assert (issued.credentials.key_id, issued.lifetime) == ("i", None)


async def test_a_package_that_hangs(slow, monkeypatch):
    """A package that hangs raises a timeout, starts no second thread, and its late result is used."""
    monkeypatch.setattr(sdk, "SDK_SECONDS", 0.05)
    issuer = sdk.SdkIssuer(slow)
    for _ in range(3):
        assert await failure(issuer) == ("json returned no credentials within 0.05 s", "timeout")
    assert len(slow.threads) == 1
    slow.go.set()
    monkeypatch.setattr(sdk, "SDK_SECONDS", 5)
    assert (await issuer.issue(offline, time.time())).credentials.key_id == "i"
    assert len(slow.threads) == 1


async def test_the_thread_is_a_daemon(slow, monkeypatch):
    """A package that hangs does not delay the end of the process."""
    monkeypatch.setattr(sdk, "SDK_SECONDS", 0.05)
    await failure(sdk.SdkIssuer(slow))
    assert [thread.daemon for thread in slow.threads] == [True]


@pytest.mark.parametrize(
    ("error", "message", "reason"),
    [
        (KeyError("hunter2"), "json returned no credentials: KeyError", "config"),
        (SystemExit(7), "json returned no credentials: SystemExit", "config"),
        (ConnectionRefusedError("hunter2"), "json returned no credentials: ConnectionRefusedError", "connect"),
        (Refused("AuthFailure.X"), "json returned no credentials: Refused (AuthFailure.X)", "auth"),
        (Refused("ClientNetworkError"), "json returned no credentials: Refused (ClientNetworkError)", "connect"),
        (Refused("ClientError"), "json returned no credentials: Refused (ClientError)", "config"),
        (Refused("hunter2 said no"), "json returned no credentials: Refused", "config"),
        (Refused(None), "json returned no credentials: Refused", "config"),
    ],
    ids=["bug", "exit", "connect", "refused", "network", "client", "invalid code", "no code"],
)
async def test_what_a_package_raises(error, message, reason):
    """An exception of a package is reported by its type and code, without its message."""
    assert await failure(sdk.SdkIssuer(Raising(error))) == (message, reason)


async def test_expired_credentials(slow):
    """Expired credentials of a package are not used."""
    slow.load = lambda **_: Credentials("i", Secret("s"), None, time.time() - 1)
    assert await failure(sdk.SdkIssuer(slow)) == ("json returned credentials that have already expired", "auth")


async def test_the_expiry_of_a_package(slow):
    """The lifetime ends at the expiry that a package returns."""
    slow.load = lambda **_: Credentials("i", Secret("s"), None, 5000.0)
    assert (await sdk.SdkIssuer(slow).issue(offline, 2000.0)).lifetime == 3000.0


async def test_keys_that_were_refused(slow):
    """After a refusal the package is asked once for other credentials than those that it keeps."""
    asked = []

    def load(*, fresh):
        asked.append(fresh)
        return Credentials("i", Secret("s"))

    slow.load = load
    issuer = sdk.SdkIssuer(slow)
    await issuer.issue(offline, time.time())
    issuer.forget()
    for _ in range(2):
        await issuer.issue(offline, time.time())
    assert asked == [False, True, False]


@pytest.mark.parametrize("key", ["", "a b", "a\n", "é"], ids=ascii)
async def test_a_key_that_cannot_be_sent(slow, key):
    """A key that no HTTP header allows is not used."""
    slow.load = lambda **_: Credentials("i", Secret(key))
    text, reason = await failure(sdk.SdkIssuer(slow))
    assert text.startswith(("json returned a key that is empty", "json returned a key that contains a character"))
    assert reason == "malformed"
