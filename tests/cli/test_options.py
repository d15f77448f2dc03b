from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import __version__, options
from exporter.options import Check, CheckConfig, ConfigFile, Demo, Options, Serve, Simulate, Web
from exporter.web.app import Settings
from exporter.web.listeners import TcpAddress, UnixAddress

FILE = ConfigFile(Path("config.yaml"), expand=False)
SETTINGS = Settings(
    telemetry_path="/metrics",
    max_requests=40,
    timeout_offset=0.5,
    timeout_default=0.0,
    external_url="",
    route_prefix="",
    enable_lifecycle=False,
    disable_exporter_metrics=False,
)
WEB = Web((TcpAddress("", 10083),), SETTINGS)
A_FILE = ConfigFile(Path("a.yaml"), expand=False)


def with_settings(**changes):
    """Returns the command `Serve` with other settings."""
    return Serve(FILE, replace(WEB, settings=replace(SETTINGS, **changes)))


COMMANDS = {
    "": Serve(FILE, WEB),
    "--config.file=a.yaml": Serve(A_FILE, WEB),
    "--config.file a.yaml": Serve(A_FILE, WEB),
    "--config.check": CheckConfig(FILE),
    "--config.check --config.file=a.yaml": CheckConfig(A_FILE),
    "--config.check --web.config.file=web.yml": CheckConfig(FILE, Path("web.yml")),
    "--config.expand-environment-variables": Serve(replace(FILE, expand=True), WEB),
    "--config.check --config.expand-environment-variables": CheckConfig(replace(FILE, expand=True)),
    "--demo": Demo(WEB),
    "--web.listen-address=:9": Serve(FILE, replace(WEB, addresses=(TcpAddress("", 9),))),
    "--web.listen-address=a.example:1 --web.listen-address=[::1]:2": Serve(
        FILE, replace(WEB, addresses=(TcpAddress("a.example", 1), TcpAddress("::1", 2)))
    ),
    "--web.telemetry-path=/a/b-c_d.e~": with_settings(telemetry_path="/a/b-c_d.e~"),
    "--web.external-url=https://example.com/a/": with_settings(external_url="https://example.com/a", route_prefix="/a"),
    "--web.external-url=https://example.com/a --web.route-prefix=/": with_settings(
        external_url="https://example.com/a"
    ),
    "--web.route-prefix=/b/": with_settings(route_prefix="/b"),
    "--web.listen-address=unix:/run/a.sock": Serve(FILE, replace(WEB, addresses=(UnixAddress(Path("/run/a.sock")),))),
    "--web.systemd-socket": Serve(FILE, replace(WEB, addresses=())),
    "--web.shutdown-timeout=2.5": Serve(FILE, replace(WEB, shutdown_timeout=2.5)),
    "--timeout-default=5": with_settings(timeout_default=5.0),
    "--web.max-requests=0": with_settings(max_requests=0),
    "--web.enable-lifecycle": with_settings(enable_lifecycle=True),
    "--web.config.file=web.yml": Serve(FILE, replace(WEB, config_file=Path("web.yml"))),
    "--config.auto-reload-interval=0s": Serve(FILE, WEB, reload_interval=0.0),
    "--config.auto-reload-interval=1m": Serve(FILE, WEB, reload_interval=60.0),
    "--web.disable-exporter-metrics": with_settings(disable_exporter_metrics=True),
    "--timeout-offset=0": with_settings(timeout_offset=0.0),
    "--timeout-offset 1.25": with_settings(timeout_offset=1.25),
    "check": Check(FILE, (), 60.0, "text"),
    "check --config.file=a.yaml --scrape-interval=5m --output=json oss/a/r cos/b/r": Check(
        A_FILE, ("oss/a/r", "cos/b/r"), 300.0, "json"
    ),
    "check --config.expand-environment-variables": Check(replace(FILE, expand=True), (), 60.0, "text"),
    "simulate": Simulate(None, (TcpAddress("127.0.0.1", 10084),)),
    "simulate --scenario=a.yaml --web.listen-address=:1": Simulate(Path("a.yaml"), (TcpAddress("", 1),)),
}
"""Flags, and the command that they are parsed into."""

