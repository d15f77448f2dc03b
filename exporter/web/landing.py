"""The landing page, for people who open the exporter in a browser."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.snapshot import Snapshot

HEADERS: Final = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}

_COLUMNS: Final = ("Target", "Last listing", "Jobs", "Pages", "Seconds", "Last success (UTC)")

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c2127; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; vertical-align: top; }
tr { border-bottom: 1px solid #d5d9de; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
.up { color: #116329; } .down { color: #a40e26; font-weight: 600; } nav a { margin-right: 1.2rem; }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dde2e8; } a { color: #79b8ff; }
tr { border-color: #333a42; } .up { color: #56d364; } .down { color: #ff7b72; } }
"""


def page(rows: Iterable[tuple[str, Snapshot | None]], *, base: str, metrics: str) -> str:
    """The page for the targets in `rows`, each with its last listing (None: not listed yet).

    `base` precedes each link, `metrics` is the path of the metrics.
    """
    body = "\n".join(_row(name, listing, base) for name, listing in rows)
    links = ((metrics, "Metrics"), ("/sd", "Service discovery"), ("/-/healthy", "Health"), ("/-/ready", "Readiness"))
    nav = "".join(f'<a href="{escape(base + path)}">{text}</a>' for path, text in links)
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>batchops-exporter</title>
<style>{_STYLE}</style></head>
<body>
<h1>batchops-exporter</h1>
<p>Version {escape(__version__)}, Python {platform.python_version()}. Batch jobs of object storage, for Prometheus.</p>
<nav>{nav}</nav>
<h2>Targets</h2>
<table>
<thead><tr><th>{"</th><th>".join(_COLUMNS)}</th></tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""


def _row(name: str, listing: Snapshot | None, base: str) -> str:
    link = f'<a href="{escape(base)}/probe?target={quote(name, safe="/")}">{escape(name)}</a>'
    if listing is None:
        return f'<tr><td>{link}</td><td colspan="{len(_COLUMNS) - 1}">not listed yet: nothing has scraped it</td></tr>'
    if listing.error is None:
        state = '<span class="up">up</span>'
    else:
        state = f'<span class="down">{escape(listing.error.reason)}</span> {escape(str(listing.error))}'
    jobs = "" if listing.counts is None else f"{sum(listing.counts.values())}"
    return (
        f'<tr><td>{link}</td><td>{state}</td><td class="n">{jobs}</td><td class="n">{listing.pages}</td>'
        f'<td class="n">{listing.duration:.2f}</td><td>{_time(listing.last_success)}</td></tr>'
    )


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
