from __future__ import annotations

import re
import signal
import socket
import time

import httpx
import pytest
import yaml

from exporter.exposition.families import FAMILIES
from exporter.simulator import create_app
from tests.cli.conftest import PATIENCE, TROUBLE
from tests.rig import KEY_ID, KEY_SECRET, fresh_store, parse, value
from tests.serving import serve

CREDENTIALS = {"source": "static", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}


def has_ipv6() -> bool:
    """Returns whether this machine has the IPv6 loopback address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def assert_clean(process, number=signal.SIGTERM):
    """The process exits 0 on the signal, and stderr shows no trouble."""
    assert process.stop(number) == 0, process.stderr
    for word in TROUBLE:
        assert word not in process.stderr


def test_the_demo_serves(start):
    """`--demo` needs no file and no account: every target is up, with all families, and it exits cleanly."""
    demo = start("--demo", "--web.listen-address=127.0.0.1:0")
    url = demo.wait_until_it_listens()
    text = httpx.get(f"{url}/metrics", timeout=PATIENCE).text
    samples = parse(text)
    up = {dict(key.labels)["region"]: number for key, number in samples.items() if key.name == "batchops_up"}
    assert len(up) > 1
    assert set(up.values()) == {1}
    assert {family.name for family in FAMILIES} == {
        line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE batchops_") and "gauge" in line
    } - {name for name in text.split() if name.startswith("batchops_exporter_")}
    assert httpx.get(f"{url}/", timeout=PATIENCE).status_code == 200
    assert_clean(demo)


def test_the_limit_of_open_files_is_raised(start):
    """The soft limit of open files is raised to the hard limit, so that it does not limit the number of targets."""
    limited = ("sh", "-c", 'ulimit -S -n 100; ulimit -H -n 300; exec "$@"', "sh")
    demo = start("--demo", "--web.listen-address=127.0.0.1:0", argv=limited)
    samples = parse(httpx.get(f"{demo.wait_until_it_listens()}/metrics", timeout=PATIENCE).text)
    assert value(samples, "process_max_fds") == 300
    assert_clean(demo)


def test_a_file_is_served(start, config_file):
    """The targets of a configuration file are scraped with its credentials, and the web flags have their effect."""
    store = fresh_store()
    with serve(create_app(store)) as store_url:
        flag = config_file(store_url, credentials=CREDENTIALS)
        flags = (flag, "--web.telemetry-path=/m", "--web.disable-exporter-metrics", "--web.max-requests=3")
        exporter = start(*flags, "--web.external-url=https://example.com/x/", "--web.listen-address=127.0.0.1:0")
        url = exporter.wait_until_it_listens()
        samples = parse(httpx.get(f"{url}/m", timeout=PATIENCE).text)
        assert value(samples, "batchops_up", account="prod", region="cn-hangzhou") == 1
        assert sum(key.name == "batchops_job_info" for key in samples) == 25
        names = {key.name for key in samples}
        assert "batchops_api_requests_total" in names
        assert not [name for name in names if name.startswith(("batchops_exporter_", "process_", "python_"))]
        assert 'href="https://example.com/x/m"' in httpx.get(f"{url}/", timeout=PATIENCE).text
        assert_clean(exporter)
    assert [request.status for request in store.requests if request.operation == "ListJobs"] == [200]


def test_the_revision_comes_from_the_environment(start):
    """The label `revision` of the build info comes from the environment, and the load time is set."""
    demo = start("--demo", "--web.listen-address=127.0.0.1:0", BATCHOPS_EXPORTER_REVISION="abc123")
    samples = parse(httpx.get(f"{demo.wait_until_it_listens()}/metrics", timeout=PATIENCE).text)
    assert value(samples, "batchops_exporter_build_info", revision="abc123") == 1
    loaded = value(samples, "batchops_exporter_config_last_reload_success_timestamp_seconds")
    assert loaded is not None
    assert abs(time.time() - loaded) < 3600


def test_credentials_from_the_environment(start, config_file):
    """The source `environment` reads the vendor's variables from the environment of the process."""
    store = fresh_store()
    with serve(create_app(store)) as store_url:
        flag = config_file(store_url, credentials={"source": "environment"})
        variables = {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": KEY_SECRET}
        exporter = start(flag, "--web.listen-address=127.0.0.1:0", **variables)
        samples = parse(httpx.get(f"{exporter.wait_until_it_listens()}/metrics", timeout=PATIENCE).text)
    assert value(samples, "batchops_up") == 1


def test_several_addresses(start):
    """Each listen address is served, including IPv6 if the machine has it."""
    addresses = ["127.0.0.1:0", "127.0.0.1:0", "localhost:0", *(["[::1]:0"] if has_ipv6() else [])]
    localhost = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    demo = start("--demo", *(f"--web.listen-address={address}" for address in addresses))
    demo.wait_until_it_listens(len(addresses) - 1 + len(localhost))
    for url in demo.urls:
        assert httpx.get(f"{url}/-/ready", timeout=PATIENCE).status_code == 200
    assert len(set(demo.urls)) == len(demo.urls)
    assert_clean(demo)


def test_every_interface(start):
    """An address without a host listens on every interface, IPv4 and IPv6."""
    simulator = start("simulate", "--web.listen-address=:0")
    port = simulator.wait_until_it_listens().rpartition(":")[2]
    for host in ["127.0.0.1", *(["[::1]"] if has_ipv6() else [])]:
        assert httpx.get(f"http://{host}:{port}/-/faults", timeout=PATIENCE).status_code == 200


def test_the_configuration_in_use(start, config_file):
    """`/config` shows the configuration with defaults and without secrets."""
    exporter = start(config_file("https://{region}.example"), "--web.listen-address=127.0.0.1:0")
    url = exporter.wait_until_it_listens()
    response = httpx.get(f"{url}/config", timeout=PATIENCE)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    [account] = yaml.safe_load(response.text)["accounts"]
    assert (account["account"], account["timeout"], account["jobs"]["max"]) == ("prod", "10s", 10_000)
    assert account["credentials"]["access_key_secret"] == "<secret>"
    assert "CANARY" not in response.text
    assert_clean(exporter)


def test_the_simulator_serves_alone(start, config_file, tmp_path):
    """`simulate` serves the stores of a scenario to another exporter, and takes faults over HTTP."""
    (tmp_path / "scenario.yaml").write_text("regions: [cn-hangzhou]\njobs: {count: 7}\npage_size: 2\n")
    simulator = start("simulate", "--scenario=scenario.yaml", "--web.listen-address=127.0.0.1:0")
    store_url = simulator.wait_until_it_listens()
    exporter = start(config_file(store_url, credentials=CREDENTIALS), "--web.listen-address=127.0.0.1:0")
    url = exporter.wait_until_it_listens()
    samples = parse(httpx.get(f"{url}/metrics", timeout=PATIENCE).text)
    assert value(samples, "batchops_scrape_pages") == 4
    assert sum(key.name == "batchops_job_info" for key in samples) == 7
    httpx.post(f"{store_url}/-/faults", json={"kind": "error", "status": 403, "code": "AccessDenied"}, timeout=PATIENCE)
    samples = parse(httpx.get(f"{url}/metrics", timeout=PATIENCE).text)
    assert value(samples, "batchops_scrape_error", reason="access_denied") == 1
    assert_clean(exporter, signal.SIGINT)
    assert_clean(simulator)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["simulate", "--help"]])
def test_version_and_help(arguments, run):
    """Version and help are written to stdout, and exit 0."""
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"batchops-exporter \d|usage: batchops-exporter", done.stdout)
