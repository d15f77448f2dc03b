from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from exporter import __version__, options

DEFAULTS: dict[str, object] = {
    "command": "serve",
    "config_file": "config.yaml",
    "expand": False,
    "addresses": [("", 10083)],
    "telemetry_path": "/metrics",
    "external_url": "",
    "max_requests": 40,
    "disable_exporter_metrics": False,
    "timeout_offset": 0.5,
    "log_level": "info",
    "log_format": "logfmt",
}
"""Without any flag."""

GIVEN: dict[str, dict[str, object]] = {
    "--config.file=a.yaml": {"config_file": "a.yaml"},
    "--config.file a.yaml": {"config_file": "a.yaml"},
    "--config.check": {"command": "check_config"},
    "--config.check --config.file=a.yaml": {"command": "check_config", "config_file": "a.yaml"},
    "--config.expand-environment-variables": {"expand": True},
    "--demo": {"command": "demo"},
    "--web.listen-address=:9": {"addresses": [("", 9)]},
    "--web.listen-address=a.example:1 --web.listen-address=[::1]:2": {"addresses": [("a.example", 1), ("::1", 2)]},
    "--web.telemetry-path=/a/b-c_d.e~": {"telemetry_path": "/a/b-c_d.e~"},
    "--web.external-url=https://example.com/a/": {"external_url": "https://example.com/a"},
    "--web.max-requests=0": {"max_requests": 0},
    "--web.disable-exporter-metrics": {"disable_exporter_metrics": True},
    "--timeout-offset=0": {"timeout_offset": 0.0},
    "--timeout-offset 1.25": {"timeout_offset": 1.25},
    "--log.level=warn": {"log_level": "warn"},
    "--log.format=json": {"log_format": "json"},
}
"""Flags → what differs from the defaults."""

WRONG = [
    "--nothing",
    "extra",
    "--config.fil=a.yaml",
    "--config.file",
    "--demo --config.file=a.yaml",
    "--demo --config.check",
    "--web.listen-address=",
    "--web.listen-address=10083",
    "--web.listen-address=:65536",
    "--web.listen-address=:-1",
    "--web.listen-address=::1:80",
    "--web.listen-address=http://127.0.0.1:80",
    "--web.listen-address=[::1]",
    "--web.listen-address=:\uff11",
    "--web.telemetry-path=metrics",
    "--web.telemetry-path=/",
    "--web.telemetry-path=/probe",
    "--web.telemetry-path=/-/healthy",
    "--web.telemetry-path=/a?b",
    "--web.telemetry-path=/{x}",
    "--web.external-url=example.com",
    "--web.external-url=ftp://example.com",
    "--web.external-url=https://",
    "--web.external-url=https://example.com/?a",
    "--web.external-url=http://[::1",
    "--web.max-requests=-1",
    "--web.max-requests=1.5",
    "--web.max-requests=9999999",
    "--timeout-offset=-1",
    "--timeout-offset=nan",
    "--timeout-offset=inf",
    "--timeout-offset=1s",
    "--log.level=loud",
    "--log.format=xml",
    "simulate --demo",
    "simulate --web.listen-address=x",
    "simulate extra",
]


@pytest.mark.parametrize("given", ["", *GIVEN])
def test_flags_say_what_they_say(given):
    """Each flag, in both spellings, sets its option, and nothing else differs from the documented defaults."""
    parsed = vars(options.parse(given.split()))
    expected = DEFAULTS | GIVEN.get(given, {})
    assert {name: parsed[name] for name in expected} == expected


def test_simulate_is_a_command_of_its_own():
    """`simulate` takes a scenario, listens on loopback only, and has its own defaults."""
    parsed = options.parse(["simulate"])
    assert (parsed.command, parsed.scenario, parsed.addresses) == ("simulate", None, [("127.0.0.1", 10084)])
    parsed = options.parse(["simulate", "--scenario=a.yaml", "--web.listen-address=:1", "--log.level=debug"])
    assert (parsed.scenario, parsed.addresses, parsed.log_level) == ("a.yaml", [("", 1)], "debug")


@pytest.mark.parametrize("given", WRONG)
def test_a_usage_error_is_one_line(given, capsys):
    """A wrong flag ends with exit code 2 and one line, on stderr, that says where help is."""
    with pytest.raises(SystemExit) as caught:
        options.parse(given.split(" "))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    program = "batchops-exporter simulate" if given.startswith("simulate") else "batchops-exporter"
    assert re.fullmatch(rf"{program}: .+; see {program} --help\n", err)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["simulate", "--help"]])
def test_help_lists_every_flag_with_its_default(arguments, capsys):
    """Help goes to stdout with exit code 0, and tells each flag that takes a value with its default."""
    with pytest.raises(SystemExit) as caught:
        options.parse(arguments)
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    parser = options.simulate_parser() if "simulate" in arguments else options.serve_parser()
    told = " ".join(out.split())
    for action in parser._actions:
        assert all(option in told for option in action.option_strings)
        text = " ".join((action.help or "").split()) % {"prog": parser.prog}
        assert text in told
        assert action.nargs == 0 or "(default: " in text


def test_version_is_the_packages(capsys):
    """`--version` tells the version of the package and of Python, on stdout."""
    with pytest.raises(SystemExit) as caught:
        options.parse(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(
        rf"batchops-exporter {re.escape(__version__)} \(Python 3\.\d+\.\d+\S*\)\n", capsys.readouterr().out
    )


def test_the_command_is_installed_under_its_name():
    """The distribution installs the command that the messages name."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {options.serve_parser().prog: "exporter.cli:main"}
