"""A scenario: what a file may say of the stores to simulate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from exporter.core.errors import ConfigError, Problem
from exporter.core.section import Section
from exporter.simulator.dialects import WIRES
from exporter.simulator.dialects.tokens import LONGEST
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
    """The stores that a mapping asks for. Each key has a default, so an empty mapping is a scenario too.

    ::

        stores:                   a list of mappings with the keys below, each over what stands beside the list;
                                  without it there is one
          provider: oss           or cos, s3: the service that is simulated
          uin: "100000000001"     of the account, cos only
          appid: "1250000000"     likewise
          account_id: "111122223333"  of the account, s3 only
          seed: 1                 the same seed tells the same jobs, others in each region
          regions: [cn-hangzhou]  a store in each of them
          credentials:
            access_key_id: LTAI5tSimulatedStore0001
            access_key_secret: opens-nothing-but-the-simulator
            security_token: ""    where set, each request must carry it
            expires_after: 0s     from the start; then the token is refused. 0s: never
          jobs:
            every: 5s             a new job so often; each is done within minutes
            keep: 120             the newest so many are listed
            count: 1000           beside these two: so many are listed, and all but the newest `keep` are over;
                                  instead of them: so many jobs, which do not change
          page_size: 1000         jobs on a page at most, whatever is asked for: 1-1000
          permissions: [ListJobs, DescribeJob]
          enabled: true           false: the region does not offer batch jobs
          gzip: true              pages are compressed for who accepts it
          token_length: 0         page tokens have at least so many characters: 0-1024
          answers:                forms of an answer that are all met in the wild
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
        """The scenario in `mapping`; `clock` gives Unix seconds. Raises ConfigError with all that is wrong."""
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
        twice = sorted({address for address in addresses if addresses.count(address) > 1})
        same = [
            Problem("stores", f"two have access_key_id {key_id} and region {region}") for _, key_id, region in twice
        ]
        problems = tuple(dict.fromkeys((*top.problems, *same)))  # what stands beside the list is met once per store
        if problems:
            raise ConfigError(problems, file=file)
        return cls(tuple(_make(draft, clock) for draft in drafts))

    @classmethod
    def demo(cls) -> Self:
        """What the demo shows: each of the services, a new job every few seconds."""
        return cls.from_mapping(_DEMO)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A store before it is made."""

    provider: str
    seed: str
    world: Callable[[str, float], World]
    """Makes it of seed and time."""
    lifetime: float
    faults: tuple[Fault, ...]
    attributes: dict[str, Any]

    @property
    def address(self) -> tuple[str, str, str]:
        """By what a request finds the store."""
        return self.provider, self.attributes["access_key_id"], self.attributes["region"]


def _read(section: Section) -> list[_Draft]:
    """A store for each region that `section` names; what is wrong joins its problems."""
    credentials, jobs = section.section("credentials"), section.section("jobs")
    hint = "a region such as cn-hangzhou"
    regions = section.strings("regions", pattern="[a-z0-9-]+", hint=hint, required=section.has("regions"))
    permissions = section.strings("permissions", allowed=_OPERATIONS)
    seed = section.integer("seed", 1, minimum=0, maximum=2**63)
    provider = section.choice("provider", WIRES, default="oss") or "oss"
    attributes = {
        "wire": WIRES[provider],
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
        "token_length": section.integer("token_length", 0, minimum=0, maximum=LONGEST),
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
            provider=provider,
            seed=f"{seed}:{region}",
            world=world,
            lifetime=lifetime,
            faults=tuple(fault for fault in faults if fault),
            attributes={**attributes, "region": region},
        )
        for region in regions or ["cn-hangzhou"]
    ]


def _world(section: Section) -> Callable[[str, float], World]:
    """How to make the world that `section` tells, of a seed and the time; what is wrong joins its problems."""
    lives = section.has("every") or section.has("keep")
    every, keep = section.duration("every", 5.0, minimum=0.001), section.integer("keep", 120, minimum=1, maximum=10_000)
    count = section.integer("count", 0, minimum=1, maximum=100_000)
    if count and not lives:
        return lambda seed, now: World.fixed(make_jobs(count, seed, now=now))
    if count and count < keep:
        section.problem("count", "must not be less than keep")
    if count and every * keep * 1000 < LONGEST_LIFE:
        limit = LONGEST_LIFE // 1000
        section.problem("count", f"needs every times keep to be {limit}s at least: so long a job may live")
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
    world.jobs(clock())  # many take their time to make, and the first request is not to wait for that
    expires = clock() + draft.lifetime if draft.lifetime else None
    store = Store(world, clock=clock, token_expires=expires, **draft.attributes)
    store.permissions = set(store.permissions)  # one of its own, because it may be edited
    for fault in draft.faults:
        store.faults.add(fault)
    return store
