from __future__ import annotations

import json

import pytest

from bench import __main__ as command
from bench import soak
from bench.soak import Reading, judge

EVERY = 10


def curve(resident, descriptors=lambda _: 12):
    """Readings along 2,000 scrapes; each value is a function of the number of scrapes."""
    return [
        Reading(scrapes, resident(scrapes), descriptors(scrapes)) for scrapes in range(EVERY, soak.SCRAPES + 1, EVERY)
    ]


def noise(scrapes):
    """Some MiB up and down, the same at each call."""
    return (scrapes * 7919 % 97) / 97 * 4 - 2


FLAT = {
    "still": curve(lambda _: 70.0),
    "noisy": curve(lambda scrapes: 70 + noise(scrapes)),
    "warming up": curve(lambda scrapes: 70 + noise(scrapes) - 30 * max(0, 1 - scrapes / 400)),
    "a peak": curve(lambda scrapes: 400.0 if scrapes == 1900 else 70.0, lambda scrapes: 12 + scrapes % 4),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_curve_is_flat(name):
    """Noise, a warm-up and a single peak are no leak."""
    assert judge(FLAT[name]) == []


@pytest.mark.parametrize("name", FLAT)
def test_a_leak_is_found_whatever_it_hides_behind(name):
    """2 KiB at each scrape are a leak, and one descriptor in a hundred scrapes too; the sentence says which."""
    leaking = [one._replace(resident=one.resident + one.scrapes / 512) for one in FLAT[name]]
    assert ["memory" in problem for problem in judge(leaking)] == [True]
    leaking = [one._replace(descriptors=one.descriptors + one.scrapes // 100) for one in FLAT[name]]
    assert ["descriptors" in problem for problem in judge(leaking)] == [True]


def test_too_short_a_curve_is_not_judged():
    """Without a reading in each quarter there is nothing to compare."""
    with pytest.raises(ValueError, match="four"):
        judge(FLAT["still"][:3])


def test_a_short_soak_runs(monkeypatch, tmp_path, capsys):
    """A real soak of 30 scrapes meets failures and successes of the target that fails, and ends as its judge says."""
    monkeypatch.setattr(soak, "JOBS", 30)
    monkeypatch.setattr(soak, "FAIL_EVERY", 3)
    monkeypatch.setattr(soak, "judge", lambda curve: [] if len(curve) == 30 else ["not flat"])
    file = tmp_path / "soak.json"
    assert command.main(["soak", "--scrapes=30", f"--json={file}"]) == 0
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["facts"]["failed"] > 0
    assert told["facts"]["succeeded"] > 0
    assert [reading["scrapes"] for reading in told["curve"]] == list(range(1, 31))
    assert all(reading["resident"] > 1 and reading["descriptors"] > 3 for reading in told["curve"])
    assert "\n| 30 | " in capsys.readouterr().out


def test_what_is_not_flat_is_the_exit_code(monkeypatch, capsys):
    """The command ends with 1 where the curve is not flat, and says why."""
    leak = curve(lambda scrapes: 70 + scrapes / 10)
    monkeypatch.setattr(soak.Soak, "run", lambda *_: leak)
    assert command.main(["soak"]) == 1
    assert "grew from" in capsys.readouterr().out


def test_a_soak_without_failures_proves_nothing(monkeypatch, capsys):
    """Where the target that has to fail now and then never did, a flat curve is not enough."""
    monkeypatch.setattr(soak.Soak, "run", lambda *_: FLAT["still"])
    assert command.main(["soak"]) == 1
    assert "the target that fails now and then did not" in capsys.readouterr().out


def test_a_soak_has_some_scrapes(capsys):
    """Too few scrapes to be judged are an error of usage, ahead of the first one."""
    with pytest.raises(SystemExit) as ended:
        command.main(["soak", "--scrapes=3"])
    assert ended.value.code == 2
    assert "no soak" in capsys.readouterr().err
