from __future__ import annotations

import pytest

from exporter.core.errors import ConfigError
from exporter.core.jobs import TERMINAL_STATUSES
from exporter.simulator import DIALECTS, Fault, Scenario, Store
from exporter.simulator.jobs.world import FixedWorld, StreamWorld
from exporter.simulator.messages import Style
from exporter.simulator.store import DEMO_KEY_ID, DEMO_KEY_SECRET

NOW = 1_795_325_400.0


def read(mapping) -> tuple[Store, ...]:
    return Scenario.from_mapping(mapping, clock=lambda: NOW).stores


def problems(mapping) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(mapping)
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_scenario_is_one_store():
    """An empty scenario has one store, with a stream of jobs and the default keys."""
    (store,) = read({})
    assert (store.region, store.access_key_id, store.access_key_secret) == ("cn-hangzhou", DEMO_KEY_ID, DEMO_KEY_SECRET)
    assert (store.permissions, store.security_token, store.enabled) == ({"ListJobs", "DescribeJob"}, None, True)
    assert len(store.world.jobs(NOW)) == 120


def test_the_demo_has_every_service_and_regions_with_other_jobs():
    """The demo has every service; its stores differ in region and jobs."""
    stores = Scenario.demo().stores
    assert {store.provider for store in stores} == DIALECTS.keys()
    assert len({store.region for store in stores}) == len(stores)
    assert len({store.world.jobs(NOW)[0].id for store in stores}) == len(stores)


def test_every_key_arrives():
    """Each key of a scenario sets the store's attribute of that meaning."""
    (store,) = read(
        {
            "seed": 9,
            "regions": ["ap-southeast-1"],
            "credentials": {
                "access_key_id": "id",
                "access_key_secret": "secret",
                "security_token": "token",
                "expires_after": "1h",
            },
            "jobs": {"every": "500ms", "keep": 3},
            "page_size": 2,
            "permissions": ["DescribeJob"],
            "enabled": False,
            "gzip": False,
            "token_length": 512,
            "answers": {
                "elapsed_in_timers": False,
                "token_first": False,
                "empty_last_token": True,
                "unknown_elements": True,
            },
            "faults": [{"kind": "cut", "page": 2, "size": 10}, {"kind": "error", "times": 1}],
        }
    )
    assert isinstance(store.world, StreamWorld)
    assert (store.world.seed, store.world.keep) == ("9:ap-southeast-1", 3)
    first, second = (job.created or 0 for job in store.world.jobs(NOW)[:2])
    assert first - second <= 1
    assert (store.region, store.access_key_id, store.access_key_secret) == ("ap-southeast-1", "id", "secret")
    assert (store.security_token, store.token_expires) == ("token", NOW + 3600)
    assert (store.page_size, store.permissions, store.enabled) == (2, {"DescribeJob"}, False)
    assert (store.gzip, store.token_length, store.clock()) == (False, 512, NOW)
    assert store.style == Style(
        elapsed_in_timers=False, token_first=False, empty_last_token=True, unknown_elements=True
    )
    assert list(store.faults) == [Fault("cut", page=2, size=10), Fault("error", times=1)]


def test_jobs_may_stand_still():
    """`count` alone sets the number of jobs, which do not change and are the same for the same seed."""
    (store,) = read({"jobs": {"count": 500}})
    assert isinstance(store.world, FixedWorld)
    assert len(store.world.jobs(NOW)) == 500
    assert store.world.jobs(NOW) == store.world.jobs(NOW + 1000) == read({"jobs": {"count": 500}})[0].world.jobs(NOW)


def test_many_jobs_may_stand_behind_those_that_live():
    """`count` with `every` or `keep` sets the number of jobs, of which the newest `keep` progress."""
    (store,) = read({"jobs": {"count": 300, "every": "6s", "keep": 40}})
    jobs, later = store.world.jobs(NOW), store.world.jobs(NOW + 6)
    assert isinstance(store.world, StreamWorld)
    assert len(jobs) == len(later) == 300
    assert later[41:] == jobs[40:-1]
    assert {job.status for job in jobs[40:]} == TERMINAL_STATUSES
    assert any(job.status not in TERMINAL_STATUSES for job in jobs[:40])


def test_stores_inherit_what_stands_beside_them():
    """A store in the list uses the top-level keys as defaults; editing it does not change the others."""
    stores = read(
        {
            "page_size": 5,
            "regions": ["us-west-1", "cn-hangzhou"],
            "credentials": {"access_key_secret": "shared"},
            "stores": [
                {"credentials": {"access_key_id": "one"}},
                {"credentials": {"access_key_id": "two"}, "page_size": 7, "regions": ["cn-beijing"]},
            ],
        }
    )
    assert [(store.access_key_id, store.region, store.page_size) for store in stores] == [
        ("one", "us-west-1", 5),
        ("one", "cn-hangzhou", 5),
        ("two", "cn-beijing", 7),
    ]
    assert {store.access_key_secret for store in stores} == {"shared"}
    stores[0].permissions.clear()
    stores[0].faults.add(Fault("close"))
    assert stores[1].permissions
    assert list(stores[1].faults) == []


def test_all_problems_are_reported_at_once():
    """An invalid scenario is reported with the path of every problem."""
    with pytest.raises(ConfigError) as caught:
        read(
            {
                "sed": 1,
                "regions": ["Mars!"],
                "credentials": {"access_key_id": "a/b", "access_key_secret": "", "secret": "x"},
                "jobs": {"every": "0s", "keep": 0, "pace": 2},
                "page_size": "many",
                "permissions": ["CreateJob"],
                "enabled": "no",
                "token_length": 2000,
                "answers": {"token_first": 1, "form": "x"},
                "faults": [{"kind": "boom"}, {"kind": "cut", "bytes": 3}],
            }
        )
    assert sorted(problem.path for problem in caught.value.problems) == [
        "answers.form",
        "answers.token_first",
        "credentials.access_key_id",
        "credentials.access_key_secret",
        "credentials.secret",
        "enabled",
        "faults[0].kind",
        "faults[1].bytes",
        "jobs.every",
        "jobs.keep",
        "jobs.pace",
        "page_size",
        "permissions[0]",
        "regions[0]",
        "sed",
        "token_length",
    ]


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"stores": {}}, ["stores: must be a list, not a mapping"]),
        ({"stores": []}, ["stores: must not be empty: a list of mappings, such as regions: [cn-hangzhou]"]),
        ({"stores": [{}, {}]}, [f"stores: two have access_key_id {DEMO_KEY_ID} and region cn-hangzhou"]),
        ({"stores": [{"page": 1}]}, ["stores[0].page: is not a known key; did you mean page_size?"]),
        ({"seed": "x", "stores": [{}, {"regions": ["a"]}]}, ["seed: must be an integer, not a string"]),
        ({"regions": []}, ["regions: must not be empty: a list, each a region such as cn-hangzhou"]),
        ({"jobs": {"count": 119, "every": "5s"}}, ["jobs.count: must not be less than keep"]),
        (
            {"jobs": {"count": 500, "every": "1s", "keep": 239}},
            ["jobs.count: needs every times keep to be at least 240s, the longest life of a job"],
        ),
    ],
)
def test_problems_of_lists(mapping, expected):
    """A problem in a list of stores, or in a combination of keys, is reported once."""
    assert problems(mapping) == expected


def test_problems_name_the_file():
    """A scenario's error names its file on each line."""
    with pytest.raises(ConfigError, match=r"^drill\.yaml: seed: must be from 0 to "):
        Scenario.from_mapping({"seed": -1}, file="drill.yaml")