WRONG = [
    "--nothing",
    "extra",
    "--config.fil=a.yaml",
    "--config.file",
    "--config.auto-reload-interval=5",
    "--web.config.file",
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
    "--web.telemetry-path=//evil",
    "--web.telemetry-path=/a//b",
    "--web.telemetry-path=/a/../b",
    "--web.telemetry-path=/a/",
    "--web.telemetry-path=/b/probe --web.route-prefix=/b",
    "--web.route-prefix=b",
    "--web.route-prefix=//evil",
    "--web.systemd-socket --web.listen-address=:1",
    "--web.shutdown-timeout=-1",
    "--timeout-default=nan",
    "--web.listen-address=unix:relative",
    "--web.external-url=https://user:password@example.com",
    "--web.external-url=https://example.com//evil",
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
    "check --demo",
    "check --scrape-interval=60",
    "check --scrape-interval=0s",
    "check --output=xml",
]


@pytest.mark.parametrize("given", COMMANDS)
def test_each_flag_sets_its_option(given):
    """Each flag, in both spellings, sets its option; all others have their documented default."""
    level = "error" if given.startswith("check") else "info"  # what a check finds is in its report
    assert options.parse(given.split()) == Options(COMMANDS[given], log_level=level, log_format="logfmt")


@pytest.mark.parametrize("command", ["", "--demo", "--config.check", "check", "simulate"])
def test_the_flags_of_the_log(command):
    """Every command has the flags of the log."""
    parsed = options.parse([*command.split(), "--log.level=warn", "--log.format=json"])
    assert (parsed.log_level, parsed.log_format) == ("warn", "json")


@pytest.mark.parametrize("given", WRONG)
def test_a_usage_error_is_one_line(given, capsys):
    """A wrong flag exits 2 with one line on stderr that refers to the help."""
    with pytest.raises(SystemExit) as caught:
        options.parse(given.split(" "))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    command = given.partition(" ")[0]
    program = f"batchops-exporter {command}" if command in ("check", "simulate") else "batchops-exporter"
    assert re.fullmatch(rf"{program}: .+; see {program} --help\n", err)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["check", "--help"], ["simulate", "--help"]])
def test_help_lists_every_flag_with_its_default(arguments, capsys):
    """The help goes to stdout and exits 0; it lists each flag, with the default of those that have a value."""
    with pytest.raises(SystemExit) as caught:
        options.parse(arguments)
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    parsers = {"check": options.check_parser, "simulate": options.simulate_parser}
    parser = parsers.get(arguments[0], options.serve_parser)()
    shown = " ".join(out.split())
    for action in parser._actions:
        assert all(option in shown for option in action.option_strings)
        text = " ".join((action.help or "").split()) % {"prog": parser.prog, **vars(action)}
        assert text in shown
        assert action.nargs == 0 or "(default: " in text


def test_the_version(capsys):
    """`--version` shows the version of the package and of Python, on stdout."""
    with pytest.raises(SystemExit) as caught:
        options.parse(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(
        rf"batchops-exporter {re.escape(__version__)} \(Python 3\.\d+\.\d+\S*\)\n", capsys.readouterr().out
    )


def test_the_command_is_installed_under_its_name():
    """The distribution installs the command under the name in its messages."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {options.serve_parser().prog: "exporter.__main__:main"}


def test_a_command_that_is_misspelled(capsys):
    """A word that is no command is an error that names the similar command."""
    with pytest.raises(SystemExit) as ended:
        options.parse(["chekc", "--config.file=a.yaml"])
    assert ended.value.code == 2
    assert "'chekc' is not a command; did you mean check?" in capsys.readouterr().err
