"""A simulated object store with batch jobs that progress, real signature checks, and faults on demand.

Only the command line and the tests import it. It must import none of the code that it is there to test: only
`exporter.core` and `exporter.providers.signatures`.

::

    app         the ASGI application: sends responses, also badly; control routes for faults
    scenario    a mapping from a file to stores
    responder   picks the store for a request and builds the response, with its faults
    store       one account in one region, editable while it is served
    faults      what goes wrong, when and how often
    messages    requests, responses and errors
    dialects/   the protocol of each service: oss, cos, s3; page tokens and the shared XML writer
    jobs/       plan: the life of one job; world: the jobs at a given time
"""

from __future__ import annotations

from exporter.simulator.app import create_app
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.faults import Fault
from exporter.simulator.jobs.world import World, make_jobs
from exporter.simulator.scenario import Scenario
from exporter.simulator.store import Store

__all__ = ["DIALECTS", "Fault", "Scenario", "Store", "World", "create_app", "make_jobs"]
