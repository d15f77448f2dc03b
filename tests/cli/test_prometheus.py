from __future__ import annotations

import contextlib
import re
import subprocess
from functools import partial

import httpx
import pytest
import yaml

from exporter.exposition.families import FAMILIES
from exporter.providers import PROVIDERS
from tests import needs
from tests.cli import web_configs
from tests.cli.conftest import PATIENCE
from tests.rawserver import free_port
from tests.waiting import until

DEMO_LACKS = {"batchops_credentials_expiration_timestamp_seconds"}
"""Families without a sample in the demo: its credentials do not expire."""


@pytest.fixture
def prometheus(tmp_path):
    """Starts a Prometheus with the given scrape_configs, and returns a client of its API."""
    program = needs.program("prometheus", package="prometheus")
    running: list[subprocess.Popen[bytes]] = []

    def starting(*scrape_configs):
        port = free_port()
        scrape = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        (tmp_path / "prometheus.yml").write_text(
            yaml.safe_dump({"global": scrape, "scrape_configs": list(scrape_configs)})
        )
        with (tmp_path / "prometheus.log").open("wb") as log:
            command = [
                program,
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
            running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path))
        return opened.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=5))

    with contextlib.ExitStack() as opened:
        yield starting
    for process in running:
        process.terminate()
        process.wait(20)


def query(api, expression):
    """Returns the samples of an instant query; none while Prometheus is not ready."""
    try:
        answer = api.get("query", params={"query": expression})
    except httpx.TransportError:
        return []
    return answer.json()["data"]["result"] if answer.status_code == 200 else []


@pytest.mark.slow
def names_of(samples):
    """The names of the families of `samples`."""
    return {sample["metric"]["__name__"] for sample in samples}


def all_stored(api, expression, names):
    """Whether the result of `expression` has all families `names`."""
    return names <= names_of(query(api, expression))


def test_a_real_prometheus_scrapes_the_demo(start, prometheus):
    """A real Prometheus scrapes the demo at /metrics and, by service discovery, at /probe; each family can be queried.

    All providers are there, and a family has the same label names for each of them.
    """
    demo = start("--demo", "--web.listen-address=127.0.0.1:0")
    url = demo.wait_until_it_listens()
    api = prometheus(
        {"job_name": "all", "static_configs": [{"targets": [url.removeprefix("http://")]}]},
        {"job_name": "each", "http_sd_configs": [{"url": f"{url}/sd"}]},
    )
    stores = re.search(r"url=(http://\S+)", demo.lines[0])
    assert stores
    httpx.post(
        f"{stores[1]}/-/faults?region=us-east-1", json={"kind": "error", "times": 6}, timeout=PATIENCE
    ).raise_for_status()
    names = [entry["labels"]["__param_target"] for entry in httpx.get(f"{url}/sd", timeout=PATIENCE).json()]
    assert {name.partition("/")[0] for name in names} == PROVIDERS.keys()
    for expression in (
        'up{job="all"} == 1',
        f'count(batchops_up{{job="all"}} == 1) == {len(names)}',
        f'count(up{{job="each"}} == 1) == {len(names)}',
        f'count(batchops_up{{job="each"}} == 1) == {len(names)}',
    ):
        until(partial(query, api, expression), pause=0.1, state=partial(str, expression))
    assert {sample["metric"]["instance"] for sample in query(api, 'batchops_up{job="each"}')} == set(names)
    for job in ("all", "each"):
        lately = f'last_over_time({{__name__=~"batchops_.+", job="{job}"}}[20s])'
        expected = {family.name for family in FAMILIES} - DEMO_LACKS
        # A listing describes only some jobs, and the suspended ones after the failed.
        until(partial(all_stored, api, lately, expected), pause=0.5)
        stored = names_of(query(api, lately))
        assert not DEMO_LACKS & stored
        assert not any(name.endswith("_created") for name in stored)
    for family in FAMILIES:  # one contract over all clouds
        labels = {
            frozenset(sample["metric"]) for sample in query(api, f'last_over_time({family.name}{{job="all"}}[20s])')
        }
        assert len({keys - {"description", "operation"} for keys in labels}) <= 1, family.name
    clashes = query(api, '{__name__=~".+", exported_job!=""} or {__name__=~".+", exported_instance!=""}')
    assert clashes == []
    assert demo.stop() == 0


@pytest.mark.slow
def test_a_real_prometheus_needs_its_certificate_and_password(start, prometheus, tmp_path):
    """Prometheus scrapes an exporter that requires a client certificate and a password, and is refused without one."""
    web_configs.write_files(tmp_path)
    (tmp_path / "web.yml").write_text(web_configs.MUTUAL + "RequireAndVerifyClientCert" + web_configs.LOGIN)
    demo = start("--demo", "--web.config.file=web.yml", "--web.listen-address=127.0.0.1:0")
    url = demo.wait_until_it_listens()
    assert url.startswith("https://")
    certificate = {"cert_file": str(tmp_path / "client.pem"), "key_file": str(tmp_path / "client.key")}
    login = {"basic_auth": {"username": "alice", "password": web_configs.PASSWORD}}
    both = {"scheme": "https", "static_configs": [{"targets": [url.removeprefix("https://")]}]}
    trusted = {"ca_file": str(tmp_path / "ca.pem")}
    api = prometheus(
        both | login | {"job_name": "both", "tls_config": trusted | certificate},
        both | login | {"job_name": "no-certificate", "tls_config": trusted},
        both | {"job_name": "no-password", "tls_config": trusted | certificate},
    )
    until(lambda: [sample["value"][1] for sample in query(api, 'up{job="both"}')] == ["1"])
    for job in ("no-certificate", "no-password"):
        until(partial(query, api, f'up{{job="{job}"}}'))
        assert query(api, f'max_over_time(up{{job="{job}"}}[1m])')[0]["value"][1] == "0"
    assert demo.stop() == 0
