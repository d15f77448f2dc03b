from __future__ import annotations

from dataclasses import MISSING, fields

import pytest

from exporter.config import parse
from exporter.core.http import ConnectionSettings
from exporter.core.jobs import STATUSES
from exporter.core.target import JobPolicy, Target

TWO_ACCOUNTS = """\
accounts:
  - {provider: oss, account: prod, regions: [cn-hangzhou, ap-southeast-1], timeout: 3s}
  - {provider: oss, account: "test, München", regions: [cn-hangzhou]}
"""


def test_a_target_is_an_account_in_a_region(targets):
    """Each account in each of its regions is a target, in the order of the file."""
    parsed = targets(text=TWO_ACCOUNTS)
    assert [(target.name, target.timeout) for target in parsed] == [
        ("oss/prod/cn-hangzhou", 3.0),
        ("oss/prod/ap-southeast-1", 3.0),
        ("oss/test, München/cn-hangzhou", 10.0),
    ]
    assert [target.provider.list_request(None).host for target in parsed] == [
        "oss-cn-hangzhou.aliyuncs.com",
        "oss-ap-southeast-1.aliyuncs.com",
        "oss-cn-hangzhou.aliyuncs.com",
    ]
    assert parsed[0].credentials is parsed[1].credentials
    assert parsed[0].credentials is not parsed[2].credentials


def test_the_smallest_file_has_the_defaults(targets):
    """A setting that the file leaves out has the default of its field in `Target`."""
    [target] = targets()
    documented = {field.name: field.default for field in fields(Target) if field.default is not MISSING}
    assert {name: getattr(target, name) for name in documented} == documented
    assert target.credentials.name == "default"
    assert "max-keys=1000" in target.provider.list_request(None).query


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("timeout: 500ms", "timeout", 0.5),
        ("attempt_timeout: 2s", "attempt_timeout", 2.0),
        ("max_pages: 7", "max_pages", 7),
        ("retries: 0", "retries", 0),
        ("requests_per_second: 0.5", "requests_per_second", 0.5),
        ("requests_per_second: 0", "requests_per_second", 0.0),
        ("min_interval: 30s", "min_interval", 30.0),
        ("serve_stale_for: 1h", "serve_stale_for", 3600.0),
        ("jobs: {statuses: [Active, Failed]}", "jobs", JobPolicy(statuses=frozenset({"Active", "Failed"}))),
        (f"jobs: {{statuses: [{', '.join(STATUSES)}]}}", "jobs", JobPolicy(statuses=frozenset(STATUSES))),
        ("jobs: {max_age: 7d, max: 5}", "jobs", JobPolicy(max_age=604800.0, max=5)),
        ("jobs: {description: false, describe: false, ids: []}", "jobs", JobPolicy(description=False, describe=False)),
        (
            'proxy_url: "http://user:pass@proxy.example:3128"',
            "connection",
            ConnectionSettings(proxy_url="http://user:pass@proxy.example:3128"),
        ),
        ("proxy_url: https://[::1]:3128/", "connection", ConnectionSettings(proxy_url="https://[::1]:3128/")),
        (
            "tls: {ca_file: ca.pem, cert_file: /etc/c.pem, key_file: k.pem}",
            "connection",
            ConnectionSettings(ca_file="conf/ca.pem", cert_file="/etc/c.pem", key_file="conf/k.pem"),
        ),
        (
            "tls: {server_name: oss.example, insecure_skip_verify: true}",
            "connection",
            ConnectionSettings(server_name="oss.example", insecure_skip_verify=True),
        ),
    ],
)
def test_each_key_is_read(line, name, value):
    """Each key sets the field of the same name; names of files are relative to the configuration's directory."""
    text = f"accounts:\n  - {{provider: oss, account: a, regions: [r]}}\ndefaults:\n  {line}\n"
    [target] = parse(text.encode(), file="conf/config.yaml", environment={}).targets
    assert getattr(target, name) == value


def test_the_keys_of_a_provider_are_read(targets):
    """The endpoint, its scheme and the page size are passed to the provider."""
    lines = "endpoint: 'http://{region}.storage.example:8080'\n    allow_http: true\n    page_size: 7"
    [target] = targets(lines)
    request = target.provider.list_request(None)
    assert (request.scheme, request.host) == ("http", "cn-hangzhou.storage.example:8080")
    assert "max-keys=7" in request.query


