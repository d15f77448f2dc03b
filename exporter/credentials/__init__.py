"""Where the keys of an account come from. A new source is a file here and a line in `SOURCES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.credentials import cos, oss, sdk
from exporter.credentials.default_chain import Default
from exporter.credentials.environment import Environment
from exporter.credentials.refreshing import Temporary
from exporter.credentials.static import FILE, Static

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.interfaces import CredentialNames, CredentialSource
    from exporter.core.section import Section
    from exporter.credentials.refreshing import Issuer

SOURCES: Final[dict[str, dict[str, Callable[[Mapping[str, str]], Issuer]]]] = {
    "oss": {"oidc": oss.Oidc, "metadata": oss.Metadata, "sdk": lambda _: sdk.Sdk(sdk.Alibaba())},
    "cos": {"oidc": cos.Oidc, "metadata": lambda _: cos.Metadata(), "sdk": lambda _: sdk.Sdk(sdk.Tencent())},
    "s3": {"sdk": lambda _: sdk.Sdk(sdk.Aws())},
}
"""Who issues keys, by provider and by the source's word in the configuration; each is made with the environment.

The sources `static`, `environment` and `default` stand beside, for every provider.
"""

_ORDER: Final = ("sdk", "environment", "oidc", "metadata")
"""Of the source `default`."""


def from_section(
    section: Section,
    names: CredentialNames,
    environment: Mapping[str, str],
    *,
    provider: str,
    account: str = "",
) -> CredentialSource:
    """The source that an account's `credentials` describe; what is wrong with them joins the section's problems.

    No key is looked for yet: that happens at each use. `environment` is read then. `account` is for the log.
    """
    issuers = SOURCES.get(provider, {})
    word = section.choice("source", ("default", "environment", "static", *issuers), "default")
    if not word:  # which keys belong there is not known then
        return Environment(names.environment, environment)
    if word == "static":
        source: CredentialSource = Static.from_section(section, names)
    else:
        for key in (names.key_id, names.secret, names.token):
            section.refuse(key, "needs source: static")
            section.refuse(key + FILE, "needs source: static")
        made = {name: make(environment) for name, make in issuers.items()}
        found: dict[str, CredentialSource] = {"environment": Environment(names.environment, environment)}
        found |= {name: Temporary(name, issuer, account=account) for name, issuer in made.items()}
        source = Default(tuple(found[name] for name in _ORDER if name in found)) if word == "default" else found[word]
        issuer = made.get(word)
        if isinstance(issuer, sdk.Sdk) and (missing := issuer.lacking()):
            section.problem("source", missing)
    section.finish(discreet=True)
    return source
