"""Where the keys of an account come from. A new source is a file here and a line in `SOURCES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.credentials.environment import Environment
from exporter.credentials.static import FILE, Static

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.jobapi import CredentialNames, CredentialSource
    from exporter.section import Section

SOURCES: Final[dict[str, Callable[[Section, CredentialNames, Mapping[str, str]], CredentialSource]]] = {
    "default": Environment.from_section,
    "environment": Environment.from_section,
    "static": Static.from_section,
}
"""Each source by the word that names it in the configuration."""


def from_section(section: Section, names: CredentialNames, environment: Mapping[str, str]) -> CredentialSource:
    """The source that an account's `credentials` describe; what is wrong with them joins the section's problems.

    No key is looked for yet: that happens at each use. `environment` is read then.
    """
    source = section.choice("source", SOURCES, "default")
    if not source:  # which keys belong there is not known then
        return Environment.from_section(section, names, environment)
    found = SOURCES[source](section, names, environment)
    if source != "static":
        for key in (names.key_id, names.secret, names.token):
            section.refuse(key, "needs source: static")
            section.refuse(key + FILE, "needs source: static")
    section.finish(discreet=True)
    return found