@pytest.mark.parametrize(
    ("key", "minimum", "maximum", "below", "above", "bounds"),
    [
        ("timeout", "100ms", "1h", "99ms", "61m", "100ms to 1h"),
        ("page_size", 1, 1000, 0, 1001, "1 to 1000"),
        ("max_pages", 1, 100_000, 0, 100_001, "1 to 100000"),
        ("retries", 0, 10, -1, 11, "0 to 10"),
        ("requests_per_second", 0, 1000, -0.5, 1000.5, "0 to 1000"),
        ("min_interval", "0s", "1d", None, "25h", "0s to 1d"),
        ("serve_stale_for", "0s", "7d", None, "8d", "0s to 7d"),
        ("jobs.max", 0, 1_000_000, -1, 1_000_001, "0 to 1000000"),
        ("jobs.max_age", "0s", "3650d", None, "3651d", "0s to 3650d"),
    ],
)
def test_bounds(targets, problems, key, minimum, maximum, below, above, bounds):
    """Each number has a minimum and a maximum, and the message contains both."""

    def line(value):
        return f"{{{key.replace('.', ': {')}: {value}}}{'}' * key.count('.')}"[1:-1]

    for good in (minimum, maximum):
        assert len(targets(line(good))) == 1
    for bad in (below, above):
        if bad is not None:
            shown = f"'{bad}'" if isinstance(bad, str) else bad
            assert problems(line(bad)) == [f"accounts[0].{key}: must be from {bounds}, not {shown}"]


@pytest.mark.parametrize("label", ["p", "a" * 128, "Prod 2 (EU)", "ünï", "a.b:c%20?&#"])
def test_account_labels(targets, label):
    """The label of an account is any 1 to 128 printable characters without a slash."""
    [target] = targets(text=f"accounts: [{{provider: oss, account: '{label}', regions: [r]}}]")
    assert target.account == label


@pytest.mark.parametrize("label", ["a/b", "/", " a", "a ", "a" * 129, "a\\nb", "a\\u200bb"])
def test_invalid_account_labels(problems, label):
    """A label with a slash, a blank at either end, an invisible character or too many characters is rejected."""
    [problem] = problems(text=f'accounts: [{{provider: oss, account: "{label}", regions: [r]}}]')
    assert problem.startswith("accounts[0].account: must ")


@pytest.mark.parametrize("region", ["oss-cn-hangzhou", "CN-Hangzhou", "cn hangzhou", "-cn", "a.b", "r" * 64, "../x"])
def test_invalid_regions(problems, region):
    """A region is one label of a host name, without the provider as a prefix."""
    expected = f"must be a region such as cn-hangzhou, without a prefix such as oss-, not '{region[:3]}"
    [problem] = problems(text=f"accounts: [{{provider: oss, account: a, regions: [b, '{region}']}}]")
    assert problem.startswith(f"accounts[0].regions[1]: {expected}")


def test_a_duplicate_target(problems):
    """The same provider, account and region in two accounts is a problem with the path of the first."""
    text = TWO_ACCOUNTS + "  - {provider: oss, account: prod, regions: [cn-beijing, ap-southeast-1]}\n"
    assert problems(text=text) == [
        "accounts[2].account: the target oss/prod/ap-southeast-1 is already defined by accounts[0].account"
    ]


