from __future__ import annotations

import pytest

from exporter.core.errors import CredentialsError
from exporter.core.secrets import Credentials, Secret
from tests.credentials.conftest import offline

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(read):
    """The source `environment` over a mapping."""
    return lambda environment: read({"source": "environment"}, environment)[0]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"A_ID": "i", "A_SECRET": "s"}, Credentials("i", Secret("s"))),
        ({"A_ID": "i", "A_SECRET": "s", "A_TOKEN": "t"}, Credentials("i", Secret("s"), Secret("t"))),
        ({"A_ID": "i", "A_SECRET": "s", "B_ID": "j", "B_SECRET": "u"}, Credentials("i", Secret("s"))),
        ({"B_ID": "j", "B_SECRET": "u", "B_TOKEN": "w"}, Credentials("j", Secret("u"), Secret("w"))),
        ({"A_ID": "", "A_TOKEN": "", "B_ID": "j", "B_SECRET": "u", "B_TOKEN": ""}, Credentials("j", Secret("u"))),
    ],
    ids=["first", "with a token", "first of two", "second", "empty counts as not set"],
)
async def test_the_first_group_that_is_set(source, environment, expected):
    """The first group with a variable that is set is used; an empty variable counts as not set."""
    assert await source(environment).get(offline) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"A_ID": "hunter2"}, "A_ID set in the environment without A_SECRET: set all or none"),
        ({"A_SECRET": "hunter2"}, "A_SECRET set in the environment without A_ID: set all or none"),
        ({"A_TOKEN": "hunter2"}, "A_TOKEN set in the environment without A_ID, A_SECRET: set all or none"),
        (
            {"A_ID": "hunter2", "B_ID": "j", "B_SECRET": "u"},
            "A_ID set in the environment without A_SECRET: set all or none",
        ),
        ({"B_SECRET": "hunter2"}, "B_SECRET set in the environment without B_ID: set all or none"),
        ({}, "no credentials in the environment: set A_ID and A_SECRET, or B_ID and B_SECRET"),
    ],
    ids=["no secret", "no id", "only a token", "incomplete before complete", "second incomplete", "none"],
)
async def test_what_is_missing_is_named(source, environment, message):
    """An incomplete group, or none, raises an error that names the missing variables."""
    with pytest.raises(CredentialsError) as caught:
        await source(environment).get(offline)
    assert (str(caught.value), caught.value.reason) == (message, "config")


@pytest.mark.parametrize("name", ["A_ID", "A_SECRET", "A_TOKEN"])
@pytest.mark.parametrize("end", ["\nx", " ", "\r\n ", "é", "\x00", "\x7f", "\udcff"], ids=ascii)
async def test_a_key_that_cannot_be_sent(source, name, end):
    """A character that no HTTP header allows raises an error that names the variable and not its value."""
    environment = {"A_ID": "i", "A_SECRET": "s", "A_TOKEN": "t", name: f"hunter2{end}"}
    with pytest.raises(CredentialsError, match=f"^{name} in the environment contains a character") as caught:
        await source(environment).get(offline)
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason == "config"


async def test_the_environment_is_read_at_each_use(source):
    """Changed variables are used at the next call."""
    environment = {"A_ID": "i", "A_SECRET": "old"}
    credentials = source(environment)
    assert (await credentials.get(offline)).secret == Secret("old")
    environment["A_SECRET"] = "new"
    assert (await credentials.get(offline)).secret == Secret("new")


async def test_the_representation_contains_no_secret(source):
    """Neither `str` nor `repr` of the source contains a variable's value."""
    credentials = source({"A_ID": "i", "A_SECRET": "hunter2"})
    assert "hunter2" not in f"{credentials} {credentials!r}"
