from __future__ import annotations

import os

import httpx
import pytest

from exporter import config
from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from exporter.credentials.header_values import header_problem
from tests.credentials.conftest import offline
from tests.rig import exporting, parse, value

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(read, tmp_path):
    """The source `static` with the secret in a file, and that file."""
    file = tmp_path / "secret"
    static, problems = read({"source": "static", "id": "i", "secret_file": str(file)})
    assert not problems
    return static, file


async def test_literals(read):
    """Literals in the configuration are used unchanged."""
    static, problems = read({"source": "static", "id": "i", "secret": "s", "token": "t"})
    assert not problems
    assert await static.get(offline) == Credentials("i", Secret("s"), Secret("t"))


async def test_files(read, tmp_path):
    """Each key may be in a file; relative paths start at the directory of the configuration."""
    for name in ("id", "secret", "token"):
        (tmp_path / name).write_text(f"{name}-value\n")
    mapping = {"source": "static", "id_file": "id", "secret_file": "secret", "token_file": str(tmp_path / "token")}
    static, problems = read(mapping, directory=str(tmp_path))
    assert not problems
    assert await static.get(offline) == Credentials("id-value", Secret("secret-value"), Secret("token-value"))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"], ids=repr)
async def test_trailing_line_breaks_are_ignored(source, end):
    """A file may end with line breaks, as editors and echo write them."""
    static, file = source
    file.write_bytes(b"hunter2" + end.encode())
    assert (await static.get(offline)).secret == Secret("hunter2")


async def test_a_rotated_secret_is_used(source):
    """A file is read at each use, so a rewritten or replaced file or link is noticed."""
    static, file = source
    file.write_text("secret-1")
    os.utime(file, ns=(1, 1))
    assert (await static.get(offline)).secret == Secret("secret-1")
    file.write_text("secret-2")
    os.utime(file, ns=(1, 1))
    assert (await static.get(offline)).secret == Secret("secret-2")
    other = file.with_name("other")
    other.write_text("secret-3")
    other.replace(file)
    assert (await static.get(offline)).secret == Secret("secret-3")
    file.unlink()
    other.write_text("secret-4")
    file.symlink_to(other)
    assert (await static.get(offline)).secret == Secret("secret-4")


async def test_a_missing_file_may_appear_later(source):
    """A missing file raises an error at each use, until it exists."""
    static, file = source
    with pytest.raises(CredentialsError) as caught:
        await static.get(offline)
    assert str(caught.value) == f"credentials.secret_file: {file} cannot be read: No such file or directory"
    assert caught.value.reason == "config"
    file.write_text("hunter2")
    assert (await static.get(offline)).secret == Secret("hunter2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * (64 * 1024 + 1), "is longer than 65536 bytes and cannot be a key"),
        (b"hunter2 \n", "contains a character that HTTP headers do not allow"),
        (b"hunter2\nhunter3", "contains a character that HTTP headers do not allow"),
        (b"hunter2\xff", "contains a character that HTTP headers do not allow"),
        ("hunter2é".encode(), "contains a character that HTTP headers do not allow"),
        (b"\xef\xbb\xbfhunter2", "contains a character that HTTP headers do not allow"),
        (b"hunter2\x00", "contains a character that HTTP headers do not allow"),
    ],
    ids=["empty", "line break", "long", "space", "two lines", "not UTF-8", "not ASCII", "byte order mark", "NUL"],
)
async def test_an_invalid_file(source, content, message):
    """Content that cannot be a key raises an error that names the file and not its content."""
    static, file = source
    file.write_bytes(content)
    with pytest.raises(CredentialsError) as caught:
        await static.get(offline)
    assert str(caught.value).startswith(f"credentials.secret_file: {file} {message}")
    assert "hunter" not in str(caught.value)
    assert caught.value.reason == "config"


async def test_the_longest_file(source):
    """A file of the maximum size is read."""
    static, file = source
    file.write_bytes(b"x" * 64 * 1024)
    assert (await static.get(offline)).secret == Secret("x" * 65536)


