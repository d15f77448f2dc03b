from __future__ import annotations

import pytest

from exporter.config import parse
from exporter.core.errors import ConfigError

HEAD = """\
accounts:
  - provider: oss
    account: prod
    regions: [cn-hangzhou]
"""


@pytest.fixture
def targets():
    """Returns the targets of a text; `extra` is a line that is added to the smallest valid account."""

    def read(extra="", *, text=HEAD, **options):
        full = text + (f"    {extra}\n" if extra else "")
        return parse(full.encode(), file="config.yaml", environment={}, **options).targets

    return read


@pytest.fixture
def problems(targets):
    """Returns the problems of a text as strings; `extra` as for `targets`."""

    def read(extra="", **options):
        with pytest.raises(ConfigError) as caught:
            targets(extra, **options)
        return [str(problem) for problem in caught.value.problems]

    return read
