from __future__ import annotations

import logging
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from exporter.simulator import Store, World, create_app, make_jobs
from tests.deploy.prometheus_operator import of_probe, of_scrape_config
from tests.deploy.promserver import Prometheus, logs, prometheus
from tests.deploy.test_rules import promtool
from tests.rig import exporting, target_at
from tests.serving import serve
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "prometheus"
OPERATOR = DEPLOY / "kubernetes" / "operator"
WAYS = ("sharded.yml", "scrapeconfig", "scrapeconfig-sharded", "scrapeconfig-sharded, sharded twice", "probe")
CARELESS = "scrapeconfig without relabelings"
RULE_FILES = ("recording.rules.yml", "alerts.rules.yml")
ACCOUNTS = ("a", "b", "c")
REGIONS = tuple(f"region-{number:02}" for number in range(100))
TARGETS = {f"oss/{account}/{region}" for account in ACCOUNTS for region in REGIONS}
EXPORTERS, SERVERS = 3, 2
INTERVAL = 10.0
"""Seconds between scrapes, more than twice the delay of a busy machine."""
SCRAPES = 3
"""The number of scrapes checked per target."""

log = logging.getLogger(__name__)


class Fleet(NamedTuple):
    """Exporters with one configuration. Each has its own keys, so that the stores can distinguish them."""

    urls: list[str]
    stores: dict[tuple[str, int], Store]
    """By target and requesting exporter."""


class Seen(NamedTuple):
    """Who scraped a target, and how often within the same `SCRAPES` intervals."""

    target: str
    servers: list[int]
    exporters: list[int]
    scrapes: int
    """Samples of `up`, of all servers."""
    listings: int
    """Requests from all exporters to which the target's stores responded."""


@pytest.fixture
def fleet(start, tmp_path) -> Iterator[Fleet]:
    world = World.fixed(make_jobs(3, now=1_750_000_000))
    stores = {
        (f"oss/{account}/{region}", number): Store(world, region=region, access_key_id=f"exporter-{number}-{account}")
        for number in range(EXPORTERS)
        for account in ACCOUNTS
        for region in REGIONS
    }
    with serve(create_app(list(stores.values()))) as url:
        accounts = [
            {
                "provider": "oss",
                "account": account,
                "regions": [region],
                "endpoint": url,
                "retries": 0,
                "jobs": {"describe": False},
                "credentials": {
                    "source": "static",
                    "access_key_id": f"exporter-${{NUMBER}}-{account}",
                    "access_key_secret": Store.access_key_secret,
                },
            }
            for account in ACCOUNTS
            for region in REGIONS
        ]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"accounts": accounts}))
        # After a pause of the machine many scrapes arrive at once, so their number is not limited here.
        flags = ("--config.expand-environment-variables", "--web.listen-address=127.0.0.1:0", "--web.max-requests=0")
        processes = [start(*flags, NUMBER=str(number)) for number in range(EXPORTERS)]
        yield Fleet([process.wait_until_it_listens() for process in processes], stores)
        assert [process.stop() for process in processes] == [0] * EXPORTERS


def as_shipped(shard: int, urls: list[str]) -> dict[str, Any]:
    """sharded.yml for server number `shard`, which finds the targets at `urls`."""
    text = (FOLDER / "sharded.yml").read_text()
    mark = '"0" # "1" on the other server'
    assert text.count(mark) == 2
    text = text.replace(mark, f'"{shard}"')
    for number, url in enumerate(urls):
        text = text.replace(f"http://exporter-{number}:10083", url)
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def with_short_interval(shard: int, urls: list[str]) -> dict[str, Any]:
    """The same configuration with a short interval, and with the exporters' names replaced by `urls`."""
    document = as_shipped(shard, urls)
    job, own = document["scrape_configs"]
    for config in (job, own):
        config |= {"scrape_interval": f"{INTERVAL:g}s", "scrape_timeout": f"{INTERVAL:g}s"}
    own["static_configs"][0]["targets"] = [url.removeprefix("http://") for url in urls]
    job["relabel_configs"] += [
        {
            "source_labels": ["__address__"],
            "regex": f"exporter-{number}:10083",
            "target_label": "__address__",
            "replacement": url.removeprefix("http://"),
        }
        for number, url in enumerate(urls)
    ]
    return document


