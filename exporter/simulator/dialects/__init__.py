"""The services that can be simulated. A new one is a wire in a file of its own and a line in `WIRES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.simulator.dialects.cos import COS
from exporter.simulator.dialects.oss import OSS
from exporter.simulator.dialects.s3 import S3

if TYPE_CHECKING:
    from exporter.simulator.messages import Wire

WIRES: Final[dict[str, Wire]] = {"oss": OSS, "cos": COS, "s3": S3}
"""Each wire by the word that names the service in a scenario, as in the configuration."""
