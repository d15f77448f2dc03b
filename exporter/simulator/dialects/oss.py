"""The dialect of Alibaba Cloud OSS: accepts valid requests and returns the documented errors for all others.

Sources: the API references of ListJobs and DescribeJob, of the V4 signature, and the pages of the error codes (EC), as
https://www.alibabacloud.com/help/en/oss/user-guide/0002-00000201. Comments mark what they leave undefined.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from exporter.core.jobs import STATUSES
from exporter.core.secrets import Secret
from exporter.providers.signatures import oss_v4
from exporter.simulator.dialects import tokens, xml_writer
from exporter.simulator.messages import FIRST, ParsedRequest, RawResponse, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Position, RawRequest, Style
    from exporter.simulator.store import Store

MAX_SKEW: Final = 15 * 60
"""Seconds between the clocks of client and service."""
DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000

_AUTHORIZATION: Final = re.compile(
    rf"{oss_v4.ALGORITHM}\s+"
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>[^/,\s]+)/(?P<region>[^/,\s]+)/(?P<product>[^/,\s]+)/aliyun_v4_request\s*,"
    r"(?:\s*AdditionalHeaders=(?P<more>[^,\s]*)\s*,)?"
    r"\s*Signature=(?P<signature>[^,\s]+)"
)
_DATE: Final = re.compile(r"\d{8}T\d{6}Z")
_PARAMETERS: Final = {
    "ListJobs": {"batchJob", "batchJobStatuses", "max-keys", "continuation-token"},
    "DescribeJob": {"batchJob", "batchJobId"},
}


LAYOUT: Final = xml_writer.XmlLayout(
    item="JobListDescriptor",
    time=int,
    fixed={
        "Manifest": "<Location><Bucket>inventory</Bucket><Object>manifest.json</Object></Location>",
        "Report": "<Bucket>reports</Bucket><Enabled>true</Enabled><Format>Report_CSV_20250115</Format>"
        "<Prefix>result</Prefix>",
        "RoleArn": "acs:ram::1234567890123456:role/batch",
    },
    suspension=False,
)


class Oss:
    """Alibaba Cloud OSS."""

    scheme = oss_v4.ALGORITHM
    settings: tuple[str, ...] = ()

    def key_and_region(self, request: RawRequest) -> tuple[str, str] | None:
        """Returns the key id and the region of a V4 signature. Raises RequestRejected if it is malformed."""
        text = request.headers.get("authorization", "")
        if not text.startswith(oss_v4.ALGORITHM):
            return None
        auth = _parse_authorization(text)
        return auth["key"], auth["region"]

    def unknown_credentials(self, request: RawRequest, *, known_key: bool) -> RequestRejected:
        """Returns the error for no V4 signature, an unknown key, or a region that is not this endpoint's."""
        address = self.key_and_region(request)
        if address is None and "authorization" in request.headers:
            return RequestRejected(400, "InvalidArgument", "Authorization header is invalid.")
        if address is None:
            return RequestRejected(403, "AccessDenied", "Anonymous access is forbidden for this operation.")
        if known_key:
            message = "Invalid signing region in Authorization header."
            return RequestRejected(400, "InvalidArgument", message, ec="0002-00000226")
        message = "The OSS Access Key Id you provided does not exist in our records."
        details = {"OSSAccessKeyId": address[0]}
        return RequestRejected(403, "InvalidAccessKeyId", message, ec="0002-00000902", details=details)

    def authorize(self, request: RawRequest, store: Store, now: float) -> ParsedRequest:
        """Checks the signature, then the permissions, then the parameters, in this order."""
        _check_time(request, now)
        _check_token(request, store, now)
        _check_signature(request, store)
        operation, parameters = _operation(request)
        if operation not in store.permissions:
            message = f"You have no right to access this object because of the policy: oss:{operation} is not allowed."
            raise RequestRejected(403, "AccessDenied", message, ec="0003-00000001")
        if not store.enabled:
            # The response of a region without the feature is not documented.
            raise RequestRejected(400, "OperationNotSupported", "The operation is not supported for this region.")
        return _call(operation, parameters, store)

    def page_token(self, position: Position, store: Store) -> str:
        """Returns a token that contains its position."""
        return tokens.encode(position, store.token_length)

    def list_response(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """Returns a page of ListJobs."""
        return xml_writer.page(jobs, token, style, LAYOUT)

    def describe_response(self, job: Job, detail: Detail) -> bytes:
        """Returns the response of DescribeJob."""
        return xml_writer.described(job, detail, LAYOUT)

    def unknown_job(self, job_id: str) -> RequestRejected:
        """Returns the error; OSS documents no code, so this is the one of COS."""
        return RequestRejected(404, "NoSuchJob", "The specified job does not exist.", details={"JobId": job_id})

    def common_headers(self, request_id: str) -> dict[str, str]:
        """Returns the common headers."""
        return {"server": "AliyunOSS", "content-type": "application/xml", "x-oss-request-id": request_id}

    def error_response(
        self, rejection: RequestRejected, request: RawRequest, request_id: str, *, bodyless: bool = False
    ) -> RawResponse:
        """Returns the documented error; without a body it is in the header x-oss-err, in base64."""
        ec = {"EC": rejection.ec} if rejection.ec else {}
        body = xml_writer.error(
            {
                "Code": rejection.code,
                "Message": rejection.message,
                "RequestId": request_id,
                "HostId": request.headers.get("host", ""),
                **rejection.details,
                **ec,
            }
        )
        headers = self.common_headers(request_id)
        if rejection.ec:
            headers["x-oss-ec"] = rejection.ec
        if bodyless:
            headers["x-oss-err"] = base64.b64encode(body).decode()
        return RawResponse(rejection.status, headers, b"" if bodyless else body)


OSS: Final = Oss()


def _parse_authorization(text: str) -> re.Match[str]:
    auth = _AUTHORIZATION.fullmatch(text)
    if auth is None:
        message = "The Credential parameter in the Authorization header is invalid."
        raise RequestRejected(400, "InvalidArgument", message, ec="0002-00000213")
    return auth


def _check_time(request: RawRequest, now: float) -> None:
    date = request.headers.get(oss_v4.DATE_HEADER)
    if date is None:
        message = "OSS authentication requires a valid Date."
        raise RequestRejected(403, "AccessDenied", message, ec="0002-00000503")
    try:
        if not _DATE.fullmatch(date):
            raise ValueError(date)  # noqa: TRY301 - strptime accepts more than the documented format
        then = datetime.strptime(date, oss_v4.DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        message = "The format of x-oss-date is invalid."
        raise RequestRejected(403, "AccessDenied", message, ec="0002-00000502") from None
    if abs(now - then) > MAX_SKEW:
        message = "The difference between the request time and the current time is too large."
        details = {
            "MaxAllowedSkewMilliseconds": str(MAX_SKEW * 1000),
            "RequestTime": date,
            "ServerTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        raise RequestRejected(403, "RequestTimeTooSkewed", message, ec="0002-00000504", details=details)
    if _parse_authorization(request.headers["authorization"])["date"] != date[:8]:
        message = "Invalid signing date in Authorization header."
        raise RequestRejected(400, "InvalidArgument", message, ec="0002-00000212")


def _check_token(request: RawRequest, store: Store, now: float) -> None:
    sent = request.headers.get(oss_v4.TOKEN_HEADER)
    if store.security_token is None and sent is None:
        return
    if sent is None:
        message = (
            "The OSS Access Key Id you provided does not exist in our records. "
            "The Security Token may be lost to specify that it is a STS Access Id."
        )
        details = {"OSSAccessKeyId": store.access_key_id}
        raise RequestRejected(403, "InvalidAccessKeyId", message, ec="0002-00000003", details=details)
    if not hmac.compare_digest(sent.encode(), (store.security_token or "").encode()):
        message = "The security token you provided is invalid."
        raise RequestRejected(403, "InvalidSecurityToken", message, ec="0002-00000008")
    if store.token_expires is not None and now >= store.token_expires:
        message = "The security token you provided has expired."
        raise RequestRejected(403, "SecurityTokenExpired", message, ec="0002-00000007")


def _check_signature(request: RawRequest, store: Store) -> None:
    auth = _parse_authorization(request.headers["authorization"])
    more = auth["more"].split(";") if auth["more"] else []
    if auth["product"] != "oss":
        message = "Invalid signing product in Authorization header."
        raise RequestRejected(400, "InvalidArgument", message, ec="0002-00000227")
    if more != sorted(more) or any(name != name.lower() or name not in request.headers for name in more):
        raise RequestRejected(400, "InvalidArgument", "AdditionalHeaders in the Authorization header is invalid.")
    if request.headers.get(oss_v4.CONTENT_HEADER) != oss_v4.UNSIGNED_PAYLOAD:
        raise RequestRejected(400, "InvalidArgument", f"{oss_v4.CONTENT_HEADER} must be {oss_v4.UNSIGNED_PAYLOAD}.")
    date = request.headers[oss_v4.DATE_HEADER]
    canonical = oss_v4.canonical_request(request.method, request.path, request.query, request.headers, more)
    text = oss_v4.string_to_sign(canonical, date, store.region)
    expected = oss_v4.signature(text, Secret(store.access_key_secret), date, store.region)
    if not hmac.compare_digest(auth["signature"].encode(), expected.encode()):
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        details = {
            "OSSAccessKeyId": store.access_key_id,
            "SignatureProvided": auth["signature"],
            "StringToSign": text,
            "StringToSignBytes": text.encode().hex(" ").upper(),
            "CanonicalRequest": canonical,
        }
        raise RequestRejected(403, "SignatureDoesNotMatch", message, ec="0002-00000201", details=details)


def _operation(request: RawRequest) -> tuple[str, dict[str, str]]:
    pairs = (pair.partition("=") for pair in request.query.split("&") if pair)
    parameters = {unquote(key): unquote(value) for key, _, value in pairs}
    if request.path != "/":
        raise RequestRejected(404, "NoSuchBucket", "The specified bucket does not exist.")
    if "batchJob" not in parameters or parameters["batchJob"]:
        raise RequestRejected(400, "InvalidArgument", "Only the operations of batch jobs are simulated.")
    if request.method != "GET":
        message = "The specified method is not allowed against this resource."
        raise RequestRejected(405, "MethodNotAllowed", message)
    operation = "DescribeJob" if "batchJobId" in parameters else "ListJobs"
    # The service may ignore an unknown parameter; a client under test should not send one.
    for key in parameters.keys() - _PARAMETERS[operation]:
        raise _bad_argument(key, parameters[key])
    return operation, parameters


def _call(operation: str, parameters: dict[str, str], store: Store) -> ParsedRequest:
    if operation == "DescribeJob":
        return ParsedRequest(operation, job_id=parameters["batchJobId"])
    asked = parameters.get("max-keys", str(DEFAULT_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", asked) or not 1 <= int(asked) <= MAX_PAGE_SIZE:
        raise _bad_argument("max-keys", asked)
    # The references print the separator both with spaces and without.
    joined = parameters.get("batchJobStatuses", "")
    statuses = {word.strip() for word in joined.split("|")} if joined else set()
    if not statuses <= set(STATUSES):
        raise _bad_argument("batchJobStatuses", joined)
    token = parameters.get("continuation-token")
    try:
        position = FIRST if token is None else tokens.decode(token)
    except ValueError:
        raise _bad_argument("continuation-token", token or "") from None
    return ParsedRequest(operation, min(int(asked), store.page_size), frozenset(statuses), token, position)


def _bad_argument(name: str, value: str) -> RequestRejected:
    details = {"ArgumentName": name, "ArgumentValue": value}
    return RequestRejected(400, "InvalidArgument", f"The value of {name} is not valid.", details=details)
