from __future__ import annotations

import asyncio
import itertools
import time
from email.utils import formatdate

import pytest

from exporter.client.session import BACKOFF_SECONDS, MAX_BACKOFF_SECONDS
from exporter.core.deadline import Deadline
from exporter.core.errors import ScrapeError, ServiceError
from exporter.simulator import Fault
from tests.rawserver import raw_server
from tests.rig import keys, rig, target_at

pytestmark = pytest.mark.anyio

TRANSIENT = {
    "408": (Fault("error", status=408, code="RequestTimeout", times=2), "http_4xx"),
    "429": (Fault("error", status=429, code="TooManyRequests", times=2), "throttled"),
    "500": (Fault("error", status=500, code="InternalError", times=2), "http_5xx"),
    "503": (Fault("error", status=503, code="ServiceUnavailable", times=2), "http_5xx"),
    "503 of a limit": (Fault("error", status=503, code="QpsLimitExceeded", times=2), "throttled"),
    "closed": (Fault("close", times=2), "connect"),
    "reset": (Fault("reset", times=2), "connect"),
    "cut": (Fault("cut", times=2), "connect"),
}
"""Transient faults → the reason under which they are counted."""

LASTING = {
    "400": Fault("error", status=400, code="InvalidArgument"),
    "403": Fault("error", status=403, code="AccessDenied"),
    "403 of a key": Fault("error", status=403, code="SignatureDoesNotMatch"),
    "404": Fault("error", status=404, code="NoSuchBucket"),
    "redirect": Fault("redirect", url="http://127.0.0.1:1/"),
    "too large": Fault("oversize", size=17 << 20),
    "wrong encoding": Fault("bad_encoding"),
}


def waits(store):
    """Seconds between the store's requests."""
    return [after.time - before.time for before, after in itertools.pairwise(store.requests)]


@pytest.mark.parametrize("name", TRANSIENT)
async def test_transient_faults_are_retried(name, store, store_url):
    """Requests that fail with a transient fault are sent again and counted, until one succeeds."""
    fault, reason = TRANSIENT[name]
    store.faults.add(fault)
    async with rig(target_at(store_url)) as parts:
        assert len((await parts.get()).jobs) == 25
    assert parts.counts() == (3, 2, 2)
    assert parts.failures() == {reason: 2}
    assert len(store.requests) == 3


@pytest.mark.parametrize("name", LASTING)
async def test_permanent_faults_are_not_retried(name, store, store_url):
    """A permanent error ends the call after one request."""
    store.faults.add(LASTING[name])
    async with rig(target_at(store_url)) as parts:
        with pytest.raises(ScrapeError) as caught:
            await parts.get()
    assert parts.counts() == (1, 1, 0)
    assert parts.failures() == {caught.value.reason: 1}
    assert len(store.requests) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_retries_limit_the_attempts(retries, store, store_url):
    """There are 1 + `retries` requests; the error of the last one is raised."""
    store.faults.add(Fault("error", status=500, code="InternalError"))
    async with rig(target_at(store_url, retries=retries)) as parts:
        with pytest.raises(ServiceError, match="500 InternalError"):
            await parts.get()
    assert parts.counts() == (retries + 1, retries + 1, retries)
    assert len(store.requests) == retries + 1


async def test_pauses_double(store, store_url):
    """Each pause is between half of and the whole doubled time, up to the maximum."""
    store.faults.add(Fault("error", status=500))
    async with rig(target_at(store_url, retries=2)) as parts:
        with pytest.raises(ServiceError):
            await parts.get()
    first, second = waits(store)
    assert BACKOFF_SECONDS / 2 <= first < BACKOFF_SECONDS + 5
    assert BACKOFF_SECONDS <= second < 2 * BACKOFF_SECONDS + 5
    error = ScrapeError("", reason="connect", transient=True)
    assert parts.client.session(parts.targets[0], Deadline(0.0))._pause(9, error) == MAX_BACKOFF_SECONDS / 2
    parts.client.jitter = lambda: 1.0
    assert parts.client.session(parts.targets[0], Deadline(0.0))._pause(9, error) == MAX_BACKOFF_SECONDS


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        (("Retry-After: 1",), 1.0),
        (("x-oss-qos-delay-time: 600",), 0.6),
        (("x-oss-qos-delay-time: 700", "Retry-After: 0.3"), 0.7),
    ],
    ids=["seconds", "milliseconds", "the longer of both"],
)
async def test_the_requested_wait_is_respected(headers, least, store, store_url):
    """The wait that Retry-After or x-oss-qos-delay-time requests is never shortened."""
    store.faults.add(Fault("error", status=503, code="QpsLimitExceeded", headers=headers, times=1))
    async with rig(target_at(store_url)) as parts:
        await parts.get()
    assert least <= waits(store)[0] < least + 5


