"""What a test needs from the machine beside Python."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, *, package: str) -> str:
    """The path of the program `name`, which Debian has in `package`; without it the test is skipped.

    With REQUIRE_ALL=1 in the environment, as in CI, the test fails instead: there a skipped test would pass unseen.
    """
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (Debian: apt-get install {package})"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return path
