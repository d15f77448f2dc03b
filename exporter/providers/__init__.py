"""What each service speaks: how to build and sign its requests, and how to read its responses.

Pure: no I/O, no clock, no logging. A new service is a module here and a line in `PROVIDERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.providers.cos import Cos
from exporter.providers.oss import Oss
from exporter.providers.s3 import S3

if TYPE_CHECKING:
    from exporter.core.interfaces import Provider

PROVIDERS: Final[dict[str, type[Provider]]] = {
    "oss": Oss,
    "cos": Cos,
    "s3": S3,
}
"""Each provider by its name in the configuration, which is also the label `provider`."""
