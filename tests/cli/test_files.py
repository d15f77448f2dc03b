from __future__ import annotations

import os
import socket
import subprocess

import pytest
import trustme
import yaml

from tests.cli.conftest import PATIENCE, command
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


@pytest.fixture
def named(tmp_path, config_file):
    """Writes a configuration that names three files of the folder, and returns its flag."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("id", "secret"):
        (tmp_path / name).write_text("CANARY\n")
        (tmp_path / name).chmod(0o640)
    keys = {"source": "static", "access_key_id_file": "id", "access_key_secret_file": "secret"}
    return config_file("https://oss.example", credentials=keys, tls={"ca_file": "ca.pem"})


def test_named_files_that_can_be_read(run, named, tmp_path):
    """`--config.check` shows the files that it could read, and no warning if only the owner and the group may."""
    done = run("--config.check", named)
    assert (done.returncode, done.stderr) == (0, "")
    names = "".join(f"  {tmp_path / name}\n" for name in ("id", "secret", "ca.pem"))
    assert done.stdout.endswith(f"Files that can be read: 3\n{names}")


@pytest.mark.parametrize(
    ("name", "key", "problem"),
    [
        ("secret", "credentials.access_key_secret_file", "cannot be read: No such file or directory"),
        ("id", "credentials.access_key_id_file", "is empty"),
        ("ca.pem", "tls.ca_file", "contains no certificate in PEM format"),
        ("pipe", "tls.ca_file", "cannot be read: not a regular file"),
    ],
)
def test_named_files_that_cannot_be_read(run, named, tmp_path, name, key, problem):
    """A file that cannot be used is a problem with the path of its key, and the check fails."""
    if name == "pipe":
        (tmp_path / "ca.pem").unlink()
        os.mkfifo(tmp_path / "ca.pem")
        name = "ca.pem"
    elif name == "secret":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text("")
    done = run("--config.check", named)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path / 'config.yaml'}: accounts[0].{key}: {tmp_path / name} {problem}\n"


def test_named_files_of_an_invalid_configuration(run, config_file, tmp_path):
    """What is wrong with the files is reported with all other problems."""
    keys = {"source": "static", "access_key_id_file": "id", "access_key_secret_file": "secret"}
    (tmp_path / "id").write_text("id")
    (tmp_path / "id").chmod(0o600)
    done = run("--config.check", config_file("https://oss.example", credentials=keys, page_size=0))
    assert (done.returncode, done.stdout) == (1, "")
    size, secret = done.stderr.splitlines()
    assert "accounts[0].page_size: " in size
    assert secret.endswith(f"access_key_secret_file: {tmp_path / 'secret'} cannot be read: No such file or directory")


def test_a_client_certificate_and_its_key(run, tmp_path):
    """A client's key that does not belong to its certificate is a problem of the account that names both."""
    for name in ("a", "b"):
        pair = trustme.CA().issue_cert(f"{name}.example")
        pair.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        pair.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        (tmp_path / f"{name}.key").chmod(0o600)
    good, wrong, half = (
        {"cert_file": "b.pem", "key_file": "b.key"},
        {"cert_file": "a.pem", "key_file": "b.key"},
        {"key_file": "b.key"},
    )

    def checked(*accounts, **defaults):
        document = {
            "defaults": defaults,
            "accounts": [
                {"provider": "oss", "account": f"a-{number}", "regions": ["cn-hangzhou"], "tls": tls}
                for number, tls in enumerate(accounts)
            ],
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
        done = run("--config.check", f"--config.file={tmp_path / 'config.yaml'}")
        return done.returncode, done.stderr.replace(f"{tmp_path}/", "")

    problem = "config.yaml: accounts[{}].tls.key_file: b.key is not the key of a.pem\n"
    assert checked(good, good) == (0, "")
    assert checked(wrong, good) == (1, problem.format(0))
    assert checked(good, wrong) == (1, problem.format(1))
    assert checked(good, half, tls={"cert_file": "a.pem", "key_file": "a.key"}) == (1, problem.format(1))
    assert checked({"cert_file": "a.pem"}, tls={"cert_file": "b.pem", "key_file": "b.key"}) == (
        1,
        problem.format(0).replace("tls.key_file", "tls.cert_file"),
    )
    code, stderr = checked({"ca_file": "a.pem"}, tls=wrong)
    assert (code, stderr.count("is not the key of")) == (1, 1)
    (tmp_path / "b.key").write_text("no key\n")
    assert checked(good)[1].endswith(
        "b.key is not the key of b.pem, or has a password, or one of them is not in PEM format\n"
    )


def test_a_key_file_that_every_user_may_read(run, named, tmp_path):
    """A key file that others may read is a warning with what to do, and the check does not fail."""
    (tmp_path / "secret").chmod(0o644)
    done = run("--config.check", named)
    assert done.returncode == 0
    assert "valid" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "warning: accounts[0].credentials.access_key_secret_file: " in done.stderr
    assert f"can be read by every user of this machine; chmod o= {tmp_path / 'secret'}" in done.stderr
    assert "CANARY" not in done.stderr + done.stdout


@pytest.mark.parametrize("arguments", [["--config.check"], ["check"]], ids=" ".join)
def test_an_encoding_without_all_letters(run, config_file, arguments):
    """Letters of a name that the encoding of the output lacks are shown as escape sequences."""
    flag = config_file("http://127.0.0.1:1", account="ünï", retries=0)
    done = run(*arguments, flag, PYTHONIOENCODING="ascii")
    assert "oss/\\xfcn\\xef/cn-hangzhou" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bad", [False, True], ids=["valid", "invalid"])
def test_nobody_reads_the_output(config_file, environment, tmp_path, bad):
    """If the reader of the output has gone, as after `| head`, the check ends quietly with its own exit code."""
    flag = config_file("https://{region}.example", regions=[f"r{number}" for number in range(5000)], retries=-bad)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command("--config.check", flag),
        stdout=subprocess.PIPE if bad else write,
        stderr=write if bad else subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        timeout=PATIENCE,
        check=False,
    )
    os.close(write)
    assert done.returncode == bad
    assert (done.stdout or b"", done.stderr or b"") == (b"", b"")


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


def test_a_named_pipe_instead_of_a_file(run, tmp_path):
    """A named pipe in place of the file, or of one for TLS, is one message: nothing may ever write to it."""
    os.mkfifo(tmp_path / "config.yaml")
    done = run()
    assert (done.returncode, done.stderr) == (1, "config.yaml: cannot be read: not a regular file\n")
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: config.yaml, key_file: config.yaml}\n")
    done = run("--demo", "--web.config.file=web.yml")
    assert done.returncode == 1
    assert "tls_server_config.cert_file: config.yaml cannot be read: not a regular file\n" in done.stderr


def test_a_pipe_without_a_name(config_file, environment, tmp_path):
    """The file may come from another program, as in `generate | batchops-exporter --config.file=/dev/stdin`."""
    config_file("https://oss.example")
    done = subprocess.run(
        command("--config.check", "--config.file=/dev/stdin"),
        input=(tmp_path / "config.yaml").read_bytes(),
        env=environment,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


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
