"""The flags, in the Prometheus spelling, and the typed options that they are parsed into; see `--help`."""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from exporter import __version__, flag_values, logs
from exporter.core import durations
from exporter.core.wording import did_you_mean, shown
from exporter.web import app, server
from exporter.web.app import Settings
from exporter.web.listeners import Address, parse_address
from exporter.web.reloading import INTERVAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_ADDRESS: Final = ":10083"
SIMULATOR_ADDRESS: Final = "127.0.0.1:10084"

_CONFIG_FILE: Final = "config.yaml"
_SETTINGS: Final = Settings()
_DESCRIPTION: Final = "Prometheus exporter for the batch jobs of object storage."
_EPILOG: Final = (
    "Other commands, each with its own --help: 'batchops-exporter check' calls each target once and explains what it "
    "finds, 'batchops-exporter simulate' serves the simulated store alone."
)
COMMANDS: Final = ("check", "simulate")
OUTPUTS: Final = ("text", "json")
SCRAPE_INTERVAL: Final = "60s"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file, and whether to expand ${NAME} in it."""

    path: Path
    expand: bool


@dataclass(frozen=True, slots=True)
class Web:
    """How the metrics are served."""

    addresses: tuple[Address, ...]
    """Empty: the sockets that systemd passes."""
    settings: Settings
    shutdown_timeout: float = server.SHUTDOWN_SECONDS
    """Seconds."""
    config_file: Path | None = None
    """TLS and users; None: plain HTTP for everybody."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve the metrics of the targets in a configuration file."""

    file: ConfigFile
    web: Web
    reload_interval: float = INTERVAL_SECONDS
    """Seconds between two looks at the file; 0: none."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Serve the metrics of simulated stores."""

    web: Web


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """Validate a configuration file, and the web configuration if there is one."""

    file: ConfigFile
    web_config_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Call targets once; no names: all of the file. `interval`: seconds between two scrapes."""

    file: ConfigFile
    targets: tuple[str, ...]
    interval: float
    output: str


@dataclass(frozen=True, slots=True)
class Simulate:
    """Serve the simulated stores of a scenario; None: the demo's."""

    scenario: Path | None
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    command: Serve | Demo | CheckConfig | Check | Simulate
    log_level: str
    log_format: str


