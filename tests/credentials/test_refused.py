"""What happens if the service refuses the keys: their source is asked for others, and the request is sent again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time

import pytest
from starlette.responses import Response

from exporter.core.deadline import Deadline
from exporter.core.errors import ServiceError
from exporter.core.interfaces import Refusals
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.issuer_response import Issued
from exporter.credentials.key_files import KeyFile
from exporter.credentials.refreshing import Issuer, RefreshingCredentials
from exporter.credentials.static import StaticCredentials
from exporter.providers.cos import Cos
from exporter.providers.endpoint import Endpoint
from exporter.providers.oss import Oss
from exporter.providers.s3 import S3
from tests.credentials.conftest import offline
from tests.credentials.issuers import CLOUDS
from tests.rawserver import raw_server
from tests.rig import rig, target_at

pytestmark = pytest.mark.anyio

HOURS = 3600.0


class Numbered(Issuer):
    """Issues the keys `id-1`, `id-2` and so on, valid for 6 hours; after `last` the same ones again."""

    def __init__(self, last=99):
        self.last = last
        self.requests = 0
        self.hanging = None
        self.forgotten = 0

    def forget(self):
        self.forgotten += 1

    async def issue(self, fetch, now):
        self.requests += 1
        assert callable(fetch)
        if self.hanging and self.requests > 1:
            await self.hanging.wait()
        key_id = f"id-{min(self.requests, self.last)}"
        return Issued(Credentials(key_id, Secret("s"), Secret("t"), now + 6 * HOURS + self.requests), 6 * HOURS)


def provider(name, address):
    """The provider `name` at `address`."""
    endpoint = Endpoint("http", address)
    return {
        "oss": lambda: Oss(endpoint, "cn-hangzhou"),
        "cos": lambda: Cos(endpoint, "1250000000"),
        "s3": lambda: S3(endpoint, "eu-central-1", "111122223333"),
    }[name]()


@contextlib.asynccontextmanager
async def service(refuses, code="InvalidAccessKeyId", status="403 Forbidden"):
    """The address of a service that answers `code` to requests that `refuses` picks by their head, and else `fine`."""

    async def answer(peer):
        if refuses(peer.head.decode()):
            await peer.answer(f"<Error><Code>{code}</Code></Error>".encode(), status)
        else:
            await peer.answer(b"fine")

    async with raw_server(answer) as address:
        yield address


async def request(parts):
    """The body of one request of the first target."""
    target = parts.targets[0]
    session = parts.client.session(target, Deadline(time.monotonic() + 10.0))
    return await session.get(target.provider.list_request(None), bytes)


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("oss", "InvalidAccessKeyId", 403),
        ("oss", "SecurityTokenExpired", 403),
        ("oss", "InvalidSecurityToken", 403),
        ("oss", "SignatureDoesNotMatch", 403),
        ("cos", "InvalidAccessKeyId", 403),
        ("cos", "ExpiredToken", 403),
        ("cos", "SignatureDoesNotMatch", 403),
        ("s3", "ExpiredToken", 400),
        ("s3", "TokenRefreshRequired", 400),
        ("s3", "InvalidToken", 400),
        ("s3", "InvalidAccessKeyId", 403),
        ("s3", "Unknown", 401),
    ],
)
async def test_refused_keys_are_replaced_at_once(name, code, status):
    """Keys that a service refuses long before they expire are requested again, and the request is sent again."""
    source = RefreshingCredentials("oidc", issuer := Numbered())
    async with (
        service(lambda head: "id-1" in head, code, f"{status} No") as address,
        rig(target_at(f"http://{address}", provider=provider(name, address), credentials=source)) as parts,
    ):
        assert await request(parts) == b"fine"
        assert parts.counts() == (2, 1, 1)
        assert parts.failures() == {"auth": 1}
        assert await request(parts) == b"fine"
        assert parts.counts() == (3, 1, 1)
    assert issuer.requests == 2


async def test_a_permission_that_is_missing_is_no_refusal_of_the_keys():
    """AccessDenied is about a permission, so the keys are kept."""
    source = RefreshingCredentials("oidc", issuer := Numbered())
    async with (
        service(lambda _: True, "AccessDenied") as address,
        rig(target_at(f"http://{address}", credentials=source)) as parts,
    ):
        assert (await parts.failure()).reason == "access_denied"
        assert parts.counts() == (1, 1, 0)
    assert issuer.requests == 1


async def test_the_same_keys_are_not_sent_again():
    """If the issuer returns the same keys, the refusal is reported and nothing is sent again; so for 30 seconds."""
    source = RefreshingCredentials("oidc", issuer := Numbered(last=1))
    async with (
        service(lambda _: True) as address,
        rig(target_at(f"http://{address}", credentials=source)) as parts,
    ):
        for requests in (1, 2, 3):
            assert (await parts.failure()).reason == "auth"
            assert parts.counts() == (requests, requests, 0)
    assert issuer.requests == 2


async def test_new_keys_that_are_refused_too():
    """One retry is made; the issuer is not asked a second time within 30 seconds."""
    source = RefreshingCredentials("oidc", issuer := Numbered())
    async with (
        service(lambda _: True) as address,
        rig(target_at(f"http://{address}", credentials=source)) as parts,
    ):
        assert (await parts.failure()).reason == "auth"
        assert parts.counts() == (2, 2, 1)
        assert (await parts.failure()).reason == "auth"
        assert parts.counts() == (3, 3, 1)
    assert issuer.requests == 2


async def test_an_issuer_that_hangs_hides_no_refusal():
    """If the issuer does not respond in time, the refusal is reported, and not a timeout."""
    source = RefreshingCredentials("oidc", issuer := Numbered())
    issuer.hanging = asyncio.Event()
    async with (
        service(lambda _: True) as address,
        rig(target_at(f"http://{address}", credentials=source, timeout=1.0)) as parts,
    ):
        assert (await parts.failure()).reason == "auth"
        assert parts.counts() == (1, 1, 0)
        issuer.hanging.set()
        assert source._renewal is not None
        await asyncio.wait({source._renewal})
        assert (await source.get(offline)).key_id == "id-2"


async def test_keys_that_others_refuse_are_still_used():
    """While new keys are requested because one region refused the keys, other regions get them at once."""
    source = RefreshingCredentials("oidc", issuer := Numbered())
    keys = await source.get(offline)
    issuer.hanging = asyncio.Event()
    refusing = asyncio.create_task(source.refused(keys, offline, Refusals()))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await source.get(offline) == keys
    assert not refusing.done()
    issuer.hanging.set()
    await refusing
    assert (await source.get(offline)).key_id == "id-2"


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_each_issuer_is_asked_again(refreshing, fetch, cloud):
    """After a refusal each kind of issuer is asked again, once for all that were refused."""
    made = cloud()
    source = refreshing(made)
    keys = await source.get(fetch)
    for _ in range(10):
        await source.refused(keys, fetch, Refusals())
    found = await asyncio.gather(*(source.get(fetch) for _ in range(10)))
    assert {keys.key_id for keys in found} == {"id-2"}
    await source.refused(keys, fetch, Refusals())  # a late answer to the old keys
    assert (await source.get(fetch)).key_id == "id-2"
    assert made.issued == 2


async def test_at_most_every_30_seconds(clock):
    """However often keys are refused, the issuer is asked at most every 30 seconds."""
    source = RefreshingCredentials("oidc", issuer := Numbered(), since_boot=clock.since_boot)
    requests = []
    for clock.offset in (0, 1, 29, 30.5, 59, 61.5):
        await source.refused(await source.get(offline), offline, Refusals())
        await source.get(offline)
        requests.append(issuer.requests)
    assert requests == [2, 2, 2, 3, 3, 4]
    assert issuer.forgotten == 3


async def asked_at(source, issuer, clock, times, refusals=None):
    """At which of `times` the issuer is asked, if the keys are refused at each; by a target with `refusals`."""
    refusals = refusals or Refusals()
    asked = []
    for clock.offset in times:
        before = issuer.requests
        await source.refused(await source.get(offline), offline, refusals)
        if issuer.requests > before:
            asked.append(clock.offset)
    return asked


@pytest.mark.parametrize("last", [1, 99], ids=["same keys", "new keys"])
async def test_a_lasting_refusal_is_asked_about_less_and_less(clock, last):
    """While the service refuses all keys, the pauses grow from 30 seconds to 15 minutes, for all regions together."""
    source = RefreshingCredentials("oidc", issuer := Numbered(last), since_boot=clock.since_boot)
    await source.get(offline)
    regions = [Refusals() for _ in range(20)]
    asked = []
    for second in range(0, 4 * 3600, 15):
        for refusals in regions:
            asked += await asked_at(source, issuer, clock, [second], refusals)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[:6] == [30, 60, 120, 240, 480, 900]
    assert set(pauses[6:]) == {900}


async def test_a_region_that_is_always_refused_does_not_delay_others(clock):
    """A region whose keys are refused for the first time has new ones at once, whatever happened to another one."""
    source = RefreshingCredentials("oidc", issuer := Numbered(), since_boot=clock.since_boot)
    await source.get(offline)
    broken = Refusals()
    await asked_at(source, issuer, clock, range(0, 4000, 10), broken)
    assert await asked_at(source, issuer, clock, [4000]) == [4000]
    assert await asked_at(source, issuer, clock, [4010, 4029.5, 4031]) == [4031]


async def test_keys_that_were_replaced_end_the_pause(clock):
    """After keys were replaced because they expire, and not because of a refusal, the next refusal is the first."""
    source = RefreshingCredentials("oidc", issuer := Numbered(), since_boot=clock.since_boot)
    await source.get(offline)
    refusals = Refusals()
    asked = await asked_at(source, issuer, clock, range(0, 4000, 10), refusals)
    clock.offset = renewed = asked[-1] + 6 * HOURS - 10  # the last 15 minutes before they expire
    await source.get(offline)
    assert source._renewal is not None
    await asyncio.wait({source._renewal})
    later = [renewed + 1, renewed + 20, renewed + 32]
    assert await asked_at(source, issuer, clock, later, refusals) == [renewed + 1, renewed + 32]


@pytest.mark.parametrize("denied", [False, True])
async def test_keys_that_are_good_end_the_pause(clock, denied):
    """After a response that shows that the keys are good, the issuer is asked at once when they are refused again."""
    good = False
    source = RefreshingCredentials("oidc", issuer := Numbered(), since_boot=clock.since_boot)

    async def answer(peer):
        code = "InvalidAccessKeyId" if not good else "AccessDenied"
        if good and not denied:
            await peer.answer(b"fine")
        else:
            await peer.answer(f"<Error><Code>{code}</Code></Error>".encode(), "403 Forbidden")

    async with (
        raw_server(answer) as address,
        rig(target_at(f"http://{address}", credentials=source)) as parts,
    ):

        async def scrape(*times):
            before = issuer.requests
            for clock.offset in times:
                await parts.snapshot()
            return issuer.requests - before

        assert await scrape(*range(0, 2000, 40)) < 12
        assert await scrape(2000, 2040) == 0
        assert [*parts.client.refusals] == [parts.targets[0].name]
        good = True
        with contextlib.suppress(ServiceError):  # of a missing permission
            await request(parts)
        good = False
        assert await scrape(2080) == 1


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_refused_keys_are_kept_if_the_issuer_fails(refreshing, fetch, clock, cloud):
    """If the issuer fails after a refusal, the old keys are used on, and it is asked again after 30 seconds."""
    made = cloud()
    source = refreshing(made)
    keys = await source.get(fetch)
    made.fault = lambda _: Response(status_code=500)
    await source.refused(keys, fetch, Refusals())
    assert await source.get(fetch) == keys
    made.fault = lambda _: None
    assert await source.get(fetch) == keys
    clock.offset = 31
    assert await source.get(fetch) == keys  # renewed in the background
    await asyncio.wait({source._renewal})
    assert (await source.get(fetch)).key_id == "id-2"


@pytest.mark.parametrize("word", ["environment", "static"])
async def test_keys_that_cannot_change(read, word):
    """Variables and literals cannot change, so nothing is sent again."""
    mapping = {"source": "static", "id": "id-1", "secret": "s"} if word == "static" else {"source": word}
    source, problems = read(mapping, {"A_ID": "id-1", "A_SECRET": "s"})
    assert not problems
    async with (
        service(lambda _: True) as address,
        rig(target_at(f"http://{address}", credentials=source)) as parts,
    ):
        assert (await parts.failure()).reason == "auth"
        assert parts.counts() == (1, 1, 0)


async def test_key_files_are_read_again(tmp_path):
    """If key files changed since they were read, a refused request is sent again with their new content."""
    key_id, secret = tmp_path / "id", tmp_path / "secret"
    key_id.write_text("id-1")
    secret.write_text("secret-1")

    def refuses(head):
        key_id.write_text("id-2")
        secret.write_text("secret-2")
        return "id-1" in head

    source = StaticCredentials(KeyFile(key_id), KeyFile(secret), None)
    async with (
        service(refuses) as address,
        rig(target_at(f"http://{address}", credentials=source)) as parts,
    ):
        assert await request(parts) == b"fine"
        assert parts.counts() == (2, 1, 1)


async def test_the_chosen_source_of_the_default_is_asked_again(read):
    """The source `default` passes a refusal to the source that it chose."""
    environment = {"A_ID": "id-1", "A_SECRET": "s"}
    source, _ = read({}, environment)
    keys = await source.get(offline)
    asked = []

    async def refused(*arguments):
        asked.append(arguments)

    source._source._chosen.refused = refused
    refusals = Refusals()
    await source.refused(keys, offline, refusals)
    assert asked == [(keys, offline, refusals)]
