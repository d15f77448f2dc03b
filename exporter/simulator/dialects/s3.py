"""The wire of Amazon S3 Control: which requests are accepted, and the documented errors for all others.

Sources: the API references of ListJobs and DescribeJob, of Signature Version 4, and the list of the error codes,
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. What they leave open is told where it is decided.
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
from exporter.simulator.messages import FIRST, Answer, Call, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Head, Position, Style
    from exporter.simulator.store import Store

NAMESPACE: Final = "http://awss3control.amazonaws.com/doc/2018-08-20/"
MOST_SKEW: Final = 15 * 60
"""Seconds between the clocks of client and service."""
MOST_PAGE_SIZE: Final = 1000
"""Jobs; also what a page holds where nothing is asked for."""

_PATH: Final = "/v20180820/jobs"
_AUTHORIZATION: Final = re.compile(
    rf"{sigv4.ALGORITHM}\s+"
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>[^/,\s]+)/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/(?P<terminal>[^/,\s]+)"
    r"\s*,\s*SignedHeaders=(?P<signed>[^,\s]+)\s*,\s*Signature=(?P<signature>[^,\s]+)"
)
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_HOST: Final = re.compile(r"([0-9]{12})\..+")
_ONCE: Final = {"ListJobs": {"maxResults", "nextToken"}, "DescribeJob": set[str]()}
"""The parameters of each operation that may stand once, beside jobStatuses."""


def _iso8601(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


FORM: Final = xml_writer.Form(
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

    def address(self, head: Head) -> tuple[str, str] | None:
        """Key id and region of the signature. Raises Refused where it is malformed."""
        text = head.headers.get("authorization", "")
        if not text.startswith(sigv4.ALGORITHM):
            return None
        claim = _claim(text)
        return claim["key"], claim["region"]

    def stranger(self, head: Head, *, known_key: bool) -> Refused:
        """No signature of version 4, an unknown key, or a key in a region that is not this endpoint's."""
        address = self.address(head)
        if address is None and "authorization" in head.headers:
            message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
            return Refused(400, "InvalidRequest", message)
        if address is None:
            return Refused(403, "AccessDenied", "Access Denied")
        if known_key:
            return _malformed(f"the region '{address[1]}' is wrong")
        message = "The AWS Access Key Id you provided does not exist in our records."
        return Refused(403, "InvalidAccessKeyId", message, details={"AWSAccessKeyId": address[0]})

    def admit(self, head: Head, store: Store, now: float) -> Call:
        """Who asks, then whether they may, then whether the question is sound."""
        claim = _claim(head.headers["authorization"])
        _check_scope(claim)
        _check_time(claim, head, now)
        _check_token(head, store, now)
        _check_payload(head)
        _check_signature(claim, head, store)
        _check_account(head, store)
        operation, parameters = _operation(head)
        if operation not in store.permissions:
            user = f"arn:aws:iam::{store.account_id}:user/simulated"
            message = f"User: {user} is not authorized to perform: s3:{operation} because no policy allows it"
            raise Refused(403, "AccessDenied", message)
        if not store.enabled:
            # As for a region that the account has not opted in to.
            raise Refused(403, "AllAccessDisabled", "All access to this object has been disabled")
        return _call(operation, parameters, head, store)

    def token(self, position: Position, store: Store) -> str:
        """A token that holds its position."""
        return tokens.encode(position, store.token_length)

    def listed(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """A page of ListJobs."""
        return xml_writer.page(jobs, token, style, FORM)

    def described(self, job: Job, detail: Detail) -> bytes:
        """The answer of DescribeJob."""
        return xml_writer.described(job, detail, FORM)

    def unknown_job(self, job_id: str) -> Refused:
        """The code of the model; the reference's 400 is what it prints for all that the model gives no status."""
        return Refused(404, "NotFoundException", f"The specified job does not exist: {job_id}")

    def headers(self, request_id: str) -> dict[str, str]:
        """The common headers."""
        extended = base64.b64encode(hashlib.sha384(request_id.encode()).digest()).decode()
        return {
            "server": "AmazonS3",
            "content-type": "application/xml",
            "x-amz-request-id": request_id,
            "x-amz-id-2": extended,
        }

    def refusal(self, refused: Refused, head: Head, request_id: str, *, bodyless: bool = False) -> Answer:  # noqa: ARG002 - nothing of it is told
        """The documented error; without a body only the request ids are left of it."""
        headers = self.headers(request_id)
        parts = {"Code": refused.code, "Message": refused.message, **refused.details}
        body = xml_writer.error(parts, {"RequestId": request_id, "HostId": headers["x-amz-id-2"]})
        return Answer(refused.status, headers, b"" if bodyless else body)


S3: Final = S3Control()


def _malformed(what: str) -> Refused:
    return Refused(400, "AuthorizationHeaderMalformed", f"The authorization header is malformed; {what}")


def _claim(text: str) -> re.Match[str]:
    claim = _AUTHORIZATION.fullmatch(text)
    if claim is None:
        raise _malformed("a part of it is missing or wrong")
    return claim


def _check_scope(claim: re.Match[str]) -> None:
    if claim["service"] != sigv4.SERVICE:
        raise _malformed(f'incorrect service "{claim["service"]}". This endpoint belongs to "{sigv4.SERVICE}"')
    if claim["terminal"] != sigv4.TERMINAL:
        raise _malformed(f'incorrect terminal "{claim["terminal"]}". This endpoint uses "{sigv4.TERMINAL}"')


def _check_time(claim: re.Match[str], head: Head, now: float) -> None:
    date = head.headers.get(sigv4.DATE_HEADER, "")
    try:
        if not _DATE.fullmatch(date):
            raise ValueError(date)  # noqa: TRY301 - strptime takes more than the documented form
        then = datetime.strptime(date, sigv4.DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        message = "AWS authentication requires a valid Date or x-amz-date header"
        raise Refused(403, "AccessDenied", message) from None
    if abs(now - then) > MOST_SKEW:
        message = "The difference between the request time and the current time is too large."
        details = {
            "RequestTime": date,
            "ServerTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "MaxAllowedSkewMilliseconds": str(MOST_SKEW * 1000),
        }
        raise Refused(403, "RequestTimeTooSkewed", message, details=details)
    if claim["date"] != date[:8]:
        raise _malformed(f'Invalid credential date "{claim["date"]}"')


def _check_token(head: Head, store: Store, now: float) -> None:
    sent = head.headers.get(sigv4.TOKEN_HEADER)
    if sent is None:
        if store.security_token is not None:
            message = "The AWS Access Key Id you provided does not exist in our records."
            raise Refused(403, "InvalidAccessKeyId", message, details={"AWSAccessKeyId": store.access_key_id})
        return
    if not hmac.compare_digest(sent.encode(), (store.security_token or "").encode()):
        message = "The provided token is malformed or otherwise invalid."
        raise Refused(400, "InvalidToken", message, details={"Token-0": sent})
    if store.token_expires is not None and now >= store.token_expires:
        raise Refused(400, "ExpiredToken", "The provided token has expired.", details={"Token-0": sent})


def _check_payload(head: Head) -> None:
    told = head.headers.get(sigv4.CONTENT_HEADER)
    if told is None:
        message = f"Missing required header for this request: {sigv4.CONTENT_HEADER}"
        raise Refused(400, "InvalidRequest", message)
    if told not in (sigv4.EMPTY_PAYLOAD, "UNSIGNED-PAYLOAD"):
        message = f"The provided '{sigv4.CONTENT_HEADER}' header does not match what was computed."
        raise Refused(400, "XAmzContentSHA256Mismatch", message)


def _check_signature(claim: re.Match[str], head: Head, store: Store) -> None:
    signed = claim["signed"].split(";")
    wanted = {"host", *(name for name in head.headers if name.startswith("x-amz-"))}
    if not wanted <= set(signed):
        message = "There were headers present in the request which were not signed"
        details = {"HeadersNotSigned": ", ".join(sorted(wanted - set(signed)))}
        raise Refused(403, "AccessDenied", message, details=details)
    if signed != sorted(set(signed)) or not set(signed) <= set(head.headers):
        raise _malformed("SignedHeaders names a header twice, in another order, or one that is not there")
    date = head.headers[sigv4.DATE_HEADER]
    canonical = sigv4.canonical_request(head.method, head.path, head.query, head.headers, signed)
    text = sigv4.string_to_sign(canonical, date, store.region)
    expected = sigv4.signature(text, Secret(store.access_key_secret), date, store.region)
    if not hmac.compare_digest(claim["signature"].encode(), expected.encode()):
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        details = {
            "AWSAccessKeyId": store.access_key_id,
            "StringToSign": text,
            "SignatureProvided": claim["signature"],
            "StringToSignBytes": text.encode().hex(" "),
            "CanonicalRequest": canonical,
            "CanonicalRequestBytes": canonical.encode().hex(" "),
        }
        raise Refused(403, "SignatureDoesNotMatch", message, details=details)


def _check_account(head: Head, store: Store) -> None:
    """The account stands in a header, and in front of the host where it has a name."""
    account_id = head.headers.get("x-amz-account-id")
    host = _HOST.fullmatch(head.headers["host"])
    if account_id is None or (host and host[1] != account_id):
        # What the service says then is documented nowhere.
        raise _bad_request("The header x-amz-account-id is missing or does not fit the host.")
    if account_id != store.account_id:
        raise Refused(403, "AccessDenied", "Access Denied")


def _operation(head: Head) -> tuple[str, list[tuple[str, str]]]:
    base, _, job_id = head.path.partition(f"{_PATH}/")
    if head.path != _PATH and (base or not job_id or "/" in job_id):
        raise Refused(404, "UnknownOperationException", "Only the operations of batch jobs are simulated.")
    if head.method != "GET":
        raise Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    operation = "DescribeJob" if job_id else "ListJobs"
    pairs = (pair.partition("=") for pair in head.query.split("&") if pair)
    parameters = [(unquote(key), unquote(value)) for key, _, value in pairs]
    # The service may well ignore a parameter it does not know; a client under test had better not send it.
    once = [key for key, _ in parameters if key != "jobStatuses" or operation == "DescribeJob"]
    if len(set(once)) < len(once) or not set(once) <= _ONCE[operation]:
        raise _bad_request("A parameter is not known, or stands twice.")
    return operation, parameters


def _call(operation: str, parameters: list[tuple[str, str]], head: Head, store: Store) -> Call:
    if operation == "DescribeJob":
        return Call(operation, job_id=unquote(head.path.removeprefix(f"{_PATH}/")))
    given = dict(parameters)
    asked = given.get("maxResults", str(MOST_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", asked) or int(asked) > MOST_PAGE_SIZE:
        raise _bad_request(f"maxResults must be from 0 to {MOST_PAGE_SIZE}.")
    statuses = {value for key, value in parameters if key == "jobStatuses"}
    if not statuses <= set(STATUSES):
        raise _bad_request("jobStatuses holds a word that is no status.")
    token = given.get("nextToken")
    try:
        position = FIRST if token is None else tokens.decode(token)
    except ValueError:
        raise Refused(400, "InvalidNextTokenException", "The next token is not valid.") from None
    # Zero is documented as allowed, but not what it means: here, what leaving it out does.
    size = min(int(asked) or MOST_PAGE_SIZE, store.page_size)
    return Call(operation, size, frozenset(statuses), token, position)


def _bad_request(message: str) -> Refused:
    return Refused(400, "InvalidRequestException", message)
