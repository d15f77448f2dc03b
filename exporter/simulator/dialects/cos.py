"""The dialect of Tencent Cloud COS: accepts valid requests and returns the documented errors for all others.

Sources: the API references of ListJobs and DescribeJob (https://cloud.tencent.com/document/product/436/38611 and
436/38609), of the request signature, the page of the error codes (436/7730), and the tests of
https://github.com/tencentyun/cos-go-sdk-v5. Comments mark what they leave undefined.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from exporter.core.jobs import STATUSES
from exporter.core.secrets import Secret
from exporter.providers.signatures import cos_sha1 as signing
from exporter.simulator.dialects import xml_writer
from exporter.simulator.messages import FIRST, ParsedRequest, Position, RawResponse, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import RawRequest, Style
    from exporter.simulator.store import Store

MAX_PAGE_SIZE: Final = 1000
"""Jobs; also the default."""
MAX_TOKEN_BYTES: Final = 64
"""Bytes."""

_SCHEME: Final = "q-sign-algorithm="
_AUTHORIZATION: Final = re.compile(
    rf"{_SCHEME}{signing.ALGORITHM}&q-ak=(?P<key>[^&]+)"
    r"&q-sign-time=(?P<times>(?P<start>[0-9]{1,12});(?P<end>[0-9]{1,12}))&q-key-time=(?P=times)"
    r"&q-header-list=(?P<headers>[^&]*)&q-url-param-list=(?P<parameters>[^&]*)&q-signature=(?P<signature>[^&]+)"
)
_HOST: Final = re.compile(r"(?P<uin>[0-9]+)\.cos-control\.(?P<region>[a-z0-9-]+)\.myqcloud\.com")
_PARAMETERS: Final = {"ListJobs": {"jobStatuses", "maxResults", "nextToken"}, "DescribeJob": set[str]()}


def _iso8601(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


LAYOUT: Final = xml_writer.XmlLayout(
    item="member",
    time=_iso8601,
    fixed={
        "Manifest": "<Location><ObjectArn>qcs::cos:ap-chengdu:uid/1250000000:inventory-1250000000/manifest.csv"
        "</ObjectArn></Location><Spec><Fields><member>Bucket</member><member>Key</member></Fields>"
        "<Format>COSBatchOperations_CSV_V1</Format></Spec>",
        "Report": "<Bucket>qcs::cos:ap-chengdu:uid/1250000000:reports-1250000000</Bucket><Enabled>true</Enabled>"
        "<Format>Report_CSV_V1</Format><Prefix>result</Prefix><ReportScope>AllTasks</ReportScope>",
        "RoleArn": "qcs::cam::uin/100000000001:roleName/COS_Batch_QcsRole",
    },
    elapsed=False,
)


class Cos:
    """Tencent Cloud COS."""

    scheme = _SCHEME
    settings: tuple[str, ...] = ("uin", "appid")

    def key_and_region(self, request: RawRequest) -> tuple[str, str] | None:
        """Returns the key id of the signature and the region of the host. Raises RequestRejected if it is malformed.

        The signature names no region, so behind any other host a key belongs to one store.
        """
        text = request.headers.get("authorization", "")
        if not text.startswith(_SCHEME):
            return None
        host = _HOST.fullmatch(request.headers.get("host", ""))
        return _parse_authorization(text)["key"], host["region"] if host else ""

    def unknown_credentials(self, request: RawRequest, *, known_key: bool) -> RequestRejected:
        """Returns the error for no signature, an unknown key, or a region in which the account has no store."""
        if known_key or self.key_and_region(request) is None:
            return RequestRejected(403, "AccessDenied", "Access Denied.")
        return RequestRejected(
            403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records."
        )

    def authorize(self, request: RawRequest, store: Store, now: float) -> ParsedRequest:
        """Checks the signature, then the permissions, then the parameters, in this order."""
        auth = _parse_authorization(request.headers["authorization"])
        _check_time(auth, now)
        _check_token(request, store, now)
        _check_signature(auth, request, store)
        _check_account(request, store)
        operation, parameters = _operation(request)
        if "ListJobs" not in store.permissions:  # the one permission for both operations
            raise RequestRejected(403, "AccessDenied", "Access Denied: cos:ListJobs is not allowed.")
        if not store.enabled:
            # The response of a region without the feature is not documented.
            raise RequestRejected(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        return _call(operation, parameters, request, store, now)

    def page_token(self, position: Position, store: Store) -> str:  # noqa: ARG002 - the token has one form only
        """Returns the id of the job before the page."""
        return position.last

    def list_response(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """Returns a page of ListJobs."""
        if token is None and style.token_on_last_page and jobs:
            token = jobs[-1].id
        return xml_writer.page(jobs, token, style, LAYOUT)

    def describe_response(self, job: Job, detail: Detail) -> bytes:
        """Returns the response of DescribeJob."""
        return xml_writer.described(job, detail, LAYOUT)

    def unknown_job(self, job_id: str) -> RequestRejected:
        """Returns the documented error."""
        return RequestRejected(404, "NoSuchJob", f"The specified job does not exist: {job_id}")

    def common_headers(self, request_id: str) -> dict[str, str]:
        """Returns the common headers."""
        return {"server": "tencent-cos", "content-type": "application/xml", "x-cos-request-id": request_id}

    def error_response(
        self, rejection: RequestRejected, request: RawRequest, request_id: str, *, bodyless: bool = False
    ) -> RawResponse:
        """Returns the documented error; without a body only the request id remains."""
        trace_id = request_id[::-1]
        body = xml_writer.error(
            {
                "Code": rejection.code,
                "Message": rejection.message,
                "Resource": f"{request.headers.get('host', '')}{request.path}",
                "RequestId": request_id,
                "TraceId": trace_id,
                **rejection.details,
            }
        )
        headers = {**self.common_headers(request_id), "x-cos-trace-id": trace_id}
        return RawResponse(rejection.status, headers, b"" if bodyless else body)


COS: Final = Cos()


def _parse_authorization(text: str) -> re.Match[str]:
    auth = _AUTHORIZATION.fullmatch(text)
    if auth is None:
        raise RequestRejected(400, "InvalidArgument", "The header Authorization is not valid.")
    return auth


def _check_time(auth: re.Match[str], now: float) -> None:
    """Raises RequestRejected unless `now` is within the seconds named by the signature."""
    if now < int(auth["start"]):
        raise RequestRejected(403, "RequestTimeTooSkewed", "The signature is not valid yet.")
    if now >= int(auth["end"]) + 1:
        # Documented as a code, but no other code contains spaces; the official SDKs look for it in the message.
        raise RequestRejected(403, "AccessDenied", "Request has expired")


def _check_token(request: RawRequest, store: Store, now: float) -> None:
    sent = request.headers.get(signing.TOKEN_HEADER, "")
    if not hmac.compare_digest(sent.encode(), (store.security_token or "").encode()):
        raise RequestRejected(
            403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records."
        )
    if sent and store.token_expires is not None and now >= store.token_expires:
        raise RequestRejected(400, "ExpiredToken", "The provided token has expired.")


def _check_signature(auth: re.Match[str], request: RawRequest, store: Store) -> None:
    # The service lets the client choose what the signature covers. Here it must cover the host, each parameter and
    # each x-cos-* header, so that a client under test forgets none.
    signed = auth["headers"].split(";")
    wanted = ["host", *(name for name in request.headers if name.startswith("x-cos-"))]
    names = [name for name, _ in signing.canonical(signing.parameters(request.query))]
    if not set(wanted) <= set(signed) <= set(request.headers) or auth["parameters"] != ";".join(names):
        raise RequestRejected(
            403, "AccessDenied", "The lists of signed headers and parameters do not match the request."
        )
    headers = {name: request.headers[name] for name in signed}
    text = signing.http_string(request.method, request.path, request.query, headers)
    to_sign = signing.string_to_sign(text, auth["times"])
    expected = signing.signature(to_sign, Secret(store.access_key_secret), auth["times"])
    if not hmac.compare_digest(auth["signature"].encode(), expected.encode()):
        message = "The Signature you specified is invalid."
        details = {"StringToSign": to_sign, "FormatString": text}
        raise RequestRejected(403, "SignatureDoesNotMatch", message, details=details)


def _check_account(request: RawRequest, store: Store) -> None:
    host = _HOST.fullmatch(request.headers["host"])
    appid = request.headers.get("x-cos-appid")
    if appid is None:
        raise RequestRejected(400, "InvalidArgument", "The header x-cos-appid is missing.")
    if appid != store.appid or (host and host["uin"] != store.uin):
        raise RequestRejected(403, "AccessDenied", "Access Denied.")


def _operation(request: RawRequest) -> tuple[str, dict[str, str]]:
    root, jobs, job_id = (*request.path.split("/", 2), "")[:3]
    if root or jobs != "jobs" or "/" in job_id:
        raise RequestRejected(404, "NoSuchKey", "Only the operations of batch jobs are simulated.")
    if request.method != "GET":
        raise RequestRejected(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    operation = "DescribeJob" if job_id else "ListJobs"
    pairs = signing.parameters(request.query)
    parameters = dict(pairs)
    # The service may ignore an unknown parameter; a client under test should not send one.
    if len(parameters) < len(pairs) or not parameters.keys() <= _PARAMETERS[operation]:
        raise RequestRejected(400, "InvalidArgument", "A parameter is unknown or duplicate.")
    return operation, parameters


def _call(operation: str, parameters: dict[str, str], request: RawRequest, store: Store, now: float) -> ParsedRequest:
    if operation == "DescribeJob":
        return ParsedRequest(operation, job_id=unquote(request.path.removeprefix("/jobs/")))
    asked = parameters.get("maxResults", str(MAX_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", asked) or not 1 <= int(asked) <= MAX_PAGE_SIZE:
        raise _bad_argument("maxResults")
    status = parameters.get("jobStatuses")  # only one: how to separate several is not documented
    if status is not None and status not in STATUSES:
        raise _bad_argument("jobStatuses")
    size = min(int(asked), store.page_size)
    token = parameters.get("nextToken")
    position = FIRST if token is None else _position(token, size, store, now)
    return ParsedRequest(operation, size, frozenset() if status is None else frozenset({status}), token, position)


def _position(token: str, size: int, store: Store, now: float) -> Position:
    """Returns the position after the job with id `token`; its page number is counted without any filter."""
    ids = (job.id for job in store.world.jobs(now))
    place = next((place for place, job_id in enumerate(ids, 1) if job_id == token), None)
    if place is None or len(token.encode()) > MAX_TOKEN_BYTES:
        raise _bad_argument("nextToken")
    return Position(-(-place // size) + 1, place, token)


def _bad_argument(name: str) -> RequestRejected:
    return RequestRejected(400, "InvalidArgument", f"The value of {name} is not valid.")
