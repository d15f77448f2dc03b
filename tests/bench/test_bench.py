from __future__ import annotations

import contextlib
import json
import math

import pytest

from bench import __main__ as command
from bench import report
from bench.agreement import Unequal, agree
from bench.measure import Bar, Result, Row, in_turns, measure
from bench.rows import ROWS

TINY = 20
SET_BARS = {
    "parse-10000": "≤ 0.6",
    "render-10000": "≥ 8",
    "scrape-10000": "≥ 3.5",
    "scrape-100000": "≥ 3.5",
    "slow20-10000": "≥ 3",
    "early-10000": "≥ 1.3",
    "unchanged-10000": "≥ 10",
    "gzip-10000": "≥ 3.5",
    "memory-100000": "≤ 0.45",
    "growth-100000": "≤ 11",
    "targets100-100000": "≤ 1.5",
    "crowd-1000": "≤ 1",
    "healthy-10000": "≤ 1",
}


@pytest.mark.slow  # some rows
@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_each_row_runs_and_has_a_finite_ratio(name, tmp_path, capsys):
    """Every row runs, with both sides proven equal, and its result stands in the table, the JSON and the Markdown."""
    json_file, markdown_file = tmp_path / "result.json", tmp_path / "result.md"
    arguments = ["--quick", f"--most-jobs={TINY}", f"--json={json_file}", f"--markdown={markdown_file}"]
    assert command.main([name, *arguments]) == 0
    told = json.loads(json_file.read_text(encoding="utf-8"))
    assert told["facts"]["rounds"] == command.QUICK_ROUNDS
    (row,) = told["rows"]
    assert row["name"] == name
    assert len(row["baseline"]) == len(row["ours"]) == command.QUICK_ROUNDS
    assert math.isfinite(row["ratio"])
    assert row["ratio"] > 0
    assert row["jobs"] == TINY
    assert not row["judged"]
    assert f"\n{name} " in capsys.readouterr().out
    assert f"\n| {name} | " in markdown_file.read_text(encoding="utf-8")


def test_each_row_has_a_name_of_its_own():
    """No two rows have the same name, and each name ends with the number of its jobs."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert [name.rpartition("-")[2] for name in names] == [str(row.jobs) for row in ROWS]


def test_the_rows_hold_every_bar_that_was_set():
    """The bars of the performance plan, each by its row: a bar that is eased is eased here, too, and seen."""
    bars = {row.name: str(row.bar) for row in ROWS}
    assert {name: bars[name] for name in SET_BARS} == SET_BARS


def test_an_unknown_row_is_refused(capsys):
    """A row that is not there is an error of usage that names those that are."""
    with pytest.raises(SystemExit) as ended:
        command.main(["pares"])
    assert ended.value.code == 2
    assert "there are parse-1000, " in capsys.readouterr().err


def race(baseline, ours):
    """A contest with set results."""
    return lambda _: contextlib.nullcontext(lambda: (baseline, ours))


@pytest.mark.parametrize(
    ("bar", "jobs", "ratio", "missed"),
    [
        (Bar("at least", 4), 7, 4.0, False),
        (Bar("at least", 4.1), 7, 4.0, True),
        (Bar("at most", 0.25), 7, 0.25, False),
        (Bar("at most", 0.24), 7, 0.25, True),
        (Bar("at most", 0.24), 6, 0.25, False),
    ],
)
def test_a_bar_is_missed_only_at_its_own_size(bar, jobs, ratio, missed):
    """A ratio is of the medians, in the direction of its bar; a row that was cut is not held to it."""
    result = measure(Row("row", "", 7, race(12.0, 3.0), bar), jobs=jobs, rounds=3)
    assert (result.ratio, result.missed) == (ratio, missed)


def test_the_sides_take_turns():
    """Each round measures both sides once, and the one that goes first goes second in the next round."""
    turns = []

    def turn(name, value):
        turns.append(name)
        return value

    contest = in_turns(lambda: turn("baseline", 1.0), lambda: turn("ours", 2.0))
    assert [contest() for _ in range(3)] == [(1.0, 2.0)] * 3
    assert turns == ["baseline", "ours", "ours", "baseline", "baseline", "ours"]


def test_the_medians_stand_for_the_rounds():
    """One slow round does not move the ratio."""
    row = Row("row", "", 1, race(1.0, 1.0), Bar("at least", 1))
    assert Result(row, 1, (4.0, 4.0, 90.0), (2.0, 70.0, 2.0)).ratio == 2.0


def test_a_missed_bar_is_the_exit_code(monkeypatch, capsys):
    """The command ends with 1 where a row misses its bar, and the table says which."""
    rows = (
        Row("good", "", 1, race(2.0, 1.0), Bar("at least", 1)),
        Row("bad", "", 1, race(1.0, 2.0), Bar("at least", 1)),
    )
    monkeypatch.setattr(command, "ROWS", rows)
    assert command.main(["good"]) == 0
    assert command.main([]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "MISSED" in line] == ["bad"]


def test_expositions_that_differ_are_not_measured():
    """A sample that is missing, twice or another on one side ends the contest before a ratio is told."""
    one, other = (f'batchops_up{{provider="oss",region="{region}"}} 1\n'.encode() for region in "ab")
    agree(one + other, other + one.replace(b"} 1", b"} 1.0"))
    for body in (one, one + other + other, one + other.replace(b"} 1", b"} 0")):
        with pytest.raises(Unequal):
            agree(one + other, body)


def test_markdown_is_a_table():
    """Each line has all the columns; those of numbers are aligned at their right."""
    table = report.markdown(("what", "ms"), [("one", "1,000.0 ms"), ("two", "2 ms")])
    assert table == "| what | ms |\n| --- | --: |\n| one | 1,000.0 ms |\n| two | 2 ms |\n"
