"""Signature Version 4 of Amazon Web Services, for its service name `s3` (`AWS4-HMAC-SHA256`).

Each stage is a function of its own, so that a wrong signature can be traced to the stage that differs.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.secrets import Secret

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "s3"
TERMINAL: Final = "aws4_request"
DATE_HEADER: Final = "x-amz-date"
CONTENT_HEADER: Final = "x-amz-content-sha256"
TOKEN_HEADER: Final = "x-amz-security-token"  # noqa: S105 - a header's name
DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
EMPTY_PAYLOAD: Final = hashlib.sha256(b"").hexdigest()
"""The x-amz-content-sha256 of a request without a body."""


def canonical_query(query: str) -> str:
    """The query as sent, sorted by its encoded keys, then values; each key has an equals sign."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(f"{key}={value}" for key, _, value in sorted(pairs))


def canonical_request(method: str, path: str, query: str, headers: Mapping[str, str], signed: Iterable[str]) -> str:
    """Stage 1: the request in canonical form. `headers` have lower-case names; those in `signed` are signed.

    `path` is as sent: other services than S3 require it to be encoded once more.
    """
    names = sorted(signed)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    return f"{method}\n{path}\n{canonical_query(query)}\n{lines}\n{';'.join(names)}\n{EMPTY_PAYLOAD}"


def scope(date: str, region: str) -> str:
    """Where and when the signature is valid. `date` as in the header x-amz-date."""
    return f"{date[:8]}/{region}/{SERVICE}/{TERMINAL}"


def string_to_sign(canonical: str, date: str, region: str) -> str:
    """Stage 2: the digest of stage 1 with its scope."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{date}\n{scope(date, region)}\n{digest}"


def signature(text: str, secret: Secret, date: str, region: str) -> str:
    """Stage 3: `text` of stage 2, signed with the key derived from `secret`; 64 hexadecimal digits."""
    key = b"AWS4" + secret.reveal().encode()
    for step in (*scope(date, region).split("/"), text):
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex()


def authorization(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    region: str,
    key_id: str,
    secret: Secret,
) -> str:
    """The header Authorization for a request of which all these `headers` are signed.

    Their names are in lower case; they must include host, x-amz-date and each other x-amz-* that is sent.
    """
    date = headers[DATE_HEADER]
    text = string_to_sign(canonical_request(method, path, query, headers, headers), date, region)
    credential = f"Credential={key_id}/{scope(date, region)}"
    names = f"SignedHeaders={';'.join(sorted(headers))}"
    return f"{ALGORITHM} {credential}, {names}, Signature={signature(text, secret, date, region)}"
