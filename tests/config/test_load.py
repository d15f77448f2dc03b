from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import LARGEST_FILE, Config, load, read_yaml
from exporter.core.errors import ConfigError

GOOD = b"accounts: [{provider: oss, account: a, regions: [r], tls: {ca_file: ca.pem}}]\n"


def wrong(path, **options):
    """The message about a file that cannot be used, after the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(path, environment={}, **options)
    assert caught.value.file == str(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_file(tmp_path):
    """A file is read from its path, and names in it start at its directory."""
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD)
    found = load(path, environment={})
    assert isinstance(found, Config)
    assert found.targets[0].connection.ca_file == str(tmp_path / "ca.pem")


def test_variables(tmp_path):
    """Variables are expanded in a file where that is asked for."""
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD.replace(b"account: a", b"account: '${A}'"))
    assert load(path, environment={"A": "one"}).targets[0].account == "${A}"
    assert load(path, environment={"A": "one"}, expand=True).targets[0].account == "one"


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a folder, a file where a folder should be and a name that cannot be are each one problem."""
    (tmp_path / "file").touch()
    assert wrong(tmp_path / "none") == "cannot be read: No such file or directory"
    assert wrong(tmp_path) == "cannot be read: Is a directory"
    assert wrong(tmp_path / "file" / "x") == "cannot be read: Not a directory"
    assert wrong(Path("a\x00b")) == "cannot be read: this is no name of a file"


def test_the_largest_file(tmp_path):
    """A file of the largest size is read, one byte more is too long; the bound can be set."""
    path = tmp_path / "config.yaml"
    path.write_bytes(GOOD.ljust(LARGEST_FILE))
    assert len(load(path, environment={}).targets) == 1
    path.write_bytes(GOOD.ljust(LARGEST_FILE + 1))
    assert wrong(path) == "is longer than 1048576 bytes"
    assert wrong(path, largest_file=100) == "is longer than 100 bytes"


def test_a_plain_yaml_file(tmp_path):
    """Another file of YAML is read as strictly as a configuration, and its dollars stay."""
    path = tmp_path / "scenario.yaml"
    path.write_text("a: {b: [1, '${C}']}")
    assert read_yaml(path) == {"a": {"b": [1, "${C}"]}}
    path.write_text("a: 1\na: 2")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}: a: stands twice, in line 1 and in line 2"
    with pytest.raises(ConfigError, match="is longer than 3 bytes"):
        read_yaml(path, largest_file=3)


def test_every_problem_names_the_file(tmp_path):
    """Each line of the message begins with the file's name, then the place."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"accounts: [1]\ndefaults: 2\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert str(caught.value).splitlines() == [
        f"{path}: defaults: must be a mapping, not an integer",
        f"{path}: accounts[0]: must be a mapping, not an integer",
    ]


def test_all_problems_of_a_bad_file(pytestconfig):
    """All that is wrong with a bad file is told at once: the list in the golden file, which people read."""
    golden = Path(__file__).with_name("bad.golden.txt")
    with pytest.raises(ConfigError) as caught:
        load(Path(__file__).with_name("bad.yaml"), environment={})
    told = "".join(f"{problem}\n" for problem in caught.value.problems)
    if pytestconfig.getoption("--golden"):
        golden.write_text(told)
    assert told == golden.read_text()
