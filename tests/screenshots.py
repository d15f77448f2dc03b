"""Pictures of the landing page for the documentation: `./dev screenshots`.

The simulated stores of the demo, a real exporter and a real Chromium. Shown: all targets up (wide, dark, and on a
phone), and two of them down.

The demo has Chinese and emoji in its descriptions: install Debian's fonts-wqy-zenhei and fonts-noto-color-emoji first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import httpx
import yaml

from exporter import cli, config
from exporter.simulator import Fault, Scenario, create_app
from tests import chromium
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


def main() -> None:
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
                    stores[0].faults.add(Fault("error", status=403, code="AccessDenied"))
                    stores[1].faults.add(Fault("body", body=b"<html>Please log in</html>"))
                    httpx.get(f"{base}/metrics", timeout=30.0)
                tab.open(f"{base}/", width=picture.width, height=picture.height, scheme=picture.scheme)
                tab.picture(FOLDER / f"{picture.name}.png")


if __name__ == "__main__":
    main()
