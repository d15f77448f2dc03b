"""Tencent Cloud COS: the batch operations of one account in one region.

Sources: https://cloud.tencent.com/document/product/436/38611 (ListJobs, 2025-08), 436/38609 (DescribeJob, 2025-09) and
436/7730 (error codes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import quote

from exporter.core.http import Request, Response
from exporter.core.interfaces import CredentialNames
from exporter.providers import batch_xml, error_responses
from exporter.providers.batch_pattern import PagePattern
from exporter.providers.endpoint import Endpoint
from exporter.providers.error_responses import SLOW_REQUEST, THROTTLED, ErrorMeaning
from exporter.providers.signatures import cos_sha1

if TYPE_CHECKING:
    from exporter.core.errors import ServiceError
    from exporter.core.jobs import JobDetail, JobPage
    from exporter.core.secrets import Credentials
    from exporter.core.section import Section

LARGEST_PAGE: Final = 1000
"""Jobs; the documented limit of maxResults. Smaller pages only mean more requests."""

EARLY_SECONDS: Final = 60
"""A signature is valid from this long before now, as in the official package: this machine's clock may be fast."""

LATE_SECONDS: Final = 15 * 60
"""And for this long after now. The request is sent at once, so this is how slow the clock may be: as for the other
services. A longer time, as in the official package, only helps an attacker who finds a signature in a log."""

APPID_HEADER: Final = "x-cos-appid"

_DIGITS: Final = "[0-9]{1,63}"

_PAGE: Final = PagePattern("member")

_CODES: Final = {
    "AccessDenied": ErrorMeaning(
        "access_denied",
        "the credentials lack the permission cos:ListJobs, or uin or appid belongs to another account; grant it in a "
        "CAM policy (resource *), and check uin and appid",
    ),
    "InvalidAccessKeyId": ErrorMeaning(
        "auth",
        "the secret id does not exist or is disabled, or it is temporary and its token is wrong or missing; check "
        "secret_id and token",
    ),
    "SignatureDoesNotMatch": ErrorMeaning(
        "auth",
        "the signature is wrong; check that secret_key belongs to secret_id, and that no proxy changes the request",
    ),
    "RequestTimeTooSkewed": ErrorMeaning("auth", "the clock of this machine is wrong; synchronise it (NTP)"),
    "ExpiredToken": ErrorMeaning("auth", "the token has expired; renew the temporary credentials"),
    "PaymentRequired": ErrorMeaning("auth", "the account has unpaid bills; see the console"),
    "InvalidArgument": ErrorMeaning("http_4xx", "the service does not accept the request; check uin, appid and region"),
    "InvalidRegionName": ErrorMeaning("http_4xx", "the region does not exist; check region"),
    "NoSuchJob": ErrorMeaning(
        "http_4xx", "the job does not exist; finished jobs are listed for 90 days; check jobs.ids"
    ),
    "MethodNotAllowed": ErrorMeaning(
        "http_4xx", "batch operations are probably not available in this region; see the COS documentation for regions"
    ),
    "NotImplemented": ErrorMeaning(
        "http_5xx",
        "batch operations are probably not available in this region; see the COS documentation for regions",
        transient=False,
    ),
    "RequestTimeout": SLOW_REQUEST,
    "SlowDown": THROTTLED,
}

_EXPIRED: Final = b"Request has expired"
_WHEN_EXPIRED: Final = _CODES | dict.fromkeys(("AccessDenied", ""), _CODES["RequestTimeTooSkewed"])


