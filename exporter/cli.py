"""The command line: commands and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import os
import resource
import signal
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import yaml

from exporter import __version__, config, logs, options, simulator
from exporter.check import examine, files, printing
from exporter.config import effective
from exporter.core.errors import ConfigError, ExporterError, Problem
from exporter.core.workers import WaitingThreads
from exporter.options import Check, CheckConfig, Demo, Serve, Simulate
from exporter.providers import PROVIDERS
from exporter.web import listeners, server
from exporter.web.application import Application
from exporter.web.login import Guard
from exporter.web.reloading import Reloader
from exporter.web.web_config import WebConfigFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TextIO

    from exporter.check.report import TargetReport
    from exporter.config import Config
    from exporter.core.errors import NamedFile

LOOPBACK: Final = listeners.TcpAddress("127.0.0.1", 0)

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (None: those of the process) and return the exit code.

    0 after success; 1 if a file or an address cannot be used, with the reason on stderr, or if a target that is checked
    fails; 2 for the name of an unknown target. Raises SystemExit with code 2 if a flag is wrong.
    """
    code = 0
    with _output():
        code = _run(sys.argv[1:] if arguments is None else arguments)
    return code  # noqa: RET504 - the block may have ended early


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """Print any character in any encoding, and end quietly if the reader of stdout leaves, as in `| head`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end


def _run(arguments: Sequence[str]) -> int:
    parsed = options.parse(arguments)
    logs.set_up(parsed.log_level, parsed.log_format)
    try:
        match parsed.command:
            case Serve() as source:
                _export(_load(source.file), source.web, source)
            case Demo(web):
                _demo(web)
            case CheckConfig(file, web_config_file):
                WebConfigFile(web_config_file)  # raises what is wrong with it
                _check_config(file)
            case Check():
                return _check(parsed.command)
            case Simulate(scenario, addresses):
                _simulate(scenario, addresses)
    except ConfigError as error:
        _show(str(error), sys.stderr)
        return 1
    except ExporterError as error:
        _show(f"batchops-exporter: {error}", sys.stderr)
        return 1
    return 0


def _load(file: options.ConfigFile) -> Config:
    try:
        file.path.stat()
    except FileNotFoundError:
        hint = "does not exist; name your file with --config.file, or try the exporter without one by --demo"
        raise ConfigError((Problem("", hint),), file=str(file.path)) from None
    except (OSError, ValueError):
        pass  # reading it says why
    return _read(file)


def _read(file: options.ConfigFile) -> Config:
    return config.load(file.path, environment=os.environ, expand=file.expand)


def _check_config(file: options.ConfigFile) -> None:
    """Show the targets of a valid file, and whether the files that it names can be read."""
    try:
        loaded = _load(file)
    except ConfigError as error:
        raise ConfigError((*error.problems, *_look_at_files(file, error.files)), file=error.file) from None
    if problems := _look_at_files(file, loaded.files):
        raise ConfigError(problems, file=str(file.path))
    lines = [
        f"{file.path} is valid. Targets: {len(loaded.targets)}",
        *(f"  {target.name}" for target in loaded.targets),
    ]
    if loaded.files:
        lines += [f"Files that can be read: {len(loaded.files)}", *(f"  {named.name}" for named in loaded.files)]
    _show("\n".join(lines), sys.stdout)


def _look_at_files(file: options.ConfigFile, named: Sequence[NamedFile]) -> tuple[Problem, ...]:
    """Show the warnings about the files that the configuration names, and return the problems."""
    found = asyncio.run(files.look_at(named))
    for warning in found.warnings:
        _show(f"{file.path}: warning: {warning}", sys.stderr)
    return found.problems


def _check(command: Check) -> int:
    """Call the targets, and show what was found; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # an interrupted check is no success
    loaded = _load(command.file)
    known = {target.name: target for target in loaded.targets}
    if unknown := [name for name in command.targets if name not in known]:
        _show(f"batchops-exporter check: no target {unknown[0]!r}; known targets: {', '.join(known)}", sys.stderr)
        return 2
    targets = [known[name] for name in dict.fromkeys(command.targets or known)]
    _look_at_files(command.file, loaded.files)  # a problem with a file is a finding about its target

    async def examining() -> list[TargetReport]:
        asyncio.get_running_loop().set_default_executor(WaitingThreads())
        with printing.progress(len(targets), sys.stdout) as on_done:
            return await examine.examine_all(targets, interval=command.interval, on_done=on_done)

    reports = asyncio.run(examining())
    if command.output == "json":
        _show(printing.as_json(reports, interval=command.interval), sys.stdout)
    else:
        _show(printing.as_text(reports, sys.stdout), sys.stdout)
    return int(any(report.failed for report in reports))


