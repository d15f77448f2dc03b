"""The dialect of Amazon S3 Control: accepts valid requests and returns the documented errors for all others.

Sources: the API references of ListJobs and DescribeJob, of Signature Version 4, and the list of the error codes,
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. Comments mark what they leave undefined.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from exporter.core.jobs import STATUSES
from exporter.core.secrets import Secret
from exporter.providers.signatures import sigv4
from exporter.simulator.dialects import tokens, xml_writer
from exporter.simulator.messages import FIRST, ParsedRequest, RawResponse, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Position, RawRequest, Style
    from exporter.simulator.store import Store

NAMESPACE: Final = "http://awss3control.amazonaws.com/doc/2018-08-20/"
MAX_SKEW: Final = 15 * 60
"""Seconds between the clocks of client and service."""
MAX_PAGE_SIZE: Final = 1000
"""Jobs; also the default."""

_PATH: Final = "/v20180820/jobs"
_AUTHORIZATION: Final = re.compile(
    rf"{sigv4.ALGORITHM}\s+"
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>[^/,\s]+)/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/(?P<terminal>[^/,\s]+)"
    r"\s*,\s*SignedHeaders=(?P<signed>[^,\s]+)\s*,\s*Signature=(?P<signature>[^,\s]+)"
)
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_HOST: Final = re.compile(r"([0-9]{12})\..+")
_ONCE: Final = {"ListJobs": {"maxResults", "nextToken"}, "DescribeJob": set[str]()}
"""The parameters of each operation that may appear once; jobStatuses may be repeated."""


def _iso8601(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


LAYOUT: Final = xml_writer.XmlLayout(
    item="member",
    time=_iso8601,
    fixed={
        "Manifest": "<Location><ETag>60e460c9d1046e73f7dde5043ac3ae85</ETag>"
        "<ObjectArn>arn:aws:s3:::inventory/manifest.csv</ObjectArn></Location><Spec><Fields><member>Bucket</member>"
        "<member>Key</member></Fields><Format>S3BatchOperations_CSV_20180820</Format></Spec>",
        "Report": "<Bucket>arn:aws:s3:::reports</Bucket><Enabled>true</Enabled><Format>Report_CSV_20180820</Format>"
        "<Prefix>result</Prefix><ReportScope>AllTasks</ReportScope>",
        "RoleArn": "arn:aws:iam::111122223333:role/batch",
    },
    namespace=NAMESPACE,
    failure="member",
)


class S3Control:
    """Amazon S3 Control."""

    scheme = sigv4.ALGORITHM
    settings: tuple[str, ...] = ("account_id",)

    def key_and_region(self, request: RawRequest) -> tuple[str, str] | None:
        """Returns the key id and the region of the signature. Raises RequestRejected if it is malformed."""
        text = request.headers.get("authorization", "")
        if not text.startswith(sigv4.ALGORITHM):
            return None
        auth = _parse_authorization(text)
        return auth["key"], auth["region"]

    def unknown_credentials(self, request: RawRequest, *, known_key: bool) -> RequestRejected:
        """Returns the error for no version 4 signature, an unknown key, or a region that is not this endpoint's."""
        address = self.key_and_region(request)
        if address is None and "authorization" in request.headers:
            message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
            return RequestRejected(400, "InvalidRequest", message)
        if address is None:
            return RequestRejected(403, "AccessDenied", "Access Denied")
        if known_key:
            return _malformed(f"the region '{address[1]}' is wrong")
        message = "The AWS Access Key Id you provided does not exist in our records."
        return RequestRejected(403, "InvalidAccessKeyId", message, details={"AWSAccessKeyId": address[0]})

    def authorize(self, request: RawRequest, store: Store, now: float) -> ParsedRequest:
        """Checks the signature, then the permissions, then the parameters, in this order."""
        auth = _parse_authorization(request.headers["authorization"])
        _check_scope(auth)
        _check_time(auth, request, now)
        _check_token(request, store, now)
        _check_payload(request)
        _check_signature(auth, request, store)
        _check_account(request, store)
        operation, parameters = _operation(request)
        if operation not in store.permissions:
            user = f"arn:aws:iam::{store.account_id}:user/simulated"
            message = f"User: {user} is not authorized to perform: s3:{operation} because no policy allows it"
            raise RequestRejected(403, "AccessDenied", message)
        if not store.enabled:
            # As for a region that the account has not enabled.
            raise RequestRejected(403, "AllAccessDisabled", "All access to this object has been disabled")
        return _call(operation, parameters, request, store)

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
        """Returns the error of the API model; the reference prints 400 for all errors that have no status there."""
        return RequestRejected(404, "NotFoundException", f"The specified job does not exist: {job_id}")

    def common_headers(self, request_id: str) -> dict[str, str]:
        """Returns the common headers."""
        extended = base64.b64encode(hashlib.sha384(request_id.encode()).digest()).decode()
        return {
            "server": "AmazonS3",
            "content-type": "application/xml",
            "x-amz-request-id": request_id,
            "x-amz-id-2": extended,
        }

    def error_response(
        self,
        rejection: RequestRejected,
        request: RawRequest,  # noqa: ARG002 - the error contains nothing of it
        request_id: str,
        *,
        bodyless: bool = False,
    ) -> RawResponse:
        """Returns the documented error; without a body only the request ids remain."""
        headers = self.common_headers(request_id)
        parts = {"Code": rejection.code, "Message": rejection.message, **rejection.details}
        body = xml_writer.error(parts, {"RequestId": request_id, "HostId": headers["x-amz-id-2"]})
        return RawResponse(rejection.status, headers, b"" if bodyless else body)


