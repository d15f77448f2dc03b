"""A real Prometheus server."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import yaml

from tests import needs
from tests.rawserver import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Prometheus(NamedTuple):
    """A running server: its API and its log."""

    api: httpx.Client
    log: Path

    def get(self, path: str, **parameters: str) -> Any:
        """The data of a response; None while the server is not ready yet."""
        try:
            response = self.api.get(path, params=parameters)
        except httpx.TransportError:
            return None
        return response.json()["data"] if response.status_code == 200 else None


@contextlib.contextmanager
def prometheus(folder: Path, document: Mapping[str, Any], *flags: str) -> Iterator[Prometheus]:
    """A server with the configuration `document`; all its files are in `folder`, which is created."""
    program = needs.program("prometheus", package="prometheus")
    folder.mkdir(exist_ok=True)
    port = free_port()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(document)))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with (
        (folder / "prometheus.log").open("wb") as log,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=10) as api,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            yield Prometheus(api, folder / "prometheus.log")
        finally:
            process.terminate()


def logs(servers: list[Prometheus]) -> list[str]:
    """Returns the end of each server's log."""
    return [server.log.read_text()[-1500:] for server in servers]
