"""The flags, in the Prometheus spelling; `--help` tells each with its default."""

from __future__ import annotations

import argparse
import math
import platform
import re
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from exporter import __version__, logs
from exporter.web import app, server

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_ADDRESS: Final = ":10083"
SIMULATOR_ADDRESS: Final = "127.0.0.1:10084"

_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]+")
_DESCRIPTION: Final = "Prometheus exporter for the batch jobs of object storage."
_EPILOG: Final = "A second command, 'batchops-exporter simulate', serves the simulated store alone; see its own --help."


class _Parser(argparse.ArgumentParser):
    """Flags are whole words: an abbreviation that works today could be another flag tomorrow."""

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


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options in `arguments`; `command` is serve, demo, check_config or simulate.

    Ends the process where they ask for help or the version (exit code 0) and where they are wrong (2).
    """
    if arguments and arguments[0] == "simulate":
        options = simulate_parser().parse_args(arguments[1:])
        options.addresses = options.addresses or [server.parse_address(SIMULATOR_ADDRESS)]
        return options
    parser = serve_parser()
    options = parser.parse_args(arguments)
    if options.demo and (options.config_check or options.config_file is not None):
        parser.error("--demo needs no file; leave out --config.file and --config.check")
    options.command = "demo" if options.demo else "check_config" if options.config_check else "serve"
    options.external_url = options.external_url or ""
    options.config_file = options.config_file or "config.yaml"
    options.addresses = options.addresses or [server.parse_address(DEFAULT_ADDRESS)]
    return options


def serve_parser() -> argparse.ArgumentParser:
    """The flags of the exporter itself."""
    parser = _Parser("batchops-exporter", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("--config.file", dest="config_file", metavar="FILE", help="Configuration file (default: config.yaml).")
    add(
        "--config.check",
        dest="config_check",
        action="store_true",
        help="Validate the configuration file and end: 0, or 1 with every problem and its path.",
    )
    add(
        "--config.expand-environment-variables",
        dest="expand",
        action="store_true",
        help="Replace ${NAME} in the file's values by the environment variable; $$ is a dollar sign.",
    )
    add("--demo", action="store_true", help="Serve a simulated store: no cloud account and no file are needed.")
    _add_listen_address(parser, DEFAULT_ADDRESS)
    add(
        "--web.telemetry-path",
        dest="telemetry_path",
        metavar="PATH",
        default="/metrics",
        type=_path,
        help="Path of the metrics (default: /metrics).",
    )
    add(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        type=_url,
        help="URL at which the exporter is reached: for the landing page's links and /sd (default: the host asked).",
    )
    add(
        "--web.max-requests",
        dest="max_requests",
        metavar="NUMBER",
        default=40,
        type=_count,
        help="Scrapes answered at once; one more gets a 503. 0: no limit (default: 40).",
    )
    add(
        "--web.disable-exporter-metrics",
        dest="disable_exporter_metrics",
        action="store_true",
        help="Leave out the metrics of the exporter itself (batchops_exporter_*, process_*, python_*).",
    )
    add(
        "--timeout-offset",
        dest="timeout_offset",
        metavar="SECONDS",
        default=0.5,
        type=_seconds,
        help="Taken off the scrape timeout that Prometheus tells, for rendering and the way back (default: 0.5).",
    )
    _add_log_flags(parser)
    add("--version", action="version", version=version(), help="Show the version and end.")
    return parser


def simulate_parser() -> argparse.ArgumentParser:
    """The flags of the simulated store."""
    parser = _Parser("batchops-exporter simulate", "Serve a simulated object store, for drills and tests.")
    parser.set_defaults(command="simulate")
    parser.add_argument(
        "--scenario", metavar="FILE", help="YAML file with stores, jobs and faults (default: the demo's)."
    )
    _add_listen_address(parser, SIMULATOR_ADDRESS)
    _add_log_flags(parser)
    return parser


def version() -> str:
    """What `--version` shows."""
    return f"batchops-exporter {__version__} (Python {platform.python_version()})"


def _add_listen_address(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--web.listen-address",
        dest="addresses",
        metavar="ADDRESS",
        action="append",
        type=_address,
        help=f"Address to listen on, as host:port or :port; may be given more than once (default: {default}).",
    )


def _add_log_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=tuple(logs.LEVELS),
        default="info",
        help="Least level of the log lines on stderr (default: info).",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=logs.FORMATS,
        default="logfmt",
        help="Form of the log lines (default: logfmt).",
    )


def _address(text: str) -> tuple[str, int]:
    try:
        return server.parse_address(text)
    except server.AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _path(text: str) -> str:
    if not _PATH.fullmatch(text) or text in app.FIXED_PATHS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a free path; write one such as /metrics")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as https://example.com/batchops")
    return text.rstrip("/")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):  # noqa: PLR2004 - a million scrapes at once
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of scrapes, 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return number
