"""The command line: files, environment, sockets, signals, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import yaml

from exporter import __version__, config, logs, options, simulator
from exporter.core.errors import ConfigError, ExporterError
from exporter.core.workers import WaitingThreads
from exporter.providers import PROVIDERS
from exporter.web import server
from exporter.web.app import Settings
from exporter.web.application import Application

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Sequence

    from exporter.config import Config

COLLECTOR_THRESHOLDS: Final = (50_000, 20, 10)
"""Allocations, and runs of the younger generation, that wake the collector of cycles.

A page makes some 14,000 elements that live until it is parsed, and none of them is in a cycle: with Python's own
(700, 10, 10) the collector took a quarter of a scrape's time to find nothing. With these, and what was imported frozen,
a scrape of 10,000 jobs took 0.76 of the CPU time and 1.03 of the memory.
"""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with `arguments` (None: those of the process); the result is its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # before all else, and also as PID 1, which has no default ones
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, _stay)
    parsed = options.parse(sys.argv[1:] if arguments is None else arguments)
    logs.set_up(parsed.log_level, parsed.log_format)
    try:
        _COMMANDS[parsed.command](parsed)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except ExporterError as error:
        print(f"batchops-exporter: {error}", file=sys.stderr)
        return 1
    return 0


def _leave(number: int, frame: object) -> NoReturn:
    """End with exit code 0; the server, where one runs, has let its requests end before this is called."""
    del number, frame
    sys.exit(0)


def _stay(number: int, frame: object) -> None:
    """Many daemons read their file anew at SIGHUP; to end instead, which is the default, would be a bad surprise."""
    del number, frame
    log.warning("SIGHUP is not used: restart the exporter to read the configuration anew")


def _serve(options: argparse.Namespace) -> None:
    _export(options, _load(options))


def _check_config(options: argparse.Namespace) -> None:
    found = _load(options)
    print(f"{options.config_file} is valid. Targets: {len(found.targets)}")
    for target in found.targets:
        print(f"  {target.name}")


def _load(options: argparse.Namespace) -> Config:
    return config.load(Path(options.config_file), environment=os.environ, expand=options.expand)


def _simulate(options: argparse.Namespace) -> None:
    stores = _scenario(options.scenario).stores
    sockets = _listen(options.addresses)
    for store in stores:
        about = {"scheme": store.wire.scheme, "region": store.region, "access_key_id": store.access_key_id}
        log.info("simulating", extra=about)
    _tell("the simulated store listens", sockets)
    asyncio.run(server.serve(simulator.create_app(stores), sockets))


def _scenario(file: str | None) -> simulator.Scenario:
    if file is None:
        return simulator.Scenario.demo()
    document = config.read_yaml(Path(file))
    return simulator.Scenario.from_mapping(document, file=file)


def _demo(options: argparse.Namespace) -> None:
    """Export the simulated stores, which are served beside the exporter, on a port of their own."""
    stores = simulator.Scenario.demo().stores
    beside = server.listen("127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{beside[0].getsockname()[1]}"
    text = yaml.safe_dump({"accounts": [_demo_account(store, endpoint) for store in stores]}).encode()
    with server.serving(simulator.create_app(stores), beside):
        log.info("the demo's simulated stores listen", extra={"url": endpoint})
        _export(options, config.parse(text, file="demo", environment={}))


def _demo_account(store: simulator.Store, endpoint: str) -> dict[str, object]:
    """The account of a configuration that reads `store`."""
    provider = next(name for name, wire in simulator.WIRES.items() if wire is store.wire)
    names = PROVIDERS[provider].credential_names
    return {
        "provider": provider,
        "account": "demo",
        "regions": [store.region],
        "endpoint": endpoint,
        "credentials": {
            "source": "static",
            names.key_id: store.access_key_id,
            names.secret: store.access_key_secret,
        },
        "requests_per_second": 0,  # nobody else is on this store
        "jobs": {"describe": True},
        **{name: getattr(store, name) for name in store.wire.settings},
    }


def _export(options: argparse.Namespace, found: Config) -> None:
    sockets = _listen(options.addresses)
    settings = Settings(
        telemetry_path=options.telemetry_path,
        max_requests=options.max_requests,
        timeout_offset=options.timeout_offset,
        external_url=options.external_url,
        disable_exporter_metrics=options.disable_exporter_metrics,
    )
    _allow_many_connections()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    log.info("starting", extra={"version": __version__, "targets": len(found.targets)})
    _tell("listening", sockets)
    asyncio.run(_answer(found, settings, sockets))


def _allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one, as every program in Go does.

    Each connection is one, and the usual 1024 is less than what hundreds of targets may need.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # where a system promises more than it gives
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _answer(found: Config, settings: Settings, sockets: Sequence[socket.socket]) -> None:
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    revision = os.environ.get("BATCHOPS_EXPORTER_REVISION", "unknown")
    async with Application(found.targets, settings, revision=revision) as exporter:
        await server.serve(exporter.asgi, sockets, before_end=exporter.collector.stop)


def _listen(addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Sockets on all `addresses`, or on none."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(found) for host, port in addresses for found in server.listen(host, port)]
        opened.pop_all()
    return sockets


def _tell(what: str, sockets: Sequence[socket.socket]) -> None:
    for found in sockets:
        host, port = found.getsockname()[:2]
        log.info(what, extra={"url": f"http://{f'[{host}]' if ':' in host else host}:{port}/"})


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], None]]] = {
    "serve": _serve,
    "demo": _demo,
    "check_config": _check_config,
    "simulate": _simulate,
}
