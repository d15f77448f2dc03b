"""The wire of Tencent Cloud COS: which requests are accepted, and the documented errors for all others.

Sources: the API references of ListJobs and DescribeJob, of the request signature, and the page of the error codes,
https://cloud.tencent.com/document/product/436/7730. What they leave open is told where it is decided.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from exporter.core.jobs import STATUSES
from exporter.core.secrets import Secret
from exporter.providers.signatures import cos_sha1 as signing
from exporter.simulator.dialects import cos_xml, xml_writer
from exporter.simulator.messages import FIRST, Answer, Call, Position, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Head, Style
    from exporter.simulator.store import Store

MOST_PAGE_SIZE: Final = 1000
"""Jobs; also what a page holds where nothing is asked for."""
LONGEST_TOKEN: Final = 64
"""Bytes."""

_SCHEME: Final = "q-sign-algorithm="
_AUTHORIZATION: Final = re.compile(
    rf"{_SCHEME}{signing.ALGORITHM}&q-ak=(?P<key>[^&]+)"
    r"&q-sign-time=(?P<times>(?P<start>[0-9]{1,12});(?P<end>[0-9]{1,12}))&q-key-time=(?P=times)"
    r"&q-header-list=(?P<headers>[^&]*)&q-url-param-list=(?P<parameters>[^&]*)&q-signature=(?P<signature>[^&]+)"
)
_HOST: Final = re.compile(r"(?P<uin>[0-9]+)\.cos-control\.(?P<region>[a-z0-9-]+)\.myqcloud\.com")
_PARAMETERS: Final = {"ListJobs": {"jobStatuses", "maxResults", "nextToken"}, "DescribeJob": set[str]()}


class Cos:
    """Tencent Cloud COS."""

    scheme = _SCHEME
    settings: tuple[str, ...] = ("uin", "appid")

    def address(self, head: Head) -> tuple[str, str] | None:
        """The key id of the signature, and the region of the host. Raises Refused where the signature is malformed.

        The signature names no region: behind a host of another form a key has one store.
        """
        text = head.headers.get("authorization", "")
        if not text.startswith(_SCHEME):
            return None
        host = _HOST.fullmatch(head.headers.get("host", ""))
        return _claim(text)["key"], host["region"] if host else ""

    def stranger(self, head: Head, *, known_key: bool) -> Refused:
        """No signature at all, an unknown key, or a region where the account has nothing."""
        if known_key or self.address(head) is None:
            return Refused(403, "AccessDenied", "Access Denied.")
        return Refused(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")

    def admit(self, head: Head, store: Store, now: float) -> Call:
        """Who asks, then whether they may, then whether the question is sound."""
        claim = _claim(head.headers["authorization"])
        _check_time(claim, now)
        _check_token(head, store, now)
        _check_signature(claim, head, store)
        _check_account(head, store)
        operation, parameters = _operation(head)
        if "ListJobs" not in store.permissions:  # the one permission for both operations
            raise Refused(403, "AccessDenied", "Access Denied: cos:ListJobs is not allowed.")
        if not store.enabled:
            # What a region without the feature answers is documented nowhere.
            raise Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        return _call(operation, parameters, head, store, now)

    def token(self, position: Position, store: Store) -> str:  # noqa: ARG002 - the token has no other form
        """The id of the job ahead of the page."""
        return position.last

    def listed(self, jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
        """A page of ListJobs."""
        if token is None and style.token_on_last_page and jobs:
            token = jobs[-1].id
        return cos_xml.page(jobs, token, style)

    def described(self, job: Job, detail: Detail) -> bytes:
        """The answer of DescribeJob."""
        return cos_xml.described(job, detail)

    def unknown_job(self, job_id: str) -> Refused:
        """The documented error."""
        return Refused(404, "NoSuchJob", f"The specified job does not exist: {job_id}")

    def headers(self, request_id: str) -> dict[str, str]:
        """The common headers."""
        return {"server": "tencent-cos", "content-type": "application/xml", "x-cos-request-id": request_id}

    def refusal(self, refused: Refused, head: Head, request_id: str, *, bodyless: bool = False) -> Answer:
        """The documented error; without a body only the request id is left of it."""
        trace_id = request_id[::-1]
        body = xml_writer.error(
            {
                "Code": refused.code,
                "Message": refused.message,
                "Resource": f"{head.headers.get('host', '')}{head.path}",
                "RequestId": request_id,
                "TraceId": trace_id,
                **refused.details,
            }
        )
        headers = {**self.headers(request_id), "x-cos-trace-id": trace_id}
        return Answer(refused.status, headers, b"" if bodyless else body)


COS: Final = Cos()


def _claim(text: str) -> re.Match[str]:
    claim = _AUTHORIZATION.fullmatch(text)
    if claim is None:
        raise Refused(400, "InvalidArgument", "The header Authorization is not valid.")
    return claim


def _check_time(claim: re.Match[str], now: float) -> None:
    """The signature holds from the first to the last second that it names."""
    if now < int(claim["start"]):
        raise Refused(403, "RequestTimeTooSkewed", "The signature does not hold yet.")
    if now >= int(claim["end"]) + 1:
        # Documented as a code, which has no blanks elsewhere; the service's own packages look for it in the message.
        raise Refused(403, "AccessDenied", "Request has expired")


def _check_token(head: Head, store: Store, now: float) -> None:
    sent = head.headers.get(signing.TOKEN_HEADER, "")
    if not hmac.compare_digest(sent.encode(), (store.security_token or "").encode()):
        raise Refused(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
    if sent and store.token_expires is not None and now >= store.token_expires:
        raise Refused(400, "ExpiredToken", "The provided token has expired.")


def _check_signature(claim: re.Match[str], head: Head, store: Store) -> None:
    # The service checks what the signature covers, and leaves it to the client what that is. Here it must cover the
    # host, each parameter and each x-cos-* header, so that a client under test forgets none.
    signed = claim["headers"].split(";")
    wanted = ["host", *(name for name in head.headers if name.startswith("x-cos-"))]
    names = [name for name, _ in signing.canonical(signing.parameters(head.query))]
    if not set(wanted) <= set(signed) <= set(head.headers) or claim["parameters"] != ";".join(names):
        raise Refused(403, "AccessDenied", "The lists of signed headers and parameters do not fit the request.")
    headers = {name: head.headers[name] for name in signed}
    text = signing.http_string(head.method, head.path, head.query, headers)
    to_sign = signing.string_to_sign(text, claim["times"])
    expected = signing.signature(to_sign, Secret(store.access_key_secret), claim["times"])
    if not hmac.compare_digest(claim["signature"].encode(), expected.encode()):
        message = "The Signature you specified is invalid."
        details = {"StringToSign": to_sign, "FormatString": text}
        raise Refused(403, "SignatureDoesNotMatch", message, details=details)


def _check_account(head: Head, store: Store) -> None:
    host = _HOST.fullmatch(head.headers["host"])
    appid = head.headers.get("x-cos-appid")
    if appid is None:
        raise Refused(400, "InvalidArgument", "The header x-cos-appid is missing.")
    if appid != store.appid or (host and host["uin"] != store.uin):
        raise Refused(403, "AccessDenied", "Access Denied.")


def _operation(head: Head) -> tuple[str, dict[str, str]]:
    root, jobs, job_id = (*head.path.split("/", 2), "")[:3]
    if root or jobs != "jobs" or "/" in job_id:
        raise Refused(404, "NoSuchKey", "Only the operations of batch jobs are simulated.")
    if head.method != "GET":
        raise Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    operation = "DescribeJob" if job_id else "ListJobs"
    pairs = signing.parameters(head.query)
    parameters = dict(pairs)
    # The service may well ignore a parameter it does not know; a client under test had better not send it.
    if len(parameters) < len(pairs) or not parameters.keys() <= _PARAMETERS[operation]:
        raise Refused(400, "InvalidArgument", "A parameter is not known, or stands twice.")
    return operation, parameters


def _call(operation: str, parameters: dict[str, str], head: Head, store: Store, now: float) -> Call:
    if operation == "DescribeJob":
        return Call(operation, job_id=unquote(head.path.removeprefix("/jobs/")))
    asked = parameters.get("maxResults", str(MOST_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", asked) or not 1 <= int(asked) <= MOST_PAGE_SIZE:
        raise _bad_argument("maxResults")
    status = parameters.get("jobStatuses")  # one; how several would be told apart is documented nowhere
    if status is not None and status not in STATUSES:
        raise _bad_argument("jobStatuses")
    size = min(int(asked), store.page_size)
    token = parameters.get("nextToken")
    position = FIRST if token is None else _position(token, size, store, now)
    return Call(operation, size, frozenset() if status is None else frozenset({status}), token, position)


def _position(token: str, size: int, store: Store, now: float) -> Position:
    """The place behind the job `token`. The number of the page is what it would be without a filter."""
    ids = (job.id for job in store.world.jobs(now))
    place = next((place for place, job_id in enumerate(ids, 1) if job_id == token), None)
    if place is None or len(token.encode()) > LONGEST_TOKEN:
        raise _bad_argument("nextToken")
    return Position(-(-place // size) + 1, place, token)


def _bad_argument(name: str) -> Refused:
    return Refused(400, "InvalidArgument", f"The value of {name} is not valid.")
