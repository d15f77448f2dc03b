"""--web.config.file with real clients, and compared with a real exporter of the Prometheus projects."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

from tests import needs
from tests.cli import web_configs
from tests.cli.web_configs import CASES, PASSWORD
from tests.waiting import until

ROOT = Path(__file__).parents[2]

OURS = (sys.executable, "-m", "exporter", "--config.file=config.yaml", "--web.listen-address=127.0.0.1:{port}")


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory with certificates and a configuration of the exporter, whose one target is never scraped."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    web_configs.write_files(tmp_path)
    account = {
        "provider": "oss",
        "account": "prod",
        "regions": ["cn-hangzhou"],
        "endpoint": "http://127.0.0.1:1",
        "credentials": {"source": "static", "access_key_id": "an-id", "access_key_secret": "a-secret"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"accounts": [account]}))
    return tmp_path


@contextlib.contextmanager
def serving(command, directory, text):
    """The port of the server with the web configuration `text`; None if it refuses to start."""
    (directory / "web.yml").write_text(text)
    running = web_configs.started([*command, "--web.config.file=web.yml"], directory)
    if running is None:
        yield None
        return
    process, port = running
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


EXPECTED = {
    "empty": {"http", "login over http", "wrong password over http"},
    "tls": {"tls 1.3", "tls 1.2", "certificate", "unknown certificate", "login", "certificate and login"}
    | {"wrong password", "unknown user"},
    "tls 1.3 only": {"tls 1.3", "certificate", "unknown certificate", "login", "certificate and login"}
    | {"wrong password", "unknown user"},
    "tls 1.2 only": {"tls 1.2", "certificate", "unknown certificate", "login", "certificate and login"}
    | {"wrong password", "unknown user"},
    "login": {"login over http"},
    "tls and login": {"login", "certificate and login"},
    "client certificate": {"certificate", "certificate and login", "wrong password", "unknown user"},
    "client certificate if given": {"tls 1.3", "tls 1.2", "login", "certificate", "certificate and login"}
    | {"wrong password", "unknown user"},
    "client certificate and login": {"certificate and login"},
    "allowed name": {"certificate", "certificate and login", "wrong password", "unknown user"},
    "another name": set(),
}
"""By case, the clients that get a 200."""


@pytest.mark.parametrize("case", [case for case in CASES if case.name in EXPECTED], ids=lambda case: case.name)
def test_who_is_served(case, directory):
    """Only clients with the required TLS version, certificate, name in it and password get a 200."""
    with serving(OURS, directory, case.text) as port:
        assert port is not None
        statuses = web_configs.outcome(port, directory)
    assert {name for name, status in statuses.items() if status == 200} == EXPECTED[case.name]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [case for case in CASES if case.known_to_debian], ids=lambda case: case.name)
def test_the_outcome_is_that_of_node_exporter(case, directory):
    """With the same file, a real node_exporter starts or not, and responds to each client, as this exporter does."""
    node_exporter = needs.program("prometheus-node-exporter", package="prometheus-node-exporter")
    theirs = (node_exporter, "--collector.disable-defaults", "--web.listen-address=127.0.0.1:{port}")
    outcomes = []
    for command in (theirs, OURS):
        with serving(command, directory, case.text) as port:
            assert (port is not None) == case.starts
            outcomes.append(None if port is None else web_configs.outcome(port, directory))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("case", [case for case in CASES if case.known_to_debian], ids=lambda case: case.name)
def test_promtool_agrees(case, directory):
    """`promtool check web-config` accepts the files with which the exporter starts, and refuses the others."""
    promtool = needs.program("promtool", package="prometheus")
    (directory / "web.yml").write_text(case.text)
    checked = subprocess.run(
        [promtool, "check", "web-config", "web.yml"], cwd=directory, capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode == 0) == case.starts, checked.stderr


def test_inline_certificates(directory):
    """A certificate, its key and the client CA may be in the file itself."""
    texts = {"cert": "server.pem", "key": "server.key", "client_ca": "ca.pem"}
    section = {name: (directory / file).read_text() for name, file in texts.items()}
    document = {"tls_server_config": section | {"client_auth_type": "RequireAndVerifyClientCert"}}
    with serving(OURS, directory, yaml.safe_dump(document)) as port:
        assert web_configs.status(port, directory, certificate="client") == 200
        assert web_configs.status(port, directory) is None


def test_every_problem_at_once(run, directory):
    """All problems of a web configuration are shown with their paths, the exit code is 1, and no secret is shown."""
    (directory / "web.yml").write_text(
        "tls_server_config: {cert_file: nowhere.pem, key: CANARY, min_version: TLS9}\n"
        "basic_auth_users: {alice: CANARY}\nrate_limit: {interval: soon}\nusers: {}\n"
    )
    result = run("--config.file=config.yaml", "--web.config.file=web.yml")
    assert result.returncode == 1
    for path in (
        "tls_server_config.cert_file: nowhere.pem cannot be read",
        "tls_server_config.min_version: must be one of",
        "basic_auth_users.alice: the password must be hashed",
        "rate_limit.interval: must be a duration",
        "users: is not a known key",
    ):
        assert f"web.yml: {path}" in result.stderr
    assert "CANARY" not in result.stderr
    assert "listening" not in result.stderr
    checked = run("--config.check", "--config.file=config.yaml", "--web.config.file=web.yml")
    assert (checked.returncode, checked.stderr) == (1, result.stderr)


def test_plain_http_to_a_tls_port(start, directory):
    """A client that speaks plain HTTP to a port with TLS gets the 400 that Go's servers send."""
    (directory / "web.yml").write_text(web_configs.TLS)
    exporter = start("--config.file=config.yaml", "--web.config.file=web.yml", "--web.listen-address=127.0.0.1:0")
    port = int(exporter.wait_until_it_listens().rpartition(":")[2])
    response = web_configs.request(port, directory, scheme="http")
    assert response is not None
    assert (response.status_code, response.text) == (400, "Client sent an HTTP request to an HTTPS server.\n")
    files = len([*Path(f"/proc/{exporter.pid}/fd").iterdir()])
    for scheme in ("http", "https") * 5:
        web_configs.request(port, directory, scheme=scheme)
    until(lambda: len([*Path(f"/proc/{exporter.pid}/fd").iterdir()]) <= files)
    assert exporter.stop() == 0


