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
    """The targets of a text; `extra` is one more line of the smallest account that is valid."""

    def read(extra="", *, text=HEAD, **options):
        whole = text + (f"    {extra}\n" if extra else "")
        return parse(whole.encode(), file="config.yaml", environment={}, **options).targets

    return read


@pytest.fixture
def problems(targets):
    """The problems of a text, one string for each; `extra` as for `targets`."""

    def read(extra="", **options):
        with pytest.raises(ConfigError) as caught:
            targets(extra, **options)
        return [str(problem) for problem in caught.value.problems]

    return read
