"""Requests as the official SDK signs them, and a way to send them byte for byte."""

from __future__ import annotations

import http.client
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from alibabacloud_oss_v2.signer.v4 import SignerV4
from alibabacloud_oss_v2.types import Credentials, HttpRequest, SigningContext

from exporter.core.jobs import Job
from exporter.simulator.messages import RawRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.simulator import Store

HOST = "oss-cn-hangzhou.aliyuncs.com"


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The error's code."""
        return ET.fromstring(self.body).findtext("Code")

    @property
    def token(self) -> str | None:
        return ET.fromstring(self.body).findtext("NextToken")

    @property
    def jobs(self) -> list[Job]:
        return read_jobs(self.body)


def sign(
    store: Store,
    query: str,
    headers: Mapping[str, str] | None = None,
    *,
    additional: Iterable[str] = (),
    at: float | None = None,
    method: str = "GET",
    bucket: str | None = None,
) -> RawRequest:
    """Returns a request to `store` signed at the Unix time `at` (None: by the store's clock)."""
    request = HttpRequest(method, f"https://{HOST}/?{query}", headers={"host": HOST, **(headers or {})})
    context = SigningContext(
        product="oss",
        region=store.region,
        bucket=bucket,
        request=request,
        credentials=Credentials(store.access_key_id, store.access_key_secret, store.security_token),
        signing_time=datetime.fromtimestamp(store.clock() if at is None else at, UTC),
        additional_headers=set(additional),
    )
    SignerV4().sign(context)
    path = f"/{bucket}/" if bucket else "/"
    return RawRequest(method, path, query, {name.lower(): value for name, value in request.headers.items()})


def send(url: str, request: RawRequest, body: bytes = b"") -> Reply:
    """Returns the response of the server at `url` to `request`."""
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        connection.putrequest(
            request.method, f"{request.path}?{request.query}", skip_host=True, skip_accept_encoding=True
        )
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, dict(response.headers.items()), response.read())


def ask(url: str, store: Store, query: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Returns the response to a correctly signed request."""
    return send(url, sign(store, query, headers))


def read_jobs(body: bytes) -> list[Job]:
    """Returns the jobs of a page, read without the exporter's parser."""
    root = ET.fromstring(body)
    assert root.tag == "ListJobsResult"
    return [_job(item) for item in root.findall("Jobs/JobListDescriptor")]


def _job(item: ET.Element) -> Job:
    def number(path: str) -> int | None:
        text = item.findtext(path)
        return None if text is None else int(text)

    elapsed = number("ProgressSummary/Timers/ElapsedTimeInActiveSeconds")
    return Job(
        id=item.findtext("JobId") or "",
        status=item.findtext("Status") or "",
        operation=item.findtext("Operation"),
        description=item.findtext("Description"),
        priority=number("Priority"),
        created=number("CreationTime"),
        terminated=number("TerminationDate"),
        tasks=number("ProgressSummary/TotalNumberOfTasks"),
        succeeded=number("ProgressSummary/NumberOfTasksSucceeded"),
        failed=number("ProgressSummary/NumberOfTasksFailed"),
        elapsed_active=number("ProgressSummary/ElapsedTimeInActiveSeconds") if elapsed is None else elapsed,
    )
