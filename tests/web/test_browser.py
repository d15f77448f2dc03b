from __future__ import annotations

import re
import subprocess

import pytest

from exporter.simulator import Fault
from tests import needs
from tests.rig import target_at

HOSTILE = "<img src=x onerror=document.title=1>"


@pytest.fixture
def browse(tmp_path):
    """Opens a URL in a real browser, and returns the resulting page and its console messages."""
    chromium = needs.program("chromium", package="chromium")

    def opening(url, *options):
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            *options,
            "--dump-dom",
            url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return opening


def test_the_landing_page_opens_in_a_browser(exported, store, store_url, browse):
    """A browser shows the page, runs no script from a name, and logs no message."""
    client = exported(target_at(store_url), target_at(store_url, HOSTILE), target_at(store_url, region="r-two"))
    store.faults.add(Fault("error", status=403, code="AccessDenied", times=1))
    client.get("/probe?target=oss/prod/cn-hangzhou")
    client.get("/probe", params={"target": f"oss/{HOSTILE}/cn-hangzhou"})
    page, console = browse(str(client.base_url))
    assert console == []
    assert "<title>batchops-exporter</title>" in page
    assert "<img" not in page
    texts = re.sub(r"<[^>]*>", "\n", page)
    for text in ("oss/prod/cn-hangzhou", "access_denied", "up", "not listed yet: nothing has scraped it"):
        assert text in texts


def test_a_browser_shows_metrics_as_text(client, browse):
    """A browser shows the metrics as text instead of offering a download."""
    page, console = browse(str(client.base_url.join("/metrics")))
    assert console == []
    assert "batchops_up{" in page
