from __future__ import annotations

import re

import pytest

from tests.deploy.test_dashboards import DASHBOARDS
from tests.grafana.history import large_job, six_hours
from tests.grafana.viewer import SOURCE, viewer


def test_the_viewer_knows_every_kind_of_panel():
    """The viewer draws each kind of panel of the dashboards, and no other."""
    table = (SOURCE / "panels.jsx").read_text().partition("export const PANELS = {")[2]
    known = set(re.findall(r"^  '?([\w-]+)'?: \{", table, re.MULTILINE))
    assert known == {panel["type"] for board in DASHBOARDS for panel in board["panels"]} - {"row"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_panel_is_drawn(tmp_path):
    """Grafana's own components draw every panel of both dashboards, with data and without an error."""
    with six_hours(tmp_path) as prometheus, viewer(prometheus) as page:
        job = large_job(prometheus)
        for board in DASHBOARDS:
            values = {"job": job} if board["uid"] == "batchops-job" else {}
            lines = page.draw(board["uid"], width=1420, mode="dark", **values).splitlines()
            assert {panel["title"] for panel in board["panels"]} <= {*lines}
            assert not {line for line in lines if re.search("No data|[Ee]rror|not found", line)}
