"""From the values of the file to targets: each account in each of its regions, over the defaults."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from exporter import credentials
from exporter.client import proxies
from exporter.config.yaml_document import MAX_VALUES
from exporter.core.http import ConnectionSettings
from exporter.core.jobs import STATUSES
from exporter.core.section import MAX_HINTS, Section
from exporter.core.target import JobPolicy, Target
from exporter.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from exporter.core.interfaces import Provider

MAX_TARGETS: Final = 5000
"""Of one exporter, and accounts too; each scrape sends at least one request for each target."""

_OWN_KEYS: Final = ("provider", "account", "credentials")
"""Keys of an account that cannot have a default."""
_ACCOUNT: Final = r"[^/\s](?:[^/]{0,126}[^/\s])?"
_ACCOUNT_HINT: Final = "1 to 128 characters, without a slash, and no blank at either end"
_REGION: Final = r"[a-z0-9][a-z0-9-]{0,62}"
_REGION_HINT: Final = "a region such as cn-hangzhou, without a prefix such as oss-"
_ACCOUNTS_HINT: Final = "a list of accounts, each with provider, account and regions"
_ANY_REGION: Final = "region"
"""For reading a provider's keys when no region is known."""


def read(root: Section, environment: Mapping[str, str]) -> tuple[list[Target], list[dict[str, Any]]]:
    """Returns the targets of the file, and the values that are used of each account.

    If there are problems, they are added to `root`, and no target may be used.
    """
    defaults = _read_defaults(root)
    targets: dict[str, Target] = {}
    paths: dict[str, str] = {}
    effective = []
    for own in _accounts(root):
        for target in _read_account(own, defaults, environment):
            path = paths.setdefault(target.name, own.path("account"))
            if target.name in targets:
                own.problem("account", f"the target {target.name} is already defined by {path}")
            targets[target.name] = target
        effective.append(own.effective)
        if len(targets) > MAX_TARGETS:
            message = f"there are more than {MAX_TARGETS} targets (accounts in regions) up to here"
            own.problem("regions", f"{message}; split the file, and start an exporter for each part")
            break
    return list(targets.values()), effective


def _accounts(root: Section) -> Iterator[Section]:
    """Yields the accounts, as long as reading them is worth the time."""
    values = root.size("defaults")
    for number, own in enumerate(root.sections("accounts", hint=_ACCOUNTS_HINT), 1):
        if number * values > MAX_VALUES or number > MAX_TARGETS:
            message = f"has more than {MAX_TARGETS} accounts, or more than {MAX_VALUES} values if each has the defaults"
            root.problem("accounts", f"{message}; split the file, and start an exporter for each part")
            return
        if len(root.problems) > MAX_HINTS:
            return
        yield own


def _read_defaults(root: Section) -> Section:
    """Returns the section `defaults`.

    The keys that every provider has are checked here, whether an account uses them or not. Those of some providers are
    checked by the accounts that use them, whose problems have the path of the default too.
    """
    defaults = root.section("defaults", partial=True)
    _regions(defaults)
    _common_settings(defaults)
    for key in _OWN_KEYS:
        defaults.forbid(key, "belongs to each account, not to defaults")
    defaults.reject_unknown(_provider_keys())
    return defaults


def _read_account(own: Section, defaults: Section, environment: Mapping[str, str]) -> list[Target]:
    """Returns a target for each region; every key is read, even if the account has no region or no name."""
    name = own.choice("provider", PROVIDERS)
    account = own.string("account", pattern=_ACCOUNT, hint=_ACCOUNT_HINT, required=True)
    keys = own.section("credentials")
    section = own.with_defaults(defaults)
    if not name:
        _regions(section)
        _common_settings(section)
        section.reject_unknown(_provider_keys())
        return []
    provider = PROVIDERS[name]
    source = credentials.from_section(
        keys, provider.credential_names, environment, provider=name, account=f"{name}/{account}"
    )
    regions = _regions(section, f"{name}-")[: MAX_TARGETS + 1]  # with one more there is a problem in any case
    providers = {region: provider.from_section(section, region) for region in regions or [_ANY_REGION]}
    _check_hosts(section, providers)
    target = _common_settings(section)
    section.reject_unknown()
    return [
        target(provider_name=name, account=account, region=region, provider=providers[region], credentials=source)
        for region in regions
        if account
    ]


