"""One target that does its worst, next to healthy ones in the same process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.providers.xml import MAX_TAGS
from exporter.simulator import Store, World, create_app, make_jobs
from tests.rawserver import raw_server
from tests.rig import exporting, parse, target_at, value
from tests.serving import serve

if TYPE_CHECKING:
    from tests.rawserver import Peer

pytestmark = pytest.mark.anyio

TAGS = MAX_TAGS - 100
WORST = {
    "most elements": b"<a/>" * TAGS,
    "deepest": b"<a>" * (TAGS // 2) + b"</a>" * (TAGS // 2),
    "most lists of jobs": b"<Jobs/>" * TAGS,
    "too many elements": b"<a/>" * (4 * MAX_TAGS),
    "most line ends": b"<a>" + b"\r\n" * 400_000 + b"</a>",
}
"""What is beside the jobs of each page; a comment makes the pattern refuse it."""
PATIENCE = 60.0


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
async def test_a_hostile_target_takes_no_other_down(name):
    """While one target returns the costliest pages without end, all others are complete, and /-/healthy responds."""
    pages = 0

    async def handle(peer: Peer) -> None:
        nonlocal pages
        pages += 1
        token = b"<NextToken>t%d</NextToken>" % pages
        await peer.answer(b"<ListJobsResult><!-- -->%s<Jobs/>%s</ListJobsResult>" % (token, WORST[name]))

    healthy = Store(World.fixed(make_jobs(2000, now=1_750_000_000)))
    answers = 0
    async with raw_server(handle) as address:
        with serve(create_app(healthy)) as url:
            targets = [target_at(url, f"good-{number}", timeout=PATIENCE) for number in range(3)]
            bad = target_at(f"http://{address}", "bad", timeout=2.0, max_pages=100_000)
            with exporting(bad, *targets) as exporter:
                async with httpx.AsyncClient(base_url=exporter, timeout=PATIENCE) as client:
                    scrape = asyncio.create_task(client.get("/metrics"))
                    while not scrape.done():
                        assert (await client.get("/-/healthy")).status_code == 200
                        answers += 1
                    samples = parse((await scrape).text)
    assert [value(samples, "batchops_up", account=target.account) for target in targets] == [1, 1, 1]
    assert sum(key.name == "batchops_job_info" for key in samples) == 3 * 2000
    assert value(samples, "batchops_up", account="bad") == 0
    reason = "malformed" if name in ("too many elements", "most lists of jobs") else "timeout"
    assert value(samples, "batchops_scrape_error", account="bad", reason=reason) == 1
    assert answers * 4 >= pages  # it waits for a few pages at most
