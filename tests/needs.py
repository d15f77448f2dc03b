"""Programs other than Python that a test needs."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, *, package: str) -> str:
    """The path of the program `name` from the Debian package `package`; the test is skipped if it is missing.

    With REQUIRE_ALL=1 in the environment, as in CI, the test fails instead, so that no test is skipped unnoticed.
    """
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (Debian: apt-get install {package})"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return path
