"""A simulated object store: jobs that live, told over the wire of a real service, with faults on demand.

::

    app        ASGI: delivers answers, also badly; control routes
    scenario   a mapping of a file → stores
    service    one request: which store, which answer, which faults
    store      an account in a region, edited like an object
    oss        the wire of Alibaba Cloud OSS: signature, parameters, tokens
    oss_xml    its answers
    cos        the wire of Tencent Cloud COS, cos_xml its answers
    s3         the wire of Amazon S3 Control
    wires      all of them, by name
    dialect    the XML that they share
    wire       what a wire has to say; a further one is one more file
    faults     what goes wrong, where and how often
    world      which jobs there are at a moment
    plan       the life of one job, a function of the time

Nothing but the command line and the tests imports it.
"""

from __future__ import annotations

from exporter.simulator.app import create_app
from exporter.simulator.dialects import WIRES
from exporter.simulator.faults import Fault
from exporter.simulator.jobs.world import World, make_jobs
from exporter.simulator.scenario import Scenario
from exporter.simulator.store import Store

__all__ = ["WIRES", "Fault", "Scenario", "Store", "World", "create_app", "make_jobs"]