@dataclass(frozen=True, slots=True)
class Cos:
    """ListJobs of one region."""

    endpoint: Endpoint
    appid: str
    page_size: int = LARGEST_PAGE

    credential_names: ClassVar[CredentialNames] = CredentialNames(
        key_id="secret_id",
        secret="secret_key",  # noqa: S106 - the name of a key in the file
        token="token",  # noqa: S106 - likewise
        environment=(
            # The names of the token are those of the command line (tccli), Terraform, and the serverless tools.
            (
                "TENCENTCLOUD_SECRET_ID",
                "TENCENTCLOUD_SECRET_KEY",
                "TENCENTCLOUD_TOKEN",
                "TENCENTCLOUD_SECURITY_TOKEN",
                "TENCENTCLOUD_SESSION_TOKEN",
            ),
            ("COS_SECRET_ID", "COS_SECRET_KEY", "COS_TOKEN"),
        ),
    )
    not_found_codes: ClassVar[frozenset[str]] = frozenset({"NoSuchJob"})
    repeated_token_is_last: ClassVar[bool] = True

    @classmethod
    def from_section(cls, section: Section, region: str) -> Self:
        """The provider for an account in `region`; problems of its settings are added to the section's."""
        uin = section.string("uin", pattern=_DIGITS, hint="the number of the account (UIN), all digits", required=True)
        appid = section.string("appid", pattern=_DIGITS, hint="the APPID, all digits", required=True)
        if appid and appid == uin:
            section.problem("appid", "is the same as uin; the APPID is another number: the end of each bucket's name")
        return cls(
            endpoint=Endpoint.from_section(
                section, "https://{uin}.cos-control.{region}.myqcloud.com", uin=uin or "0", region=region
            ),
            appid=appid,
            page_size=section.integer("page_size", LARGEST_PAGE, minimum=1, maximum=LARGEST_PAGE),
        )

    def list_request(self, token: str | None) -> Request:
        """The unsigned request for the page of `token`; None: the first page."""
        query = f"maxResults={self.page_size}"
        if token is not None:
            query += f"&nextToken={quote(token, safe='')}"
        return self._request("ListJobs", "/jobs", query)

    def describe_request(self, job_id: str) -> Request:
        """The unsigned request for one job."""
        return self._request("DescribeJob", f"/jobs/{quote(job_id, safe='')}", "")

    def _request(self, operation: str, path: str, query: str) -> Request:
        headers = {APPID_HEADER: self.appid}
        return Request(operation, self.endpoint.scheme, self.endpoint.host, path, query, headers=headers)

    def sign(self, request: Request, credentials: Credentials, now: float) -> Request:
        """`request` with its signature for the Unix time `now` (seconds)."""
        headers = dict(request.headers)
        if credentials.token is not None:
            headers[cos_sha1.TOKEN_HEADER] = credentials.token.reveal()
        signed = {name: value for name, value in headers.items() if name.startswith("x-cos-")}
        headers["authorization"] = cos_sha1.authorization(
            method=request.method,
            path=request.path,
            query=request.query,
            headers={"host": request.host, **signed},
            key_id=credentials.key_id,
            secret=credentials.secret,
            times=cos_sha1.key_time(int(now) - EARLY_SECONDS, int(now) + LATE_SECONDS),
        )
        return replace(request, headers=headers)

    @staticmethod
    def peek_next_token(start: bytes | bytearray) -> str | None:
        """The next page's token, if it is before the jobs; a guess."""
        return batch_xml.peek_next_token(start)

    @staticmethod
    def parse_jobs(body: bytes) -> JobPage:
        """The page in `body`. Raises MalformedResponse, or ServiceError if it is an error.

        Each page, even the last one, may return its last job as the next token. So only an empty page is known to be
        the last one; a page with fewer jobs than requested is not.
        """
        page = batch_xml.parse_jobs(body, _PAGE, Cos.error)
        return page if page.jobs else page._replace(next_token=None)

    @staticmethod
    def parse_job(body: bytes) -> JobDetail:
        """The job in `body`. Raises MalformedResponse, or ServiceError if it is an error."""
        return batch_xml.parse_job(body, Cos.error)

    @staticmethod
    def error(response: Response, operation: str) -> ServiceError:
        """The error for a response whose status is not 200, or whose body is an error."""
        # Documented as a code, although it has blanks, and seen as the message of AccessDenied.
        expired = _EXPIRED in response.body
        return error_responses.to_error(
            response,
            operation=operation,
            codes=_WHEN_EXPIRED if expired else _CODES,
            request_id_header="x-cos-request-id",
        )
