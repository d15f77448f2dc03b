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
        Reading(scrapes, resident(scrapes), descriptors(scrapes), peak=500.0)
        for scrapes in range(EVERY, soak.SCRAPES + 1, EVERY)
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
    """Noise, a warm-up and a single peak are not a leak."""
    assert judge(FLAT[name]) == []


@pytest.mark.parametrize("name", FLAT)
def test_a_leak_is_found_despite_noise(name):
    """2 KiB a scrape are a leak, and so is one descriptor in 100 scrapes; the sentence says which."""
    leaking = [reading._replace(resident=reading.resident + reading.scrapes / 512) for reading in FLAT[name]]
    assert ["memory" in problem for problem in judge(leaking)] == [True]
    leaking = [reading._replace(descriptors=reading.descriptors + reading.scrapes // 100) for reading in FLAT[name]]
    assert ["descriptors" in problem for problem in judge(leaking)] == [True]


def test_too_short_a_curve_is_not_judged():
    """A curve without a reading in each quarter raises ValueError."""
    with pytest.raises(ValueError, match="four"):
        judge(FLAT["still"][:3])


def test_a_short_soak_runs(monkeypatch, tmp_path, capsys):
    """In a soak of 30 scrapes the failing target is both up and down, and the exit code is that of the curve."""
    monkeypatch.setattr(soak, "JOBS", 30)
    monkeypatch.setattr(soak, "FAIL_EVERY", 3)
    monkeypatch.setattr(soak, "judge", lambda curve: [] if len(curve) == 30 else ["not flat"])
    file = tmp_path / "soak.json"
    assert command.main(["soak", "--scrapes=30", f"--json={file}"]) == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["facts"]["failed"] > 0
    assert result["facts"]["succeeded"] > 0
    assert [reading["scrapes"] for reading in result["curve"]] == list(range(1, 31))
    assert all(reading["resident"] > 1 and reading["descriptors"] > 3 for reading in result["curve"])
    assert "\n| 30 | " in capsys.readouterr().out


@pytest.mark.slow
def test_clients_that_do_not_read_leave_nothing():
    """Round after round of clients that read nothing of 18 MB of text hold no more memory than the first round."""
    curve = soak.unread(soak.MIN_SCRAPES)
    assert soak.judge(curve, soak.allowed_growth(soak.UNREAD)) == []
    assert curve[-1].peak < 200


def test_what_is_not_flat_is_the_exit_code(monkeypatch, capsys):
    """The command exits 1 if the curve is not flat, and says why."""
    leak = curve(lambda scrapes: 70 + scrapes / 10)
    monkeypatch.setattr(soak.Soak, "run", lambda *_: leak)
    assert command.main(["soak"]) == 1
    assert "grew from" in capsys.readouterr().out


def test_a_soak_without_failures_proves_nothing(monkeypatch, capsys):
    """A flat curve is not enough if the failing target was never down."""
    monkeypatch.setattr(soak.Soak, "run", lambda *_: FLAT["still"])
    assert command.main(["soak"]) == 1
    assert "did not both fail and succeed" in capsys.readouterr().out


def test_a_soak_has_some_scrapes(capsys):
    """Too few scrapes are a usage error before the first scrape."""
    with pytest.raises(SystemExit) as ended:
        command.main(["soak", "--scrapes=3"])
    assert ended.value.code == 2
    assert "must be at least 20" in capsys.readouterr().err
