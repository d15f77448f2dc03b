"""Where the credentials of an account come from: one file per kind of source, and one per vendor (oss, cos, s3).

A new source is a class with `issue` and a line in `ISSUERS`. HTTP requests go through the `fetch` that a source is
given; no HTTP client and no other room is imported here, and no vendor's package before its credentials are requested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.credentials import cos, oss, s3
from exporter.credentials.default_chain import DefaultChain
from exporter.credentials.environment import EnvironmentCredentials
from exporter.credentials.refreshing import RefreshingCredentials
from exporter.credentials.sdk import SdkIssuer
from exporter.credentials.static import FILE_SUFFIX, StaticCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.interfaces import CredentialNames, CredentialSource
    from exporter.core.section import Section
    from exporter.credentials.refreshing import Issuer

ISSUERS: Final[dict[str, dict[str, Callable[[Mapping[str, str]], Issuer]]]] = {
    "oss": {
        "oidc": oss.RrsaIssuer,
        "metadata": oss.EcsRoleIssuer,
        "sdk": lambda _: SdkIssuer(oss.AlibabaSdk()),
    },
    "cos": {
        "oidc": cos.TkeIssuer,
        "metadata": lambda _: cos.CvmRoleIssuer(),
        "sdk": lambda _: SdkIssuer(cos.TencentSdk()),
    },
    "s3": {"sdk": lambda _: SdkIssuer(s3.AwsSdk())},
}
"""The issuers of temporary credentials by provider and source, each made from the environment.

The sources `static`, `environment` and `default` exist for every provider.
"""

_DEFAULT_ORDER: Final = ("environment", "oidc", "metadata", "sdk")
"""The package comes last, so that installing one never changes which credentials are used."""


def from_section(
    section: Section,
    names: CredentialNames,
    environment: Mapping[str, str],
    *,
    provider: str,
    account: str = "",
) -> CredentialSource:
    """Returns the source that an account's `credentials` describe; adds problems to the section's.

    Nothing is requested yet: credentials and `environment` are read at each use. `account` is for the log.
    """
    makers = ISSUERS.get(provider, {})
    word = section.choice("source", ("default", "environment", "static", *makers), "default")
    if not word:  # an unknown source: it is also unknown which other keys belong to it
        return EnvironmentCredentials(names.environment, environment)
    if word == "static":
        static = StaticCredentials.from_section(section, names)
        section.reject_unknown(discreet=True)
        return static
    for key in (names.key_id, names.secret, names.token):
        section.forbid(key, "requires source: static")
        section.forbid(key + FILE_SUFFIX, "requires source: static")
    issuers = {name: make(environment) for name, make in makers.items()}
    issuer = issuers.get(word)
    if isinstance(issuer, SdkIssuer) and (missing := issuer.missing()):
        section.problem("source", missing)
    section.reject_unknown(discreet=True)
    sources: dict[str, CredentialSource] = {"environment": EnvironmentCredentials(names.environment, environment)}
    sources |= {name: RefreshingCredentials(name, issuer, account=account) for name, issuer in issuers.items()}
    if word == "default":
        return DefaultChain(tuple(sources[name] for name in _DEFAULT_ORDER if name in sources), account=account)
    return sources[word]
