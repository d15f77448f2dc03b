"""The XML that COS answers with, in its documented form.

Source: https://cloud.tencent.com/document/product/436/38611 (ListJobs), 436/38609 (DescribeJob), and the tests of
https://github.com/tencentyun/cos-go-sdk-v5.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.simulator.dialects import xml_writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.jobs import Job
    from exporter.simulator.jobs.plan import Detail
    from exporter.simulator.messages import Style


def _iso8601(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FORM: Final = xml_writer.Form(
    item="member",
    time=_iso8601,
    fixed={
        "Manifest": "<Location><ObjectArn>qcs::cos:ap-chengdu:uid/1250000000:inventory-1250000000/manifest.csv"
        "</ObjectArn></Location><Spec><Fields><member>Bucket</member><member>Key</member></Fields>"
        "<Format>COSBatchOperations_CSV_V1</Format></Spec>",
        "Report": "<Bucket>qcs::cos:ap-chengdu:uid/1250000000:reports-1250000000</Bucket><Enabled>true</Enabled>"
        "<Format>Report_CSV_V1</Format><Prefix>result</Prefix><ReportScope>AllTasks</ReportScope>",
        "RoleArn": "qcs::cam::uin/100000000001:roleName/COS_Batch_QcsRole",
    },
    elapsed=False,
)


def page(jobs: Sequence[Job], token: str | None, style: Style) -> bytes:
    """A page of ListJobs."""
    return xml_writer.page(jobs, token, style, FORM)


def described(job: Job, detail: Detail) -> bytes:
    """The answer of DescribeJob."""
    return xml_writer.described(job, detail, FORM)
