from __future__ import annotations

import time

import pytest

from exporter.config import LARGEST_FILE, MAX_PROBLEMS, parse
from exporter.config.accounts import MAX_TARGETS
from exporter.config.yaml_document import MAX_VALUES
from exporter.core.errors import ConfigError

SECONDS = 5.0
"""Of processor time, which no other process on the machine lengthens."""
PROVIDER = "provider: oss, regions: [r]"


def account(number, more=""):
    return f"{{{PROVIDER}, account: a{number}{more}}}"


def accounts(number):
    return f"accounts: [{', '.join(map(account, range(number)))}]"


HOSTILE = {
    "aliases of aliases": "a0: &a0 [x]\n"
    + "".join(f"a{level}: &a{level} [*a{level - 1}, *a{level - 1}]\n" for level in range(1, 1000)),
    "aliased accounts": f"x: &a {account(1)}\naccounts: [{', '.join(['*a'] * 200_000)}]",
    "accounts of one key": f"accounts: [{','.join(['{a}'] * 250_000)}]",
    "unknown providers": f"accounts: [{', '.join(['{provider: x}'] * 60_000)}]",
    "nested mappings": f"accounts: {'{a: ' * 200_000}",
    "unknown keys": f"accounts: [{{{','.join(f'a{number}: 1' for number in range(49_000))}}}]",
    "unknown statuses": f"accounts: [{account(1, ', jobs: {statuses: [' + 'a,' * 90_000 + ']}')}]",
    "placeholders": f"accounts: [{account(1, ', endpoint: ' + repr('https://' + '{x}' * 5_000))}]",
    "long aliased duration": "x: &a '"
    + "1" * 1_000_000
    + "x'\naccounts: ["
    + (account(1, ", timeout: *a") + ", ") * 500
    + "]",
    "merged mappings": f"x: &a {{{','.join(f'k{number}: 1' for number in range(1000))}}}\ny: [{'{<<: *a}, ' * 1000}]",
    "tags": f"a: [{', '.join(['!x a'] * 150_000)}]",
    "variables": f"a: '{'${A}' * 250_000}'",
    "long number": f"a: 0x{'f' * 1_000_000}",
    "lists on lines": "[\n" * 500_000,
    "question marks": "? " * 500_000,
    "items without a value": "-\n" * 500_000,
    "long key": "a: " + "x:" * 500_000,
}
"""Files that are made to take long."""


def read(text):
    """Returns the messages about `text`, or nothing if it is valid, after at most SECONDS."""
    assert len(text) <= LARGEST_FILE
    start = time.process_time()
    messages = []
    try:
        parse(text.encode(), file="", environment={}, expand=True)
    except ConfigError as error:
        messages = [str(problem) for problem in error.problems]
    assert time.process_time() - start < SECONDS
    return messages


def test_the_largest_number_of_targets():
    """So many targets are read, whether they are accounts or regions; one more is one problem that names the limit."""
    regions = "accounts: [{{provider: oss, account: a, regions: [{}]}}]"
    assert read(accounts(MAX_TARGETS)) == []
    assert read(regions.format(", ".join(f"r{number}" for number in range(MAX_TARGETS)))) == []
    [problem] = read(accounts(MAX_TARGETS + 1))
    assert problem.startswith(f"accounts: has more than {MAX_TARGETS} accounts")
    [problem] = read(regions.format(", ".join(f"r{number}" for number in range(90_000))))
    assert problem.startswith(f"accounts[0].regions: there are more than {MAX_TARGETS} targets")


def test_defaults_count_for_each_account():
    """A large default for many accounts is one problem, as it would be if each account had it."""
    ids = ",".join(f"job-{number}" for number in range(30_000))
    [problem] = read(f"defaults: {{jobs: {{ids: [{ids}]}}}}\n{accounts(1000)}")
    assert problem.startswith("accounts: has more than")
    assert f"more than {MAX_VALUES} values if each has the defaults" in problem
    assert read(f"defaults: {{jobs: {{ids: [{ids}]}}}}\n{accounts(3)}") == []


def test_many_problems():
    """A file with more problems than anyone reads shows the first ones, and that there are more."""
    messages = read(f"accounts: [{', '.join(['{a}'] * 20_000)}]")
    assert messages[0].startswith("accounts[0].provider: is required")
    assert messages[MAX_PROBLEMS:] == ["there are more problems; correct these 100 first"]


def test_a_bad_default_of_many_accounts():
    """The problems with a default are found once, not once for each account, and all of them are shown."""
    statuses = ", ".join(f"Activ{number}" for number in range(90))
    messages = read(f"defaults: {{jobs: {{statuses: [{statuses}]}}}}\n{accounts(1000)}")
    assert len(messages) == 90
    assert all(message.startswith("defaults.jobs.statuses[") for message in messages)


@pytest.mark.parametrize("name", HOSTILE)
def test_every_file_is_read_in_time(name):
    """A file made to take long is a problem within seconds, because each of its dimensions has a limit."""
    assert read(HOSTILE[name])