def scrapes(server: Prometheus) -> dict[str, list[float]]:
    """The times at which the server scraped each target, in Unix seconds."""
    series = (server.get("query", query='up{job="batchops"}[10m]') or {"result": []})["result"]
    result = {sample["metric"]["instance"]: [at for at, _ in sample["values"]] for sample in series}
    assert len(result) == len(series)
    return result


def observe(servers: list[Prometheus], fleet: Fleet) -> list[Seen]:
    """What was observed of all targets, once each has been scraped often enough."""
    scraped: list[dict[str, list[float]]] = []

    def done() -> bool:
        scraped[:] = [scrapes(server) for server in servers]
        most = [max((len(times.get(target, ())) for times in scraped), default=0) for target in TARGETS]
        return min(most) >= SCRAPES + 2  # the first and the last one are outside the window

    until(done, seconds=85, pause=0.25, state=lambda: logs(servers))
    result = []
    for target in sorted(TARGETS):
        first = min(server[target][0] for server in scraped if target in server)
        begin, end = first + INTERVAL / 2, first + (SCRAPES + 0.5) * INTERVAL
        times = [at for server in scraped for at in server.get(target, ())]
        requested = [list(fleet.stores[target, number].requests) for number in range(EXPORTERS)]
        result.append(
            Seen(
                target,
                servers=[number for number, server in enumerate(scraped) if target in server],
                exporters=[number for number, requests in enumerate(requested) if requests],
                scrapes=sum(begin < at <= end for at in times),
                listings=sum(
                    begin < seen.time <= end for requests in requested for seen in requests if seen.status == 200
                ),
            )
        )
    return result


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_each_of_300_targets_is_scraped_once_an_interval(fleet, tmp_path):
    """Each target is scraped once per interval, by one of two servers from one of three exporters.

    The servers' samples and the stores' requests both prove it. Each server has the own metrics of each exporter.
    """
    folders = [tmp_path / f"prometheus-{number}" for number in range(SERVERS)]
    for folder in folders:
        folder.mkdir()
        for file in RULE_FILES:
            shutil.copy(FOLDER / file, folder)
    with (
        prometheus(folders[0], with_short_interval(0, fleet.urls)) as first,
        prometheus(folders[1], with_short_interval(1, fleet.urls)) as second,
    ):
        result = observe([first, second], fleet)
        own = [server.get("query", query='batchops_exporter_build_info{job="batchops"}') for server in (first, second)]
    assert [len(found["result"]) for found in own] == [EXPORTERS] * SERVERS
    for seen in result:
        log.info(
            "%s: prometheus %s, exporter %s, %d scrapes, %d listings in %g s",
            seen.target,
            *(" ".join(map(str, numbers)) for numbers in (seen.servers, seen.exporters)),
            *(seen.scrapes, seen.listings, SCRAPES * INTERVAL),
        )
    wrong = [
        seen
        for seen in result
        if (len(seen.servers), len(seen.exporters), seen.scrapes, seen.listings) != (1, 1, SCRAPES, SCRAPES)
    ]
    assert wrong == []
    shares = Counter((*seen.servers, *seen.exporters) for seen in result)
    log.info("targets by prometheus and exporter: %s", dict(sorted(shares.items())))
    assert sum(shares.values()) == len(TARGETS) == 300
    assert len(shares) == SERVERS * EXPORTERS
    assert min(shares.values()) > len(TARGETS) / len(shares) / 2


