from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.providers import PROVIDERS
from exporter.providers.oss import Oss

ACCOUNT = "accounts: [{provider: oss, account: a, regions: [r]}]\n"
TWO_ACCOUNTS = "accounts: [{provider: oss, account: a, regions: [r]}, {provider: oss, account: b, regions: [r]}]\n"
OWN_KEYS = """\
accounts:
  - {provider: oss, account: a, regions: [r], timeout: 3s, page_size: 3, jobs: {max: 3, statuses: []}, tls: {}}
"""


def test_an_account_overrides_the_defaults(targets):
    """A key in an account overrides the default; jobs and tls merge key by key, lists do not."""
    text = """\
defaults:
  timeout: 5s
  retries: 7
  regions: [r1, r2]
  jobs: {max: 5, max_age: 1h, statuses: [Active]}
  tls: {ca_file: ca.pem, server_name: a}
accounts:
  - {provider: oss, account: a, timeout: 3s, jobs: {max: 3, statuses: [Failed]}, tls: {server_name: b}}
"""
    first, second = targets(text=text)
    assert (first.region, second.region) == ("r1", "r2")
    assert second == replace(first, region="r2", provider=second.provider)
    assert (first.timeout, first.retries) == (3.0, 7)
    assert (first.jobs.max, first.jobs.max_age, first.jobs.statuses) == (3, 3600.0, {"Failed"})
    assert (first.connection.ca_file, first.connection.server_name) == ("ca.pem", "b")


@pytest.mark.parametrize("accounts", [ACCOUNT, OWN_KEYS, TWO_ACCOUNTS], ids=["one", "none", "two"])
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("timeout: 3", "defaults.timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 3; write 3s"),
        ("jobs: {max: -1}", "defaults.jobs.max: must be from 0 to 1000000, not -1"),
        ("jobs: [1]", "defaults.jobs: must be a mapping, not a list"),
        ("jobs: {statuses: [Activ]}", "defaults.jobs.statuses[0]: 'Activ' is unknown; did you mean Active?"),
        (
            "regions: [A]",
            "defaults.regions[0]: must be a region such as cn-hangzhou, without a prefix such as oss-, not 'A'",
        ),
        ("timeouts: 3s", "defaults.timeouts: is not a known key; did you mean timeout?"),
        ("jobs: {maxx: 3}", "defaults.jobs.maxx: is not a known key; did you mean max?"),
        ("tls: {cafile: x}", "defaults.tls.cafile: is not a known key; did you mean ca_file?"),
        ("account: x", "defaults.account: belongs to each account, not to defaults"),
        ("provider: oss", "defaults.provider: belongs to each account, not to defaults"),
        ("credentials: {}", "defaults.credentials: belongs to each account, not to defaults"),
    ],
)
def test_a_bad_default_is_one_problem(problems, accounts, line, problem):
    """A bad default is reported once and with its own path, whether one, two or no accounts use it."""
    assert problems(text=f"defaults: {{{line}}}\n{accounts}") == [problem]


@pytest.mark.parametrize("accounts", [ACCOUNT, TWO_ACCOUNTS], ids=["one", "two"])
def test_a_bad_default_for_a_provider_is_one_problem(problems, targets, accounts):
    """A bad default for a key of the provider is reported once if accounts use it, and not if each has its own."""
    text = "defaults: {page_size: x}\n"
    assert problems(text=text + accounts) == ["defaults.page_size: must be an integer, not a string"]
    assert len(targets(text=text + OWN_KEYS)) == 1


def test_bad_defaults_without_accounts(problems):
    """The defaults are also checked if there is no valid account."""
    assert problems(text="defaults: {timeout: 3s, page_size: 10, retry: 1}\naccounts: []") == [
        "defaults.retry: is not a known key; did you mean retries?",
        "accounts: must not be empty: a list of accounts, each with provider, account and regions",
    ]


def test_the_defaults_need_not_be_complete(targets):
    """No default is required, and a default may need other keys that only the account has."""
    text = "defaults: {endpoint: http://storage.example, tls: {cert_file: c}}\naccounts:\n"
    account = "  - {provider: oss, account: a, regions: [r], allow_http: true, tls: {key_file: k}}\n"
    assert len(targets(text=text + account)) == 1


def test_the_defaults_must_be_a_mapping(problems):
    """Defaults that are not a mapping are one problem."""
    assert problems(text=f"defaults: [x]\n{ACCOUNT}") == ["defaults: must be a mapping, not a list"]
    assert problems(text=f"defaults:\n{ACCOUNT}") == ["defaults: must be a mapping, not nothing"]


def test_an_account_of_an_unknown_provider_is_checked(problems):
    """If the provider is unknown, the keys that all providers have are still checked."""
    text = "accounts: [{provider: os, account: a/b, timeout: 3, tiemout: 3s, page_size: 9, credentials: {any: thing}}]"
    assert problems(text=text) == [
        "accounts[0].regions: is required: a list, each a region such as cn-hangzhou, without a prefix such as oss-",
        "accounts[0].provider: must be one of cos, oss, s3, not 'os'",
        "accounts[0].account: must be 1 to 128 characters, without a slash, and no blank at either end",
        "accounts[0].timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 3; write 3s",
        "accounts[0].tiemout: is not a known key; did you mean timeout?",
    ]


@pytest.fixture
def second_provider(monkeypatch):
    """A second provider, with a key of its own."""

    class Other(Oss):
        @classmethod
        def from_section(cls, section, region):
            section.string("owner", pattern="[0-9]+", hint="digits", required=True)
            return super().from_section(section, region)

    monkeypatch.setitem(PROVIDERS, "other", Other)


@pytest.mark.usefixtures("second_provider")
def test_a_default_of_another_provider(targets, problems):
    """A default that only some providers read is valid for all accounts, and checked by those that use it."""
    text = "defaults: {owner: x}\n"
    assert len(targets(text=text + ACCOUNT)) == 1
    other = "accounts: [{provider: other, account: a, regions: [r]}, {provider: other, account: b, regions: [r]}]"
    assert problems(text=text + other) == ["defaults.owner: must be digits"]
    assert problems(text="accounts: [{provider: oss, account: a, regions: [r], owner: '1'}]")[0].startswith(
        "accounts[0].owner: is not a known key"
    )


@pytest.mark.usefixtures("second_provider")
def test_a_default_of_no_provider(problems):
    """A default that no provider reads is an unknown key; the message lists the keys of all providers."""
    [message] = problems(text=f"defaults: {{zzz: '1'}}\n{ACCOUNT}")
    assert message.startswith("defaults.zzz: is not a known key; known: ")
    assert {"timeout", "page_size", "uin", "owner"} <= set(message.partition("known: ")[2].split(", "))
