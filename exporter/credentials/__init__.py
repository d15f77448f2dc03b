"""Where the keys of an account come from. A new source is a file here and a line in `SOURCES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.credentials import cos, oss, s3, sdk
from exporter.credentials.default_chain import DefaultChain
from exporter.credentials.environment import EnvironmentCredentials
from exporter.credentials.refreshing import RefreshingCredentials
from exporter.credentials.static import FILE_SUFFIX, StaticCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.interfaces import CredentialNames, CredentialSource
    from exporter.core.section import Section
    from exporter.credentials.refreshing import Issuer

SOURCES: Final[dict[str, dict[str, Callable[[Mapping[str, str]], Issuer]]]] = {
    "oss": {"oidc": oss.RrsaIssuer, "metadata": oss.EcsRoleIssuer, "sdk": lambda _: sdk.SdkIssuer(oss.AlibabaSdk())},
    "cos": {
        "oidc": cos.TkeIssuer,
        "metadata": lambda _: cos.CvmRoleIssuer(),
        "sdk": lambda _: sdk.SdkIssuer(cos.TencentSdk()),
    },
    "s3": {"sdk": lambda _: sdk.SdkIssuer(s3.AwsSdk())},
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
        return EnvironmentCredentials(names.environment, environment)
    if word == "static":
        source: CredentialSource = StaticCredentials.from_section(section, names)
    else:
        for key in (names.key_id, names.secret, names.token):
            section.refuse(key, "needs source: static")
            section.refuse(key + FILE_SUFFIX, "needs source: static")
        made = {name: make(environment) for name, make in issuers.items()}
        found: dict[str, CredentialSource] = {"environment": EnvironmentCredentials(names.environment, environment)}
        found |= {name: RefreshingCredentials(name, issuer, account=account) for name, issuer in made.items()}
        source = (
            DefaultChain(tuple(found[name] for name in _ORDER if name in found)) if word == "default" else found[word]
        )
        issuer = made.get(word)
        if isinstance(issuer, sdk.SdkIssuer) and (missing := issuer.lacking()):
            section.problem("source", missing)
    section.finish(discreet=True)
    return source
