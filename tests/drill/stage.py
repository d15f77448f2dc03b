"""What a drill runs on: simulated stores, exporters, a Prometheus, an Alertmanager and a webhook, all on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import yaml
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from exporter.simulator import Store, World, create_app
from tests import needs
from tests.cli.conftest import Process, command
from tests.deploy.promserver import Prometheus, prometheus
from tests.drill import shortened
from tests.rawserver import free_port
from tests.serving import serve
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

    from exporter.simulator.jobs.world import FixedWorld
    from tests.drill.receiver import Receiver

REPLICAS: Final = 2
"""Exporters with the same configuration: each alert must arrive once all the same."""
SCRAPE_SECONDS: Final = 2
EVALUATION_SECONDS: Final = 1
KEY_SECONDS: Final = 60.0
"""Lifetime of the temporary keys. The exporter renews them when a quarter is left."""


@dataclass
class Target:
    """One target: the store that answers for it, its jobs, and the issuer of its keys."""

    name: str
    """The account's name, which is the scenario's."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of the account in the configuration, besides those that every account has."""
    key_seconds: float = KEY_SECONDS
    issuer_works: bool = True
    """Whether temporary keys are issued to this target, if it has any."""

    def __post_init__(self) -> None:
        self.world: FixedWorld = World.fixed()
        token = "a-token" if self.has_temporary_keys else None
        self.store = Store(self.world, access_key_id=f"key-of-{self.name}", security_token=token)

    @property
    def has_temporary_keys(self) -> bool:
        return bool(self.settings.get("credentials", {}).get("source") == "metadata")

    def account(self, url: str) -> dict[str, Any]:
        """Returns the target's part of the configuration; `url` is the stores'."""
        keys = {
            "source": "static",
            "access_key_id": self.store.access_key_id,
            "access_key_secret": self.store.access_key_secret,
        }
        common = {"provider": "oss", "account": self.name, "regions": [self.store.region], "endpoint": url}
        return {**common, "credentials": keys, "requests_per_second": 0, **self.settings}

    async def issue(self, request: Request) -> Response:
        """Responds as the URI of ALIBABA_CLOUD_CREDENTIALS_URI does."""
        del request
        if not self.issuer_works:
            return Response(status_code=503)
        expiration = datetime.fromtimestamp(int(time.time() + self.key_seconds), UTC)
        return JSONResponse(
            {
                "Code": "Success",
                "AccessKeyId": self.store.access_key_id,
                "AccessKeySecret": self.store.access_key_secret,
                "SecurityToken": self.store.security_token,
                "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )


class Stage:
    """The running parts."""

    def __init__(self, folder: Path, targets: Sequence[Target], receiver: Receiver) -> None:
        self.folder = folder
        self.targets = {target.name: target for target in targets}
        self.receiver = receiver
        self.prometheus: Prometheus
        self._ports = [free_port() for _ in range(REPLICAS)]
        self._exporters: list[Process | None] = [None] * REPLICAS
        self._environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    @property
    def addresses(self) -> list[str]:
        """The addresses of the exporters, as Prometheus scrapes them."""
        return [f"127.0.0.1:{port}" for port in self._ports]

    def start_exporter(self, number: int) -> None:
        """Starts a replica; it returns when it listens."""
        flags = (f"--config.file={self.folder / 'config.yaml'}", f"--web.listen-address={self.addresses[number]}")
        process = Process(command(*flags), cwd=Path(__file__).parents[2], env=self._environment)
        process.wait_until_it_listens()
        self._exporters[number] = process

    def kill_exporter(self, number: int) -> None:
        """Kills a replica, as a machine that dies does."""
        if process := self._exporters[number]:
            process.send(signal.SIGKILL)
            process.wait()
        self._exporters[number] = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Starts everything, and stops it at the end."""
        issuer = Starlette(routes=[Route("/keys", next(iter(self._issuing()), _no_keys))])
        with contextlib.ExitStack() as stack:
            stores = stack.enter_context(serve(create_app([target.store for target in self.targets.values()])))
            keys = stack.enter_context(serve(issuer))
            self._environment["ALIBABA_CLOUD_CREDENTIALS_URI"] = f"{keys}/keys"
            accounts = [target.account(stores) for target in self.targets.values()]
            (self.folder / "config.yaml").write_text(yaml.safe_dump({"accounts": accounts}))
            for number in range(REPLICAS):
                stack.callback(self.kill_exporter, number)
                self.start_exporter(number)
            webhook = stack.enter_context(serve(self.receiver.app))
            alertmanager = stack.enter_context(_alertmanager(self.folder / "alertmanager", webhook))
            folder = self.folder / "prometheus"
            self.prometheus = stack.enter_context(prometheus(folder, self._configuration(folder, alertmanager)))
            yield

    def _issuing(self) -> list[Any]:
        return [target.issue for target in self.targets.values() if target.has_temporary_keys]

    def _configuration(self, folder: Path, alertmanager: str) -> dict[str, Any]:
        """The shipped configuration of Prometheus, with shorter intervals and the addresses of the stage."""
        document: dict[str, Any] = yaml.safe_load((shortened.DEPLOY / "prometheus/prometheus.yml").read_text())
        folder.mkdir()
        for file in shortened.RULE_FILES:
            (folder / file).write_text(yaml.safe_dump(shortened.rules(file), width=1_000_000))
        times = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
        (job,) = document["scrape_configs"]
        job |= {**times, "static_configs": [{"targets": self.addresses}]}
        document["global"] |= {**times, "evaluation_interval": f"{EVALUATION_SECONDS}s"}
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        return document

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the result of a query; none while Prometheus is not ready."""
        result: list[dict[str, Any]] = (self.prometheus.get("query", query=expression) or {"result": []})["result"]
        return result

    def wait_until_all_targets_are_up(self) -> None:
        """Returns when the rules have seen each target."""
        wanted = len(self.targets)
        until(
            lambda: (
                len(self.query("batchops:target_first_seen:timestamp_seconds and batchops:target_up:max == 1"))
                == wanted
            ),
            seconds=60,
            pause=0.5,
            state=lambda: json.dumps(self.query("batchops_up")) + self.prometheus.log.read_text()[-1500:],
        )


async def _no_keys(_: Request) -> Response:
    return Response(status_code=404)


@contextlib.contextmanager
def _alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """The address of an Alertmanager that sends to `webhook`."""
    program = needs.program("prometheus-alertmanager", package="prometheus-alertmanager")
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(shortened.alertmanager(webhook)))
    address = f"127.0.0.1:{free_port()}"
    flags = (
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",  # it is alone
    )
    with (
        (folder / "alertmanager.log").open("wb") as log,
        subprocess.Popen([program, *flags], stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            until(lambda: _responds(f"http://{address}/-/ready"), state=(folder / "alertmanager.log").read_text)
            yield address
        finally:
            process.terminate()


def _responds(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
