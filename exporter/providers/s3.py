"""Amazon S3 Control: the batch operations (S3 Batch Operations) of one account in one region.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListJobs.html with its DescribeJob, the SDKs' model
of `s3control` (2018-08-20), and https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (error codes).
"""

from __future__ import annotations

import re
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
from exporter.providers.signatures import sigv4

if TYPE_CHECKING:
    from exporter.core.errors import ServiceError
    from exporter.core.jobs import JobDetail, JobPage
    from exporter.core.secrets import Credentials
    from exporter.core.section import Section

LARGEST_PAGE: Final = 1000
"""Jobs; the documented limit of maxResults. Smaller pages only mean more requests."""

ACCOUNT_HEADER: Final = "x-amz-account-id"

_PATH: Final = "/v20180820/jobs"

_DOMAINS: Final = {
    r"cn-\w+-\d+": "amazonaws.com.cn",
    r"eu-isoe-\w+-\d+": "cloud.adc-e.uk",
    r"eusc-(?:de)-\w+-\d+": "amazonaws.eu",
    r"us-iso-\w+-\d+": "c2s.ic.gov",
    r"us-isob-\w+-\d+": "sc2s.sgov.gov",
    r"us-isof-\w+-\d+": "csp.hci.ic.gov",
}
"""The domain of each partition other than amazonaws.com, by a pattern of its regions, as in botocore's partitions."""

_NO_FIPS: Final = "cn-"
"""Regions that start with this have no FIPS endpoints."""

_PAGE: Final = PagePattern("member")

_UNKNOWN_KEY: Final = ErrorMeaning(
    "auth",
    "the service does not know this key; check access_key_id, session_token (if the key is temporary), the partition "
    "(China, GovCloud) and whether the region is enabled for the account",
)
_EXPIRED: Final = ErrorMeaning("auth", "the session token has expired; renew the temporary credentials")
_UNFIT: Final = ErrorMeaning(
    "http_4xx", "the service does not accept the request; check account_id, region and endpoint"
)
_GONE: Final = ErrorMeaning(
    "http_4xx",
    "the job does not exist in this account and region; finished jobs disappear after 90 days; check jobs.ids",
)

_CODES: Final = {
    "AccessDenied": ErrorMeaning(
        "access_denied",
        "the credentials lack the permission s3:{operation}, or account_id is another account's; grant it in an IAM "
        "policy, and check account_id",
    ),
    "AllAccessDisabled": ErrorMeaning(
        "access_denied",
        "all access is disabled for the account, for example because the region is not enabled; see the console",
    ),
    "AccountProblem": ErrorMeaning("auth", "the account has a problem; see the console"),
    "NotSignedUp": ErrorMeaning("auth", "the account is not signed up for S3; see the console"),
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": ErrorMeaning(
        "auth",
        "the signature is wrong; check that secret_access_key belongs to access_key_id, and that no proxy changes the "
        "request",
    ),
    "AuthorizationHeaderMalformed": ErrorMeaning(
        "auth", "the signature is for another region than that of the endpoint; check region and endpoint"
    ),
    "RequestTimeTooSkewed": ErrorMeaning(
        "auth", "the clock of this machine is off by more than 15 minutes; synchronise it (NTP)"
    ),
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": ErrorMeaning(
        "auth",
        "the session token is not valid here; renew the temporary credentials; for an opt-in region, which must be "
        "enabled for the account, request them from a regional STS endpoint",
    ),
    "BandwidthLimitExceeded": THROTTLED,
    "EC2ThrottledException": THROTTLED,
    "LimitExceededException": THROTTLED,
    "PriorRequestNotComplete": THROTTLED,
    "ProvisionedThroughputExceededException": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
    "RequestThrottled": THROTTLED,
    "RequestThrottledException": THROTTLED,
    "SlowDown": THROTTLED,
    "ThrottledException": THROTTLED,
    "Throttling": THROTTLED,
    "ThrottlingException": THROTTLED,
    "TooManyRequestsException": THROTTLED,
    "TransactionInProgressException": THROTTLED,
    "RequestTimeout": SLOW_REQUEST,
    "RequestTimeoutException": SLOW_REQUEST,
    "BadRequestException": _UNFIT,
    "InvalidRequest": _UNFIT,
    "InvalidRequestException": _UNFIT,
    "InvalidNextTokenException": ErrorMeaning(
        "http_4xx", "the service rejected a page token of its own; the next scrape starts again from the first page"
    ),
    "NoSuchJob": _GONE,
    "NoSuchJobException": _GONE,
    "NotFoundException": _GONE,
    "InternalServiceException": ErrorMeaning(
        "http_5xx", "the service returned a server error; see the AWS Health Dashboard if this lasts"
    ),
}


