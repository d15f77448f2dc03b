from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from exporter import __version__
from exporter.core.errors import REMEDIES, ServiceError
from exporter.core.jobs import Job, JobDetail
from exporter.core.snapshot import Snapshot
from exporter.core.target import JobPolicy
from exporter.simulator import Fault
from exporter.web import landing
from exporter.web.app import Settings
from tests.rig import target_at

HOSTILE = "<img src=x onerror=alert(1)> \"'&größe"
NOW = 1_750_000_000.0


class Page(HTMLParser):
    """A parsed page: its tags, links and texts."""

    def __init__(self, text):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.articles: list[str] = []
        """The texts of each target."""
        self._inside = False
        self.feed(text)

    @property
    def text(self):
        return " ".join(self.texts)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and value != "data:,"]
        if tag == "article":
            self.articles.append("")
            self._inside = True

    def handle_endtag(self, tag):
        if tag == "article":
            self._inside = False

    def handle_data(self, data):
        words = " ".join(data.split())
        if words:
            self.texts.append(words)
        if words and self._inside:
            self.articles[-1] += f"{words} "


def page(client):
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)


def shown(*snapshots):
    """The page of targets with these snapshots."""
    rows = [(f"oss/prod/r-{number}", snapshot) for number, snapshot in enumerate(snapshots)]
    return Page(landing.page(rows, base="", metrics="/metrics", now=NOW))


