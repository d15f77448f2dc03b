"""The V4 signature of Alibaba Cloud OSS (`OSS4-HMAC-SHA256`).

Each stage is a function of its own, so that a wrong signature can be traced to the stage that differs.
Source: https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.secrets import Secret

ALGORITHM: Final = "OSS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
DATE_HEADER: Final = "x-oss-date"
CONTENT_HEADER: Final = "x-oss-content-sha256"
TOKEN_HEADER: Final = "x-oss-security-token"  # noqa: S105 - a header's name
DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"


def canonical_query(query: str) -> str:
    """The query as sent, sorted by its encoded keys; a parameter without a value is only its key."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(f"{key}={value}" if value else key for key, _, value in sorted(pairs))


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], additional: Iterable[str] = ()
) -> str:
    """Stage 1: the request in canonical form. `headers` have lower-case names; `additional` ones are also signed."""
    more = sorted(name.lower() for name in additional)
    signed = {
        name: value.strip()
        for name, value in headers.items()
        if name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in more
    }
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(signed.items()))
    return f"{method}\n{path}\n{canonical_query(query)}\n{lines}\n{';'.join(more)}\n{UNSIGNED_PAYLOAD}"


def scope(date: str, region: str) -> str:
    """Where and when the signature is valid. `date` as in the header x-oss-date, `region` without the prefix `oss-`."""
    return f"{date[:8]}/{region}/oss/aliyun_v4_request"


def string_to_sign(canonical: str, date: str, region: str) -> str:
    """Stage 2: the digest of stage 1 with its scope."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{date}\n{scope(date, region)}\n{digest}"


def signature(text: str, secret: Secret, date: str, region: str) -> str:
    """Stage 3: `text` of stage 2, signed with the key derived from `secret`; 64 hexadecimal digits."""
    key = b"aliyun_v4" + secret.reveal().encode()
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
    additional: Iterable[str] = (),
) -> str:
    """The header Authorization for a request with these `headers` (lower-case names, including x-oss-date)."""
    names = sorted(name.lower() for name in additional)
    date = headers[DATE_HEADER]
    canonical = canonical_request(method, path, query, headers, names)
    signed = signature(string_to_sign(canonical, date, region), secret, date, region)
    more = f",AdditionalHeaders={';'.join(names)}" if names else ""
    return f"{ALGORITHM} Credential={key_id}/{scope(date, region)}{more},Signature={signed}"
