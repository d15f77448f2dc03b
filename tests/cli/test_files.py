from __future__ import annotations

import socket

import pytest

from tests.rawserver import free_port

BAD = """\
accounts:
  - provider: oss
    account: prod
    regions: [cn-hangzhou]
    page_size: 5000
    endpoint: http://oss.example
    retires: 2
    credentials: {source: static, access_key_id: an-id, access_key_secret: "CANARY secret"}
"""
PROBLEMS = ("accounts[0].page_size", "accounts[0].endpoint", "accounts[0].retires", "credentials.access_key_secret")


@pytest.fixture
def config(tmp_path):
    """Writes config.yaml into the directory in which the exporter runs."""
    return (tmp_path / "config.yaml").write_text


def test_a_missing_file_is_one_message(run):
    """Without flags the file config.yaml is read; where it is missing, that is said, with exit code 1."""
    done = run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "config.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["--config.check"]])
def test_a_bad_file_tells_every_problem(arguments, run, config):
    """Each problem of the file is a line with its path, without what may be secret, and the exit code is 1."""
    config(BAD)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith("config.yaml: ") for line in lines)
    for path in PROBLEMS:
        assert sum(path in line for line in lines) == 1, path
    assert "CANARY" not in done.stderr


def test_a_bad_file_opens_no_socket(run, config):
    """The file is judged before any address is tried: one that is taken is no matter then."""
    config(BAD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(f"--web.listen-address=127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "accounts[0].retires" in done.stderr
    assert "listen" not in done.stderr


def test_a_good_file_is_told_to_be_good(run, config_file):
    """`--config.check` names the targets of a good file and opens nothing."""
    flag = config_file("http://127.0.0.1:1", regions=["cn-hangzhou", "ap-southeast-1"])
    done = run("--config.check", flag)
    assert (done.returncode, done.stderr) == (0, "")
    path = flag.removeprefix("--config.file=")
    targets = "  oss/prod/cn-hangzhou\n  oss/prod/ap-southeast-1\n"
    assert done.stdout == f"{path} is valid. Targets: 2\n{targets}"


def test_variables_are_expanded_where_asked_for(run, config_file):
    """With `--config.expand-environment-variables` values of the environment are filled in; a missing one is told."""
    flag = config_file("http://127.0.0.1:1", account="${NAME}")
    expand = "--config.expand-environment-variables"
    done = run("--config.check", flag, expand, NAME="staging")
    assert (done.returncode, "oss/staging/cn-hangzhou" in done.stdout) == (0, True)
    done = run("--config.check", flag, expand)
    assert done.returncode == 1
    assert "accounts[0].account: the environment variable NAME is not set" in done.stderr


def test_a_file_that_is_none(run, tmp_path):
    """A directory in the file's place says so."""
    (tmp_path / "config.yaml").mkdir()
    done = run()
    assert (done.returncode, done.stderr) == (1, "config.yaml: cannot be read: Is a directory\n")


@pytest.mark.parametrize(
    ("scenario", "problem"),
    [
        ("regions: cn-hangzhou\nnothing: 1\n", "nothing"),
        ("- a list\n", "must be a mapping"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_bad_scenario_tells_its_problems(scenario, problem, run, tmp_path):
    """`simulate` judges its file in the same way, ahead of any socket."""
    if scenario is not None:
        (tmp_path / "scenario.yaml").write_text(scenario)
    done = run("simulate", "--scenario=scenario.yaml", "--web.listen-address=no.such.host.invalid:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("scenario.yaml: ")
    assert problem in done.stderr
    assert "listen" not in done.stderr


def test_a_usage_error_ends_before_all_else(run):
    """A wrong flag is told with exit code 2, whatever the file is."""
    done = run("--config.file=missing.yaml", "--web.max-requests=many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_an_address_that_is_taken(run):
    """A port that another process has is told with exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--demo", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"batchops-exporter: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("address", "told"),
    [("no.such.host.invalid:0", ""), ("192.0.2.1:0", "Cannot assign requested address\n")],
)
def test_an_address_that_cannot_be_had(address, told, run):
    """An address that is not this machine's is told with exit code 1, also beside a good one."""
    good = free_port()
    done = run("simulate", f"--web.listen-address=127.0.0.1:{good}", f"--web.listen-address={address}")
    assert done.returncode == 1
    assert f"cannot listen on {address}: {told}" in done.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", good)).close()
