"""Where the credentials of an account come from: one file per kind of source, and one per vendor (oss, cos).

A new source is an `Issuer` and a line in `ISSUERS`; a vendor's package has a line in `PACKAGES`. HTTP requests go
through the `fetch` that a source is given; no HTTP client and no other room is imported here, and no vendor's package
before its credentials are requested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.credentials import cos, oss
from exporter.credentials.announced import AnnouncedCredentials
from exporter.credentials.default_chain import DefaultChain
from exporter.credentials.environment import EnvironmentCredentials
from exporter.credentials.refreshing import RefreshingCredentials
from exporter.credentials.sdk import IDENTITY_KEYS, Identity, SdkIssuer, read_identity
from exporter.credentials.sdk_alibaba import AlibabaSdk
from exporter.credentials.sdk_aws import AwsSdk
from exporter.credentials.sdk_tencent import TencentSdk
from exporter.credentials.static import FILE_SUFFIX, StaticCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.interfaces import CredentialNames, CredentialSource
    from exporter.core.section import Section
    from exporter.credentials.refreshing import Issuer

ISSUERS: Final[dict[str, dict[str, Callable[[Mapping[str, str]], Issuer]]]] = {
    "oss": {"oidc": oss.RrsaIssuer, "metadata": oss.EcsRoleIssuer},
    "cos": {"oidc": cos.TkeIssuer, "metadata": lambda _: cos.CvmRoleIssuer()},
}
"""The issuers of temporary credentials by provider and source, each made from the environment.

The sources `static`, `environment` and `default` exist for every provider, `sdk` for those in `PACKAGES`.
"""

PACKAGES: Final[dict[str, type[AlibabaSdk | AwsSdk | TencentSdk]]] = {
    "oss": AlibabaSdk,
    "cos": TencentSdk,
    "s3": AwsSdk,
}
"""The vendors' packages by provider, for the source `sdk`."""

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
    package = PACKAGES.get(provider)
    words = ("default", "environment", "static", *makers, *(["sdk"] if package else []))
    word = section.choice("source", words, "default")
    if not word:  # an unknown source: it is also unknown which other keys belong to it
        return EnvironmentCredentials(names, environment)
    _forbid_foreign_keys(section, names, word)
    source: CredentialSource
    if word == "static":
        source = StaticCredentials.from_section(section, names, account=account)
    else:
        issuers = {name: make(environment) for name, make in makers.items()}
        if package:
            identity = read_identity(section, package) if word == "sdk" else Identity()
            issuers["sdk"] = sdk = SdkIssuer(package(identity))
            if word == "sdk" and (missing := sdk.missing()):
                section.problem("source", missing)
        sources: dict[str, CredentialSource] = {"environment": EnvironmentCredentials(names, environment)}
        sources |= {name: RefreshingCredentials(name, issuer, account=account) for name, issuer in issuers.items()}
        chain = DefaultChain(tuple(sources[name] for name in _DEFAULT_ORDER if name in sources))
        source = chain if word == "default" else sources[word]
    section.reject_unknown(discreet=True)
    return AnnouncedCredentials(source, account=account)


def _forbid_foreign_keys(section: Section, names: CredentialNames, word: str) -> None:
    """Add a problem for each key that only another source reads."""
    if word != "static":
        for key in (names.key_id, names.secret, names.token):
            section.forbid(key, "requires source: static")
            section.forbid(key + FILE_SUFFIX, "requires source: static")
        section.forbid("expires", "requires source: static")
    if word != "sdk":
        for key in IDENTITY_KEYS:
            section.forbid(key, "requires source: sdk")
