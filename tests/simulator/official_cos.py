"""Requests to COS as the official package cos-python-sdk-v5 signs them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest import mock
from urllib.parse import parse_qsl, unquote, urlsplit

from qcloud_cos import CosConfig, cos_auth

from exporter.simulator.messages import RawRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.simulator import Store

EARLY, LATE = 60, 10_000
"""Seconds before and after its time for which a signature is valid; the defaults of the SDK."""


def authorization(
    method: str, url: str, headers: Mapping[str, str], key_id: str, secret: str, *, now: float, late: int = LATE
) -> str:
    """Returns the Authorization header of a request at the Unix time `now`; the SDK chooses which headers to sign.

    The SDK's clock is patched, because it accepts no time as an argument.
    """
    parts = urlsplit(url)
    config = CosConfig(Region="ap-guangzhou", SecretId=key_id, SecretKey=secret)
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    signer = cos_auth.CosS3Auth(config, unquote(parts.path), parameters, late)
    request = SimpleNamespace(method=method, url=url, headers=dict(headers))
    with mock.patch.object(cos_auth, "time", SimpleNamespace(time=lambda: now)):
        signer(request)
    signed: str = request.headers["Authorization"]
    return signed


def sign(
    store: Store,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    path: str = "/jobs",
    method: str = "GET",
    at: float | None = None,
    late: int = LATE,
) -> RawRequest:
    """Returns a request to `store` signed at the Unix time `at` (None: the store's clock); `headers` override any."""
    token = {} if store.security_token is None else {"x-cos-security-token": store.security_token}
    host = f"{store.uin}.cos-control.{store.region}.myqcloud.com"
    sent = {"host": host, "x-cos-appid": store.appid, **token, **(headers or {})}
    url = f"https://{sent['host']}{path}{'?' + query if query else ''}"
    now = store.clock() if at is None else at
    signed = authorization(method, url, sent, store.access_key_id, store.access_key_secret, now=now, late=late)
    return RawRequest(method, path, query, {**sent, "authorization": signed})
