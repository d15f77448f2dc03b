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
ANOTHER = "is another exporter running? Choose a free one with --web.listen-address"
MISSING = "config.yaml: does not exist; name your file with --config.file, or try the exporter without one by --demo\n"
PROBLEMS = ("accounts[0].page_size", "accounts[0].endpoint", "accounts[0].retires", "credentials.access_key_secret")


@pytest.fixture
def config(tmp_path):
    """Writes config.yaml into the working directory of the exporter."""
    return (tmp_path / "config.yaml").write_text


def test_a_missing_file_is_one_message(run):
    """Without flags config.yaml is read; if it is missing, one message says so and names `--demo`, and it exits 1."""
    done = run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == MISSING


@pytest.mark.parametrize("arguments", [[], ["--config.check"]])
def test_a_bad_file(arguments, run, config):
    """Each problem of the file is a line with its path and without secrets, and the exporter exits 1."""
    config(BAD)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith("config.yaml: ") for line in lines)
    for path in PROBLEMS:
        assert sum(path in line for line in lines) == 1, path
    assert "CANARY" not in done.stderr


def test_a_bad_file_opens_no_socket(run, config):
    """The file is read before any address is opened: an address in use makes no difference then."""
    config(BAD)
    with socket.create_server(("127.0.0.1", 0)) as used:
        done = run(f"--web.listen-address=127.0.0.1:{used.getsockname()[1]}")
    assert done.returncode == 1
    assert "accounts[0].retires" in done.stderr
    assert "listen" not in done.stderr


def test_a_good_file(run, config_file):
    """`--config.check` lists the targets of a valid file, and exits 0."""
    flag = config_file("https://{region}.example", regions=["cn-hangzhou", "ap-southeast-1"])
    done = run("--config.check", flag)
    assert (done.returncode, done.stderr) == (0, "")
    path = flag.removeprefix("--config.file=")
    targets = "  oss/prod/cn-hangzhou\n  oss/prod/ap-southeast-1\n"
    assert done.stdout == f"{path} is valid. Targets: 2\n{targets}"


def test_variables_are_expanded_with_the_flag(run, config_file):
    """With `--config.expand-environment-variables` variables are replaced; one that is not set is a problem."""
    flag = config_file("http://127.0.0.1:1", account="${NAME}")
    expand = "--config.expand-environment-variables"
    done = run("--config.check", flag, expand, NAME="staging")
    assert (done.returncode, "oss/staging/cn-hangzhou" in done.stdout) == (0, True)
    done = run("--config.check", flag, expand)
    assert done.returncode == 1
    assert "accounts[0].account: the environment variable NAME is not set" in done.stderr


def test_a_directory_instead_of_a_file(run, tmp_path):
    """A directory in place of the file is one message."""
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
def test_a_bad_scenario(scenario, problem, run, tmp_path):
    """`simulate` also reads its file before any address is opened, and reports its problems."""
    if scenario is not None:
        (tmp_path / "scenario.yaml").write_text(scenario)
    done = run("simulate", "--scenario=scenario.yaml", "--web.listen-address=no.such.host.invalid:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("scenario.yaml: ")
    assert problem in done.stderr
    assert "listen" not in done.stderr


def test_a_usage_error_comes_first(run):
    """A wrong flag exits 2 with one line, before the file is read."""
    done = run("--config.file=missing.yaml", "--web.max-requests=many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_an_address_in_use(run):
    """A port that another process uses is one message, and the exporter exits 1."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        done = run("--demo", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"batchops-exporter: cannot listen on 127.0.0.1:{port}: Address already in use; {ANOTHER}\n"


@pytest.mark.parametrize(
    ("address", "reason"),
    [("no.such.host.invalid:0", ""), ("192.0.2.1:0", "Cannot assign requested address\n")],
)
def test_an_address_of_another_machine(address, reason, run):
    """An address that is not this machine's exits 1, and leaves no other address open."""
    good = free_port()
    done = run("simulate", f"--web.listen-address=127.0.0.1:{good}", f"--web.listen-address={address}")
    assert done.returncode == 1
    assert f"cannot listen on {address}: {reason}" in done.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", good), 5).close()
