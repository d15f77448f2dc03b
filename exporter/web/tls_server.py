"""TLS for incoming connections: the settings of `tls_server_config`, and a context made of them.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from exporter.core.errors import Problem
from exporter.core.files import require_regular

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from exporter.core.section import Section

VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}

CIPHER_SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""Go's names of the suites up to TLS 1.2 and OpenSSL's. Source: https://pkg.go.dev/crypto/tls#CipherSuites"""

TLS13_CIPHER_SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Allowed in the list, and always enabled, as in Go."""

CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
"""Go's names of the curves and OpenSSL's."""

CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,  # Go requests one and accepts any or none: the outcome is the same
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED: Final = ("RequireAnyClientCert", "RequireClientCert")
"""Values of `client_auth_type` that Python's TLS cannot offer."""


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate or key: the name of its file, or its text, which may be secret."""

    path: str
    file: str = ""
    text: str = field(default="", repr=False)
    """In PEM."""

    def __bool__(self) -> bool:
        return bool(self.file or self.text)

    def is_readable(self, problems: list[Problem]) -> bool:
        """Whether its file can be read, if it has one; if not, a problem is added to `problems`."""
        try:
            if self.file:
                require_regular(Path(self.file))
                Path(self.file).read_bytes()
        except OSError as error:
            problems.append(Problem(self.path, f"{self.file} cannot be read: {error.strerror}"))
            return False
        return True

    @contextlib.contextmanager
    def name(self) -> Iterator[str]:
        """The name of a file with it. A text is only ever in memory: the file system may be read-only."""
        if self.file:
            yield self.file
            return
        descriptor = os.memfd_create("pem")
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it has no path
            file.write(self.text.encode())
            file.flush()
            yield f"/proc/self/fd/{descriptor}"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What `tls_server_config` says, valid as far as it can be without opening the files."""

    cert: Pem
    key: Pem
    client_ca: Pem
    client_auth: ssl.VerifyMode
    client_allowed_sans: frozenset[str]
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion]
    """Minimum and maximum."""
    cipher_suites: tuple[str, ...]
    """OpenSSL's names; empty: OpenSSL's choice."""
    only_tls13: bool
    """Whether `cipher_suites` leaves none for older versions."""
    prefer_server_cipher_suites: bool
    curves: tuple[str, ...]

    @classmethod
    def from_section(cls, section: Section) -> Self:
        """The settings in `section`, `tls_server_config`. Problems are added to the section's."""
        cert, key, client_ca = (_pem(section, name) for name in ("cert", "key", "client_ca"))
        for name, pem in (("cert_file", cert), ("key_file", key)):
            if not pem:
                section.problem(name, "is required, for TLS")
        auth = section.choice("client_auth_type", (*CLIENT_AUTH, *UNVERIFIED), "NoClientCert")
        if auth in UNVERIFIED:
            section.problem("client_auth_type", f"{auth} is not supported; use RequireAndVerifyClientCert")
        mode = CLIENT_AUTH.get(auth, ssl.CERT_NONE)
        if client_ca and auth == "NoClientCert":
            section.problem(
                "client_auth_type", "is required when there is a client CA, such as RequireAndVerifyClientCert"
            )
        if mode != ssl.CERT_NONE and not client_ca:
            section.problem("client_ca_file", f"is required when client_auth_type is {auth}")
        sans = section.strings("client_allowed_sans", pattern=r"\S+", hint="a name, address or URI")
        if sans and mode == ssl.CERT_NONE:
            section.problem("client_allowed_sans", "has no effect unless client_auth_type verifies certificates")
        versions = tuple(
            VERSIONS[section.choice(name, VERSIONS, default) or default]
            for name, default in (("min_version", "TLS12"), ("max_version", "TLS13"))
        )
        suites = section.strings("cipher_suites", allowed=(*CIPHER_SUITES, *TLS13_CIPHER_SUITES))
        older = tuple(CIPHER_SUITES[suite] for suite in suites if suite in CIPHER_SUITES)
        curves = section.strings("curve_preferences", allowed=CURVES)
        if len(curves) > 1 and not hasattr(ssl.SSLContext, "set_groups"):
            section.problem(
                "curve_preferences", "can have one curve only with this version of Python (3.15 has no limit)"
            )
        settings = cls(
            cert=cert,
            key=key,
            client_ca=client_ca,
            client_auth=mode,
            client_allowed_sans=frozenset(sans),
            versions=(versions[0], versions[1]),
            cipher_suites=older,
            only_tls13=bool(suites) and not older,
            prefer_server_cipher_suites=section.boolean("prefer_server_cipher_suites", default=True),
            curves=tuple(CURVES[curve] for curve in curves),
        )
        section.reject_unknown()
        return settings

    @staticmethod
    def wanted(section: Section) -> bool:
        """Whether `section` asks for TLS at all."""
        names = ("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type")
        return any(section.has(name) for name in names)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that it is made of."""
        return tuple(pem.file for pem in (self.cert, self.key, self.client_ca) if pem.file)

    def context(self, problems: list[Problem]) -> ssl.SSLContext | None:
        """A context with these settings; None if there are problems, which are added to `problems`. Reads the files."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = _checking_sans(self.client_allowed_sans)
        unreadable = [pem for pem in (self.cert, self.key, self.client_ca) if not pem.is_readable(problems)]
        if not unreadable and self.cert and self.key:
            try:
                with self.cert.name() as cert, self.key.name() as key:
                    context.load_cert_chain(cert, key, password="")  # never ask for a password on the terminal
            except (ssl.SSLError, OSError) as error:
                cert, key = self.cert.file or self.cert.path, self.key.file or self.key.path
                problem = f"{cert} is no certificate, or {key} no unencrypted key, in PEM"
                if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                    problem = f"{cert} is not the certificate of the key {key}"
                problems.append(Problem(self.cert.path, problem))
            try:
                if self.client_ca:
                    with self.client_ca.name() as client_ca:
                        context.load_verify_locations(client_ca)
                    context.verify_mode = self.client_auth
            except (ssl.SSLError, OSError):
                problems.append(Problem(self.client_ca.path, "contains no certificate in PEM"))
        minimum, maximum = self.versions
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if self.only_tls13 else minimum
        context.maximum_version = maximum
        if self.cipher_suites:
            context.set_ciphers(":".join(self.cipher_suites))
        if self.prefer_server_cipher_suites:
            context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        else:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if len(self.curves) == 1:
            context.set_ecdh_curve(self.curves[0])
        elif self.curves:
            context.set_groups(":".join(self.curves))  # type: ignore[attr-defined]  # Python 3.15
        return None if problems else context