class _Parser(argparse.ArgumentParser):
    """Accepts no abbreviated flags: one that is unique today could become ambiguous with a new flag."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=44, width=120),
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str]) -> Options:
    """Returns the options in `arguments`.

    Raises SystemExit: with code 0 after showing the help or the version, with code 2 if the usage is wrong.
    """
    command: Serve | Demo | CheckConfig | Check | Simulate
    match arguments:
        case ["simulate", *rest]:
            flags = simulate_parser().parse_args(rest)
            command = _simulate(flags)
        case ["check", *rest]:
            flags = check_parser().parse_args(rest)
            command = Check(_config_file(flags), tuple(flags.targets), flags.interval, flags.output)
        case [word, *_] if not word.startswith("-"):
            message = f"{shown(word)} is not a command{did_you_mean(word, COMMANDS)}"
            serve_parser().error(message)
        case _:
            parser = serve_parser()
            flags = parser.parse_args(arguments)
            command = _serve(parser, flags)
    return Options(command, log_level=flags.log_level, log_format=flags.log_format)


def _config_file(flags: argparse.Namespace) -> ConfigFile:
    return ConfigFile(flags.config_file or Path(_CONFIG_FILE), expand=flags.expand)


def _simulate(flags: argparse.Namespace) -> Simulate:
    return Simulate(scenario=flags.scenario, addresses=_addresses(flags, SIMULATOR_ADDRESS))


def _serve(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> Serve | Demo | CheckConfig:
    if flags.demo and (flags.config_check or flags.config_file is not None):
        parser.error("--demo cannot be combined with --config.file or --config.check")
    file = _config_file(flags)
    if flags.config_check:
        return CheckConfig(file, flags.web_config_file)
    settings = Settings(
        telemetry_path=flags.telemetry_path,
        max_requests=flags.max_requests,
        timeout_offset=flags.timeout_offset,
        timeout_default=flags.timeout_default,
        external_url=flags.external_url or _SETTINGS.external_url,
        route_prefix=urlsplit(flags.external_url or "").path if flags.route_prefix is None else flags.route_prefix,
        enable_lifecycle=flags.enable_lifecycle,
        disable_exporter_metrics=flags.disable_exporter_metrics,
    )
    if flags.systemd_socket and flags.addresses:
        parser.error("--web.systemd-socket cannot be combined with --web.listen-address")
    taken = {
        f"{prefix}{path}" for prefix in ("", settings.route_prefix) for path in (*app.FIXED_PATHS, app.RELOAD_PATH)
    }
    if settings.telemetry_path in taken:
        parser.error(f"--web.telemetry-path: {settings.telemetry_path!r} is the path of another route")
    addresses = () if flags.systemd_socket else _addresses(flags, DEFAULT_ADDRESS)
    web = Web(addresses, settings, flags.shutdown_timeout, flags.web_config_file)
    return Demo(web) if flags.demo else Serve(file, web, flags.reload_interval)


def _addresses(flags: argparse.Namespace, default: str) -> tuple[Address, ...]:
    return tuple(flags.addresses or [parse_address(default)])


def serve_parser() -> argparse.ArgumentParser:
    """Returns the parser of the exporter's own flags."""
    parser = _Parser("batchops-exporter", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    _add_config_flags(parser)
    add(
        "--config.check",
        dest="config_check",
        action="store_true",
        help="Validate the configuration file, read the files that it names, and exit: 0, or 1 with every problem and "
        "its path.",
    )
    add(
        "--config.auto-reload-interval",
        dest="reload_interval",
        metavar="DURATION",
        default=INTERVAL_SECONDS,
        type=flag_values.duration,
        help="How often to look whether the configuration or a file that it names has changed, and to reload it then. "
        f"0s: never (default: {durations.to_text(INTERVAL_SECONDS)}).",
    )
    add("--demo", action="store_true", help="Serve simulated stores, without a cloud account or a file.")
    _add_listen_address(parser, DEFAULT_ADDRESS)
    add(
        "--web.telemetry-path",
        dest="telemetry_path",
        metavar="PATH",
        default=_SETTINGS.telemetry_path,
        type=flag_values.path,
        help="Path under which to expose metrics (default: %(default)s).",
    )
    add(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        type=Path,
        help="File with TLS, users and headers, in the format of the Prometheus projects (default: plain HTTP).",
    )
    add(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        type=flag_values.url,
        help="URL under which the exporter is reachable, for links and /sd (default: the host of the request).",
    )
    add(
        "--web.route-prefix",
        dest="route_prefix",
        metavar="PATH",
        type=flag_values.prefix,
        help="Path below which every route is served too (default: the path of --web.external-url).",
    )
    add(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="Listen on the sockets that systemd passes, instead of --web.listen-address.",
    )
    add(
        "--web.max-requests",
        dest="max_requests",
        metavar="NUMBER",
        default=_SETTINGS.max_requests,
        type=flag_values.count,
        help="Maximum number of concurrent scrapes; more are answered with 503. 0: no limit (default: %(default)s).",
    )
    add(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="Allow to reload the configuration by POST /-/reload.",
    )
    add(
        "--web.disable-exporter-metrics",
        dest="disable_exporter_metrics",
        action="store_true",
        help="Exclude metrics about the exporter itself (batchops_exporter_*, process_*, python_*).",
    )
    add(
        "--web.shutdown-timeout",
        dest="shutdown_timeout",
        metavar="SECONDS",
        default=server.SHUTDOWN_SECONDS,
        type=flag_values.seconds,
        help="Seconds in which the scrapes in flight end after SIGTERM (default: %(default)s).",
    )
    add(
        "--timeout-offset",
        dest="timeout_offset",
        metavar="SECONDS",
        default=_SETTINGS.timeout_offset,
        type=flag_values.seconds,
        help="Seconds subtracted from the scrape timeout for rendering and sending (default: %(default)s).",
    )
    add(
        "--timeout-default",
        dest="timeout_default",
        metavar="SECONDS",
        default=_SETTINGS.timeout_default,
        type=flag_values.seconds,
        help="Scrape timeout of clients that name none; 0: the timeout of each target (default: %(default)s).",
    )
    _add_log_flags(parser)
    add("--version", action="version", version=version(), help="Show the version and exit.")
    return parser


def check_parser() -> argparse.ArgumentParser:
    """Returns the parser of the flags of `check`."""
    description = (
        "Call each target once, and explain: keys, connection, clock, permissions, jobs and cost. Exits with 0, with 1 "
        "if a target fails or the file is bad, with 2 if the usage is wrong."
    )
    parser = _Parser("batchops-exporter check", description)
    add = parser.add_argument
    add("targets", nargs="*", metavar="TARGET", help="Such as oss/prod/cn-hangzhou (default: all of the file).")
    _add_config_flags(parser)
    add(
        "--scrape-interval",
        dest="interval",
        metavar="DURATION",
        default=SCRAPE_INTERVAL,
        type=flag_values.interval,
        help="Time between two scrapes, for the number of requests (default: %(default)s).",
    )
    add("--output", choices=OUTPUTS, default=OUTPUTS[0], help="Form of the report (default: %(default)s).")
    _add_log_flags(parser, level="error")
    return parser


def simulate_parser() -> argparse.ArgumentParser:
    """Returns the parser of the flags of `simulate`."""
    parser = _Parser("batchops-exporter simulate", "Serve a simulated object store, for drills and tests.")
    parser.add_argument(
        "--scenario", metavar="FILE", type=Path, help="YAML file with stores, jobs and faults (default: the demo's)."
    )
    _add_listen_address(parser, SIMULATOR_ADDRESS)
    _add_log_flags(parser)
    return parser


def version() -> str:
    """Returns the line that `--version` shows."""
    return f"batchops-exporter {__version__} (Python {platform.python_version()})"


def _add_config_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        help=f"Configuration file (default: {_CONFIG_FILE}).",
    )
    parser.add_argument(
        "--config.expand-environment-variables",
        dest="expand",
        action="store_true",
        help="Replace ${NAME} in the file's values by that environment variable, and $$ by a dollar sign.",
    )


def _add_listen_address(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--web.listen-address",
        dest="addresses",
        metavar="ADDRESS",
        action="append",
        type=flag_values.address,
        help=f"Address on which to listen, as host:port, :port or unix:/path; repeatable (default: {default}).",
    )


def _add_log_flags(parser: argparse.ArgumentParser, *, level: str = "info") -> None:
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=tuple(logs.LEVELS),
        default=level,
        help="Lowest level of the log lines on stderr (default: %(default)s).",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=logs.FORMATS,
        default="logfmt",
        help="Format of the log lines (default: %(default)s).",
    )