async def test_a_date_in_retry_after_is_respected():
    """A date in Retry-After counts from the response's own Date, not from this machine's clock."""
    times = []
    long_ago = 1_700_000_000

    async def busy(peer):
        times.append(time.monotonic())
        if len(times) > 1:
            await peer.answer()
        else:
            dates = [f"Date: {formatdate(long_ago)}", f"Retry-After: {formatdate(long_ago + 1)}"]
            await peer.answer(b"", "503 Busy", *dates)

    async with raw_server(busy) as host, rig(target_at(f"http://{host}")) as parts:
        assert (await parts.get()).jobs == []
    assert 1.0 <= times[1] - times[0] < 6


@pytest.mark.parametrize("header", ["Retry-After: 60", "x-oss-qos-delay-time: 60000"])
async def test_a_wait_beyond_the_deadline_fails_at_once(header, store, store_url):
    """If the wait would end after the deadline, the service's error is returned at once instead of a timeout."""
    store.faults.add(Fault("error", status=503, code="QpsLimitExceeded", headers=(header,)))
    async with rig(target_at(store_url)) as parts:
        start = time.monotonic()
        error = await parts.failure(30.0)
    assert time.monotonic() - start < 15
    assert error.reason == "throttled"
    assert "503 QpsLimitExceeded" in str(error)
    assert parts.counts() == (1, 1, 0)


async def test_each_attempt_is_signed_again(store, store_url):
    """A retry is signed with its own time, so it has a different signature."""
    clock = itertools.count(int(time.time()))
    store.faults.add(Fault("error", status=500, times=2))
    async with rig(target_at(store_url), now=lambda: float(next(clock))) as parts:
        await parts.get()
    headers = [seen.raw.headers for seen in store.requests]
    assert len({header["x-oss-date"] for header in headers}) == 3
    assert len({header["authorization"] for header in headers}) == 3
    assert [seen.status for seen in store.requests] == [500, 500, 200]


async def test_keys_are_read_at_each_attempt(store, store_url):
    """Keys that change between two attempts are used at the next attempt."""
    returned = []

    class Rotating:
        name = "rotating"
        expires = None

        async def get(self, fetch):
            returned.append(await good.credentials.get(fetch))
            return returned[-1]

    good = target_at(store_url)
    store.faults.add(Fault("error", status=500, times=1))
    async with rig(target_at(store_url, credentials=Rotating())) as parts:
        await parts.get()
    assert len(returned) == 2


async def test_a_request_that_the_deadline_ends_is_counted(store, store_url):
    """A request cancelled at the deadline counts as sent, and as failed with `timeout`."""
    store.faults.add(Fault("delay", seconds=5))
    async with rig(target_at(store_url)) as parts:
        assert (await parts.failure(0.3)).reason == "timeout"
        async with asyncio.timeout(5):
            while parts.counts() != (1, 1, 0):  # noqa: ASYNC110 - the cancelled request counts itself later
                await asyncio.sleep(0.01)
    assert parts.failures() == {"timeout": 1}


async def test_a_malformed_response_is_counted(store, store_url):
    """A malformed page counts as one failed request."""
    store.faults.add(Fault("empty"))
    async with rig(target_at(store_url)) as parts:
        assert (await parts.failure()).reason == "malformed"
    assert parts.counts() == (1, 1, 0)
    assert parts.failures() == {"malformed": 1}


@pytest.mark.parametrize(
    ("offset", "sentence"),
    [
        (3600, "; this machine's clock is 3600 s fast"),
        (-3600, "; this machine's clock is 3600 s slow"),
    ],
)
async def test_a_wrong_clock_is_reported(offset, sentence, store, store_url):
    """If the service refuses the signature's time, the message says how far this machine's clock is off."""
    now = int(time.time())
    store.clock = lambda: now
    async with rig(target_at(store_url), now=lambda: now + offset) as parts:
        error = await parts.failure()
    assert isinstance(error, ServiceError)
    assert (error.reason, error.code) == ("auth", "RequestTimeTooSkewed")
    text = str(error).replace("3599 s", "3600 s").replace("3601 s", "3600 s")  # the server's Date is in seconds
    assert text.endswith(sentence)


async def test_a_right_clock_is_not_mentioned(store, store_url):
    """A refused signature with a right clock, or another error with a wrong one, does not mention the clock."""
    async with rig(target_at(store_url, credentials=keys(secret="wrong"))) as parts:
        assert "clock" not in str(await parts.failure())
    store.faults.add(Fault("error", status=400, code="InvalidArgument"))
    async with rig(target_at(store_url), now=lambda: time.time() + 600) as parts:
        assert "clock" not in str(await parts.failure())


@pytest.mark.parametrize("date", [None, "yesterday", "Thu, 99 Nov 2023 99:99:99 GMT"])
async def test_a_response_without_a_date_mentions_no_clock(date):
    """An error response without a readable Date does not mention the clock."""

    async def refuse(peer):
        await peer.answer(
            b"<Error><Code>InvalidAccessKeyId</Code></Error>", "403 No", *([f"Date: {date}"] if date else [])
        )

    async with raw_server(refuse) as host, rig(target_at(f"http://{host}"), now=lambda: 0.0) as parts:
        error = await parts.failure()
    assert error.reason == "auth"
    assert "clock" not in str(error)
