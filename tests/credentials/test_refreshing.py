from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest
from starlette.responses import Response

from exporter.core.errors import CredentialsError
from exporter.core.http import Response as HttpResponse
from exporter.core.secrets import Credentials, Secret
from exporter.credentials import metadata, oss
from exporter.credentials.issuer_response import Issued
from exporter.credentials.refreshing import Issuer, RefreshingCredentials, seconds_since_boot
from tests.credentials.conftest import offline
from tests.credentials.issuers import Ecs, iso

pytestmark = pytest.mark.anyio

LOG = "exporter.credentials.refreshing"


@pytest.fixture
def ecs():
    return Ecs()


@pytest.fixture
def source(refreshing, ecs):
    return refreshing(ecs)


def broken(_seen):
    """The response of a broken issuer."""
    return Response(status_code=500)


def slow(_seen):
    """Seconds before a response."""
    return 0.1


async def renewed(source):
    """Waits for the renewal in progress."""
    await asyncio.wait({source._renewal})


async def failure(source, fetch):
    """The error that `get` raises."""
    with pytest.raises(CredentialsError) as caught:
        await source.get(fetch)
    return caught.value


async def test_credentials_are_reused(source, ecs, fetch):
    """Credentials are requested once, and reused while they are valid."""
    first = await source.get(fetch)
    assert first == Credentials("id-1", Secret("secret-1"), Secret("token-1"), source.expires)
    assert source.expires == pytest.approx(time.time() + 3600, abs=5)
    assert await source.get(fetch) is first
    assert ecs.issued == 1


@pytest.mark.parametrize(
    ("lifetime", "before"), [(43200, 900), (3600, 900), (3000, 750), (1200, 300), (60, 15)], ids=str
)
async def test_credentials_are_renewed_before_they_expire(source, ecs, clock, fetch, lifetime, before):
    """Credentials are renewed 15 minutes before their expiry, or a quarter of their lifetime if that is shorter."""
    ecs.lifetime = lifetime
    first = await source.get(fetch)
    clock.offset = lifetime - before - 5
    assert await source.get(fetch) == first
    assert ecs.issued == 1
    clock.offset = lifetime - before + 5
    assert await source.get(fetch) == first
    await renewed(source)
    assert (await source.get(fetch)).key_id == "id-2"
    assert source.expires == pytest.approx(time.time() + lifetime, abs=5)


async def test_a_slow_renewal_delays_no_scrape(source, ecs, clock, fetch):
    """Valid credentials are returned at once while they are renewed."""
    await source.get(fetch)
    clock.offset = 3000
    ecs.delay = slow
    assert (await source.get(fetch)).key_id == "id-1"
    assert not source._renewal.done()
    await renewed(source)
    assert (await source.get(fetch)).key_id == "id-2"


@pytest.mark.parametrize("offset", [0, 3000, 4000], ids=["at first", "in time", "too late"])
async def test_one_renewal_at_a_time(source, ecs, clock, fetch, offset):
    """Concurrent calls cause one request, and all return the same credentials."""
    if offset:
        await source.get(fetch)
    ecs.delay = slow
    before, clock.offset = ecs.issued, offset
    results = await asyncio.gather(*(source.get(fetch) for _ in range(50)))
    await renewed(source)
    assert ecs.issued == before + 1
    assert len(set(results)) == 1


