from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from exporter import __version__
from exporter.simulator import Fault
from exporter.web.app import Settings
from tests.rig import target_at

HOSTILE = "<img src=x onerror=alert(1)> \"'&größe"


class Page(HTMLParser):
    """A parsed page: its tags, links and texts."""

    def __init__(self, text):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.texts.append(data.strip())


def page(client):
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)


def cells(client):
    """The texts of the table's last row."""
    row = re.findall(r"<tr>(.*?)</tr>", client.get("/").text, re.DOTALL)[-1]
    return [unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]


def test_it_shows_version_and_targets(exported, store, store_url):
    """Before the first scrape, the page shows the version and each target as not listed yet."""
    client = exported(target_at(store_url), target_at(store_url, region="r-two"))
    texts = page(client).texts
    assert any(f"Version {__version__}," in text for text in texts)
    assert [text for text in texts if text.startswith("oss/")] == ["oss/prod/cn-hangzhou", "oss/prod/r-two"]
    assert texts.count("not listed yet: nothing has scraped it") == 2
    assert not store.requests


def test_it_shows_the_last_listing(exported, store, store_url):
    """The row shows state, jobs, pages, duration and time of the last success, or the reason and error text."""
    client = exported(target_at(store_url, page_size=10, retries=0))
    client.get("/metrics")
    name, state, jobs, pages, seconds, success = cells(client)
    assert (name, state, jobs, pages) == ("oss/prod/cn-hangzhou", "up", "25", "3")
    assert re.fullmatch(r"\d+\.\d\d", seconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", success)
    store.faults.add(Fault("error", status=403, code="AccessDenied", page=2))
    client.get("/metrics")
    name, state, jobs, pages, _, again = cells(client)
    assert (name, jobs, pages, again) == ("oss/prod/cn-hangzhou", "", "1", success)
    assert state.startswith("access_denied page 2: ListJobs returned 403 AccessDenied: the credentials lack")
    assert len(store.requests) == 5


def test_it_shows_a_target_that_never_succeeded(exported, store, store_url):
    """If no listing was ever complete, the last success is shown as never."""
    client = exported(target_at(store_url))
    store.faults.add(Fault("empty"))
    client.get("/metrics")
    assert cells(client)[-1] == "never"


def test_hostile_names_are_escaped(exported, store, store_url):
    """Account names and error messages are shown as text, whatever they contain."""
    client = exported(target_at(store_url, HOSTILE, retries=0))
    store.faults.add(Fault("error", status=400, code="<script>alert(2)</script>"))
    client.get("/metrics")
    seen = page(client)
    assert not {"img", "script"} & set(seen.tags)
    assert f"oss/{HOSTILE}/cn-hangzhou" in seen.texts
    assert any("400 <script>alert(2)</script>:" in text for text in seen.texts)


@pytest.mark.parametrize("account", ["prod", HOSTILE, "a b+c%20&target=x#y?z"])
def test_every_link_works(account, exported, store_url):
    """Each link of the page returns 200, and a target's link returns its families."""
    client = exported(target_at(store_url, account))
    links = page(client).links
    assert {"/metrics", "/-/healthy", "/-/ready"} < set(links)
    responses = {link: client.get(link) for link in links}
    assert {response.status_code for response in responses.values()} == {200}
    (probe,) = [response for link, response in responses.items() if link.startswith("/probe")]
    assert "batchops_up{" in probe.text


def test_links_follow_the_settings(exported, store_url):
    """Links start with the external URL, if set, and point to the telemetry path."""
    settings = Settings(external_url="https://example.com/batch/", telemetry_path="/m")
    links = page(exported(target_at(store_url), settings=settings)).links
    base = "https://example.com/batch"
    assert {f"{base}/m", f"{base}/-/healthy", f"{base}/probe?target=oss/prod/cn-hangzhou"} < set(links)
    assert all(link.startswith(f"{base}/") for link in links)


def test_the_browser_may_load_nothing(client):
    """The page's headers forbid scripts, frames, foreign content, caching and content sniffing."""
    headers = client.get("/").headers
    assert headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_no_secret_is_shown(client, store):
    """Neither the page nor a scrape contains the key, even if the service quotes it."""
    store.access_key_secret = "another"
    for url in ("/metrics", "/", "/probe?target=oss/prod/cn-hangzhou"):
        text = client.get(url).text
        for hidden in (store.access_key_id, "opens-nothing", "OSS4-HMAC", "StringToSign"):
            assert hidden not in text
