"""Pages of jobs written at random: in plain forms that the pattern must recognise, or with changes at any place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from random import Random

NAMESPACE: Final = "http://awss3control.amazonaws.com/doc/2018-08-20/"
FORMATS: Final = (("JobListDescriptor", ""), ("member", ""), ("member", NAMESPACE))
"""Tag of a job and default namespace of OSS, COS and S3."""

NUMBERS: Final = ("0", "7", "007", "100", str(10**18 - 1), "")
TIMES: Final = (
    *("", "1576753540", "1576753540.25", "2019-12-19T11:05:40Z", "2019-12-19T11:05:40.048Z"),
    *("2019-12-19 19:05:40+08:00", "2019-12-19T19:05:40+0800", "2019-12-19T11:05:40", "19 Dec 2019 11:05:40 GMT"),
)
WORDS: Final = ("Active", "a", "021140d8-67ca", "S3PutObjectCopy", "YzA2ZTI4OWU=", "x" * 256)
TEXTS: Final = (
    *("", "job", " a  b ", "a\tb\nc", "世界 😀 é", "a &lt; b &amp;&amp; c &gt; d", "]]&gt;", "]] >", "a > b", "'\""),
    *("&#65;&#x4E16;&#13;&#10;&#x1F600;", "&apos;&quot;", "\x7f\x85\xa0\u2028\ufffd"),
)
LEAVES: Final = {
    "CreationTime": TIMES,
    "Description": TEXTS,
    "JobId": WORDS,
    "Operation": (*WORDS, ""),
    "Priority": NUMBERS,
    "Status": WORDS,
    "TerminationDate": TIMES,
}
ELAPSED: Final = "ElapsedTimeInActiveSeconds"
COUNTS: Final = (ELAPSED, "NumberOfTasksFailed", "NumberOfTasksSucceeded", "Timers", "TotalNumberOfTasks")
NAMES: Final = (
    *LEAVES,
    *COUNTS,
    "ProgressSummary",
    "Jobs",
    "member",
    "JobListDescriptor",
    "NextToken",
    "Unknown",
    "A1",
)

ODD_VALUES: Final = (
    *(
        " ",
        "0",
        "-1",
        "+1",
        "1.0",
        " 7 ",
        "1_0",
        "high",
        "٣",
        str(2**63 - 1),
        str(2**63),
        "9" * 30,
        "2019-12-19",
        "20191219T110540",
    ),
    *(
        "2019-W51-4T11:05:40Z",
        "yesterday",
        "2019-02-30T11:05:40Z",
        "a b",
        " a ",
        ".",
        "..",
        "世",
        "x" * 257,
        "x" * 1025,
    ),
    *(
        "]]>",
        "\r",
        "\r\n",
        "\0",
        "\x01",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1f",
        "\u2029",
        "\ufffe",
        "\uffff",
        "\ufeff",
        "\U0001fffe",
    ),
    *(
        "&",
        "&amp",
        "&amp;",
        "&nbsp;",
        "&AMP;",
        "& amp;",
        "&#0;",
        "&#1;",
        "&#13;",
        "&#;",
        "&#x;",
        "&#x0;",
        "&#xD800;",
        "&#65",
    ),
    *(
        "&#xFFFE;",
        "&#x110000;",
        "&#99999999;",
        "&#0000000000065;",
        "&#X41;",
        "&#-1;",
        "&#\u0663;",
        "&lt;b/&gt;",
        "&#38;lt;",
    ),
    *(
        "<![CDATA[<Status>x</Status>]]>",
        "<!-- <JobId>b</JobId> -->",
        "<?php a?>",
        "<b/>",
        "<b>c</b>",
        "<JobId>c</JobId>",
    ),
    *("<", ">", "/>", "</Jobs>", "<x:b xmlns:x='u'/>", '<b xmlns="u"><JobId>d</JobId></b>', "<member/>", "<Jobs/>"),
)
"""Texts and markup that may be put anywhere."""

ODD_TAGS: Final = (
    " a='b'",
    ' xmlns="u"',
    ' xmlns=""',
    " ",
    "\n",
    "/",
    ":x",
    "é",
    "\0",
    " a='&lt;'",
    " a='b' a='c'",
    "x",
)
"""Changes behind the name in a tag."""

ODD_STARTS: Final = (
    *(
        '<?xml version="1.1"?>',
        '<?xml version="1.0" standalone="yes"?>',
        "<?xml version='1.0' encoding='utf-8'?>",
        "\ufeff",
        " ",
    ),
    *(
        '<?xml version="1.0" encoding="latin-1"?>',
        '<?xml version="1.0" encoding="UTF-16"?>',
        "<!DOCTYPE a>",
        "<!-- a -->",
    ),
    *('<?xml version="1.0" encoding=""?>', '<?xml encoding="utf-8"?>', "<?a b?>", "<!DOCTYPE a [<!ENTITY amp 'x'>]>"),
)
ODD_NAMESPACES: Final = (
    "u",
    "u" * 101,
    "http://www.w3.org/XML/1998/namespace",
    "http://www.w3.org/2000/xmlns/",
    "a}b",
    "&amp;",
)
ODD_BYTES: Final = (
    b"",
    b"\0",
    b"<",
    b">",
    b"/",
    b"&",
    b"\xff",
    b"\xc0\xbc",
    b"\xed\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xe4\xb8",
    b"]]>",
)


class Document(NamedTuple):
    """A page, and the tag of its jobs."""

    body: bytes
    item: str


class _Writer:
    def __init__(self, random: Random, item: str, odd: float) -> None:
        self.random, self.item, self.odd = random, item, odd
        self.documented = random.random() < 0.5
        self.space = random.choice(("", "\n", "\n  ", "\n\t" if not self.documented else "\n   "))

    def changed(self) -> bool:
        return self.random.random() < self.odd

    def oddity(self) -> str:
        return self.random.choice(ODD_VALUES) if self.changed() else ""

    def element(self, name: str, inner: str) -> str:
        if not inner and self.random.random() < 0.5:
            return f"<{name}{self.random.choice(('/', ' /'))}>{self.space}{self.oddity()}"
        start, end = (name + self.random.choice(ODD_TAGS) if self.changed() else name for _ in "ab")
        if self.changed():
            end = self.random.choice((name, end, start))
        return f"<{start}>{self.oddity()}{inner}</{end}>{self.oddity()}{self.space}"

    def leaf(self, name: str, texts: tuple[str, ...]) -> str:
        text = self.oddity() or self.random.choice(texts)
        return self.element(self.random.choice(NAMES) if self.changed() else name, text)

    def mixed(self, parts: list[str]) -> str:
        """`parts` in their order, or with leaves that are not documented, and in any order."""
        if not self.documented:
            parts += [
                self.leaf(name, ("", "x", " 1 ", "true")) for name in ("Unknown", "A1") if self.random.random() < 0.4
            ]
            self.random.shuffle(parts)
        if self.changed() and parts:
            parts.append(self.random.choice(parts))
        return self.space + "".join(parts)

    def job(self) -> str:
        parts = {name: self.leaf(name, texts) for name, texts in LEAVES.items()}
        timers = [self.leaf(ELAPSED, NUMBERS)] if self.random.random() < 0.8 else []
        counts = [
            self.element("Timers", self.mixed(timers)) if name == "Timers" else self.leaf(name, NUMBERS)
            for name in COUNTS
            if self.random.random() < 0.7
        ]
        parts["ProgressSummary"] = self.element("ProgressSummary", self.mixed(counts))
        for name in sorted(parts.keys() - (() if self.changed() else {"JobId", "Status"})):
            if self.random.random() < 0.2:
                del parts[name]
        return self.element(self.item, self.mixed([text for _, text in sorted(parts.items())]))

    def page(self, namespace: str) -> str:
        jobs = self.element(
            "Jobs", self.space + "".join(self.job() for _ in range(self.random.choice((0, 1, 1, 2, 5))))
        )
        parts = [self.mixed([]), jobs]
        parts.insert(self.random.choice((0, 1, 2)), self.leaf("NextToken", ("", "token", "a+b/c=")))
        if self.changed():
            parts.append(self.random.choice(parts))
        if self.changed():
            namespace = self.random.choice(ODD_NAMESPACES)
        root = f'ListJobsResult xmlns="{namespace}"' if namespace else "ListJobsResult"
        start = self.random.choice(("", '<?xml version="1.0" encoding="UTF-8"?>\n', '<?xml version="1.0"?>', "\n"))
        start = self.random.choice(ODD_STARTS) if self.changed() else start
        return f"{start}<{root}>{''.join(parts)}</ListJobsResult>{self.oddity()}{self.space}"


def write(random: Random, *, odd: float = 0.0) -> Document:
    """A page; each of its parts is changed with the probability `odd`, and then maybe some of its bytes."""
    item, namespace = random.choice(FORMATS)
    body = _Writer(random, item, odd).page(namespace).encode()
    if odd and random.random() < 0.02:
        return Document(body.decode().encode("utf-16"), item)
    while odd and random.random() < 0.4:
        start = random.randrange(len(body) + 1)
        end = min(len(body), start + random.choice((0, 1, 1, 5, 50)))
        piece = random.choice((random.choice(ODD_BYTES), random.randbytes(1), body[start:end] * 2, b""))
        place = random.choice((start, random.randrange(len(body) + 1)))
        body = body[:start] + body[end:] if not piece else body[:place] + piece + body[max(place, end) :]
    return Document(body, item)
