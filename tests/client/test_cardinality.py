"""More jobs than the limit of series: what is counted, what is dropped, and what is kept from scrape to scrape."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import yaml

from exporter import config
from exporter.core.jobs import STATUSES, TERMINAL_STATUSES
from exporter.core.target import JobPolicy
from exporter.simulator import Scenario, Store, World, create_app
from tests.rig import exporting, parse, target_at, value
from tests.serving import serve

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy/cardinality"
PAGE = (ROOT / "docs/cardinality.md").read_text(encoding="utf-8")
START = time.time()
"""Unix seconds. A store refuses signatures that differ from its own time, so this must be the current time."""
COUNT, MOST, PAGE_SIZE = 5000, 500, 250


def chosen(jobs, most):
    """The jobs that the rule keeps: the unfinished, then the newest."""
    return sorted(jobs, key=lambda job: (job.status in TERMINAL_STATUSES, -job.created, job.id))[:most]


def shown(samples):
    """The status of each job that has its own series, by id."""
    labels = [dict(key.labels) for key in samples if key.name == "batchops_job_status"]
    return {of_job["job_id"]: of_job["status"] for of_job in labels}


def counts(samples):
    """The number of listed jobs by status."""
    return {dict(key.labels)["status"]: number for key, number in samples.items() if key.name == "batchops_jobs"}


class Setting:
    """An exporter of a store whose clock only moves when a test moves it."""

    def __init__(self, store, exporter):
        self.store = store
        self._exporter = exporter

    def scrape(self, path="/probe?target=oss/prod/cn-hangzhou"):
        return parse(httpx.get(f"{self._exporter}{path}", timeout=60).text)


@pytest.fixture
def setting(request):
    """An exporter of a region with COUNT jobs, the newest 100 unfinished; the parameter is `jobs.max`."""
    store = Store(World.stream("many", every=10, keep=100, count=COUNT), clock=lambda: START)
    with (
        serve(create_app(store)) as url,
        exporting(target_at(url, page_size=PAGE_SIZE, jobs=JobPolicy(max=request.param, describe=False))) as exporter,
    ):
        yield Setting(store, exporter)


@pytest.mark.parametrize("setting", [MOST, 10], ids=["the unfinished fit", "not even they fit"], indirect=True)
@pytest.mark.parametrize("path", ["/metrics", "/probe?target=oss/prod/cn-hangzhou"])
def test_all_are_counted_and_the_first_are_shown(setting, path, request):
    """All jobs are counted, dropped ones too; the unfinished, then the newest ones have series."""
    most = request.node.callspec.params["setting"]
    jobs = setting.store.world.jobs(START)
    unfinished = [job for job in jobs if job.status not in TERMINAL_STATUSES]
    assert 10 < len(unfinished) < MOST
    samples = setting.scrape(path)
    assert counts(samples) == dict.fromkeys(STATUSES, 0) | Counter(job.status for job in jobs)
    assert sum(counts(samples).values()) == COUNT
    dropped = [
        value(samples, "batchops_scrape_jobs_dropped", reason=reason) for reason in ("max", "max_age", "statuses")
    ]
    assert dropped == [COUNT - most, 0, 0]
    assert shown(samples) == {job.id: job.status for job in chosen(jobs, most)}
    assert value(samples, "batchops_scrape_pages") == COUNT / PAGE_SIZE


@pytest.mark.slow
@pytest.mark.parametrize("setting", [MOST], indirect=True)
def test_only_new_jobs_replace_the_oldest(setting):
    """Between scrapes only new jobs appear and only the oldest ones disappear, never to come back."""
    gone: set[str] = set()
    before = setting.scrape()
    for step in range(1, 5):
        last, moment = START + (step - 1) * 25, START + step * 25
        setting.store.clock = lambda moment=moment: moment
        after = setting.scrape()
        known = {job.id: job for job in setting.store.world.jobs(last)}
        jobs = {job.id: job for job in setting.store.world.jobs(moment)}
        was, now = shown(before), shown(after)
        assert now == {job.id: job.status for job in chosen(jobs.values(), MOST)}
        came, left = now.keys() - was.keys(), was.keys() - now.keys()
        assert came == jobs.keys() - known.keys()
        assert len(came) == len(left) > 0
        oldest = min(jobs[job_id].created for job_id in now)
        assert all(jobs[job_id].status in TERMINAL_STATUSES for job_id in left)
        assert all(jobs[job_id].created < oldest for job_id in left)
        gone |= left
        assert not gone & now.keys()
        stayed = [job_id for job_id in was.keys() & now.keys() if was[job_id] != now[job_id]]
        assert all(known[job_id].status not in TERMINAL_STATUSES for job_id in stayed)
        before = after


@pytest.mark.parametrize("setting", [COUNT], indirect=True)
def test_jobs_created_during_a_listing_hide_no_others(setting):
    """If jobs are created between pages, each job that stays listed is shown once, and new ones at the next scrape."""
    store = setting.store
    store.clock = lambda: START + 12 * len(store.requests)
    samples = setting.scrape()
    assert len(store.requests) == COUNT / PAGE_SIZE
    at_last = {job.id for job in store.world.jobs(START + 12 * (len(store.requests) - 1))}
    expected = {job.id for job in store.world.jobs(START)} & at_last
    assert shown(samples).keys() == expected
    assert len(at_last - expected) > 20
    assert sum(counts(samples).values()) == len(expected)


def test_the_demo_matches_its_page():
    """The demo gives 100,000 jobs, 10,000 of them with series, in the text and numbers of its page."""
    (store,) = Scenario.from_mapping(yaml.safe_load((DEMO / "scenario.yaml").read_text()), clock=lambda: START).stores
    text = (DEMO / "config.yaml").read_text()
    with serve(create_app(store)) as url:
        (target,) = config.parse(
            text.replace("http://127.0.0.1:10084", url).encode(), file="config.yaml", environment={}
        ).targets
        with exporting(target) as exporter:
            response = httpx.get(f"{exporter}/probe?target={target.name}", timeout=60).text
    of_jobs, of_target = split(response)
    jobs = store.world.jobs(START)
    assert counts(parse("".join(of_target))) == dict.fromkeys(STATUSES, 0) | Counter(job.status for job in jobs)
    assert len(jobs) == 100_000
    status = re.compile(r'batchops_job_status\{.*,job_id="(.*)",status="(.*)"\} 1\n')
    kept = {match[1]: match[2] for line in of_jobs if (match := status.fullmatch(line))}
    assert kept == {job.id: job.status for job in chosen(jobs, target.jobs.max)}
    assert len(kept) == target.jobs.max == JobPolicy().max == 10_000
    assert_page_shows(of_target)
    assert_page_counts_series(of_jobs, of_target, target.jobs.max)


def split(response):
    """The sample lines of single jobs, then those of the target; parsing all of them would be slow."""
    lines = [line for line in re.findall(r"[^\n]*\n", response) if not line.startswith("#")]
    of_jobs = [line for line in lines if line.startswith("batchops_job_")]
    return of_jobs, [line for line in lines if not line.startswith("batchops_job_")]


def assert_page_shows(of_target):
    """The samples printed on the page are in the response too, except for the changing counts, which add up."""
    (block,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    printed = dict(line.rsplit(" ", 1) for line in block.splitlines())
    served = dict(line.rstrip().rsplit(" ", 1) for line in of_target)
    assert printed.keys() <= served.keys()
    changing = {series for series in printed if series.startswith("batchops_jobs{")}
    assert sum(int(printed[series]) for series in changing) == 100_000
    fixed = printed.keys() - changing
    assert {series: printed[series] for series in fixed} == {series: served[series] for series in fixed}
    assert len(fixed) == 5


def assert_page_counts_series(of_jobs, of_target, most):
    """The page's formula is a close upper bound of the number of series."""
    formula = re.search(r"> series ≤ (\d+) \+ (\d+) . jobs", PAGE)
    assert formula
    target_series, job_series = map(int, formula.groups())
    assert len(of_target) == target_series
    per_job = Counter(line.partition(',job_id="')[2].partition('"')[0] for line in of_jobs)
    assert max(per_job.values()) == job_series
    assert 0.9 * job_series * most < len(of_jobs) <= job_series * most
