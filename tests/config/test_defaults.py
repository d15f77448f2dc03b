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


def test_an_account_goes_before_the_defaults(targets):
    """A key in an account hides the one in the defaults; jobs and tls merge key by key, lists do not."""
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
        ("timeout: 3", "defaults.timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 3"),
        ("jobs: {max: -1}", "defaults.jobs.max: must be from 0 to 1000000, not -1"),
        ("jobs: [1]", "defaults.jobs: must be a mapping, not a list"),
        ("jobs: {statuses: [Activ]}", "defaults.jobs.statuses[0]: 'Activ' is not known; did you mean Active?"),
        ("regions: [A]", "defaults.regions[0]: must be a region such as cn-hangzhou, without oss-, not 'A'"),
        ("page_size: x", "defaults.page_size: must be an integer, not a string"),
        ("timeouts: 3s", "defaults.timeouts: is not a known key; did you mean timeout?"),
        ("jobs: {maxx: 3}", "defaults.jobs.maxx: is not a known key; did you mean max?"),
        ("tls: {cafile: x}", "defaults.tls.cafile: is not a known key; did you mean ca_file?"),
        ("account: x", "defaults.account: belongs to each account, not to defaults"),
        ("provider: oss", "defaults.provider: belongs to each account, not to defaults"),
        ("credentials: {}", "defaults.credentials: belongs to each account, not to defaults"),
    ],
)
def test_a_problem_in_the_defaults_is_told_there_once(problems, accounts, line, problem):
    """What is wrong in the defaults is told at its place, once, whether one, two or no accounts make use of it."""
    assert problems(text=f"defaults: {{{line}}}\n{accounts}") == [problem]


def test_the_defaults_alone_need_not_be_whole(targets):
    """In the defaults nothing is required, and a key is judged with those of the account that uses it."""
    text = "defaults: {endpoint: http://storage.example, tls: {cert_file: c}}\naccounts:\n"
    account = "  - {provider: oss, account: a, regions: [r], allow_http: true, tls: {key_file: k}}\n"
    assert len(targets(text=text + account)) == 1


def test_the_defaults_must_be_a_mapping(problems):
    """Defaults of another kind are told as such."""
    assert problems(text=f"defaults: [x]\n{ACCOUNT}") == ["defaults: must be a mapping, not a list"]
    assert problems(text=f"defaults:\n{ACCOUNT}") == ["defaults: must be a mapping, not nothing"]


def test_an_account_of_an_unknown_provider_is_checked(problems):
    """Where the provider is unknown, the keys that any provider has are checked all the same."""
    text = "accounts: [{provider: os, account: a/b, timeout: 3, tiemout: 3s, page_size: 9, credentials: {any: thing}}]"
    assert problems(text=text) == [
        "accounts[0].provider: must be one of cos, oss, s3, not 'os'",
        "accounts[0].account: must be 1 to 128 characters, without a slash, and no blank at either end",
        "accounts[0].regions: is required: a list, each a region such as cn-hangzhou, without oss-",
        "accounts[0].timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 3",
        "accounts[0].tiemout: is not a known key; did you mean timeout?",
    ]


@pytest.fixture
def second_provider(monkeypatch):
    """A second provider, with a key of its own and a smaller largest page."""

    class Other(Oss):
        @classmethod
        def from_section(cls, section, region):
            section.string("owner", pattern="[0-9]+", hint="digits", required=True)
            section.integer("page_size", 10, minimum=1, maximum=10)
            return cls(Oss.from_section(section.apart(), region).endpoint, region)

    monkeypatch.setitem(PROVIDERS, "other", Other)


@pytest.mark.usefixtures("second_provider")
def test_defaults_of_another_provider(targets, problems):
    """A default that only another provider reads is no error, nor is a value that only some provider could use."""
    assert len(targets(text=f"defaults: {{owner: '1', page_size: 1000}}\n{ACCOUNT}")) == 1
    assert len(targets(text=f"defaults: {{page_size: 1000}}\n{OWN_KEYS}")) == 1
    other = "accounts: [{provider: other, account: a, regions: [r]}]"
    assert problems(text=f"defaults: {{page_size: 1000, owner: '1'}}\n{other}") == [
        "defaults.page_size: must be from 1 to 10, not 1000"
    ]


@pytest.mark.usefixtures("second_provider")
def test_wrong_defaults_of_another_provider(problems):
    """A default that is wrong for every provider that reads it is told in the words of one that does."""
    assert problems(text=f"defaults: {{owner: x, page_size: 0, ownr: '1'}}\n{ACCOUNT}") == [
        "defaults.page_size: must be from 1 to 1000, not 0",
        "defaults.owner: must be digits",
        (
            "defaults.ownr: is not a known key; known: allow_http, endpoint, jobs, max_pages, min_interval, page_size, "
            "proxy_url, regions, requests_per_second, retries, serve_stale_for, timeout, tls"
        ),
    ]
    assert problems(text="accounts: [{provider: oss, account: a, regions: [r], owner: '1'}]")[0].startswith(
        "accounts[0].owner: is not a known key"
    )
