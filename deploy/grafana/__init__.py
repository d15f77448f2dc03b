"""The source of the Grafana dashboards: `./dev dashboards` writes them to deploy/grafana/dashboards.

::

    overview    all jobs, the failures, and the exporter's health
    job         one job
    panels      the kinds of panel, and what all dashboards share
    queries     selectors and expressions
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import job, overview

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).with_name("dashboards")
"""Where the generated files are."""


def files() -> Iterator[tuple[Path, str]]:
    """Yields the path and the text of each dashboard."""
    for builder in (overview.dashboard(), job.dashboard()):
        dashboard = builder.build()
        for number, panel in enumerate(dashboard.panels or (), start=1):
            panel.id_val = number
        text = json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        yield FOLDER / f"{dashboard.uid}.json", f"{text}\n"
