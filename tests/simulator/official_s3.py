"""Requests to S3 Control as botocore signs them, and its own client for a simulated store."""

from __future__ import annotations

import contextlib
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as Keys

from exporter.core.secrets import Credentials, Secret
from exporter.simulator.messages import RawRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.simulator import Store

PATH = "/v20180820/jobs"


class Signed(NamedTuple):
    canonical: str
    text: str
    headers: dict[str, str]
    """All that are sent, in lower case."""


def sign_with_botocore(
    method: str, url: str, headers: Mapping[str, str], keys: Credentials, region: str, now: float
) -> Signed:
    """Returns what botocore signs at the Unix time `now`, with the steps of its `add_auth`, which reads the clock."""
    signer = S3SigV4Auth(Keys(keys.key_id, keys.secret.reveal(), keys.token and keys.token.reveal()), "s3", region)
    request = AWSRequest(method, url, headers=dict(headers))
    request.context["timestamp"] = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return Signed(canonical, text, {name.lower(): value for name, value in request.headers.items()})


def sign(
    store: Store,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    path: str = PATH,
    method: str = "GET",
    at: float | None = None,
) -> RawRequest:
    """Returns a request to `store` signed at the Unix time `at` (None: the store's clock); `headers` override any."""
    host = f"{store.account_id}.s3-control.{store.region}.amazonaws.com"
    sent = {"host": host, "x-amz-account-id": store.account_id, **(headers or {})}
    url = f"https://{host}{path}{'?' + query if query else ''}"
    token = None if store.security_token is None else Secret(store.security_token)
    keys = Credentials(store.access_key_id, Secret(store.access_key_secret), token)
    now = store.clock() if at is None else at
    return RawRequest(method, path, query, sign_with_botocore(method, url, sent, keys, store.region, now).headers)


@contextlib.contextmanager
def client(store: Store, url: str) -> Iterator[Any]:
    """Yields botocore's client for `store` at the base URL `url`.

    The client prepends the account id to the host, so the patched resolver removes it again.
    """
    resolve = socket.getaddrinfo

    def resolver(host: str, *arguments: Any, **more: Any) -> Any:
        return resolve(host.removeprefix(f"{store.account_id}."), *arguments, **more)

    made = botocore.session.Session().create_client(
        "s3control",
        region_name=store.region,
        endpoint_url=url,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=store.access_key_secret,
        aws_session_token=store.security_token,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5, proxies={}),
    )
    with contextlib.closing(made), mock.patch.object(socket, "getaddrinfo", resolver):
        yield made
