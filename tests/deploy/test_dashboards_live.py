from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from deploy.grafana.queries import CREATED
from tests.deploy.promserver import logs, prometheus
from tests.deploy.test_dashboards import DASHBOARDS
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.promserver import Prometheus

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
MAY_BE_EMPTY = {"batchops_credentials_expiration_timestamp_seconds": "the keys of the demo do not expire"}
"""Families without which a query has no data in the demo, each with the reason."""


class Asked(NamedTuple):
    """A query of a dashboard as Grafana sends it: the path of the API, and the expression."""

    where: str
    path: str
    expression: str


def filled(expression: str, job: str, rate: str) -> str:
    """An expression in which every variable selects everything, but for the id of one job."""
    one_job = expression.replace('job_id="$job"', f'job_id=~"{job}"').replace("$__rate_interval", rate)
    return re.sub(r"\$[a-z]\w*", ".*", one_job)


def asked(board: dict[str, Any], job: str = ".+", rate: str = "15s") -> Iterator[Asked]:
    """Every query of a dashboard: of its panels, annotations and variables."""
    fill = partial(filled, job=job, rate=rate)
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            path = "query_range" if target["range"] else "query"
            yield Asked(f"{board['uid']}: {panel['title']}", path, fill(target["expr"]))
    for annotation in board["annotations"]["list"]:
        yield Asked(f"{board['uid']}: {annotation['name']}", "query_range", fill(annotation["expr"]))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            values = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert values
            yield Asked(f"{board['uid']}: ${variable['name']}", f"label/{values[2]}/values", fill(values[1]))


def answers(server: Prometheus, query: Asked) -> bool:
    """Whether a query has data now; fails with the message of Prometheus if it is not valid."""
    now = time.time()
    parameters = {
        "query": {"query": query.expression},
        "query_range": {"query": query.expression, "start": f"{now - 60}", "end": f"{now}", "step": "5"},
    }.get(query.path, {"match[]": query.expression})
    response = server.api.get(query.path, params=parameters)
    assert response.status_code == 200, (query, response.text)
    data = response.json()["data"]
    return bool(data if isinstance(data, list) else data["result"])


@pytest.mark.slow
def test_every_query_returns_data(start, tmp_path):
    """A real Prometheus with the shipped rules scrapes the demo, and every query of the dashboards returns data.

    The queries of the dashboard about one job are asked about all jobs. At first one target fails.
    """
    demo = start("--demo", "--web.listen-address=127.0.0.1:0")
    url = demo.wait_until_it_listens()
    stores = re.search(r"url=(http://\S+)", demo.lines[0])
    assert stores
    fault = {"kind": "error", "status": 503, "times": 60}
    httpx.post(f"{stores[1]}/-/faults?region=us-east-1", json=fault, timeout=30).raise_for_status()
    every = "1s"
    document = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(path) for path in sorted(RULES.glob("*.rules.yml"))],
        "scrape_configs": [{"job_name": "batchops", "static_configs": [{"targets": [url.removeprefix("http://")]}]}],
    }
    with prometheus(tmp_path / "prometheus", document) as server:
        until(partial(server.get, "query", query=CREATED), pause=0.2, state=partial(logs, [server]))
        empty = {query for board in DASHBOARDS for query in asked(board)}
        optional = {query for query in empty if any(family in query.expression for family in MAY_BE_EMPTY)}
        assert {family for family in MAY_BE_EMPTY for query in optional if family in query.expression} == {
            *MAY_BE_EMPTY
        }

        def every_query_answered() -> bool:
            empty.difference_update([query for query in empty if answers(server, query)])
            return empty <= optional

        until(every_query_answered, seconds=100, pause=1, state=lambda: sorted(empty - optional))
        assert empty == optional  # otherwise the reasons are out of date
    assert demo.stop() == 0