def test_accounts_without_a_name_are_not_compared(problems):
    """Two accounts without a name are reported as such, and not as a duplicate target."""
    messages = problems(text="accounts: [{provider: oss, regions: [r]}, {provider: oss, regions: [r]}]")
    assert [message.partition(": ")[0] for message in messages] == ["accounts[0].account", "accounts[1].account"]
    assert all("is required" in message for message in messages)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8080", "http://127.9.9.9", "http://localhost", "http://[::1]:1"]
)
def test_http_endpoints_on_this_machine(targets, endpoint):
    """An endpoint on a loopback address may be an http:// URL."""
    [target] = targets(f"endpoint: {endpoint}")
    assert target.provider.list_request(None).scheme == "http"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://oss-cn-hangzhou.aliyuncs.com",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "ftp://oss-cn-hangzhou.aliyuncs.com",
        "oss-cn-hangzhou.aliyuncs.com",
        "https://user:hunter2@oss-cn-hangzhou.aliyuncs.com",
        "https://oss-cn-hangzhou.aliyuncs.com/bucket",
        "https://oss-cn-hangzhou.aliyuncs.com?hunter2",
        "https://{uin}.example",
        "https://",
        "https://[::1",
        "https://oss:99999",
        "",
    ],
)
def test_invalid_endpoints(problems, endpoint):
    """An endpoint is the https:// URL of a host and nothing more; a user in it is rejected and not shown."""
    [problem] = problems(f"endpoint: '{endpoint}'")
    assert problem.startswith("accounts[0].endpoint: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "provider", ["oss", "cos, uin: '1', appid: '2'", "s3, account_id: '111122223333'"], ids=lambda text: text[:3]
)
def test_an_endpoint_without_the_region(targets, problems, provider):
    """An endpoint that is the same for two regions is a problem for every provider, also if it is a default."""
    account = f"{{provider: {provider}, account: a, regions: [r1, r2], endpoint: 'https://%s.example'}}"
    assert len(targets(text=f"accounts: [{account % '{region}'}]")) == 2
    message = "is the same for several regions; write {region} in it, or make an account for each region"
    [problem] = problems(text=f"accounts: [{account % 'store'}]")
    assert problem.startswith(f"accounts[0].endpoint: {message}")
    text = f"defaults: {{endpoint: https://store.example}}\naccounts: [{account.partition(', endpoint')[0]}}}]"
    assert [problem.partition(": ")[0] for problem in problems(text=text)] == ["defaults.endpoint"]


def test_an_account_for_each_region(targets):
    """Accounts with the same name and other regions can have an endpoint each, without a placeholder."""
    entry = "{{provider: oss, account: a, regions: [{0}], endpoint: 'https://{0}.example'}}".format
    parsed = targets(text=f"accounts: [{entry('r1')}, {entry('r2')}]")
    assert [target.name for target in parsed] == ["oss/a/r1", "oss/a/r2"]


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example:3128",
        "socks4://user:hunter2@proxy.example",
        "http://",
        "http://:3128",
        "http://proxy.example:0",
        "http://proxy.example:99999",
        "http://user:hunter2@[::1",
        "http://proxy.example/hunter2",
        "http://proxy.example?hunter2",
        "http://proxy.example#hunter2",
        "http://user:hunter 2@proxy.example",
        "http://user:hunter2é@proxy.example",
    ],
)
def test_invalid_proxies(problems, proxy):
    """A proxy is the http://, https:// or socks5:// URL of a host; the message does not show it."""
    assert problems(f"proxy_url: '{proxy}'") == [
        "accounts[0].proxy_url: must be http://, https:// or socks5:// with a host, such as http://proxy.example:3128"
    ]


def test_a_certificate_needs_its_key(problems):
    """Either of cert_file and key_file requires the other, which may come from the defaults."""
    assert problems("tls: {cert_file: c}") == ["accounts[0].tls.key_file: is required when cert_file is set"]
    assert problems("tls: {key_file: k}") == ["accounts[0].tls.cert_file: is required when key_file is set"]
    text = "defaults: {tls: {cert_file: c}}\naccounts: [{provider: oss, account: a, regions: [r], tls: {key_file: k}}]"
    [target] = parse(text.encode(), file="f", environment={}).targets
    assert (target.connection.cert_file, target.connection.key_file) == ("c", "k")


def test_jobs_are_described_by_default(targets):
    """Without the key, jobs are described, and `ids` alone is no problem."""
    for text in ("", "jobs: {ids: [job-1]}"):
        assert all(target.jobs.describe for target in targets(text))


def test_describe_has_no_effect_with_ids(problems):
    """The jobs in `ids` are described in any case, so setting `describe` as well is a problem."""
    [problem] = problems("jobs: {describe: true, ids: [job-1]}")
    assert problem.startswith("accounts[0].jobs.describe: has no effect when ids is set")
