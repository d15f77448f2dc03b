"""From the values of the file to targets: each account in each of its regions, over the defaults."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter import credentials
from exporter.core.http import ConnectionSettings
from exporter.core.jobs import STATUSES
from exporter.core.section import Section
from exporter.core.target import JobPolicy, Target
from exporter.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.errors import Problem
    from exporter.core.interfaces import CredentialSource

_OWN: Final = ("provider", "account", "credentials")
"""Keys of an account that have no default for all."""
_ACCOUNT: Final = r"[^/\s](?:[^/]{0,126}[^/\s])?"
_ACCOUNT_HINT: Final = "1 to 128 characters, without a slash, and no blank at either end"
_REGION: Final = r"[a-z0-9][a-z0-9-]{0,62}"
_SOME_REGION: Final = "region"
"""Stands in where the file names none, so that the other keys are checked all the same."""


def read(root: Section, environment: Mapping[str, str]) -> list[Target]:
    """The targets of the file; what is wrong joins `root.problems`, and then the targets are not to be used."""
    defaults = root.section("defaults", partial=True)
    alone = _agreed(defaults)
    found: dict[str, Target] = {}
    places: dict[str, str] = {}
    for own in root.sections("accounts", hint="a list of accounts, each with provider, account and regions"):
        for target in _account(own, defaults, environment):
            place = places.setdefault(target.name, own.path("account"))
            if target.name in found:
                own.problem("account", f"the target {target.name} stands in {place} already")
            found[target.name] = target
    for key in _OWN:
        defaults.forbid(key, "belongs to each account, not to defaults")
    # A key that an account took from the defaults was judged there, by that account's provider and with its other keys.
    root.problems += (problem for problem in alone if _key_path(problem) not in defaults.asked)
    return list(found.values())


def _account(own: Section, defaults: Section, environment: Mapping[str, str]) -> list[Target]:
    provider = own.choice("provider", PROVIDERS)
    account = own.string("account", pattern=_ACCOUNT, hint=_ACCOUNT_HINT, required=True)
    section = own.with_defaults(defaults)
    keys = own.section("credentials")
    if not provider:
        own.problems += _agreed(section)
        return []
    source = credentials.from_section(
        keys,
        PROVIDERS[provider].credential_names,
        environment,
        provider=provider,
        account=f"{provider}/{account}",
    )
    found = _targets(section, provider, account, source)
    return found if account else []


def _agreed(section: Section) -> list[Problem]:
    """What is wrong with a section that belongs to no certain provider: what every provider finds wrong."""
    readings: list[tuple[Section, dict[str, Problem]]] = []
    for provider, api in PROVIDERS.items():
        reading = section.apart()
        unset = credentials.from_section(Section({}, "", []), api.credential_names, {}, provider=provider)
        _targets(reading, provider, "", unset)
        readings.append((reading, {problem.path: problem for problem in reversed(reading.problems)}))
    agreed = []
    for path in dict.fromkeys(problem.path for reading, _ in readings for problem in reading.problems):
        if all(path in wrong for _, wrong in readings):
            told = [wrong[path] for reading, wrong in readings if _key_path(wrong[path]) in reading.asked]
            agreed.append(told[0] if told else readings[0][1][path])
    return agreed


def _key_path(problem: Problem) -> str:
    """The path of the key that the problem is about: without the index of an item."""
    return re.sub(r"\[\d+\]$", "", problem.path)


def _targets(section: Section, provider: str, account: str, source: CredentialSource) -> list[Target]:
    """A target for each region; every key is read, also where there is no region."""
    hint = f"a region such as cn-hangzhou, without {provider}-"
    regions = section.strings("regions", pattern=f"(?!{provider}-){_REGION}", hint=hint, required=True)
    found = [_target(section, provider, account, region, source) for region in regions or [_SOME_REGION]]
    section.reject_unknown()
    return found if regions else []


def _target(section: Section, provider: str, account: str, region: str, source: CredentialSource) -> Target:
    return Target(
        provider_name=provider,
        account=account,
        region=region,
        provider=PROVIDERS[provider].from_section(section, region),
        credentials=source,
        connection=_connection(section),
        jobs=_jobs(section.section("jobs")),
        timeout=section.duration("timeout", 10.0, minimum=0.1, maximum=3600.0),
        max_pages=section.integer("max_pages", 1000, minimum=1, maximum=100_000),
        retries=section.integer("retries", 2, minimum=0, maximum=10),
        requests_per_second=section.number("requests_per_second", 10.0, minimum=0, maximum=1000),
        min_interval=section.duration("min_interval", 0.0, maximum=86400.0),
        serve_stale_for=section.duration("serve_stale_for", 0.0, maximum=7 * 86400.0),
    )


def _jobs(section: Section) -> JobPolicy:
    unset = JobPolicy()
    policy = JobPolicy(
        statuses=frozenset(section.strings("statuses", allowed=STATUSES)),
        max_age=section.duration("max_age", unset.max_age),
        max=section.integer("max", unset.max, minimum=0, maximum=1_000_000),
        description=section.boolean("description", default=unset.description),
        describe=section.boolean("describe", default=unset.describe),
        ids=tuple(
            section.strings(
                "ids", pattern=r"(?!\.{1,2}$)[!-~]{1,64}", hint="a job id of 1 to 64 characters, without blanks"
            )
        ),
    )
    if policy.describe and policy.ids:
        section.problem("describe", "is needless beside ids: watched jobs are described at each scrape")
    section.reject_unknown()
    return policy


def _connection(section: Section) -> ConnectionSettings:
    tls = section.section("tls")
    settings = ConnectionSettings(
        proxy_url=_proxy_url(section),
        ca_file=tls.file("ca_file"),
        cert_file=tls.file("cert_file"),
        key_file=tls.file("key_file"),
        server_name=tls.string("server_name", pattern=r"(?:[A-Za-z0-9._-]{1,253})?", hint="a host name"),
        insecure_skip_verify=tls.boolean("insecure_skip_verify", default=False),
    )
    if settings.cert_file and not settings.key_file:
        tls.problem("key_file", "is required, as cert_file is given")
    if settings.key_file and not settings.cert_file:
        tls.problem("cert_file", "is required, as key_file is given")
    tls.reject_unknown()
    return settings


def _proxy_url(section: Section) -> str:
    """The proxy, which may carry a password: no message shows it."""
    text = section.string("proxy_url")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    else:
        usable = usable and parts.path in ("", "/") and not parts.query and not parts.fragment
    if text and not (usable and re.fullmatch(r"[!-~]+", text)):
        section.problem("proxy_url", "must be http:// or https:// with a host, such as http://proxy.example:3128")
    return text
