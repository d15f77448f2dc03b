"""How each simulated service speaks: its signature, its parameters, its XML and its errors.

A new service is one more file with a `Dialect` and one more line in `DIALECTS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.simulator.dialects.cos import COS
from exporter.simulator.dialects.oss import OSS
from exporter.simulator.dialects.s3 import S3

if TYPE_CHECKING:
    from exporter.simulator.dialects.dialect import Dialect

DIALECTS: Final[dict[str, Dialect]] = {"oss": OSS, "cos": COS, "s3": S3}
"""Each dialect by the provider's name in the configuration."""