def _pem(section: Section, name: str) -> Pem:
    """The text under `name` or the file under `name`_file; not both."""
    text, file = section.text(name), section.file(f"{name}_file")
    if text and file:
        section.problem(name, f"cannot be combined with {name}_file")
    return Pem(section.path(f"{name}_file" if file else name), file, text)


def _checking_sans(allowed: Collection[str]) -> type[ssl.SSLObject]:
    """A class of connections whose handshake fails if the client's certificate has none of the `allowed` names."""

    class CheckingSans(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if allowed and not _names(self.getpeercert()).intersection(allowed):
                raise ssl.SSLCertVerificationError("the client's certificate has no name of client_allowed_sans")

    return CheckingSans


def _names(certificate: dict[str, Any] | None) -> set[str]:
    """The subject alternative names, addresses in their short form."""
    names = (certificate or {}).get("subjectAltName", ())
    return {str(ipaddress.ip_address(name)) if kind == "IP Address" else name for kind, name in names}


class Holder(Protocol):
    """Has a context that may be replaced by another one."""

    @property
    def context(self) -> ssl.SSLContext | None:
        """The one for new connections."""


class CurrentContext(ssl.SSLContext):
    """A context that a server can keep: each new connection uses the one of `holder` at that time."""

    holder: Holder

    def __new__(cls, holder: Holder) -> Self:
        """A context over those of `holder`."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context.holder = holder
        return context

    def wrap_bio(self, *bios: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - its base's
        """A connection with the current settings."""
        context = self.holder.context
        if context is None:
            raise ssl.SSLError("there are no TLS settings any more")
        return context.wrap_bio(*bios, **options)
