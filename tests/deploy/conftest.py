"""The exporter's own processes are started here as in the tests of the command line."""

from tests.cli.conftest import environment, start

__all__ = ["environment", "start"]