async def test_a_cancelled_scrape_cancels_no_renewal(source, ecs, fetch):
    """A scrape that is cancelled while it waits does not cancel the renewal for others."""
    ecs.delay = slow
    waiting = [asyncio.create_task(source.get(fetch)) for _ in range(2)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    assert (await waiting[1]).key_id == "id-1"
    assert waiting[0].cancelled()


async def test_valid_credentials_while_a_renewal_fails(source, ecs, clock, fetch):
    """If a renewal fails, the credentials are used until they expire; then the error is raised until it succeeds."""
    end = (await source.get(fetch)).expires
    ecs.fault = broken
    for clock.offset in (2800, 3300, 3590):
        assert (await source.get(fetch)).key_id == "id-1"
        await renewed(source)
    clock.offset = 3602
    error = await failure(source, fetch)
    assert error.reason == "http_5xx"
    assert source.expires == end
    ecs.fault = lambda _: None
    assert (await source.get(fetch)).key_id == "id-2"


async def test_a_failed_renewal_waits(source, ecs, clock, fetch):
    """After a failure the next attempt waits for 30 seconds while the credentials are valid."""
    await source.get(fetch)
    ecs.fault = broken
    clock.offset = 2800
    requests = []
    for clock.offset in (2800, 2801, 2829, 2831):
        await source.get(fetch)
        await renewed(source)
        requests.append(len(ecs.seen))
    assert requests[0] == requests[1] == requests[2] < requests[3]


async def test_a_failure_without_credentials_is_not_remembered(source, ecs, fetch):
    """As long as there are no credentials, each call requests them."""
    ecs.fault = broken
    assert (await failure(source, fetch)).reason == "http_5xx"
    assert source.expires is None
    ecs.fault = lambda _: None
    assert (await source.get(fetch)).key_id == "id-1"


async def test_each_call_raises_its_own_error(source, ecs, fetch):
    """Concurrent calls raise equal errors, each a separate object."""
    ecs.fault = broken
    errors = await asyncio.gather(*(source.get(fetch) for _ in range(5)), return_exceptions=True)
    assert len({id(error) for error in errors}) == 5
    assert len({str(error) for error in errors}) == 1


async def test_a_warning_for_each_change(source, ecs, clock, fetch, caplog):
    """A warning is logged once per reason of a failed renewal, and its recovery is logged."""
    caplog.set_level(logging.INFO, "exporter.credentials")
    await source.get(fetch)

    async def renew_at(offset):
        clock.offset = offset
        await source.get(fetch)
        await renewed(source)
        lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == LOG]
        caplog.clear()
        return lines

    ecs.fault = broken
    prefix = "credentials not renewed, the current ones are used until they expire: the metadata service returned"
    assert await renew_at(2800) == [("WARNING", f"{prefix} 500: server error; will be retried")]
    assert await renew_at(2900) == []
    ecs.fault = lambda _: Response(status_code=429)
    assert await renew_at(3000) == [("WARNING", f"{prefix} 429: too many requests")]
    ecs.fault = lambda _: None
    assert await renew_at(3100) == [("INFO", "credentials renewed again")]
    assert await renew_at(3101) == []


async def test_warnings_name_the_account(source, ecs, clock, fetch, caplog):
    """A warning names the account and the source."""
    await source.get(fetch)
    ecs.fault, clock.offset = broken, 2800
    await source.get(fetch)
    await renewed(source)
    fields = [vars(record) for record in caplog.records if record.name == LOG]
    assert [(line["account"], line["source"]) for line in fields] == [("oss/prod", "testing")]


@pytest.mark.parametrize("skew", [-7200, 7200], ids=["behind", "ahead"])
async def test_a_wrong_clock(source, ecs, clock, fetch, skew):
    """The lifetime is measured by the issuer's clock, and the expiry is reported unchanged."""
    clock.skew = skew
    assert (await source.get(fetch)).key_id == "id-1"
    assert source.expires == pytest.approx(time.time() + 3600, abs=5)
    clock.offset = 2690
    await source.get(fetch)
    assert ecs.issued == 1
    clock.offset = 3602
    assert (await source.get(fetch)).key_id == "id-2"


@pytest.mark.parametrize("step", [-28800, 28800], ids=["back", "forward"])
async def test_a_clock_that_is_set(source, ecs, clock, fetch, step):
    """If the machine's clock is set, the lifetime that the issuer's clock measured stays as it is."""
    await source.get(fetch)
    clock.skew = step
    for clock.offset in (0, 2600):
        assert (await source.get(fetch)).key_id == "id-1"
    assert ecs.issued == 1
    clock.offset = 3602
    assert (await source.get(fetch)).key_id == "id-2"


