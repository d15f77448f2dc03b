from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import LARGEST_FILE, Config, load, read_yaml
from exporter.core.errors import ConfigError

GOOD = b"accounts: [{provider: oss, account: a, regions: [r], tls: {ca_file: ca.pem}}]\n"


def wrong(path, **options):
    """Returns the message of the error that the file raises, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(path, environment={}, **options)
    assert caught.value.file == str(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_file(tmp_path):
    """A file is read from its path, and names of files in it are relative to its directory."""
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD)
    config = load(path, environment={})
    assert isinstance(config, Config)
    assert config.targets[0].connection.ca_file == str(tmp_path / "ca.pem")


def test_variables(tmp_path):
    """Variables in a file are expanded with `expand`, and are a problem without it."""
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD.replace(b"account: a", b"account: '${A}'"))
    assert "accounts[0].account: contains a variable" in wrong(path)
    assert load(path, environment={"A": "one"}, expand=True).targets[0].account == "one"


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a folder, a path below a file and an impossible name are one problem each."""
    (tmp_path / "file").touch()
    assert wrong(tmp_path / "none") == "cannot be read: No such file or directory"
    assert wrong(tmp_path) == "cannot be read: Is a directory"
    assert wrong(tmp_path / "file" / "x") == "cannot be read: Not a directory"
    assert wrong(Path("a\x00b")) == "cannot be read: this is not the name of a file"


def test_the_largest_file(tmp_path):
    """A file of the largest size is read, one byte more is too long; the limit can be changed."""
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD.ljust(LARGEST_FILE))
    assert len(load(path, environment={}).targets) == 1
    path.write_bytes(GOOD.ljust(LARGEST_FILE + 1))
    remedy = "split it, and start an exporter for each part"
    assert wrong(path) == f"is longer than 1048576 bytes; {remedy}"
    assert wrong(path, largest_file=100) == f"is longer than 100 bytes; {remedy}"


def test_a_plain_yaml_file(tmp_path):
    """Another YAML file is read as strictly as a configuration, without expanding variables."""
    path = tmp_path / "scenario.yaml"
    path.write_text("a: {b: [1, '${C}']}")
    assert read_yaml(path, first_key="a") == {"a": {"b": [1, "${C}"]}}
    path.write_text("a: 1\na: 2")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, first_key="a")
    assert str(caught.value) == f"{path}: a: duplicate key (lines 1 and 2); remove one"
    with pytest.raises(ConfigError, match="is longer than 3 bytes"):
        read_yaml(path, first_key="a", largest_file=3)


def test_every_problem_names_the_file(tmp_path):
    """Each line of the message begins with the file's name and the path of the key."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"accounts: [1]\ndefaults: 2\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert str(caught.value).splitlines() == [
        f"{path}: accounts[0]: must be a mapping, not an integer",
        f"{path}: defaults: must be a mapping, not an integer",
    ]


def test_golden_problems_of_a_bad_file(pytestconfig):
    """All problems of a bad file are reported at once; the golden file contains them for people to read."""
    golden = Path(__file__).with_name("bad.golden.txt")
    with pytest.raises(ConfigError) as caught:
        load(Path(__file__).with_name("bad.yaml"), environment={})
    messages = "".join(f"{problem}\n" for problem in caught.value.problems)
    if pytestconfig.getoption("--golden"):
        golden.write_text(messages)
    assert messages == golden.read_text()
