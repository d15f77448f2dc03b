"""The signature of Tencent Cloud COS (`q-sign-algorithm=sha1`).

Each stage is a function of its own, so that a wrong signature can be traced to the stage that differs.
Source: https://cloud.tencent.com/document/product/436/7778
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.secrets import Secret

ALGORITHM: Final = "sha1"
TOKEN_HEADER: Final = "x-cos-security-token"  # noqa: S105 - a header's name


def key_time(start: int, end: int) -> str:
    """When a signature is valid: from `start` to `end`, both Unix seconds and inclusive."""
    return f"{start};{end}"


def parameters(query: str) -> list[tuple[str, str]]:
    """Names and values of the query as sent, decoded; a missing value is empty."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def canonical(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and values in the form that is signed: encoded, names in lower case, sorted."""
    return sorted((quote(name, safe="").lower(), quote(value, safe="")) for name, value in pairs)


def http_string(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Stage 1: the request in canonical form. `path` and `query` are as sent; all `headers` are signed."""
    lines = ("&".join(f"{name}={value}" for name, value in canonical(p)) for p in (parameters(query), headers.items()))
    return "\n".join((method.lower(), unquote(path), *lines, ""))


def string_to_sign(text: str, times: str) -> str:
    """Stage 2: the digest of stage 1 with `times`, the result of `key_time`."""
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return f"{ALGORITHM}\n{times}\n{digest}\n"


def signature(text: str, secret: Secret, times: str) -> str:
    """Stage 3: `text` of stage 2, signed with the key derived from `secret`; 40 hexadecimal digits."""
    key = hmac.digest(secret.reveal().encode(), times.encode(), "sha1").hex()
    return hmac.digest(key.encode(), text.encode(), "sha1").hex()


def authorization(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    key_id: str,
    secret: Secret,
    times: str,
) -> str:
    """The header Authorization for a request whose parameters and `headers` are all signed."""
    text = string_to_sign(http_string(method, path, query, headers), times)
    parts = {
        "q-sign-algorithm": ALGORITHM,
        "q-ak": key_id,
        "q-sign-time": times,
        "q-key-time": times,
        "q-header-list": ";".join(name for name, _ in canonical(headers.items())),
        "q-url-param-list": ";".join(name for name, _ in canonical(parameters(query))),
        "q-signature": signature(text, secret, times),
    }
    return "&".join(f"{name}={value}" for name, value in parts.items())
