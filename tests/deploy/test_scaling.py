from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.core.jobs import Job
from exporter.core.target import JobPolicy
from exporter.simulator import Store, World, create_app
from tests.rig import exporting, parse, target_at
from tests.serving import serve

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
INTERVAL = 60
DAY = 86_400


def blocks(language: str) -> list[str]:
    """The page's blocks of code in a language, without the indentation of lists."""
    result = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in result]


def documents(key: str) -> list[Any]:
    """The content of each of the page's YAML blocks with the first key `key`."""
    return [yaml.safe_load(text)[key] for text in blocks("yaml") if text.startswith(f"{key}:")]


def number(text: str) -> int:
    """A number as the page writes it, with spaces between thousands."""
    return int(text.replace(" ", ""))


def series(*jobs: Job) -> int:
    """The number of series of a target with these jobs."""
    with serve(create_app(Store(World.fixed(jobs)))) as store, exporting(target_at(store)) as url:
        response = httpx.get(f"{url}/probe?target=oss/prod/cn-hangzhou", timeout=20)
    samples = parse(response.text)
    assert {key.name: value for key, value in samples.items()}["batchops_up"] == 1
    return len(samples)


def test_each_snippet_equals_the_shipped_file():
    """The page's Prometheus and operator snippets equal the files in deploy/."""
    shipped = yaml.safe_load((DEPLOY / "prometheus/sharded.yml").read_text())
    operator = [
        yaml.safe_load((DEPLOY / f"kubernetes/operator/{name}.yaml").read_text())["spec"]["relabelings"]
        for name in ("scrapeconfig", "scrapeconfig-sharded")
    ]
    assert documents("scrape_configs") == [shipped["scrape_configs"]]
    assert documents("relabelings") == operator
    assert len(blocks("yaml")) == 3


def test_the_documented_series_are_exported():
    """A target, an unfinished job and a finished one have as many series as the page says."""
    documented = re.search(
        r"\*\*Series\*\* are (\d+) a target, and (\d+) for each job that runs, (\d+) for one that", PAGE
    )
    assert documented
    runs = Job("job-1", "Active", "CopyObject", "text", 10, 1_750_000_000, None, 9, 4, 1, 60)
    ended = runs._replace(id="job-2", status="Failed", terminated=1_750_000_100)
    alone = series()
    assert [alone, series(runs) - alone, series(ended) - alone] == list(map(int, documented.groups()))


def test_the_table_follows_from_the_formulas():
    """Requests, series and samples in each row of the table follow from the page's formulas."""
    a, least, most = map(int, re.findall(r"\*\*Series\*\* are (\d+) \D+ (\d+) \D+ (\d+)", PAGE)[0])
    page_size = int(re.findall(r"with a `page_size` of (\d+):", PAGE)[0])
    rows = re.findall(r"^\| (\d[\d ]*?)(?:, (.*?))? \| (.*) \|$", PAGE, re.MULTILINE)
    assert [number(jobs) for jobs, _, _ in rows] == [100, 1_000, 10_000, 100_000, 100_000]
    for jobs, bound, cells in rows:
        most_kept = number(jobs) if bound == f"`jobs.max: {number(jobs)}`" else JobPolicy().max
        kept = min(number(jobs), most_kept)
        pages = math.ceil(number(jobs) / page_size)
        few, many = a + least * kept, a + most * kept
        documented = [list(map(number, cell.split(" to "))) for cell in cells.split(" | ")]
        assert documented == [
            [pages],
            [pages * DAY // INTERVAL],
            [few, many],
            [round(few / INTERVAL), round(many / INTERVAL)],
        ]


def test_the_prices_follow_from_the_formula():
    """The example prices are the table's requests times the assumed price."""
    price = float(re.findall(r"\*\*assuming\*\* USD ([\d.]+) for 1 000 requests", PAGE)[0])
    examples = re.findall(r"(\d[\d ]*\d)(?: requests a\s+day)? are USD (\d+\.\d+)", PAGE)
    assert [number(requests) for requests, _ in examples] == [1_440, 14_400, 144_000]
    for requests, documented in examples:
        assert f"{number(requests) * 30 / 1000 * price:.2f}" == documented


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", PAGE))))
def test_each_link_works(link):
    """Each relative link points to an existing file or folder."""
    assert (ROOT / "docs" / link).exists()


def test_the_folders_to_apply_are_kustomizations():
    """Each folder in a kubectl command of the page has a kustomization."""
    folders = re.findall(r"^kubectl apply -k (\S+)", PAGE, re.MULTILINE)
    assert len(folders) == 2
    assert all((ROOT / folder / "kustomization.yaml").is_file() for folder in folders)
