"""The tables of S3 against the data of its official package."""

from __future__ import annotations

from itertools import product

import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from exporter.core.http import Response
from tests.providers.test_contract import build, valid


def test_the_transient_codes_of_s3_are_those_of_its_sdk():
    """S3 has each code that botocore retries, as throttled or transient."""
    api = valid("s3")
    retried = TransientRetryableChecker._TRANSIENT_ERROR_CODES, ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    for code in {*retried[0], *retried[1]}:
        error = api.error(Response(400, {}, f"<Error><Code>{code}</Code></Error>".encode()), "ListJobs")
        assert error.transient, code
        assert error.reason == ("throttled" if code in retried[1] else "http_4xx")


def test_the_endpoints_of_s3_are_those_of_its_sdk():
    """The default endpoint of each region that botocore knows, with FIPS and dual-stack, is the one that it uses."""
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = loader.load_data("partitions")
    rules = loader.load_service_model("s3control", "endpoint-rule-set-1")
    known = EndpointProvider(rules, partitions)
    regions = [region for partition in partitions["partitions"] for region in partition["regions"]]
    regions = [region for region in regions if "global" not in region] + ["us-isof-new-1", "cn-new-9", "me-new-7"]
    assert len(regions) > 30
    for region in regions:
        for fips, dualstack in product((False, True), repeat=2):
            keys = {"account_id": "123456789012", "use_fips": fips, "use_dualstack": dualstack}
            api, problems = build("s3", keys, region)
            try:
                answer = known.resolve_endpoint(
                    AccountId="123456789012",
                    RequiresAccountId=True,
                    Region=region,
                    UseFIPS=fips,
                    UseDualStack=dualstack,
                )
            except EndpointProviderError:
                assert problems or dualstack, region  # some partitions have no such endpoint
                continue
            assert not problems
            assert api.list_request(None).url.startswith(f"{answer.url}/v20180820/jobs")
