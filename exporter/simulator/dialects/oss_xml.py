"""The XML that OSS answers with, in its documented form.

Source: https://www.alibabacloud.com/help/en/oss/developer-reference/listjobs and describejob.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.simulator.dialects import xml_writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Style

FORM: Final = xml_writer.Form(
    item="JobListDescriptor",
    time=int,
    fixed={
        "Manifest": "<Location><Bucket>inventory</Bucket><Object>manifest.json</Object></Location>",
        "Report": "<Bucket>reports</Bucket><Enabled>true</Enabled><Format>Report_CSV_20250115</Format>",
        "RoleArn": "acs:ram::1234567890123456:role/batch",
    },
    suspension=False,
)


def page(jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
    """A page of ListJobs."""
    return xml_writer.page(jobs, token, style, FORM)


def described(job: Job, detail: Detail) -> bytes:
    """The answer of DescribeJob."""
    return xml_writer.described(job, detail, FORM)
