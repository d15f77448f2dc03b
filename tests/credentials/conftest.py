from __future__ import annotations

import pytest

from exporter import credentials
from exporter.jobapi import CredentialNames
from exporter.section import Section

NAMES = CredentialNames(
    key_id="id",
    secret="secret",
    token="token",
    environment=(("A_ID", "A_SECRET", "A_TOKEN"), ("B_ID", "B_SECRET", "B_TOKEN")),
)


@pytest.fixture
def read():
    """The source that a mapping describes, and the problems with it, one string for each."""

    def from_mapping(mapping, environment=None, *, directory=""):
        section = Section(mapping, "credentials", [], directory=directory)
        source = credentials.from_section(section, NAMES, environment or {})
        return source, [str(problem) for problem in section.problems]

    return from_mapping