@pytest.mark.usefixtures("directory")
def test_an_empty_web_configuration(run):
    """As for node_exporter, /dev/null is an empty file: no TLS and no users."""
    done = run("--config.check", "--config.file=config.yaml", "--web.config.file=/dev/null")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_with_another_name_is_refused_quietly(start, directory):
    """A certificate whose name is not allowed costs its client the connection, and no line at the level error."""
    text = web_configs.MUTUAL + "RequireAndVerifyClientCert\n  client_allowed_sans: [another.example]\n"
    (directory / "web.yml").write_text(text)
    exporter = start("--config.file=config.yaml", "--web.config.file=web.yml", "--web.listen-address=127.0.0.1:0")
    port = int(exporter.wait_until_it_listens().rpartition(":")[2])
    assert web_configs.outcome(port, directory)["certificate"] != 200
    assert exporter.stop() == 0
    assert "level=error" not in exporter.stderr


def test_a_key_of_another_certificate(run, directory):
    """The message about a certificate and a key that do not belong together names both files."""
    (directory / "web.yml").write_text("tls_server_config: {cert_file: server.pem, key_file: client.key}\n")
    done = run("--config.check", "--config.file=config.yaml", "--web.config.file=web.yml")
    problem = "server.pem is not the certificate of the key client.key"
    assert (done.returncode, done.stderr) == (1, f"web.yml: tls_server_config.cert_file: {problem}\n")


def test_users_that_are_removed(start, directory):
    """If a new web configuration has no users any more, a warning says that all routes are open."""
    (directory / "web.yml").write_text(web_configs.LOGIN)
    exporter = start("--config.file=config.yaml", "--web.config.file=web.yml", "--web.listen-address=127.0.0.1:0")
    exporter.wait_until_it_listens()
    (directory / "web.yml").write_text("# no users\n")
    until(lambda: "web configuration reloaded" in exporter.stderr)
    assert "level=warn" in exporter.stderr
    assert "no basic_auth_users any more: every client can use all routes now" in exporter.stderr


def test_replaced_files_are_read_again(start, directory):
    """A new certificate and a new password are used without a restart; a half-written pair changes nothing."""
    (directory / "web.yml").write_text(web_configs.TLS + web_configs.LOGIN)
    exporter = start("--config.file=config.yaml", "--web.config.file=web.yml", "--web.listen-address=127.0.0.1:0")
    port = int(exporter.wait_until_it_listens().rpartition(":")[2])
    login = ("alice", PASSWORD)
    assert web_configs.status(port, directory, login=login) == 200

    authority = trustme.CA()
    new = directory / "new"
    new.mkdir()
    web_configs.write_certificate(new, "server", authority, "127.0.0.1")
    (new / "server.pem").replace(directory / "server.pem")
    until(lambda: "not reloaded" in exporter.stderr)
    assert "server.key" in exporter.stderr or "key_file" in exporter.stderr
    assert web_configs.status(port, directory, login=login) == 200

    (new / "server.key").replace(directory / "server.key")
    until(lambda: "web configuration reloaded" in exporter.stderr)
    assert web_configs.status(port, directory, login=login) is None
    authority.cert_pem.write_to_path(directory / "ca.pem")
    assert web_configs.status(port, directory, login=login) == 200

    (directory / "web.yml").write_text(web_configs.TLS + web_configs.LOGIN.replace("alice", "carol"))
    until(lambda: exporter.stderr.count("web configuration reloaded") == 2)
    assert web_configs.status(port, directory, login=login) == 401
    assert web_configs.status(port, directory, login=("carol", PASSWORD)) == 200
    assert exporter.stop() == 0
