"""Alibaba Cloud OSS: the batch operations of one account in one region.

Source: https://www.alibabacloud.com/help/en/oss/developer-reference/listjobs (ListJobs, 2025-11-07).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import quote

from exporter.core.http import Request, Response
from exporter.core.interfaces import CredentialNames
from exporter.providers import batch_xml, error_responses
from exporter.providers.batch_pattern import PagePattern
from exporter.providers.endpoint import Endpoint
from exporter.providers.error_responses import SLOW_REQUEST, THROTTLED, ErrorMeaning
from exporter.providers.signatures import oss_v4

if TYPE_CHECKING:
    from exporter.core.errors import ServiceError
    from exporter.core.jobs import JobDetail, JobPage
    from exporter.core.secrets import Credentials
    from exporter.core.section import Section

LARGEST_PAGE: Final = 1000
"""Jobs; the documented limit of max-keys. Smaller pages only mean more requests."""

_PAGE: Final = PagePattern("JobListDescriptor")

_NOT_OFFERED: Final = ErrorMeaning(
    "http_4xx",
    "batch operations are probably not available in this region; see the OSS documentation for regions and features",
    transient=False,
)
_CODES: Final = {
    "AccessDenied": ErrorMeaning(
        "access_denied", "the credentials lack the permission oss:{operation}; grant it in a RAM policy (resource *)"
    ),
    "InvalidAccessKeyId": ErrorMeaning("auth", "the access key id does not exist or is disabled; check access_key_id"),
    "SignatureDoesNotMatch": ErrorMeaning(
        "auth", "the signature is wrong; check that access_key_secret belongs to access_key_id, and check region"
    ),
    "RequestTimeTooSkewed": ErrorMeaning(
        "auth", "the clock of this machine is off by more than 15 minutes; synchronise it (NTP)"
    ),
    "InvalidSecurityToken": ErrorMeaning(
        "auth", "the security token is not valid or does not belong to the access key; renew the temporary credentials"
    ),
    "SecurityTokenExpired": ErrorMeaning("auth", "the security token has expired; renew the temporary credentials"),
    "UserDisable": ErrorMeaning("auth", "the account is disabled or has unpaid bills; see the console"),
    "QpsLimitExceeded": THROTTLED,
    "DownloadTrafficRateLimitExceeded": ErrorMeaning(
        "throttled", "too much traffic of this account; scrape less often"
    ),
    "BadRequest": SLOW_REQUEST,
    "RequestTimeout": SLOW_REQUEST,
    "NoSuchJob": ErrorMeaning("http_4xx", "the job does not exist; check jobs.ids"),
    "NotImplemented": _NOT_OFFERED,
    "OperationNotSupported": _NOT_OFFERED,
}


@dataclass(frozen=True, slots=True)
class Oss:
    """ListJobs of one region, signed with V4."""

    endpoint: Endpoint
    region: str
    page_size: int = LARGEST_PAGE

    credential_names: ClassVar[CredentialNames] = CredentialNames(
        key_id="access_key_id",
        secret="access_key_secret",  # noqa: S106 - the name of a key in the file
        token="security_token",  # noqa: S106 - likewise
        environment=(
            ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
        ),
    )
    not_found_codes: ClassVar[frozenset[str]] = frozenset({"NoSuchJob"})
    repeated_token_is_last: ClassVar[bool] = False

    @classmethod
    def from_section(cls, section: Section, region: str) -> Self:
        """The provider for an account in `region`; problems of its settings are added to the section's."""
        return cls(
            endpoint=Endpoint.from_section(section, "https://oss-{region}.aliyuncs.com", region=region),
            region=region,
            page_size=section.integer("page_size", LARGEST_PAGE, minimum=1, maximum=LARGEST_PAGE),
        )

    def list_request(self, token: str | None) -> Request:
        """The unsigned request for the page of `token`; None: the first page."""
        query = f"batchJob&max-keys={self.page_size}"
        if token is not None:
            query += f"&continuation-token={quote(token, safe='')}"
        return Request("ListJobs", self.endpoint.scheme, self.endpoint.host, "/", query)

    def describe_request(self, job_id: str) -> Request:
        """The unsigned request for one job."""
        query = f"batchJob&batchJobId={quote(job_id, safe='')}"
        return Request("DescribeJob", self.endpoint.scheme, self.endpoint.host, "/", query)

    def sign(self, request: Request, credentials: Credentials, now: float) -> Request:
        """`request` with its V4 signature for the Unix time `now` (seconds)."""
        headers = dict(request.headers)
        headers[oss_v4.DATE_HEADER] = datetime.fromtimestamp(now, UTC).strftime(oss_v4.DATE_FORMAT)
        headers[oss_v4.CONTENT_HEADER] = oss_v4.UNSIGNED_PAYLOAD
        if credentials.token is not None:
            headers[oss_v4.TOKEN_HEADER] = credentials.token.reveal()
        headers["authorization"] = oss_v4.authorization(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            region=self.region,
            key_id=credentials.key_id,
            secret=credentials.secret,
        )
        return replace(request, headers=headers)

    @staticmethod
    def peek_next_token(start: bytes | bytearray) -> str | None:
        """The next page's token, which is documented before the jobs; a guess."""
        return batch_xml.peek_next_token(start)

    @staticmethod
    def parse_jobs(body: bytes) -> JobPage:
        """The page in `body`. Raises MalformedResponse, or ServiceError if it is an error."""
        return batch_xml.parse_jobs(body, _PAGE, Oss.error)

    @staticmethod
    def parse_job(body: bytes) -> JobDetail:
        """The job in `body`. Raises MalformedResponse, or ServiceError if it is an error."""
        return batch_xml.parse_job(body, Oss.error)

    @staticmethod
    def error(response: Response, operation: str) -> ServiceError:
        """The error for a response whose status is not 200, or whose body is an error."""
        return error_responses.to_error(
            response,
            operation=operation,
            codes=_CODES,
            request_id_header="x-oss-request-id",
            body=response.body or _header_body(response.headers.get("x-oss-err", "")),
            wait_seconds=error_responses.seconds(response.headers.get("x-oss-qos-delay-time"), unit=0.001),
        )


def _header_body(text: str) -> bytes:
    """An error's XML from the header that contains it if there is no body; empty if the header has none either."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # also if the header is not ASCII
        return b""