def _show(text: str, stream: TextIO) -> None:
    """Print `text`, and end quietly if nothing reads it any more, as after `| head`."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python writes the rest when it ends


def _simulate(file: Path | None, addresses: Sequence[listeners.Address]) -> None:
    stores = _scenario(file).stores
    with listeners.listening(addresses) as sockets:
        for store in stores:
            fields = {"provider": store.provider, "region": store.region, "access_key_id": store.access_key_id}
            log.info("simulating store", extra=fields)
        _log_urls(sockets)
        asyncio.run(server.serve(simulator.create_app(stores), sockets))


def _scenario(file: Path | None) -> simulator.Scenario:
    if file is None:
        return simulator.Scenario.demo()
    return simulator.Scenario.from_mapping(config.read_yaml(file, first_key="stores"), file=str(file))


def _demo(web: options.Web) -> None:
    """Export the simulated stores, which a second server in this process offers on another port."""
    stores = simulator.Scenario.demo().stores
    with listeners.listening([LOOPBACK]) as sockets, server.serving(simulator.create_app(stores), sockets):
        url = listeners.url(sockets[0])
        document = yaml.safe_dump({"accounts": [_demo_account(store, url) for store in stores]})
        log.info("serving simulated stores", extra={"url": url})
        _export(config.parse(document.encode(), file="demo", environment={}), web)


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


def _export(loaded: Config, web: options.Web, source: Serve | None = None) -> None:
    """Serve the metrics of the targets in `loaded`, which is of the file in `source`, until a signal comes."""
    web_config = WebConfigFile(web.config_file)
    with _sockets(web) as sockets:
        _raise_open_files_limit()
        gc.freeze()  # what was imported is never garbage, and need not be looked at again
        file = str(source.file.path) if source else "none (demo)"
        addresses = ",".join(listeners.url(bound, web_config.scheme) for bound in sockets)
        facts = {"version": __version__, "file": file, "targets": len(loaded.targets), "addresses": addresses}
        log.info("starting", extra=facts)
        asyncio.run(_answer(loaded, web, web_config, source, sockets))


def _sockets(web: options.Web) -> AbstractContextManager[list[socket.socket]]:
    return listeners.listening(web.addresses) if web.addresses else listeners.passed_by_systemd(os.environ)


def _raise_open_files_limit() -> None:
    """Raise the soft limit of open files to the hard one, as programs in Go do.

    Each connection is an open file, and hundreds of targets may need more than the usual 1024.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems report a hard limit that they do not accept
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _answer(
    loaded: Config, web: options.Web, web_config: WebConfigFile, source: Serve | None, sockets: Sequence[socket.socket]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(WaitingThreads())
    revision = os.environ.get("BATCHOPS_EXPORTER_REVISION", "unknown")
    configuration = effective.as_text(loaded.accounts)
    async with Application(loaded.targets, web.settings, configuration=configuration, revision=revision) as exporter:
        watching = [loop.create_task(web_config.watch())]
        if source is not None:
            reloader = Reloader(str(source.file.path), partial(_read, source.file), loaded, exporter)
            exporter.routes.reload_with = reloader.reload
            loop.add_signal_handler(signal.SIGHUP, reloader.request)
            watching.append(loop.create_task(reloader.watch(source.reload_interval)))
        _log_urls(sockets, web_config.scheme)  # not earlier: from here on a scrape is answered at once
        await server.serve(
            Guard(exporter.asgi, web_config),
            sockets,
            tls=web_config.tls,
            shutdown_timeout=web.shutdown_timeout,
            on_stop=exporter.drain,
            before_end=exporter.collector.stop,
        )
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


def _log_urls(sockets: Sequence[socket.socket], scheme: str = "http") -> None:
    for bound in sockets:
        log.info(
            "listening", extra={"url": listeners.url(bound, scheme) + ("" if bound.family == socket.AF_UNIX else "/")}
        )
