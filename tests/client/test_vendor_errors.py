"""Errors that only some clients know to be transient, and errors that come with status 200."""

from __future__ import annotations

import pytest

from exporter.core.section import Section
from exporter.providers import PROVIDERS
from exporter.simulator import Fault, Store, World, create_app, make_jobs
from tests.rig import rig, target_at
from tests.serving import serve

pytestmark = pytest.mark.anyio

ERROR = b"<Error><Code>%s</Code><Message>m</Message><RequestId>r-1</RequestId></Error>"
FAULTS = {
    "400 RequestTimeout": (Fault("error", status=400, code="RequestTimeout", times=1), "http_4xx", True),
    "200 InternalError": (Fault("body", body=ERROR % b"InternalError", times=1), "http_5xx", True),
    "200 RequestTimeout": (Fault("body", body=ERROR % b"RequestTimeout", times=1), "http_4xx", True),
    "200 AccessDenied": (Fault("body", body=ERROR % b"AccessDenied", times=1), "access_denied", False),
    "501 NotImplemented": (Fault("error", status=501, code="NotImplemented", times=1), None, False),
}
"""Faults, with the reason of the error (None: it depends on the service), and whether it is transient."""


def target_of(store: Store, url: str):
    """A target of `store`, whatever its provider."""
    settings = {"endpoint": url, "uin": store.uin, "appid": store.appid, "account_id": store.account_id}
    return target_at(url, provider=PROVIDERS[store.provider].from_section(Section(settings, "", []), store.region))


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_error_means_what_the_vendor_says(provider, name):
    """An error that the vendor's packages retry is retried, in a body of status 200 too, and no other one is."""
    fault, reason, transient = FAULTS[name]
    if name == "501 NotImplemented" and provider == "s3":
        transient = True  # the service does not document it, so its status decides
    store = Store(World.fixed(make_jobs(3, now=1_750_000_000)), provider=provider)
    store.faults.add(fault)
    with serve(create_app(store)) as url:
        async with rig(target_of(store, url)) as parts:
            snapshot = await parts.snapshot()
            failures = parts.failures()
    assert len(store.requests) == 1 + transient
    assert sum(failures.values()) == 1
    assert reason is None or failures.keys() == {reason}
    if transient:
        assert (snapshot.error, len(snapshot.jobs)) == (None, 3)
    else:
        assert snapshot.error is not None
        assert snapshot.error.reason in failures
        assert snapshot.error.code == name.partition(" ")[2]
