"""Dashboards as Grafana draws them: its own components, from npm, in Chromium. No Grafana server is needed."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from deploy.grafana import FOLDER
from tests import chromium, needs
from tests.serving import serve
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chromium import Tab

SOURCE: Final = Path(__file__).with_name("view")
BUILD: Final = Path(__file__).parents[2] / ".cache" / "grafana-view"
"""Not next to the source: there are 40,000 files in it."""
MAX_HEIGHT: Final = 12_000


class Viewer:
    """Draws dashboards in `tab`, with the data of the Prometheus at `prometheus`."""

    def __init__(self, tab: Tab, url: str, prometheus: str) -> None:
        self.tab, self._url, self._prometheus = tab, url, prometheus

    def draw(self, name: str, *, width: int, mode: str, **values: str) -> str:
        """Draw a dashboard in a window that is as high as it, and return its text. `values` are of variables."""
        dashboard = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        details = {"dashboard": dashboard, "prometheus": self._prometheus, "mode": mode, "values": values}
        self.tab.open(self._url, width=width, height=MAX_HEIGHT)
        self.tab.run(f"void draw({json.dumps(details)})")
        # Answered, and the same for some time: transformations and tables come later than the answers.
        seen: list[Any] = []

        def quiet() -> bool:
            seen.append((self._text(), self.tab.run("waiting")))
            return len(seen) > 6 and len({*seen[-6:]}) == 1 and seen[-1][1] == 0

        until(quiet, seconds=60, pause=0.3, state=lambda: (seen[-1], self.tab.messages))
        end = "Math.max(...[...document.querySelectorAll('section')].map((one) => one.getBoundingClientRect().bottom))"
        height = round(self.tab.run(end)) + 8
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.tab.call("Emulation.setDeviceMetricsOverride", **size)
        until(lambda: self.tab.run("innerHeight") == height)
        return self._text()

    def _text(self) -> str:
        return str(self.tab.run("document.body.innerText"))


@contextlib.contextmanager
def viewer(prometheus: str) -> Iterator[Viewer]:
    """A viewer of the data of the Prometheus at the URL `prometheus`; builds the page at the first use."""
    _build()
    icons = BUILD / "node_modules/@grafana/ui/dist/public"
    routes = [Mount("/public/build", StaticFiles(directory=icons)), Mount("/", StaticFiles(directory=BUILD, html=True))]
    with serve(Starlette(routes=routes)) as url, chromium.tab() as tab:
        yield Viewer(tab, url, prometheus)


def _build() -> None:
    node, npm = needs.program("node", package="nodejs"), needs.program("npm", package="npm")
    installed = BUILD / "installed-lock.json"
    lock = (SOURCE / "package-lock.json").read_bytes()
    shutil.copytree(SOURCE, BUILD, dirs_exist_ok=True)
    if not installed.exists() or installed.read_bytes() != lock:
        _run(npm, "ci", "--no-audit", "--no-fund")
        installed.write_bytes(lock)
    _run(
        node,
        "node_modules/esbuild/bin/esbuild",
        "view.jsx",
        "--bundle",
        "--format=esm",
        "--outdir=out",
        "--jsx=automatic",
        "--define:global=globalThis",
        '--define:process.env.NODE_ENV="production"',
        "--loader:.ttf=dataurl",
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