def ways(sd: str) -> dict[str, list[dict[str, Any]]]:
    """The scrape configs of both servers, for each shipped way and one without relabelings; `sd` is the URL of /sd."""

    def resource(file: str) -> dict[str, Any]:
        result: dict[str, Any] = yaml.safe_load((OPERATOR / file).read_text())
        return result

    plain, fixed, probe = (resource(f"{name}.yaml") for name in ("scrapeconfig", "scrapeconfig-sharded", "probe"))
    for config in (plain, fixed):
        config["spec"]["httpSDConfigs"] = [{"url": sd}]
    probe["spec"]["targets"]["staticConfig"]["static"] = sorted(TARGETS)
    careless = {**plain, "spec": {key: value for key, value in plain["spec"].items() if key != "relabelings"}}
    numbers = range(SERVERS)
    return {
        "sharded.yml": [
            as_shipped(number, [sd.removesuffix("/sd")] * EXPORTERS)["scrape_configs"][0] for number in numbers
        ],
        "scrapeconfig": [of_scrape_config(plain, SERVERS, number) for number in numbers],
        "scrapeconfig-sharded": [of_scrape_config(fixed, SERVERS, number) for number in numbers],
        "scrapeconfig-sharded, sharded twice": [
            of_scrape_config(fixed, SERVERS, number, shards_always=True) for number in numbers
        ],
        "probe": [of_probe(probe, SERVERS, number) for number in numbers],
        CARELESS: [of_scrape_config(careless, SERVERS, number) for number in numbers],
    }


@pytest.fixture(scope="module")
def assigned(tmp_path_factory) -> dict[str, list[dict[str, str]]]:
    """For each way, the scrape URLs by target of both servers, as a real Prometheus reports them."""
    targets = [target_at("http://127.0.0.1:1", account, region=region) for account in ACCOUNTS for region in REGIONS]
    with exporting(*targets) as url:
        configs = ways(f"{url}/sd")
        # One Prometheus reads them all, each with its own job name. With this interval it scrapes almost nothing.
        jobs = [
            config | {"job_name": f"{way}/{number}", "scrape_interval": "1h"}
            for way, both in configs.items()
            for number, config in enumerate(both)
        ]
        result: dict[str, list[dict[str, str]]] = {}

        def done() -> bool:
            for way in configs:
                result[way] = [{} for _ in range(SERVERS)]
            for active in (server.get("targets", state="active") or {"activeTargets": []})["activeTargets"]:
                way, _, number = active["scrapePool"].rpartition("/")
                result[way][int(number)][active["labels"]["instance"]] = active["scrapeUrl"]
                assert active["labels"]["job"] == ("batchops" if way != "sharded.yml" else active["scrapePool"])
            return all(sum(map(len, both)) >= len(TARGETS) for both in result.values())

        with prometheus(tmp_path_factory.mktemp("assigned"), {"scrape_configs": jobs}) as server:
            until(done, seconds=40, pause=0.25, state=lambda: logs([server]))
    return result


@pytest.mark.slow  # the fixture
@pytest.mark.parametrize("way", WAYS)
def test_each_shipped_way_assigns_each_target_to_one_server(assigned, way):
    """Each target is scraped by exactly one server, and each server has a fair share."""
    first, second = assigned[way]
    assert first.keys() | second.keys() == TARGETS
    assert first.keys() & second.keys() == set()
    assert min(len(first), len(second)) > 100
    for target, url in (first | second).items():
        assert url.endswith(f"/probe?target={target.replace('/', '%2F')}")


def test_each_exporter_has_the_same_targets_in_each_way(assigned):
    """If targets have fixed exporters, the exporter's number depends only on the target."""
    numbers = []
    for way, name in (("sharded.yml", r"exporter-(\d)"), ("scrapeconfig-sharded", r"batchops-exporter-(\d)\.\S+\.svc")):
        urls = assigned[way][0] | assigned[way][1]
        matches = {target: re.match(rf"http://{name}:10083/probe", url) for target, url in urls.items()}
        numbers.append({target: int(match[1]) for target, match in matches.items() if match})
    assert numbers[0].keys() == TARGETS
    assert numbers[0] == numbers[1]
    assert set(numbers[0].values()) == set(range(EXPORTERS))


def test_without_relabelings_the_operator_overloads_one_server(assigned):
    """All targets have one address, so without the relabelings one server gets all of them."""
    assert sorted(map(len, assigned[CARELESS])) == [0, 300]


def test_the_sharded_configuration_is_valid():
    """Prometheus loads the configuration of a shard and both rule files."""
    assert "3 rule files found" in promtool("check", "config", "sharded.yml")