S3: Final = S3Control()


def _malformed(fact: str) -> RequestRejected:
    return RequestRejected(400, "AuthorizationHeaderMalformed", f"The authorization header is malformed; {fact}")


def _parse_authorization(text: str) -> re.Match[str]:
    auth = _AUTHORIZATION.fullmatch(text)
    if auth is None:
        raise _malformed("a part of it is missing or wrong")
    return auth


def _check_scope(auth: re.Match[str]) -> None:
    if auth["service"] != sigv4.SERVICE:
        raise _malformed(f'incorrect service "{auth["service"]}". This endpoint belongs to "{sigv4.SERVICE}"')
    if auth["terminal"] != sigv4.TERMINAL:
        raise _malformed(f'incorrect terminal "{auth["terminal"]}". This endpoint uses "{sigv4.TERMINAL}"')


def _check_time(auth: re.Match[str], request: RawRequest, now: float) -> None:
    date = request.headers.get(sigv4.DATE_HEADER, "")
    try:
        if not _DATE.fullmatch(date):
            raise ValueError(date)  # noqa: TRY301 - strptime accepts more than the documented format
        then = datetime.strptime(date, sigv4.DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        message = "AWS authentication requires a valid Date or x-amz-date header"
        raise RequestRejected(403, "AccessDenied", message) from None
    if abs(now - then) > MAX_SKEW:
        message = "The difference between the request time and the current time is too large."
        details = {
            "RequestTime": date,
            "ServerTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "MaxAllowedSkewMilliseconds": str(MAX_SKEW * 1000),
        }
        raise RequestRejected(403, "RequestTimeTooSkewed", message, details=details)
    if auth["date"] != date[:8]:
        raise _malformed(f'Invalid credential date "{auth["date"]}"')


def _check_token(request: RawRequest, store: Store, now: float) -> None:
    sent = request.headers.get(sigv4.TOKEN_HEADER)
    if sent is None:
        if store.security_token is not None:
            message = "The AWS Access Key Id you provided does not exist in our records."
            raise RequestRejected(403, "InvalidAccessKeyId", message, details={"AWSAccessKeyId": store.access_key_id})
        return
    if not hmac.compare_digest(sent.encode(), (store.security_token or "").encode()):
        message = "The provided token is malformed or otherwise invalid."
        raise RequestRejected(400, "InvalidToken", message, details={"Token-0": sent})
    if store.token_expires is not None and now >= store.token_expires:
        raise RequestRejected(400, "ExpiredToken", "The provided token has expired.", details={"Token-0": sent})


def _check_payload(request: RawRequest) -> None:
    payload_hash = request.headers.get(sigv4.CONTENT_HEADER)
    if payload_hash is None:
        message = f"Missing required header for this request: {sigv4.CONTENT_HEADER}"
        raise RequestRejected(400, "InvalidRequest", message)
    if payload_hash not in (sigv4.EMPTY_PAYLOAD, "UNSIGNED-PAYLOAD"):
        message = f"The provided '{sigv4.CONTENT_HEADER}' header does not match what was computed."
        raise RequestRejected(400, "XAmzContentSHA256Mismatch", message)


def _check_signature(auth: re.Match[str], request: RawRequest, store: Store) -> None:
    signed = auth["signed"].split(";")
    wanted = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    if not wanted <= set(signed):
        message = "There were headers present in the request which were not signed"
        details = {"HeadersNotSigned": ", ".join(sorted(wanted - set(signed)))}
        raise RequestRejected(403, "AccessDenied", message, details=details)
    if signed != sorted(set(signed)) or not set(signed) <= set(request.headers):
        raise _malformed("SignedHeaders contains a duplicate or missing header, or is not sorted")
    date = request.headers[sigv4.DATE_HEADER]
    canonical = sigv4.canonical_request(request.method, request.path, request.query, request.headers, signed)
    text = sigv4.string_to_sign(canonical, date, store.region)
    expected = sigv4.signature(text, Secret(store.access_key_secret), date, store.region)
    if not hmac.compare_digest(auth["signature"].encode(), expected.encode()):
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        details = {
            "AWSAccessKeyId": store.access_key_id,
            "StringToSign": text,
            "SignatureProvided": auth["signature"],
            "StringToSignBytes": text.encode().hex(" "),
            "CanonicalRequest": canonical,
            "CanonicalRequestBytes": canonical.encode().hex(" "),
        }
        raise RequestRejected(403, "SignatureDoesNotMatch", message, details=details)


def _check_account(request: RawRequest, store: Store) -> None:
    """Checks the account in the header, and in the host name if the host has one."""
    account_id = request.headers.get("x-amz-account-id")
    host = _HOST.fullmatch(request.headers["host"])
    if account_id is None or (host and host[1] != account_id):
        # The service's error is not documented.
        raise _bad_request("The header x-amz-account-id is missing or does not match the host.")
    if account_id != store.account_id:
        raise RequestRejected(403, "AccessDenied", "Access Denied")


def _operation(request: RawRequest) -> tuple[str, list[tuple[str, str]]]:
    base, _, job_id = request.path.partition(f"{_PATH}/")
    if request.path != _PATH and (base or not job_id or "/" in job_id):
        raise RequestRejected(404, "UnknownOperationException", "Only the operations of batch jobs are simulated.")
    if request.method != "GET":
        raise RequestRejected(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    operation = "DescribeJob" if job_id else "ListJobs"
    pairs = (pair.partition("=") for pair in request.query.split("&") if pair)
    parameters = [(unquote(key), unquote(value)) for key, _, value in pairs]
    # The service may ignore an unknown parameter; a client under test should not send one.
    once = [key for key, _ in parameters if key != "jobStatuses" or operation == "DescribeJob"]
    if len(set(once)) < len(once) or not set(once) <= _ONCE[operation]:
        raise _bad_request("A parameter is unknown or duplicate.")
    return operation, parameters


def _call(operation: str, parameters: list[tuple[str, str]], request: RawRequest, store: Store) -> ParsedRequest:
    if operation == "DescribeJob":
        return ParsedRequest(operation, job_id=unquote(request.path.removeprefix(f"{_PATH}/")))
    given = dict(parameters)
    asked = given.get("maxResults", str(MAX_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", asked) or int(asked) > MAX_PAGE_SIZE:
        raise _bad_request(f"maxResults must be from 0 to {MAX_PAGE_SIZE}.")
    statuses = {value for key, value in parameters if key == "jobStatuses"}
    if not statuses <= set(STATUSES):
        raise _bad_request("jobStatuses contains an unknown status.")
    token = given.get("nextToken")
    try:
        position = FIRST if token is None else tokens.decode(token)
    except ValueError:
        raise RequestRejected(400, "InvalidNextTokenException", "The next token is not valid.") from None
    # Zero is allowed, but its meaning is not documented; here it is the same as omitting the parameter.
    size = min(int(asked) or MAX_PAGE_SIZE, store.page_size)
    return ParsedRequest(operation, size, frozenset(statuses), token, position)


def _bad_request(message: str) -> RequestRejected:
    return RequestRejected(400, "InvalidRequestException", message)