def _default_endpoint(section: Section, region: str) -> str:
    """The endpoint that the service documents for `region` and the section's `use_fips` and `use_dualstack`."""
    fips = section.boolean("use_fips", default=False)
    dualstack = section.boolean("use_dualstack", default=False)
    if section.has("endpoint"):
        for key, used in {"use_fips": fips, "use_dualstack": dualstack}.items():
            if used:
                section.problem(key, "has no effect when endpoint is set; remove one of them")
    elif fips and region.startswith(_NO_FIPS):
        section.problem("use_fips", f"the region {region} has no FIPS endpoint; remove it")
    domain = next((domain for pattern, domain in _DOMAINS.items() if re.fullmatch(pattern, region)), "amazonaws.com")
    host = f"s3-control{'-fips' if fips else ''}{'.dualstack' if dualstack else ''}"
    return f"https://{{account_id}}.{host}.{{region}}.{domain}"


@dataclass(frozen=True, slots=True)
class S3:
    """ListJobs of one account in one region."""

    endpoint: Endpoint
    region: str
    account_id: str
    page_size: int = LARGEST_PAGE

    credential_names: ClassVar[CredentialNames] = CredentialNames(
        key_id="access_key_id",
        secret="secret_access_key",  # noqa: S106 - the name of a key in the file
        token="session_token",  # noqa: S106 - likewise
        environment=(
            (
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_SECURITY_TOKEN",
            ),  # the last: older
        ),
        expiry_variable="AWS_CREDENTIAL_EXPIRATION",
    )
    not_found_codes: ClassVar[frozenset[str]] = frozenset(code for code, meaning in _CODES.items() if meaning is _GONE)
    repeated_token_is_last: ClassVar[bool] = False

    @classmethod
    def from_section(cls, section: Section, region: str) -> Self:
        """The provider for an account in `region`; problems of its settings are added to the section's."""
        hint = "the 12 digits of the AWS account, in quotes"
        account_id = section.string("account_id", pattern="[0-9]{12}", hint=hint, required=True)
        return cls(
            endpoint=Endpoint.from_section(
                section,
                _default_endpoint(section, region),
                account_id=account_id or "0",  # if it is missing, that is not a problem of the endpoint
                region=region,
            ),
            region=region,
            account_id=account_id,
            page_size=section.integer("page_size", LARGEST_PAGE, minimum=1, maximum=LARGEST_PAGE),
        )

    def list_request(self, token: str | None) -> Request:
        """The unsigned request for the page of `token`; None: the first page."""
        query = f"maxResults={self.page_size}"
        if token is not None:
            query += f"&nextToken={quote(token, safe='')}"
        return self._request("ListJobs", _PATH, query)

    def describe_request(self, job_id: str) -> Request:
        """The unsigned request for one job."""
        return self._request("DescribeJob", f"{_PATH}/{quote(job_id, safe='')}", "")

    def _request(self, operation: str, path: str, query: str) -> Request:
        headers = {ACCOUNT_HEADER: self.account_id}
        return Request(operation, self.endpoint.scheme, self.endpoint.host, path, query, headers=headers)

    def sign(self, request: Request, credentials: Credentials, now: float) -> Request:
        """`request` with its V4 signature for the Unix time `now` (seconds)."""
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        headers[sigv4.DATE_HEADER] = datetime.fromtimestamp(now, UTC).strftime(sigv4.DATE_FORMAT)
        headers[sigv4.CONTENT_HEADER] = sigv4.EMPTY_PAYLOAD
        if credentials.token is not None:
            headers[sigv4.TOKEN_HEADER] = credentials.token.reveal()
        headers["authorization"] = sigv4.authorization(
            method=request.method,
            path=request.path,
            query=request.query,
            headers={"host": request.host, **headers},
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
        return batch_xml.parse_jobs(body, _PAGE, S3.error)

    @staticmethod
    def parse_job(body: bytes) -> JobDetail:
        """The job in `body`. Raises MalformedResponse, or ServiceError if it is an error."""
        return batch_xml.parse_job(body, S3.error)

    @staticmethod
    def error(response: Response, operation: str) -> ServiceError:
        """The error for a response whose status is not 200, or whose body is an error."""
        return error_responses.to_error(
            response,
            operation=operation,
            codes=_CODES,
            request_id_header="x-amz-request-id",
            extended_id_header="x-amz-id-2",
        )
