"""What was seen of a target, in words and with remedies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.check.report import Facts, Finding, TargetReport
from exporter.collector.job_details import MAX_CALLS
from exporter.core import durations
from exporter.core.errors import REMEDIES, CredentialsError
from exporter.core.http import is_loopback
from exporter.exposition import families

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.check.report import State
    from exporter.check.wire import Certificate, Trace
    from exporter.core.snapshot import Snapshot
    from exporter.core.target import Target

NOTABLE_SKEW_SECONDS: Final = 60.0
REFUSED_SKEW_SECONDS: Final = 15 * 60.0
"""The services refuse signatures whose time differs by more than this."""

SHORT_SECONDS: Final = 14 * 86400.0
"""A certificate that expires sooner is a warning."""

DAY_SECONDS: Final = 86400.0


def report(
    target: Target, snapshot: Snapshot, trace: Trace, way: Sequence[Finding], *, interval: float, now: float
) -> TargetReport:
    """Returns the report on `target`. `way`: the findings about name and connection; `now`: Unix seconds."""
    findings = [
        _credentials(snapshot, now),
        *way,
        _tls(target, snapshot, trace.certificate, now),
        _clock(trace),
        _signature(trace),
        *_permissions(target, trace),
    ]
    series = requests = None
    if snapshot.error is None:
        series = sum(line.count(b"\n") for lines in families.family_lines(snapshot) for line in lines)
        requests = _requests_per_day(target, snapshot, interval)
    explained = any(finding.state == "failed" for finding in findings)
    findings += [_listing(snapshot, explained=explained), _cost(target, series, requests, interval)]
    error = snapshot.error
    jobs = {status: count for status, count in (snapshot.counts or {}).items() if count}
    facts = Facts(
        credentials_source=snapshot.credentials_source,
        credentials_expire=snapshot.credentials_expire,
        clock_skew_seconds=None if trace.skew is None else round(trace.skew, 1),
        pages=snapshot.pages if error is None else None,
        jobs=jobs if error is None else None,
        series=series,
        requests_per_day=requests,
        error_reason=error.reason if error else None,
        error_code=error.code if error else None,
    )
    return TargetReport(target.name, tuple(findings), facts)


def _credentials(snapshot: Snapshot, now: float) -> Finding:
    if isinstance(snapshot.error, CredentialsError):
        return Finding("credentials", "failed", snapshot.error.message)
    source, end = f"from the source {snapshot.credentials_source}", snapshot.credentials_expire
    if end is None:
        return Finding("credentials", "ok", f"{source}; they have no known expiry")
    if end <= now:
        return Finding("credentials", "warning", f"{source}; they expired at {_time(end)}", "renew them")
    return Finding("credentials", "ok", f"{source}; they expire at {_time(end)}, in {_span(end - now)}")


def _tls(target: Target, snapshot: Snapshot, certificate: Certificate | None, now: float) -> Finding:
    request = target.provider.list_request(None)
    if request.scheme == "http":
        if is_loopback(request.host):
            return Finding("tls", "skipped", "the endpoint is http:// on this machine")
        return Finding("tls", "warning", "the endpoint is http://: everyone on the way can read signatures and jobs")
    if snapshot.error is not None and snapshot.error.reason == "tls":
        return Finding("tls", "failed", snapshot.error.message)
    if certificate is None:
        return Finding("tls", "skipped", "no response")
    if certificate.expires is None:
        text = f"{certificate.version}, but the certificate is not verified"
        return Finding("tls", "warning", text, "remove tls.insecure_skip_verify, and set tls.ca_file if necessary")
    left = certificate.expires - now
    text = f"{certificate.version}, certificate by {certificate.issuer} until {_time(certificate.expires)}"
    if left < SHORT_SECONDS:
        return Finding("tls", "warning", f"{text}, in {_span(left)}", "ask whoever runs the endpoint to renew it")
    return Finding("tls", "ok", f"{text}, in {_span(left)}")


def _clock(trace: Trace) -> Finding:
    skew = trace.skew
    if skew is None:
        return Finding("clock", "skipped", "no response with a time")
    if abs(skew) < NOTABLE_SKEW_SECONDS:
        return Finding("clock", "ok", f"differs from the service's by {abs(skew):.0f} s")
    text = (
        f"{abs(skew):.0f} s {'fast' if skew > 0 else 'slow'}; the services refuse {REFUSED_SKEW_SECONDS:.0f} s or more"
    )
    state: State = "failed" if abs(skew) >= REFUSED_SKEW_SECONDS and not trace.allowed else "warning"
    return Finding("clock", state, text, "synchronise the clock of this machine (NTP)")


def _signature(trace: Trace) -> Finding:
    if trace.allowed:
        return Finding("signature", "ok", "accepted")
    for error in trace.errors.values():
        if error.reason == "auth":
            return Finding("signature", "failed", error.message)
        if error.reason == "access_denied":
            return Finding("signature", "ok", "accepted: the service knows the keys")
    return Finding("signature", "skipped", "no response that depends on it")


def _permissions(target: Target, trace: Trace) -> Iterator[Finding]:
    """Yields a finding for each permission that the target needs."""
    needed = {permission(target.provider_name, operation): operation for operation in reversed(target.operations)}
    for name, operation in reversed(needed.items()):
        error = trace.errors.get(operation)
        if operation in trace.allowed:
            yield Finding("permission", "ok", name)
        elif error is not None and error.reason == "access_denied":
            optional = operation == "DescribeJob" and not target.jobs.ids  # then only details are missing
            remedy = f"add to the policy of these keys: {statement(target.provider_name, name)}"
            yield Finding("permission", "warning" if optional else "failed", f"{name} is missing: {error}", remedy)
        else:
            yield Finding("permission", "skipped", f"{name}: not known, as no response depends on it")


def permission(provider: str, operation: str) -> str:
    """Returns the permission for `operation`, as in a policy."""
    return f"{provider}:{'ListJobs' if provider == 'cos' else operation}"  # of COS, one permission covers both


def statement(provider: str, name: str) -> str:
    """Returns the statement of a policy that grants the permission `name`, as JSON on one line."""
    keys = ("effect", "action", "resource") if provider == "cos" else ("Effect", "Action", "Resource")
    allow = "allow" if provider == "cos" else "Allow"
    return json.dumps(dict(zip(keys, (allow, [name], ["*"]), strict=True)))


def _listing(snapshot: Snapshot, *, explained: bool) -> Finding:
    error = snapshot.error
    if error is not None:
        if explained:
            return Finding("listing", "failed", f"no jobs ({error.reason}), see above")
        return Finding("listing", "failed", f"{error}", REMEDIES[error.reason])
    counts = {status: count for status, count in (snapshot.counts or {}).items() if count}
    jobs = ", ".join(f"{count} {status}" for status, count in counts.items())
    total = sum(counts.values())
    pages = "1 page" if snapshot.pages == 1 else f"{snapshot.pages} pages"
    return Finding("listing", "ok", f"{pages} in {snapshot.duration:.1f} s, {total} jobs{f': {jobs}' if jobs else ''}")


def _requests_per_day(target: Target, snapshot: Snapshot, interval: float) -> int:
    """Returns the requests for pages, or for the jobs in `jobs.ids`."""
    listings = DAY_SECONDS / max(interval, target.min_interval)
    return round(listings * (len(target.jobs.ids) or snapshot.pages))


def _cost(target: Target, series: int | None, requests: int | None, interval: float) -> Finding:
    if series is None or requests is None:
        return Finding("cost", "skipped", "not known without a listing")
    text = f"{series} series; {requests} requests a day if scraped every {durations.to_text(interval)}"
    if target.jobs.describe and not target.jobs.ids:
        text += f", and at most {MAX_CALLS} DescribeJob for each listing"
    return Finding("cost", "ok", text)


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    """Returns a time span in days, hours or minutes, whichever is at least 2."""
    for unit, size in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
