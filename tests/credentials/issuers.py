"""The clouds' issuers of credentials as ASGI applications, as the vendors document them."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from exporter.credentials import cos, oss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from exporter.credentials.refreshing import Issuer

TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
"""The token of the service account."""

REQUEST_ID = "3D57EAD2-8723-1F26-B69C-F8707D8B565D"


class ReceivedRequest(NamedTuple):
    """One received request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Cloud:
    """An ASGI application that records its requests; `fault` may return another response in place of its own."""

    def __init__(self) -> None:
        self.seen: list[ReceivedRequest] = []
        self.lifetime = 3600.0
        """The lifetime of new credentials in seconds."""
        self.issued = 0
        """How many credentials were issued."""
        self.delay: Callable[[ReceivedRequest], float] = lambda _: 0.0
        """Seconds before a response."""
        self.fault: Callable[[ReceivedRequest], Response | None] = lambda _: None
        self.change: Callable[[dict[str, Any]], Any] = lambda _: None
        """Changes the object that contains the credentials."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        seen = ReceivedRequest(
            request.method, request.url.path, request.url.query, dict(request.headers), await request.body()
        )
        self.seen.append(seen)
        await asyncio.sleep(self.delay(seen))
        await (self.fault(seen) or self.answer(seen))(scope, receive, send)

    def answer(self, seen: ReceivedRequest) -> Response:
        raise NotImplementedError

    def issuer(self, url: str, environment: Mapping[str, str]) -> Issuer:
        """The issuer under test, for the base URL `url`."""
        raise NotImplementedError

    def keys(self, names: tuple[str, str, str]) -> dict[str, Any]:
        """New credentials; each part ends with their number."""
        self.issued += 1
        return {name: f"{part}-{self.issued}" for name, part in zip(names, ("id", "secret", "token"), strict=True)}

    def expires(self) -> float:
        """The expiry of new credentials in whole Unix seconds, as in all vendors' responses."""
        return int(time.time() + self.lifetime)


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class AlibabaSts(Cloud):
    """AssumeRoleWithOIDC; parameters are accepted in the query and in the form."""

    names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")

    def issuer(self, url, environment):
        return oss.RrsaIssuer(environment, endpoint=url)

    def answer(self, seen):
        parameters = dict(parse_qsl(seen.query) + parse_qsl(seen.body.decode()))
        wanted = {"Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON", "OIDCToken": TOKEN}
        if seen.path != "/" or not wanted.items() <= parameters.items():
            error = {"Code": "AuthenticationFail.NoPermission", "Message": f"{parameters}", "RequestId": REQUEST_ID}
            return JSONResponse(error, 400)
        fields = {**self.keys(self.names), "Expiration": iso(self.expires())}
        self.change(fields)
        return JSONResponse({"RequestId": REQUEST_ID, "Credentials": fields})


class Ecs(Cloud):
    """The metadata service of an ECS instance with a role, in the mode that accepts both versions."""

    names = AlibabaSts.names
    folder = "/latest/meta-data/ram/security-credentials/"
    role = "exporter-role"
    token = "AQAAAB-metadata"

    def issuer(self, url, environment):
        return oss.EcsRoleIssuer(environment, endpoint=url)

    def answer(self, seen):
        if seen.method == "PUT" and seen.path == "/latest/api/token":
            valid = seen.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds") == "21600"
            return PlainTextResponse(self.token) if valid else Response(status_code=400)
        if seen.headers.get("x-aliyun-ecs-metadata-token", self.token) != self.token:
            return Response(status_code=403)
        if (seen.method, seen.path) == ("GET", self.folder):
            return PlainTextResponse(self.role)
        if (seen.method, seen.path) == ("GET", self.folder + self.role):
            fields = {"Code": "Success", **self.keys(self.names), "Expiration": iso(self.expires())}
            self.change(fields)
            return PlainTextResponse(json.dumps(fields))
        return Response(status_code=404)


class TencentSts(Cloud):
    """AssumeRoleWithWebIdentity; errors have status 200."""

    names = ("TmpSecretId", "TmpSecretKey", "Token")

    def issuer(self, url, environment):
        return cos.TkeIssuer(environment, endpoint=url)

    def answer(self, seen):
        wanted = {"x-tc-action": "AssumeRoleWithWebIdentity", "x-tc-version": "2018-08-13", "authorization": "SKIP"}
        known = wanted.items() <= seen.headers.items() and (seen.method, seen.path) == ("POST", "/")
        if not known or json.loads(seen.body)["WebIdentityToken"] != TOKEN:
            error = {"Code": "InvalidParameter.WebIdentityTokenError", "Message": seen.body.decode()}
            return JSONResponse({"Response": {"Error": error, "RequestId": REQUEST_ID}})
        end = self.expires()
        whole: dict[str, Any] = {"Credentials": self.keys(self.names), "ExpiredTime": end, "Expiration": iso(end)}
        flat = {**whole["Credentials"], "ExpiredTime": end}
        self.change(flat)
        whole = {"ExpiredTime": flat.pop("ExpiredTime", None), "Credentials": flat, "RequestId": REQUEST_ID}
        return JSONResponse({"Response": whole})


class Cvm(Cloud):
    """The metadata service of a CVM instance with a role."""

    names = TencentSts.names
    folder = "/latest/meta-data/cam/security-credentials/"
    role = "exporter-role"

    def issuer(self, url, environment):
        del environment
        return cos.CvmRoleIssuer(endpoint=url)

    def answer(self, seen):
        if (seen.method, seen.path) == ("GET", self.folder):
            return PlainTextResponse(self.role)
        if (seen.method, seen.path) == ("GET", self.folder + self.role):
            fields = {**self.keys(self.names), "ExpiredTime": self.expires(), "Code": "Success"}
            self.change(fields)
            return PlainTextResponse(json.dumps(fields))
        return Response(status_code=404)


CLOUDS = (AlibabaSts, Ecs, TencentSts, Cvm)
