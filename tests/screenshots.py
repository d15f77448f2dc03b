"""Pictures for the documentation: `./dev screenshots`.

The landing page: the simulated stores of the demo, a real exporter and a real Chromium. Shown: all targets up (wide,
dark, and on a phone), and two of them down. The dashboards: six hours of such stores in a real Prometheus, drawn with
Grafana's own components.

The demo has Chinese and emoji in its descriptions: install Debian's fonts-wqy-zenhei and fonts-noto-color-emoji first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest
import yaml

from exporter import cli, config
from exporter.simulator import Fault, Scenario, create_app
from tests import chromium
from tests.grafana.history import large_job, six_hours
from tests.grafana.viewer import viewer
from tests.rig import exporting
from tests.serving import serve

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"


class Picture(NamedTuple):
    """What a picture shows; sizes are in CSS pixels."""

    name: str
    width: int = 1100
    height: int = 900
    scheme: str = "light"
    failing: bool = False


PICTURES: Final = (
    Picture("landing-healthy"),
    Picture("landing-dark", scheme="dark"),
    Picture("landing-phone", width=390, height=1100),
    Picture("landing-failing", failing=True),
)


class DashboardPicture(NamedTuple):
    """How a dashboard is drawn; the picture is as high as the dashboard."""

    name: str
    width: int = 1420
    mode: str = "dark"


DASHBOARD_PICTURES: Final = (
    DashboardPicture("dark"),
    DashboardPicture("light", mode="light"),
    DashboardPicture("800", width=800),
    DashboardPicture("phone", width=400),
)
DASHBOARDS: Final = ("batchops-overview", "batchops-job")


def landing() -> None:
    """Write every picture of PICTURES to FOLDER."""
    FOLDER.mkdir(exist_ok=True)
    stores = Scenario.demo().stores
    with serve(create_app(stores)) as url, chromium.tab() as tab:
        accounts = [cli._demo_account(store, url) for store in stores]
        document = yaml.safe_dump({"accounts": accounts}).encode()
        targets = config.parse(document, file="demo", environment={}).targets
        with exporting(*targets) as base:
            for picture in PICTURES:
                httpx.get(f"{base}/metrics", timeout=30.0)
                if picture.failing:
                    denied = Fault("error", status=403, code="AccessDenied", message="You may not list jobs.")
                    stores[0].faults.add(denied)
                    stores[1].faults.add(Fault("body", body=b"<html>Please log in</html>"))
                    httpx.get(f"{base}/metrics", timeout=30.0)
                tab.open(f"{base}/", width=picture.width, height=picture.height, scheme=picture.scheme)
                tab.picture(FOLDER / f"{picture.name}.png")


def dashboards() -> None:
    """Write every picture of DASHBOARD_PICTURES of each dashboard to FOLDER."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        six_hours(Path(folder)) as prometheus,
        viewer(prometheus) as page,
    ):
        job = large_job(prometheus)
        for name in DASHBOARDS:
            values = {"job": job} if name == "batchops-job" else {}
            for picture in DASHBOARD_PICTURES:
                page.draw(name, width=picture.width, mode=picture.mode, **values)
                page.tab.picture(FOLDER / f"{name}-{picture.name}.png")


def main() -> int:
    """Write all pictures; those for which a program is missing are left out. Returns the exit code."""
    status = 0
    for write in (landing, dashboards):
        try:
            write()
        except pytest.skip.Exception as missing:
            sys.stderr.write(f"{write.__name__}: {missing}\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
