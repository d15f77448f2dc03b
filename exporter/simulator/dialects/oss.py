"""The wire of Alibaba Cloud OSS: which requests are accepted, and the documented errors for all others.

Sources: the API references of ListJobs and DescribeJob, of the V4 signature, and the pages of the error codes (EC), as
https://www.alibabacloud.com/help/en/oss/user-guide/0002-00000201. What they leave open is told where it is decided.
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
from exporter.simulator.dialects import oss_xml, tokens, xml_writer
from exporter.simulator.messages import FIRST, Answer, Call, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Head, Position, Style
    from exporter.simulator.store import Store

MOST_SKEW: Final = 15 * 60
"""Seconds between the clocks of client and service."""
DEFAULT_PAGE_SIZE: Final = 100
MOST_PAGE_SIZE: Final = 1000

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


class Oss:
    """Alibaba Cloud OSS."""

    scheme = oss_v4.ALGORITHM
    settings: tuple[str, ...] = ()

    def address(self, head: Head) -> tuple[str, str] | None:
        """Key id and region of a V4 signature. Raises Refused where it is malformed."""
        text = head.headers.get("authorization", "")
        if not text.startswith(oss_v4.ALGORITHM):
            return None
        claim = _claim(text)
        return claim["key"], claim["region"]

    def stranger(self, head: Head, *, known_key: bool) -> Refused:
        """No V4 signature at all, an unknown key, or a key in a region that is not this endpoint's."""
        address = self.address(head)
        if address is None and "authorization" in head.headers:
            return Refused(400, "InvalidArgument", "Authorization header is invalid.")
        if address is None:
            return Refused(403, "AccessDenied", "Anonymous access is forbidden for this operation.")
        if known_key:
            message = "Invalid signing region in Authorization header."
            return Refused(400, "InvalidArgument", message, ec="0002-00000226")
        message = "The OSS Access Key Id you provided does not exist in our records."
        details = {"OSSAccessKeyId": address[0]}
        return Refused(403, "InvalidAccessKeyId", message, ec="0002-00000902", details=details)

    def admit(self, head: Head, store: Store, now: float) -> Call:
        """Who asks, then whether they may, then whether the question is sound."""
        _check_time(head, now)
        _check_token(head, store, now)
        _check_signature(head, store)
        operation, parameters = _operation(head)
        if operation not in store.permissions:
            message = f"You have no right to access this object because of the policy: oss:{operation} is not allowed."
            raise Refused(403, "AccessDenied", message, ec="0003-00000001")
        if not store.enabled:
            # What a region without the feature answers is documented nowhere.
            raise Refused(400, "OperationNotSupported", "The operation is not supported for this region.")
        return _call(operation, parameters, store)

    def token(self, position: Position, store: Store) -> str:
        """A token that holds its position."""
        return tokens.encode(position, store.token_length)

    def listed(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """A page of ListJobs."""
        return oss_xml.page(jobs, token, style)

    def described(self, job: Job, detail: Detail) -> bytes:
        """The answer of DescribeJob."""
        return oss_xml.described(job, detail)

    def unknown_job(self, job_id: str) -> Refused:
        """The code is that of the services that share this dialect; OSS documents none."""
        return Refused(404, "NoSuchJob", "The specified job does not exist.", details={"JobId": job_id})

    def headers(self, request_id: str) -> dict[str, str]:
        """The common headers."""
        return {"server": "AliyunOSS", "content-type": "application/xml", "x-oss-request-id": request_id}

    def refusal(self, refused: Refused, head: Head, request_id: str, *, bodyless: bool = False) -> Answer:
        """The documented error; without a body it stands in x-oss-err, base64."""
        ec = {"EC": refused.ec} if refused.ec else {}
        body = xml_writer.error(
            {
                "Code": refused.code,
                "Message": refused.message,
                "RequestId": request_id,
                "HostId": head.headers.get("host", ""),
                **refused.details,
                **ec,
            }
        )
        headers = self.headers(request_id)
        if refused.ec:
            headers["x-oss-ec"] = refused.ec
        if bodyless:
            headers["x-oss-err"] = base64.b64encode(body).decode()
        return Answer(refused.status, headers, b"" if bodyless else body)


OSS: Final = Oss()


def _claim(text: str) -> re.Match[str]:
    claim = _AUTHORIZATION.fullmatch(text)
    if claim is None:
        message = "The Credential parameter in the Authorization header is invalid."
        raise Refused(400, "InvalidArgument", message, ec="0002-00000213")
    return claim


def _check_time(head: Head, now: float) -> None:
    date = head.headers.get(oss_v4.DATE_HEADER)
    if date is None:
        message = "OSS authentication requires a valid Date."
        raise Refused(403, "AccessDenied", message, ec="0002-00000503")
    try:
        if not _DATE.fullmatch(date):
            raise ValueError(date)  # noqa: TRY301 - strptime takes more than the documented form
        then = datetime.strptime(date, oss_v4.DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        message = "The format of x-oss-date is invalid."
        raise Refused(403, "AccessDenied", message, ec="0002-00000502") from None
    if abs(now - then) > MOST_SKEW:
        message = "The difference between the request time and the current time is too large."
        details = {
            "MaxAllowedSkewMilliseconds": str(MOST_SKEW * 1000),
            "RequestTime": date,
            "ServerTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        raise Refused(403, "RequestTimeTooSkewed", message, ec="0002-00000504", details=details)
    if _claim(head.headers["authorization"])["date"] != date[:8]:
        message = "Invalid signing date in Authorization header."
        raise Refused(400, "InvalidArgument", message, ec="0002-00000212")


def _check_token(head: Head, store: Store, now: float) -> None:
    sent = head.headers.get(oss_v4.TOKEN_HEADER)
    if store.security_token is None and sent is None:
        return
    if sent is None:
        message = (
            "The OSS Access Key Id you provided does not exist in our records. "
            "The Security Token may be lost to specify that it is a STS Access Id."
        )
        details = {"OSSAccessKeyId": store.access_key_id}
        raise Refused(403, "InvalidAccessKeyId", message, ec="0002-00000003", details=details)
    if not hmac.compare_digest(sent.encode(), (store.security_token or "").encode()):
        message = "The security token you provided is invalid."
        raise Refused(403, "InvalidSecurityToken", message, ec="0002-00000008")
    if store.token_expires is not None and now >= store.token_expires:
        message = "The security token you provided has expired."
        raise Refused(403, "SecurityTokenExpired", message, ec="0002-00000007")


def _check_signature(head: Head, store: Store) -> None:
    claim = _claim(head.headers["authorization"])
    more = claim["more"].split(";") if claim["more"] else []
    if claim["product"] != "oss":
        message = "Invalid signing product in Authorization header."
        raise Refused(400, "InvalidArgument", message, ec="0002-00000227")
    if more != sorted(more) or any(name != name.lower() or name not in head.headers for name in more):
        raise Refused(400, "InvalidArgument", "AdditionalHeaders in the Authorization header is invalid.")
    if head.headers.get(oss_v4.CONTENT_HEADER) != oss_v4.UNSIGNED_PAYLOAD:
        raise Refused(400, "InvalidArgument", f"{oss_v4.CONTENT_HEADER} must be {oss_v4.UNSIGNED_PAYLOAD}.")
    date = head.headers[oss_v4.DATE_HEADER]
    canonical = oss_v4.canonical_request(head.method, head.path, head.query, head.headers, more)
    text = oss_v4.string_to_sign(canonical, date, store.region)
    expected = oss_v4.signature(text, Secret(store.access_key_secret), date, store.region)
    if not hmac.compare_digest(claim["signature"].encode(), expected.encode()):
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        details = {
            "OSSAccessKeyId": store.access_key_id,
            "SignatureProvided": claim["signature"],
            "StringToSign": text,
            "StringToSignBytes": text.encode().hex(" ").upper(),
            "CanonicalRequest": canonical,
        }
        raise Refused(403, "SignatureDoesNotMatch", message, ec="0002-00000201", details=details)


def _operation(head: Head) -> tuple[str, dict[str, str]]:
    pairs = (pair.partition("=") for pair in head.query.split("&") if pair)
    parameters = {unquote(key): unquote(value) for key, _, value in pairs}
    if head.path != "/":
        raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
    if "batchJob" not in parameters or parameters["batchJob"]:
        raise Refused(400, "InvalidArgument", "Only the operations of batch jobs are simulated.")
    if head.method != "GET":
        message = "The specified method is not allowed against this resource."
        raise Refused(405, "MethodNotAllowed", message)
    operation = "DescribeJob" if "batchJobId" in parameters else "ListJobs"
    # The service may well ignore a parameter it does not know; a client under test had better not send it.
    for key in parameters.keys() - _PARAMETERS[operation]:
        raise _bad_argument(key, parameters[key])
    return operation, parameters


def _call(operation: str, parameters: dict[str, str], store: Store) -> Call:
    if operation == "DescribeJob":
        return Call(operation, job_id=parameters["batchJobId"])
    asked = parameters.get("max-keys", str(DEFAULT_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", asked) or not 1 <= int(asked) <= MOST_PAGE_SIZE:
        raise _bad_argument("max-keys", asked)
    # The references print the separator with blanks and without.
    joined = parameters.get("batchJobStatuses", "")
    statuses = {word.strip() for word in joined.split("|")} if joined else set()
    if not statuses <= set(STATUSES):
        raise _bad_argument("batchJobStatuses", joined)
    token = parameters.get("continuation-token")
    try:
        position = FIRST if token is None else tokens.decode(token)
    except ValueError:
        raise _bad_argument("continuation-token", token or "") from None
    return Call(operation, min(int(asked), store.page_size), frozenset(statuses), token, position)


def _bad_argument(name: str, value: str) -> Refused:
    details = {"ArgumentName": name, "ArgumentValue": value}
    return Refused(400, "InvalidArgument", f"The value of {name} is not valid.", details=details)