@pytest.mark.parametrize(
    ("make", "problem"), [(os.mkdir, "Is a directory"), (os.mkfifo, "not a regular file")], ids=["folder", "pipe"]
)
async def test_a_path_that_is_not_a_regular_file(source, make, problem):
    """A directory or a named pipe raises an error at once."""
    static, file = source
    make(file)
    with pytest.raises(CredentialsError, match=f"cannot be read: {problem}"):
        await static.get(offline)


@pytest.mark.parametrize(
    ("mapping", "problems"),
    [
        (
            {},
            [
                "credentials.id: is required: set it or id_file",
                "credentials.secret: is required: set it or secret_file",
            ],
        ),
        (
            {"id": "i", "secret": "", "token": ""},
            ["credentials.secret: must not be empty", "credentials.token: must not be empty"],
        ),
        ({"id": "i", "secret_file": ""}, ["credentials.secret_file: must not be empty: the name of a file"]),
        (
            {"id": "i", "secret": "hunter2", "secret_file": "f"},
            ["credentials.secret: cannot be combined with secret_file: set only one of them"],
        ),
        ({"id": "i", "secret": 123}, ["credentials.secret: must be a string, not an integer (put it in quotes)"]),
        ({"id": "i", "secret": ["hunter2"]}, ["credentials.secret: must be a string, not a list"]),
        ({"id": "i", "secret": None}, ["credentials.secret: must be a string, not nothing"]),
        (
            {"id": "i", "secret_file": 1},
            ["credentials.secret_file: must be a string, not an integer (put it in quotes)"],
        ),
        (
            {"id": "i", "secret": "hunter2\n"},
            ["credentials.secret: must contain only printable characters: no line break, tab or invisible character"],
        ),
        (
            {"id": "i", "secret": "hunter2 "},
            [f"credentials.secret: {header_problem(' ')}"],
        ),
        (
            {"id": "i", "secret": "hunter2", "tokn": "hunter3"},
            ["credentials.tokn: is not a known key; did you mean token?"],
        ),
    ],
    ids=[
        "nothing",
        "empty",
        "empty name",
        "both twins",
        "number",
        "list",
        "null",
        "file is a number",
        "line end",
        "blank",
        "unknown",
    ],
)
def test_problems(read, mapping, problems):
    """All problems of the keys are reported at once, with their paths and without their values."""
    assert read({"source": "static", **mapping})[1] == problems


@pytest.mark.parametrize("part", ["secret", "secret_file"])
async def test_the_expiry(read, tmp_path, part):
    """The expiry that is written beside temporary keys is that of the source, from the start, and of its keys."""
    (tmp_path / "secret").write_text("s")
    content = "s" if part == "secret" else str(tmp_path / "secret")
    static, problems = read({"source": "static", "id": "i", part: content, "expires": "2026-12-01T00:00:00Z"})
    assert not problems
    assert static.expires == 1796083200.0
    assert await static.get(offline) == Credentials("i", Secret("s"), None, 1796083200.0)


@pytest.mark.parametrize("text", ["soon", "2026-12-01", "2026-12-01T00:00:00", 1796083200, ""], ids=str)
def test_an_expiry_that_is_no_time(read, text):
    """An expiry must be a time with its zone, as a date alone could mean another day."""
    assert read({"source": "static", "id": "i", "secret": "s", "expires": text})[1] == [
        "credentials.expires: must be a time with its zone, such as 2026-12-01T00:00:00Z"
    ]


def test_the_expiry_is_in_the_metrics():
    """The expiry of static keys that the configuration file contains is exported as a metric."""
    text = b"""
    accounts:
      - provider: oss
        account: prod
        regions: [cn-hangzhou]
        endpoint: http://127.0.0.1:1
        retries: 0
        credentials: {source: static, access_key_id: i, access_key_secret: s, expires: 2026-12-01T00:00:00Z}
    """
    [target] = config.parse(text, file="", environment={}).targets
    with exporting(target) as url:
        samples = parse(httpx.get(f"{url}/metrics", timeout=10).text)
    assert value(samples, "batchops_credentials_expiration_timestamp_seconds", source="static") == 1796083200.0


def test_the_representation_contains_no_secret(read):
    """Neither `str`, `repr` nor the attributes of the source show its keys."""
    static, _ = read({"source": "static", "id": "hunter1", "secret": "hunter2", "token": "hunter3"})
    assert "hunter" not in f"{static} {static!r} {vars(static)}"
