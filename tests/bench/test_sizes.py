from __future__ import annotations

import json

import pytest

from bench import __main__ as command
from bench import parts, programs, sizes


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(sizes, "SCRAPES", 1)
    monkeypatch.setattr(parts, "ROUNDS", 1)


def test_the_costs_of_a_target_are_shown(tmp_path, capsys):
    """The table has a line for each number of jobs up to the requested one, and JSON the same in plain units."""
    file = tmp_path / "sizes.json"
    assert command.main(["sizes", "--most-jobs=1000", f"--json={file}"]) == 0
    (size,) = json.loads(file.read_text(encoding="utf-8"))["sizes"]
    assert size["jobs"] == 1000
    assert 0 < size["compressed"] < size["text"]
    assert min(size["first"], size["next"], size["cpu"], size["peak"]) > 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in table] == [f"| {sizes.COLUMNS[0]}", "| --:", "| 1,000"]


def test_series_and_requests_are_counted():
    """One more page is one more request, and one more job is one more series in each family that it has a value for."""
    small, large = sizes.measure(1), sizes.measure(1001)
    assert (small.requests, large.requests) == (1, 2)
    with programs.store(1001) as store, programs.ours(store) as ours:
        text = ours.get(programs.probe(programs.regions(1)[0])).decode()
    assert large.series == len([line for line in text.split("\n") if line and not line.startswith("#")])
    assert large.series - small.series >= 1000 * 5


def test_each_part_of_a_scrape_is_shown(tmp_path, capsys):
    """Each part of a scrape has a line, and fetching, parsing and rendering take time."""
    file = tmp_path / "parts.json"
    assert command.main(["parts", "--jobs=1001", f"--json={file}"]) == 0
    milliseconds = json.loads(file.read_text(encoding="utf-8"))["milliseconds"]
    assert [*milliseconds] == ["fetch", "parse", "render", "gzip", "rest"]
    assert min(milliseconds[part] for part in ("fetch", "parse", "render")) > 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in table] == [
        f"| {parts.COLUMNS[0]}",
        "| ---",
        *(f"| {part}" for part in milliseconds),
    ]