class Dateless(Issuer):
    """Issues credentials for an hour, by a response without a Date: the machine's clock measures their lifetime."""

    requests = 0

    async def issue(self, _fetch, now):
        self.requests += 1
        expires = 1_800_003_600
        return Issued(Credentials(f"id-{self.requests}", Secret("s"), None, expires), expires - now, by_own_clock=True)


async def test_a_clock_that_is_set_after_it_measured_a_lifetime():
    """If the clock that measured a lifetime was 8 hours slow and is set right, new credentials are requested."""
    since_boot = 1000.0
    now = 1_800_000_000.0 - 8 * 3600
    source = RefreshingCredentials("testing", issuer := Dateless(), now=lambda: now, since_boot=lambda: since_boot)
    await source.get(offline)
    now, since_boot = now + 60, since_boot + 60
    assert (await source.get(offline)).key_id == "id-1"
    now += 8 * 3600
    assert (await source.get(offline)).key_id == "id-2"
    now, since_boot = now + 2600, since_boot + 2600
    assert (await source.get(offline)).key_id == "id-2"
    assert issuer.requests == 2


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}], ids=["none", "invalid"])
def test_a_response_without_a_date(headers):
    """Without a valid Date, the lifetime is measured with the machine's clock, and marked as such."""
    keys = {"AccessKeyId": "i", "AccessKeySecret": "s", "SecurityToken": "t", "Expiration": iso(1_800_003_600)}
    response = HttpResponse(200, headers, json.dumps({"Code": "Success", **keys}).encode())
    issued = metadata.parse_response(response, oss._NAMES, issuer="the issuer", now=1_800_000_000.0)
    assert (issued.lifetime, issued.by_own_clock) == (3600.0, True)


def test_the_clock_of_lifetimes_counts_a_suspended_machine(monkeypatch):
    """Lifetimes are kept on the clock that goes on while the machine is suspended, or else the monotonic one."""
    assert RefreshingCredentials("testing", Steady())._since_boot is seconds_since_boot
    assert seconds_since_boot() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", time.CLOCK_REALTIME)  # equal to the monotonic one until then
    assert seconds_since_boot() == pytest.approx(time.time(), abs=5)
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert seconds_since_boot() == pytest.approx(time.monotonic(), abs=5)


class Repeating(Issuer):
    """Returns the same credentials until they expire at the Unix time 3600."""

    def __init__(self):
        self.times: list[float] = []

    async def issue(self, _fetch, now):
        self.times.append(now)
        return Issued(Credentials("i", Secret("s"), None, 3600.0), 3600.0 - now)


async def test_an_issuer_that_repeats_its_credentials():
    """If an issuer returns the same credentials again, it is asked again by the same rule for the time that is left."""
    now = 0.0
    source = RefreshingCredentials("testing", issuer := Repeating(), now=lambda: now, since_boot=lambda: now)
    while now < 3500:
        await source.get(offline)
        await renewed(source)
        now += 1
    assert issuer.times == [0.0, 2700.0, 3375.0]


class Steady(Issuer):
    """Issues credentials whose expiry is unknown."""

    requests = 0

    async def issue(self, _fetch, _now):
        self.requests += 1
        return Issued(Credentials(f"id-{self.requests}", Secret("s")), None)


async def test_credentials_without_an_expiry(clock):
    """Credentials whose expiry is unknown are requested again after a minute."""
    source = RefreshingCredentials("testing", Steady(), since_boot=clock.since_boot)
    assert (await source.get(offline)).key_id == "id-1"
    for clock.offset in (59, 61):
        assert (await source.get(offline)).key_id == "id-1"
    await renewed(source)
    assert (await source.get(offline)).key_id == "id-2"
    assert source.expires is None


class Buggy(Issuer):
    """Has a bug."""

    async def issue(self, _fetch, _now):
        raise KeyError("hunter2")


async def test_an_internal_error(caplog):
    """An unexpected exception raises an error, and its traceback is logged."""
    error = await failure(RefreshingCredentials("testing", Buggy()), offline)
    assert (str(error), error.reason) == ("internal error (please report it): see the log", "internal")
    assert "KeyError" in caplog.text
