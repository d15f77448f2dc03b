"""The host that requests are sent to, and whether it is safe to send keys there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from exporter.core.http import is_loopback

if TYPE_CHECKING:
    from exporter.core.section import Section

LONGEST: Final = 512
"""Characters of an endpoint; the name of a host has 253 at most."""

_URL: Final = "a URL such as https://oss-cn-hangzhou.aliyuncs.com, without path, query or user"
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`scheme` is http or https; `host` includes the port if it is not the default one."""

    scheme: str
    host: str

    @classmethod
    def from_section(cls, section: Section, default: str, **names: str) -> Self:
        """The endpoint of a section, with `names` in place of its braces; problems are added to the section's."""
        allow_http = section.boolean("allow_http", default=False)
        text = section.string("endpoint", default, pattern=f".{{0,{LONGEST}}}", hint=_URL)
        unknown = [name for name in re.findall(r"\{([^}]*)\}", text) if name not in names]
        scheme, host, problem = _split(re.sub(r"\{([^}]*)\}", lambda match: names.get(match[1], "x"), text))
        if unknown:
            known = ", ".join("{" + name + "}" for name in names)
            problem = f"{{{unknown[-1]}}} is not a known placeholder; known: {known}"
        if not problem and scheme == "http" and not allow_http and not is_loopback(host):
            problem = "would send signatures unencrypted over http://; use https://, or set allow_http: true"
        if problem:
            section.problem("endpoint", problem)
        return cls(scheme, host)


def _split(text: str) -> tuple[str, str, str]:
    """Scheme, host with port, and the problem with `text` (empty: none)."""
    wrong = f"must be {_URL}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "https", "", wrong
    host = parts.netloc.lower()
    bare = host if port is None else host.removesuffix(f":{port}")
    plain = parts.scheme in ("http", "https") and _HOST.fullmatch(bare) and ".." not in bare and parts.path in ("", "/")
    if not plain or port == 0 or parts.query or parts.fragment or not text.isascii():
        return "https", "", wrong
    standard = port in (None, 443 if parts.scheme == "https" else 80)
    return parts.scheme, bare if standard else host, ""
