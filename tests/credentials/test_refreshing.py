from __future__ import annotations

import asyncio
import logging
import time

import pytest
from starlette.responses import Response

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.issuer_response import Issued
from exporter.credentials.refreshing import RefreshingCredentials
from tests.credentials.conftest import offline
from tests.credentials.issuers import Ecs

pytestmark = pytest.mark.anyio

LOG = "exporter.credentials.refreshing"


@pytest.fixture
def ecs():
    return Ecs()


@pytest.fixture
def source(refreshing, ecs):
    return refreshing(ecs)


def broken(_seen):
    """Nothing but errors."""
    return Response(status_code=500)


def slow(_seen):
    """Seconds that an answer takes."""
    return 0.1


async def renewed(source):
    """Wait for the renewal that is under way."""
    await asyncio.wait({source._renewal})


async def failure(source, fetch):
    """The error that `get` raises."""
    with pytest.raises(CredentialsError) as caught:
        await source.get(fetch)
    return caught.value


async def test_keys_are_kept(source, ecs, fetch):
    """Keys are asked for once, whole and with their end, and used again while they are good."""
    first = await source.get(fetch)
    assert first == Credentials("id-1", Secret("secret-1"), Secret("token-1"), source.expires)
    assert source.expires == pytest.approx(time.time() + 3600, abs=5)
    assert await source.get(fetch) is first
    assert ecs.issued == 1


@pytest.mark.parametrize(
    ("lifetime", "before"), [(43200, 900), (3600, 900), (3000, 750), (1200, 300), (60, 15)], ids=str
)
async def test_keys_are_renewed_before_they_expire(source, ecs, clock, fetch, lifetime, before):
    """Keys are renewed 15 minutes before they expire, or when a quarter of a shorter life is left, and not earlier."""
    ecs.lifetime = lifetime
    first = await source.get(fetch)
    clock.offset = lifetime - before - 5
    assert await source.get(fetch) == first
    assert ecs.issued == 1
    clock.offset = lifetime - before + 1
    assert await source.get(fetch) == first
    await renewed(source)
    assert (await source.get(fetch)).key_id == "id-2"
    assert source.expires == pytest.approx(time.time() + lifetime, abs=5)


async def test_a_slow_renewal_delays_nobody(source, ecs, clock, fetch):
    """While keys are renewed that are still good, they are given at once."""
    await source.get(fetch)
    clock.offset = 3000
    ecs.delay = slow
    assert (await source.get(fetch)).key_id == "id-1"
    assert not source._renewal.done()
    await renewed(source)
    assert (await source.get(fetch)).key_id == "id-2"


@pytest.mark.parametrize("offset", [0, 3000, 4000], ids=["at first", "in time", "too late"])
async def test_one_renewal_at_a_time(source, ecs, clock, fetch, offset):
    """However many ask at once, keys are asked for once; all get the same."""
    if offset:
        await source.get(fetch)
    ecs.delay = slow
    before, clock.offset = ecs.issued, offset
    found = await asyncio.gather(*(source.get(fetch) for _ in range(50)))
    await renewed(source)
    assert ecs.issued == before + 1
    assert len(set(found)) == 1


async def test_who_gives_up_ends_nothing(source, ecs, fetch):
    """A scrape that ends while it waits for keys does not end the waiting of others."""
    ecs.delay = slow
    waiting = [asyncio.create_task(source.get(fetch)) for _ in range(2)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    assert (await waiting[1]).key_id == "id-1"
    assert waiting[0].cancelled()


async def test_old_keys_while_a_renewal_fails(source, ecs, clock, fetch):
    """Where a renewal fails the old keys are used until they really expire; then it is an error; then it may heal."""
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
    """After a failure the issuer is left in peace for half a minute, as long as the old keys are good."""
    await source.get(fetch)
    ecs.fault = broken
    clock.offset = 2800
    asked = []
    for clock.offset in (2800, 2801, 2829, 2831):
        await source.get(fetch)
        await renewed(source)
        asked.append(len(ecs.seen))
    assert asked[0] == asked[1] == asked[2] < asked[3]


async def test_nothing_is_remembered_of_a_failure_without_keys(source, ecs, fetch):
    """Where there are no keys yet, each use asks for them."""
    ecs.fault = broken
    assert (await failure(source, fetch)).reason == "http_5xx"
    assert source.expires is None
    ecs.fault = lambda _: None
    assert (await source.get(fetch)).key_id == "id-1"


async def test_each_gets_an_error_of_its_own(source, ecs, fetch):
    """All that wait for a renewal are told why it failed, each by an error that the others do not hold."""
    ecs.fault = broken
    errors = await asyncio.gather(*(source.get(fetch) for _ in range(5)), return_exceptions=True)
    assert len({id(error) for error in errors}) == 5
    assert len({str(error) for error in errors}) == 1


async def test_a_warning_for_each_change(source, ecs, clock, fetch, caplog):
    """A renewal that fails is told once, told again where it fails for another reason, and its recovery is told."""
    caplog.set_level(logging.INFO, "exporter.credentials")
    await source.get(fetch)

    async def renew_at(offset):
        clock.offset = offset
        await source.get(fetch)
        await renewed(source)
        told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == LOG]
        caplog.clear()
        return told

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
    """A warning says whose keys it is about."""
    await source.get(fetch)
    ecs.fault, clock.offset = broken, 2800
    await source.get(fetch)
    await renewed(source)
    facts = [vars(record) for record in caplog.records if record.name == LOG]
    assert [(fact["account"], fact["source"]) for fact in facts] == [("oss/prod", "testing")]


@pytest.mark.parametrize("skew", [-7200, 7200], ids=["behind", "ahead"])
async def test_a_clock_that_is_off(source, ecs, clock, fetch, skew):
    """Keys live as long as the issuer says by its own clock, whatever this machine's says; their end is told as is."""
    clock.offset = skew
    assert (await source.get(fetch)).key_id == "id-1"
    assert source.expires == pytest.approx(time.time() + 3600, abs=5)
    clock.offset = skew + 2690
    await source.get(fetch)
    assert ecs.issued == 1
    clock.offset = skew + 3602
    assert (await source.get(fetch)).key_id == "id-2"


class Steady:
    """Gives keys of which nobody tells when they expire."""

    asked = 0

    async def issue(self, _fetch, _now):
        self.asked += 1
        return Issued(Credentials(f"id-{self.asked}", Secret("s")), None)


async def test_keys_without_an_end(clock):
    """Keys of which nobody tells the end are asked for again after a minute."""
    source = RefreshingCredentials("testing", Steady(), now=clock)
    assert (await source.get(offline)).key_id == "id-1"
    for clock.offset in (59, 61):
        assert (await source.get(offline)).key_id == "id-1"
    await renewed(source)
    assert (await source.get(offline)).key_id == "id-2"
    assert source.expires is None


class Faulty:
    """Has a fault."""

    async def issue(self, _fetch, _now):
        raise KeyError("hunter2")


async def test_a_fault_of_our_own(clock, caplog):
    """What nobody foresaw is an error of the credentials, and stands whole in the log."""
    error = await failure(RefreshingCredentials("testing", Faulty(), now=clock), offline)
    assert (str(error), error.reason) == ("internal error (please report it): see the log", "config")
    assert "KeyError" in caplog.text
