from __future__ import annotations

import json

from bench import __main__ as command
from bench import programs
from bench.sizes import COLUMNS, measure


def test_the_costs_of_a_target_are_told(tmp_path, capsys):
    """The table has a line for each number of jobs that was asked for, and JSON the same in plain units."""
    file = tmp_path / "sizes.json"
    assert command.main(["sizes", "--most-jobs=100", f"--json={file}"]) == 0
    (size,) = json.loads(file.read_text(encoding="utf-8"))["sizes"]
    assert size["jobs"] == 100
    assert 0 < size["compressed"] < size["text"]
    assert size["resident"] <= size["peak"]
    assert min(size["cold"], size["unchanged"]) > 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in table] == [f"| {COLUMNS[0]}", "| --:", "| 100"]


def test_series_and_requests_are_counted_as_they_are():
    """One page more is one request more, and one job more is a series more in each family that it has a value for."""
    small, large = measure(1), measure(1001)
    assert (small.requests, large.requests) == (1, 2)
    with programs.store(1001) as store, programs.ours(store) as ours:
        text = ours.get(programs.probe(programs.regions(1)[0])).decode()
    assert large.series == len([line for line in text.split("\n") if line and not line.startswith("#")])
    assert large.series - small.series >= 1000 * 5
