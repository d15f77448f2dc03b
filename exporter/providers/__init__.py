"""The services that can be read. A new one is a file here and a line in `PROVIDERS`."""

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
"""Each provider by the word that names it in the configuration and in the label `provider`."""
