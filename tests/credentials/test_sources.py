from __future__ import annotations

import pytest

from exporter.credentials import SOURCES
from exporter.model import Credentials, Secret


@pytest.mark.parametrize(
    ("mapping", "name"),
    [
        ({}, "environment"),
        ({"source": "default"}, "environment"),
        ({"source": "environment"}, "environment"),
        ({"source": "static", "id": "i", "secret": "s"}, "static"),
    ],
    ids=["none named", "default", "environment", "static"],
)
def test_sources_by_name(read, mapping, name):
    """The word in the configuration decides where keys come from; without one it is the default, the environment."""
    found, problems = read(mapping)
    assert (found.name, found.expires, problems) == (name, None, [])


@pytest.mark.anyio
async def test_the_default_source(read):
    """The default source finds the keys of the environment."""
    found, _ = read({}, {"B_ID": "j", "B_SECRET": "u"})
    assert await found.get() == Credentials("j", Secret("u"))


@pytest.mark.parametrize("mapping", [{}, {"source": "default"}, {"source": "environment"}], ids=str)
@pytest.mark.parametrize("key", ["id", "secret", "token", "id_file", "secret_file", "token_file"])
def test_keys_need_the_static_source(read, mapping, key):
    """A key that another source would not read is told, with the source that reads it."""
    assert read({**mapping, key: "hunter2"})[1] == [f"credentials.{key}: needs source: static"]


def test_an_unknown_source(read):
    """A source that there is not is told with those that there are, and no more is asked of it."""
    known = ", ".join(sorted(SOURCES))
    assert read({"source": "vault", "secret": "hunter2", "path": "kv/oss"})[1] == [
        f"credentials.source: must be one of {known}, not 'vault'"
    ]


def test_a_secret_that_lost_its_key(read):
    """A word that stands where a key should, without a value, is not shown."""
    problems = read({"source": "static", "id": "i", "secret": "s", "hunter2": None})[1]
    assert len(problems) == 1
    assert problems[0].startswith("credentials: holds a key that is not known")
    assert "hunter2" not in problems[0]
