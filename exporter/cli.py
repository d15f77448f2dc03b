"""The command line: commands, signals and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import yaml

from exporter import __version__, config, logs, options, simulator
from exporter.core.errors import ConfigError, ExporterError
from exporter.core.workers import WaitingThreads
from exporter.options import CheckConfig, Demo, Serve, Simulate
from exporter.providers import PROVIDERS
from exporter.web import server
from exporter.web.application import Application

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.config import Config
    from exporter.core.target import Target
    from exporter.web.app import Settings

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (None: those of the process) and return the exit code.

    0 after success, SIGTERM or SIGINT; 1 if a file or an address cannot be used, with the reason on stderr. Raises
    SystemExit with code 2 if the usage is wrong.
    """
    _handle_signals()
    parsed = options.parse(sys.argv[1:] if arguments is None else arguments)
    logs.set_up(parsed.log_level, parsed.log_format)
    try:
        match parsed.command:
            case Serve(file, web):
                _export(_load(file).targets, web)
            case Demo(web):
                _demo(web)
            case CheckConfig(file):
                _check_config(file)
            case Simulate(scenario, addresses):
                _simulate(scenario, addresses)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except ExporterError as error:
        print(f"batchops-exporter: {error}", file=sys.stderr)
        return 1
    return 0


def _handle_signals() -> None:
    """Exit with code 0 on SIGTERM and SIGINT, and ignore SIGHUP.

    PID 1, which the exporter is in a container, has no default handlers. A running server has handlers of its own, and
    raises the signal again after its last request. SIGHUP, on which many daemons reload, ends a process by default.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _exit(number: int, frame: object) -> NoReturn:
    del number, frame
    sys.exit(0)


def _load(file: options.ConfigFile) -> Config:
    return config.load(file.path, environment=os.environ, expand=file.expand)


def _check_config(file: options.ConfigFile) -> None:
    targets = _load(file).targets
    print(f"{file.path} is valid. Targets: {len(targets)}")
    for target in targets:
        print(f"  {target.name}")


def _simulate(file: Path | None, addresses: Sequence[options.Address]) -> None:
    stores = _scenario(file).stores
    sockets = _listen(addresses)
    for store in stores:
        fields = {"provider": store.provider, "region": store.region, "access_key_id": store.access_key_id}
        log.info("simulating store", extra=fields)
    _log_urls(sockets)
    asyncio.run(server.serve(simulator.create_app(stores), sockets))


def _scenario(file: Path | None) -> simulator.Scenario:
    if file is None:
        return simulator.Scenario.demo()
    return simulator.Scenario.from_mapping(config.read_yaml(file), file=str(file))


def _demo(web: options.Web) -> None:
    """Export the simulated stores, which a second server in this process offers on another port."""
    stores = simulator.Scenario.demo().stores
    sockets = server.listen("127.0.0.1", 0)
    url = _url(sockets[0])
    document = yaml.safe_dump({"accounts": [_demo_account(store, url) for store in stores]})
    with server.serving(simulator.create_app(stores), sockets):
        log.info("serving simulated stores", extra={"url": url})
        _export(config.parse(document.encode(), file="demo", environment={}).targets, web)


def _demo_account(store: simulator.Store, endpoint: str) -> dict[str, object]:
    """Returns the account of a configuration that reads `store`."""
    names = PROVIDERS[store.provider].credential_names
    return {
        "provider": store.provider,
        "account": "demo",
        "regions": [store.region],
        "endpoint": endpoint,
        "credentials": {
            "source": "static",
            names.key_id: store.access_key_id,
            names.secret: store.access_key_secret,
        },
        "requests_per_second": 0,
        **{name: getattr(store, name) for name in simulator.DIALECTS[store.provider].settings},
    }


def _export(targets: Sequence[Target], web: options.Web) -> None:
    """Serve the metrics of `targets` until a signal comes."""
    sockets = _listen(web.addresses)
    _raise_open_files_limit()
    gc.freeze()  # what was imported is never garbage, and need not be looked at again
    log.info("starting", extra={"version": __version__, "targets": len(targets)})
    asyncio.run(_answer(targets, web.settings, sockets))


def _raise_open_files_limit() -> None:
    """Raise the soft limit of open files to the hard one, as programs in Go do.

    Each connection is an open file, and hundreds of targets may need more than the usual 1024.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems report a hard limit that they do not accept
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _answer(targets: Sequence[Target], settings: Settings, sockets: Sequence[socket.socket]) -> None:
    asyncio.get_running_loop().set_default_executor(WaitingThreads())
    revision = os.environ.get("BATCHOPS_EXPORTER_REVISION", "unknown")
    async with Application(targets, settings, revision=revision) as exporter:
        _log_urls(sockets)  # not earlier: from here on a scrape is answered at once
        await server.serve(exporter.asgi, sockets, before_end=exporter.collector.stop)


def _listen(addresses: Sequence[options.Address]) -> list[socket.socket]:
    """Returns sockets on all `addresses`. Raises AddressError, and then leaves none open."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(bound) for host, port in addresses for bound in server.listen(host, port)]
        opened.pop_all()
    return sockets


def _log_urls(sockets: Sequence[socket.socket]) -> None:
    for bound in sockets:
        log.info("listening", extra={"url": f"{_url(bound)}/"})


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