def snapshot(*jobs, **settings: Any):
    """A complete listing with these jobs, all of which are notable."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.status] = counts.get(job.status, 0) + 1
    facts: dict[str, Any] = {
        "counts": counts,
        "ended": NOW - 12,
        "last_success": NOW - 12,
        "credentials_source": "oidc",
    } | settings
    return Snapshot("oss", "prod", "r", 3, 0.5, notable=jobs, **facts)


def test_it_shows_version_and_targets(exported, store, store_url):
    """Before the first scrape, the page shows the version and each target as not listed yet, and calls no service."""
    client = exported(target_at(store_url), target_at(store_url, region="r-two"))
    seen = page(client)
    assert f"Version {__version__}, Python" in seen.text
    assert [text for text in seen.texts if text.startswith("oss/")] == ["oss/prod/cn-hangzhou", "oss/prod/r-two"]
    assert seen.text.count("nothing has scraped it since the exporter started") == 2
    assert "2 not listed yet ." in seen.text
    assert not store.requests


def test_it_shows_the_last_listing(exported, store, store_url):
    """A target has state, age, duration, pages, source of its keys, and its jobs by status; then its error."""
    client = exported(target_at(store_url, page_size=10, retries=0))
    client.get("/metrics")
    seen = page(client).articles[0]
    ago = r"(just now|\d+ s ago)"
    assert re.match(rf"oss/prod/cn-hangzhou up listed {ago} , took \S+ s and 3 pages, keys: static ", seen)
    assert "Active 12 " in seen
    assert "Unfinished jobs: 19 " in seen
    store.faults.add(Fault("error", status=403, code="AccessDenied", page=2))
    client.get("/metrics")
    seen = page(client).articles[0]
    assert re.match(rf"oss/prod/cn-hangzhou down failed {ago} , took \S+ s and 1 page, keys: static ", seen)
    assert "access_denied : page 2: ListJobs returned 403 AccessDenied: the credentials lack" in seen
    assert f"What to do: {REMEDIES['access_denied']}." in seen
    assert re.search(rf"Last complete listing: {ago}", seen)
    assert "jobs" not in seen.partition("Last complete")[2]
    assert len(store.requests) == 5


def test_it_shows_a_target_that_never_succeeded(exported, store, store_url):
    """If no listing was ever complete, the last one is shown as never."""
    client = exported(target_at(store_url))
    store.faults.add(Fault("empty"))
    client.get("/metrics")
    assert "Last complete listing: never" in page(client).text


def test_targets_that_are_down_come_first():
    """Targets that are down are on top and in the title, and the others keep the order of the configuration."""
    down = snapshot(error=ServiceError("no", reason="auth", status=403), counts=None)
    seen = shown(snapshot(), None, down, snapshot())
    assert [article.split()[0][-1] for article in seen.articles] == ["2", "0", "1", "3"]
    assert seen.texts[0] == "1 down - batchops-exporter"
    assert "1 down , 2 up , 1 not listed yet ." in seen.text
    assert "Times are as of 2025-06-15T15:06:40Z . Load" in seen.text


@pytest.mark.parametrize(
    ("job", "left", "text"),
    [
        (
            Job("a", "Active", tasks=9, succeeded=4, failed=1),
            99.0,
            "4 of 9 tasks succeeded, 1 failed about 2 min left",
        ),
        (Job("a", "Active", tasks=200, succeeded=40), None, "40 of 200 tasks succeeded time left unknown"),
        (Job("a", "Active", tasks=2000, succeeded=1), 1e6, "1 of 2,000 tasks succeeded about 11 d 13 h left"),
        (Job("a", "Active", tasks=5, succeeded=5), 0.0, "5 of 5 tasks succeeded almost done"),
        (Job("a", "Active", tasks=5), None, "5 tasks, progress unknown time left unknown"),
        (Job("a", "New"), None, "number of tasks unknown time left unknown"),
        (Job("a", "Suspended", tasks=9, succeeded=0), None, "0 of 9 tasks succeeded to be confirmed"),
        (Job("a", "Failed", tasks=0, succeeded=0, terminated=NOW - 7260), None, "0 of 0 tasks succeeded 2 h 1 min ago"),
        (Job("a", "Failed", terminated=1e18), None, "number of tasks unknown"),
        (Job("a", "Odd", tasks=3, succeeded=9, failed=9), None, "9 of 3 tasks succeeded, 9 failed time left unknown"),
    ],
)
def test_progress_and_time_left(job, left, text):
    """A job has its progress in words, and the time left, or why there is none; odd values never break the page."""
    seen = shown(snapshot(job, time_left={} if left is None else {"a": left}))
    assert seen.articles[0].strip().endswith(f"a {text}")


@pytest.mark.parametrize(
    ("job", "bar"),
    [
        (Job("a", "Active", tasks=200, succeeded=40, failed=10), (20.0, 5.0)),
        (Job("a", "Active", tasks=200, succeeded=40), (20.0, 0.0)),
        (Job("a", "Active", tasks=3, succeeded=9, failed=9), (100.0, 0.0)),
        (Job("a", "Active", tasks=0, succeeded=0, failed=0), None),
        (Job("a", "Active", tasks=9), None),
    ],
)
def test_the_bar_is_the_share_of_the_tasks(job, bar):
    """The bar has the shares of succeeded and failed tasks, together at most all; without numbers there is none."""
    text = landing.page([("a", snapshot(job))], base="", metrics="/m", now=NOW)
    widths = re.findall(r'<rect class="(?:done|failed)".*? width="([\d.]+)"', text)
    assert tuple(map(float, widths)) == (bar or ())


def test_details_of_failed_jobs_are_shown():
    """A failed job has the code and the reason that DescribeJob returned."""
    job = Job("a", "Failed", terminated=NOW - 5)
    seen = shown(snapshot(job, details={"a": JobDetail(job, "ManifestNotFound", "no manifest")}))
    assert "ManifestNotFound: no manifest" in seen.texts
    assert "Failed in the last 24 hours: the newest 1" in seen.texts


def test_descriptions_can_be_left_out(exported, store, store_url):
    """With `jobs.description: false` the page has no descriptions, as the metrics have none."""
    store.world.listed[0] = store.world.listed[0]._replace(status="Active", description="Tag the cats")
    for wanted in (True, False):
        client = exported(target_at(store_url, jobs=JobPolicy(description=wanted)))
        client.get("/metrics")
        assert ("Tag the cats" in page(client).text) == wanted


def test_many_jobs_are_folded_and_limited(monkeypatch):
    """Lists after MAX_OPEN_JOBS jobs are folded, and jobs after MAX_JOBS are not on the page; their number is."""
    monkeypatch.setattr(landing, "MAX_JOBS", 5)
    monkeypatch.setattr(landing, "MAX_OPEN_JOBS", 2)
    two = snapshot(Job("a", "Active"), Job("b", "New"))
    text = landing.page([("1", two), ("2", two), ("3", two), ("4", two)], base="", metrics="/m", now=NOW)
    assert re.findall(r"<details( open)?>\s*<summary>(.*?)</summary>", text) == [
        (" open", "Unfinished jobs: 2"),
        ("", "Unfinished jobs: 2"),
        ("", "Unfinished jobs: 1 of 2"),
    ]
    assert text.count("<li>\n<span") == 5


def test_hostile_names_are_escaped(exported, store, store_url):
    """Names, descriptions, ids, statuses and error messages are shown as text, whatever they contain."""
    client = exported(target_at(store_url, HOSTILE, retries=0))
    job = Job(HOSTILE + "id", "Active", HOSTILE + "operation", HOSTILE + "description")
    store.world.listed[0] = job
    client.get("/metrics")
    seen = page(client)
    assert not {"img", "script"} & set(seen.tags)
    for text in (f"oss/{HOSTILE}/cn-hangzhou", job.id, job.operation, job.description):
        assert text in seen.texts
    store.faults.add(Fault("error", status=400, code="<script>alert(2)</script>"))
    client.get("/metrics")
    seen = page(client)
    assert not {"img", "script"} & set(seen.tags)
    assert any("400 <script>alert(2)</script>:" in text for text in seen.texts)


@pytest.mark.parametrize("account", ["prod", HOSTILE, "a b+c%20&target=x#y?z"])
def test_every_link_works(account, exported, store_url):
    """Each link of the page returns 200; a target has links to its families and to its debug view."""
    client = exported(target_at(store_url, account))
    links = page(client).links
    assert {"/metrics", "/-/metrics", "/config", "/docs", "/-/healthy", "/-/ready"} < set(links)
    responses = {link: client.get(link) for link in links}
    assert {response.status_code for response in responses.values()} == {200}
    probe, debug = [response.text for link, response in responses.items() if link.startswith("/probe")]
    assert probe.startswith("# HELP batchops_up ")
    assert debug.startswith(f"Debug run of oss/{account}/cn-hangzhou")


def test_links_follow_the_settings(exported, store_url):
    """Links start with the external URL, if set, and point to the telemetry path."""
    settings = Settings(external_url="https://example.com/batch/", telemetry_path="/m")
    links = page(exported(target_at(store_url), settings=settings)).links
    base = "https://example.com/batch"
    assert {f"{base}/m", f"{base}/-/healthy", f"{base}/probe?target=oss/prod/cn-hangzhou"} < set(links)
    assert all(link.startswith(f"{base}/") for link in links)


def test_the_browser_may_load_nothing(client):
    """The page's headers allow its one style by its hash, and no script, frame, form, foreign content or caching."""
    response = client.get("/")
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert " style=" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


def test_no_secret_is_shown(client, store):
    """Neither the page nor a scrape contains the key, even if the service quotes it."""
    store.access_key_secret = "another"
    for url in ("/metrics", "/", "/probe?target=oss/prod/cn-hangzhou"):
        text = client.get(url).text
        for hidden in (store.access_key_id, "opens-nothing", "OSS4-HMAC", "StringToSign"):
            assert hidden not in text


def test_the_documentation_is_there_offline(client):
    """`/docs` is the README of the installed version, as text."""
    response = client.get("/docs")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.startswith("# batchops-exporter\n")
    assert "## When a target is down" in response.text


def test_a_page_of_many_targets_is_bounded():
    """However many targets and jobs there are, the page has every target, and at most MAX_JOBS jobs."""
    rows = [(f"oss/prod/r-{number}", snapshot(*(Job(f"{n}", "Active") for n in range(20)))) for number in range(300)]
    text = landing.page(rows, base="", metrics="/metrics", now=NOW)
    assert text.count("<article") == 300
    assert text.count("<li>\n<span") == landing.MAX_JOBS
    assert len(text) < 2_000_000