def _check_hosts(section: Section, providers: Mapping[str, Provider]) -> None:
    """Adds a problem if regions have the same endpoint: then one region's jobs have the label of another."""
    hosts = {provider.list_request(None).host for provider in providers.values()}
    if "" not in hosts and len(hosts) < len(providers):  # an empty one has its problem already
        message = "is the same for several regions; write {region} in it, or make an account for each region"
        section.problem("endpoint", f"{message}, with the same name and an endpoint of its own")


def _provider_keys() -> set[str]:
    """Returns the keys that only some providers read from an account."""
    empty = Section({}, "", [])
    for provider in PROVIDERS.values():
        provider.from_section(empty, _ANY_REGION)
    return empty.known


def _regions(section: Section, prefix: str = "") -> list[str]:
    pattern = f"(?!{prefix}){_REGION}" if prefix else _REGION
    return section.strings("regions", pattern=pattern, hint=_REGION_HINT, required=True)


def _common_settings(section: Section) -> partial[Target]:
    """Returns `Target` with the settings that do not depend on the provider."""
    return partial(
        Target,
        connection=_connection(section),
        jobs=_jobs(section.section("jobs")),
        timeout=section.duration("timeout", 10.0, minimum=0.1, maximum=3600.0),
        attempt_timeout=section.duration("attempt_timeout", 0.0, maximum=3600.0),
        max_pages=section.integer("max_pages", 1000, minimum=1, maximum=100_000),
        retries=section.integer("retries", 2, minimum=0, maximum=10),
        requests_per_second=section.number("requests_per_second", 10.0, minimum=0, maximum=1000),
        min_interval=section.duration("min_interval", 0.0, maximum=86400.0),
        serve_stale_for=section.duration("serve_stale_for", 0.0, maximum=7 * 86400.0),
    )


def _jobs(section: Section) -> JobPolicy:
    default = JobPolicy()
    policy = JobPolicy(
        statuses=frozenset(section.strings("statuses", allowed=STATUSES)),
        max_age=section.duration("max_age", default.max_age),
        max=section.integer("max", default.max, minimum=0, maximum=1_000_000),
        description=section.boolean("description", default=default.description),
        describe=section.boolean("describe", default=default.describe),
        ids=tuple(
            section.strings(
                "ids", pattern=r"(?!\.{1,2}$)[!-~]{1,64}", hint="a job id of 1 to 64 characters, without blanks"
            )
        ),
    )
    if section.has("describe") and policy.describe and policy.ids:
        section.problem("describe", "has no effect when ids is set: those jobs are described at each scrape")
    section.reject_unknown()
    return policy


def _connection(section: Section) -> ConnectionSettings:
    tls = section.section("tls")
    settings = ConnectionSettings(
        proxy_url=_proxy_url(section),
        ca_file=tls.file("ca_file"),
        cert_file=tls.file("cert_file"),
        key_file=tls.file("key_file", secret=True),
        server_name=tls.string("server_name", pattern=r"(?:[A-Za-z0-9._-]{1,253})?", hint="a host name"),
        insecure_skip_verify=tls.boolean("insecure_skip_verify", default=False),
    )
    if settings.cert_file and not settings.key_file:
        tls.problem("key_file", "is required when cert_file is set")
    if settings.key_file and not settings.cert_file:
        tls.problem("cert_file", "is required when key_file is set")
    tls.reject_unknown()
    return settings


def _proxy_url(section: Section) -> str:
    """Returns the proxy's URL. It may contain a password, so no message shows it."""
    text = section.string("proxy_url")
    if text and (problem := proxies.url_problem(text)):
        section.problem("proxy_url", problem)
    return text
