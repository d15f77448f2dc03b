"""A scenario: the stores that a file describes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from exporter.core.errors import ConfigError, Problem
from exporter.core.section import Section
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.dialects.tokens import MAX_LENGTH
from exporter.simulator.faults import Fault, read_fault
from exporter.simulator.jobs.plan import LONGEST_LIFE
from exporter.simulator.jobs.world import World, make_jobs
from exporter.simulator.messages import Style
from exporter.simulator.store import DEMO_KEY_ID, DEMO_KEY_SECRET, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPERATIONS: Final = ("ListJobs", "DescribeJob")
_DEMO: Final = {
    "stores": [
        {"provider": "oss", "regions": ["cn-hangzhou", "ap-southeast-1"]},
        {"provider": "cos", "regions": ["ap-guangzhou"]},
        {"provider": "s3", "regions": ["us-east-1"]},
    ]
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """The stores that a mapping describes. Every key has a default, so an empty mapping is also a scenario.

    ::

        stores:                   a list of mappings with the keys below; keys next to the list are defaults for
                                  each store. Without it there is one store
          provider: oss           or cos, s3: the service that is simulated
          uin: "100000000001"     the account's UIN; cos only
          appid: "1250000000"     the account's APPID; cos only
          account_id: "111122223333"  s3 only
          seed: 1                 the same seed gives the same jobs; each region has different ones
          regions: [cn-hangzhou]  one store for each region
          credentials:
            access_key_id: LTAI5tSimulatedStore0001
            access_key_secret: opens-nothing-but-the-simulator
            security_token: ""    if set, each request must contain it
            expires_after: 0s     the token expires this long after the start. 0s: never
          jobs:
            every: 5s             interval between new jobs; each is done within minutes
            keep: 120             number of listed jobs, the newest
            count: 1000           with every or keep: number of listed jobs; all but the newest `keep` are done.
                                  Without them: number of jobs, which do not change
          page_size: 1000         maximum number of jobs per page: 1-1000
          permissions: [ListJobs, DescribeJob]
          enabled: true           false: the region does not offer batch jobs
          gzip: true              responses are compressed if the client accepts gzip
          token_length: 0         minimum length of a page token: 0-1024
          answers:                variants of a response that services are known to send
            elapsed_in_timers: true
            token_first: true
            empty_last_token: false
            unknown_elements: false
            token_on_last_page: false
          faults:                 a list of mappings with the keys of faults.Fault: kind, operation, page, times, ...
    """

    stores: tuple[Store, ...]

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], *, file: str = "", clock: Callable[[], float] = time.time
    ) -> Self:
        """Returns the scenario in `mapping`; `clock` returns Unix seconds. Raises ConfigError with all problems."""
        split = "stores" in mapping
        top = Section(mapping, "", [], partial=split)
        drafts = _read(top)
        if split:
            drafts = []
            for section in top.sections("stores", hint="a list of mappings, such as regions: [cn-hangzhou]"):
                over = section.with_defaults(top)
                drafts += _read(over)
                over.reject_unknown()
        top.reject_unknown()
        addresses = [draft.address for draft in drafts]
        duplicates = sorted({address for address in addresses if addresses.count(address) > 1})
        duplicate_problems = [
            Problem("stores", f"two have access_key_id {key_id} and region {region}")
            for _, key_id, region in duplicates
        ]
        problems = tuple(
            dict.fromkeys((*top.problems, *duplicate_problems))
        )  # a key next to the list is read once per store
        if problems:
            raise ConfigError(problems, file=file)
        return cls(tuple(_make(draft, clock) for draft in drafts))

    @classmethod
    def demo(cls) -> Self:
        """Returns the scenario of the demo: every service, with a new job every few seconds."""
        return cls.from_mapping(_DEMO)


@dataclass(frozen=True, slots=True)
class _Draft:
    """The settings of a store that is not created yet."""

    seed: str
    world: Callable[[str, float], World]
    """Creates the world from a seed and the time."""
    lifetime: float
    faults: tuple[Fault, ...]
    attributes: dict[str, Any]

    @property
    def address(self) -> tuple[str, str, str]:
        """The provider, the key id and the region, which identify the store in a request."""
        return self.attributes["provider"], self.attributes["access_key_id"], self.attributes["region"]


def _read(section: Section) -> list[_Draft]:
    """Returns a draft for each region in `section`, and adds problems to it."""
    credentials, jobs = section.section("credentials"), section.section("jobs")
    hint = "a region such as cn-hangzhou"
    regions = section.strings("regions", pattern="[a-z0-9-]+", hint=hint, required=section.has("regions"))
    permissions = section.strings("permissions", allowed=_OPERATIONS)
    seed = section.integer("seed", 1, minimum=0, maximum=2**63)
    provider = section.choice("provider", DIALECTS, default="oss") or "oss"
    attributes = {
        "provider": provider,
        "uin": section.string("uin", Store.uin, pattern="[0-9]+", hint="the number of the account, all digits"),
        "appid": section.string("appid", Store.appid, pattern="[0-9]+", hint="the APPID, all digits"),
        "account_id": section.string("account_id", Store.account_id, pattern="[0-9]{12}", hint="12 digits, in quotes"),
        "access_key_id": credentials.string("access_key_id", DEMO_KEY_ID, pattern=r"[^/,\s]+", hint="a key id"),
        "access_key_secret": credentials.string(
            "access_key_secret", DEMO_KEY_SECRET, pattern=".+", hint="a secret, not empty"
        ),
        "security_token": credentials.string("security_token") or None,
        "page_size": section.integer("page_size", 1000, minimum=1, maximum=1000),
        "permissions": permissions if section.has("permissions") else _OPERATIONS,
        "enabled": section.boolean("enabled", default=True),
        "gzip": section.boolean("gzip", default=True),
        "token_length": section.integer("token_length", 0, minimum=0, maximum=MAX_LENGTH),
        "style": _style(section.section("answers")),
    }
    world = _world(jobs)
    lifetime = credentials.duration("expires_after", 0.0)
    hint = "a list of mappings, each with a kind"
    faults = [read_fault(item) for item in section.sections("faults", hint=hint)] if section.has("faults") else []
    for inner in (credentials, jobs):
        inner.reject_unknown()
    return [
        _Draft(
            seed=f"{seed}:{region}",
            world=world,
            lifetime=lifetime,
            faults=tuple(fault for fault in faults if fault),
            attributes={**attributes, "region": region},
        )
        for region in regions or ["cn-hangzhou"]
    ]


def _world(section: Section) -> Callable[[str, float], World]:
    """Returns a function that creates the world in `section` from a seed and the time; adds problems to `section`."""
    stream = section.has("every") or section.has("keep")
    every, keep = section.duration("every", 5.0, minimum=0.001), section.integer("keep", 120, minimum=1, maximum=10_000)
    count = section.integer("count", 0, minimum=1, maximum=100_000)
    if count and not stream:
        return lambda seed, now: World.fixed(make_jobs(count, seed, now=now))
    if count and count < keep:
        section.problem("count", "must not be less than keep")
    if count and every * keep * 1000 < LONGEST_LIFE:
        limit = LONGEST_LIFE // 1000
        section.problem("count", f"needs every times keep to be at least {limit}s, the longest life of a job")
    return lambda seed, _: World.stream(seed, every=every, keep=keep, count=count)


def _style(section: Section) -> Style:
    style = Style(
        elapsed_in_timers=section.boolean("elapsed_in_timers", default=True),
        token_first=section.boolean("token_first", default=True),
        empty_last_token=section.boolean("empty_last_token", default=False),
        unknown_elements=section.boolean("unknown_elements", default=False),
        token_on_last_page=section.boolean("token_on_last_page", default=False),
    )
    section.reject_unknown()
    return style


def _make(draft: _Draft, clock: Callable[[], float]) -> Store:
    world = draft.world(draft.seed, clock())
    world.jobs(clock())  # creating many jobs is slow, and the first request should not wait for it
    expires = clock() + draft.lifetime if draft.lifetime else None
    store = Store(world, clock=clock, token_expires=expires, **draft.attributes)
    store.permissions = set(store.permissions)  # a copy, because it may be edited
    for fault in draft.faults:
        store.faults.add(fault)
    return store
