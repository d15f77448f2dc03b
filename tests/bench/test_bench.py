from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bench import __main__ as command
from bench import crowds, report, scraping
from bench.agreement import Unequal, agree
from bench.measure import Bar, Result, Row, in_turns, measure
from bench.pages import PAGE_SIZE
from bench.rows import ROWS

TINY = 20
BARS = {
    "parse-10000": "≤ 0.2",
    "parse-other-10000": "≤ 0.25",
    "parse-expat-10000": "≤ 2.2",
    "render-10000": "≥ 20",
    "render-gzip-10000": "≥ 15",
    "start-0": "≤ 1",
    "first-1000": "≥ 3",
    "first-gzip-10000": "≥ 5",
    "cold-10000": "≥ 7",
    "cold-gzip-10000": "≥ 7",
    "unchanged-gzip-10000": "≥ 7",
    "churn-gzip-10000": "≥ 7",
    "waiting-gzip-10000": "≤ 1.5",
    "ahead-10000": "≥ 1.3",
    "crowd-1000": "≤ 1",
    "healthy-10000": "≤ 1",
    "growth-100000": "≤ 11",
    "targets-100000": "≤ 1.4",
    "cold-100000": "≥ 7",
    "cold-gzip-100000": "≥ 7",
    "memory-100000": "≤ 0.25",
    "memory-gzip-100000": "≤ 0.25",
}
LIMITS_MS = {"start-0": (500.0, "500 ms"), "healthy-10000": (60.0, "60 ms")}
"""Of the rows whose baseline is a limit."""


SHORT: dict[str, dict[str, Any]] = {"crowd-1000": {"delay": 0.1}, "targets-100000": {"targets": 3}}
"""Rows that would take long with any number of jobs, and what makes them short."""


@pytest.fixture
def _short(monkeypatch):
    rows = [replace(row, contest=partial(row.contest, **SHORT.get(row.name, {}))) for row in ROWS]
    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.setattr(crowds, "PROBE_SECONDS", 0.3)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("name", BARS)
def test_each_row_runs_and_has_a_finite_ratio(name, tmp_path, capsys):
    """Every row runs, with both sides proven equal, and its result is in the table, the JSON and the Markdown."""
    json_file, markdown_file = tmp_path / "result.json", tmp_path / "result.md"
    arguments = ["--rounds=1", f"--most-jobs={TINY}", f"--json={json_file}", f"--markdown={markdown_file}"]
    exit_code = command.main([name, *arguments])
    result = json.loads(json_file.read_text(encoding="utf-8"))
    assert result["facts"]["rounds"] == 1
    (row,) = result["rows"]
    assert exit_code == row["missed"]
    assert row["name"] == name
    assert len(row["baseline"]) == len(row["ours"]) == 1
    assert math.isfinite(row["ratio"])
    assert row["ratio"] > 0
    assert row["jobs"] == (0 if name == "start-0" else TINY)
    assert row["judged"] == (name == "start-0")
    assert f"\n{name} " in capsys.readouterr().out
    assert f"\n| {name} | " in markdown_file.read_text(encoding="utf-8")


@pytest.mark.parametrize(("flags", "rounds"), [([], 5), (["--quick"], 2), (["--quick", "--rounds=3"], 3)])
def test_the_number_of_rounds(flags, rounds, tmp_path):
    """Each side is measured five times, unless the flags say otherwise."""
    file = tmp_path / "result.json"
    assert command.main(["parse-10000", f"--most-jobs={TINY}", f"--json={file}", *flags]) == 0
    (row,) = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert len(row["baseline"]) == len(row["ours"]) == rounds


def test_each_row_has_its_own_name():
    """No two rows have the same name, and each name ends with the number of its jobs."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert [name.rpartition("-")[2] for name in names] == [str(row.jobs) for row in ROWS]


def test_each_row_has_the_bar_that_was_set():
    """The rows and their bars are those of the performance plan, so that no bar is lowered unseen."""
    assert {row.name: str(row.bar) for row in ROWS} == BARS


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("name", LIMITS_MS)
def test_a_limit_is_the_baseline(name):
    """Rows without a baseline program compare with their limit, which the table shows."""
    (row,) = [row for row in ROWS if row.name == name]
    with row.contest(1) as contest:
        limit, _ = contest()
    assert (limit, row.against) == LIMITS_MS[name]


def test_the_waiting_alone_is_that_of_all_pages():
    """The baseline of a listing with slow pages is their delay, one after the other, and our scrape is no shorter."""
    with scraping.waiting(PAGE_SIZE + 1, delay=0.01) as contest:
        baseline, ours = contest()
    assert baseline == 20.0
    assert ours >= baseline


def test_an_unknown_row_is_refused(capsys):
    """An unknown row is a usage error that names the known ones."""
    with pytest.raises(SystemExit) as ended:
        command.main(["pares"])
    assert ended.value.code == 2
    assert "the rows are parse-10000, " in capsys.readouterr().err


def fixed(baseline, ours):
    """A contest with these results."""
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
    """A ratio is of the medians, in the direction of its bar; a row with fewer jobs is not judged by it."""
    result = measure(Row("row", "", 7, fixed(12.0, 3.0), bar), jobs=jobs, rounds=3)
    assert (result.ratio, result.missed) == (ratio, missed)


def test_the_sides_take_turns():
    """Each round measures both sides once, and the one that is first is second in the next round."""
    turns = []

    def turn(name, value):
        turns.append(name)
        return value

    contest = in_turns(lambda: turn("baseline", 1.0), lambda: turn("ours", 2.0))
    assert [contest() for _ in range(3)] == [(1.0, 2.0)] * 3
    assert turns == ["baseline", "ours", "ours", "baseline", "baseline", "ours"]


def test_ratios_are_of_medians():
    """One slow round does not move the ratio."""
    row = Row("row", "", 1, fixed(1.0, 1.0), Bar("at least", 1))
    assert Result(row, 1, (4.0, 4.0, 90.0), (2.0, 70.0, 2.0)).ratio == 2.0


def test_a_missed_bar_is_the_exit_code(monkeypatch, capsys):
    """The command exits 1 if a row misses its bar, and the table says which."""
    rows = (
        Row("good", "", 1, fixed(2.0, 1.0), Bar("at least", 1)),
        Row("bad", "", 1, fixed(1.0, 2.0), Bar("at least", 1)),
    )
    monkeypatch.setattr(command, "ROWS", rows)
    assert command.main(["good"]) == 0
    assert command.main([]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "MISSED" in line] == ["bad"]


def test_expositions_that_differ_are_not_measured():
    """A sample that is missing, duplicate or different on one side raises Unequal."""
    first, second = (f'batchops_up{{provider="oss",region="{region}"}} 1\n'.encode() for region in "ab")
    agree(first + second, second + first.replace(b"} 1", b"} 1.0"))
    for body in (first, first + second + second, first + second.replace(b"} 1", b"} 0")):
        with pytest.raises(Unequal):
            agree(first + second, body)


def test_markdown_is_a_table():
    """Each line has all the columns; those of numbers are right-aligned."""
    table = report.markdown(("part", "ms"), [("parse", "1,000.0 ms"), ("rest", "-2 ms")])
    assert table == "| part | ms |\n| --- | --: |\n| parse | 1,000.0 ms |\n| rest | -2 ms |\n"
