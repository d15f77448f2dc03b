from __future__ import annotations

import contextlib
import json
import math
import os
import urllib.request

import pytest

from bench import __main__ as command
from bench import contests, pages, programs
from bench.measure import Bar, Contest, Result, Row, Unequal, measure
from bench.rows import ROWS
from exporter.providers.oss import Oss

TINY = 20


@pytest.mark.timeout(300)  # it starts a few dozen processes
def test_each_row_runs_and_has_a_finite_ratio(tmp_path, capsys):
    """Every row runs, with both sides proven equal, and its result stands in the table and in the JSON."""
    file = tmp_path / "result.json"
    assert command.main(["--quick", f"--most-jobs={TINY}", f"--json={file}"]) == 0
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["facts"]["rounds"] == command.QUICK_ROUNDS
    assert [row["name"] for row in told["rows"]] == [row.name for row in ROWS]
    table = capsys.readouterr().out
    for row in told["rows"]:
        assert len(row["baseline"]) == len(row["ours"]) == command.QUICK_ROUNDS
        assert math.isfinite(row["ratio"])
        assert row["ratio"] > 0
        assert row["jobs"] == TINY
        assert not row["judged"]
        assert f"\n{row['name']} " in table


def test_an_unknown_row_is_refused(capsys):
    """A row that is not there is an error of usage that names those that are."""
    with pytest.raises(SystemExit) as ended:
        command.main(["pares"])
    assert ended.value.code == 2
    assert "there are parse, " in capsys.readouterr().err


def race(baseline, ours):
    """A contest with set results; the second item tells whose turns came."""
    turns = []

    def turn(name, value):
        turns.append(name)
        return value

    contest = Contest(lambda: turn("baseline", baseline), lambda: turn("ours", ours))
    return lambda _: contextlib.nullcontext(contest), turns


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
    contest, _ = race(12.0, 3.0)
    result = measure(Row("row", "", 7, contest, bar), jobs=jobs, rounds=3)
    assert (result.ratio, result.missed) == (ratio, missed)


def test_the_sides_take_turns():
    """Each round measures both sides once, and the one that goes first goes second in the next round."""
    contest, turns = race(1.0, 1.0)
    measure(Row("row", "", 1, contest, Bar("at least", 1)), jobs=1, rounds=3)
    assert turns == ["baseline", "ours", "ours", "baseline", "baseline", "ours"]


def test_the_medians_stand_for_the_rounds():
    """One slow round does not move the ratio."""
    row = Row("row", "", 1, race(1.0, 1.0)[0], Bar("at least", 1))
    assert Result(row, 1, (4.0, 4.0, 90.0), (2.0, 70.0, 2.0)).ratio == 2.0


def test_a_missed_bar_is_the_exit_code(monkeypatch, capsys):
    """The command ends with 1 where a row misses its bar, and the table says which."""
    rows = (
        Row("good", "", 1, race(2.0, 1.0)[0], Bar("at least", 1)),
        Row("bad", "", 1, race(1.0, 2.0)[0], Bar("at least", 1)),
    )
    monkeypatch.setattr(command, "ROWS", rows)
    assert command.main(["good"]) == 0
    assert command.main([]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "MISSED" in line] == ["bad"]


def test_expositions_that_differ_are_not_measured():
    """A sample that is missing, twice or another on one side ends the contest before a ratio is told."""
    one, other = (f'batchops_up{{provider="oss",region="{region}"}} 1\n'.encode() for region in "ab")
    contests._agree(one + other, other + one.replace(b"} 1", b"} 1.0"))
    for body in (one, one + other + other, one + other.replace(b"} 1", b"} 0")):
        with pytest.raises(Unequal):
            contests._agree(one + other, body)


def test_the_store_serves_the_variant_that_is_shown():
    """A listing is whole, in pages that follow each other by token, and another variant has none of its jobs."""
    found = []
    with programs.store(pages.PAGE_SIZE + TINY, variants=2) as store:
        for variant in range(2):
            programs.show(store, variant)
            first = Oss.parse_jobs(store.get("/?batchJob&max-keys=1000"))
            rest = Oss.parse_jobs(store.get(f"/?batchJob&max-keys=1000&continuation-token={first.next_token}"))
            assert rest.next_token is None
            found.append([job.id for job in (*first.jobs, *rest.jobs)])
    assert found == [[job.id for job in pages.jobs(pages.PAGE_SIZE + TINY, variant)] for variant in range(2)]
    assert not set(found[0]) & set(found[1])


def test_programs_end_with_their_context():
    """A program answers inside its `with`, and its process is gone behind it, also after an error."""
    with contextlib.suppress(KeyError), programs.store(TINY) as store:
        with urllib.request.urlopen(f"{store.url}/?batchJob", timeout=10) as answer:
            assert answer.status == 200
        assert store.peak() > 1
        assert 0.01 < store.cpu() < 60
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(store.pid, 0)


def test_a_program_that_does_not_start_says_why():
    """What a program printed before it ended is in the error."""
    with pytest.raises(RuntimeError, match="required: --jobs"), programs._running(["-m", "bench.store"]):
        pass
