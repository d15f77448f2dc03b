"""What every provider must do: the cases of its folder, and properties that no response may break.

A provider's folder contains

- `pages/*.xml`, responses of ListJobs, each with a `*.json`: the expected `jobs` (without omitted values), `next_token`
  and `unreadable` values, or `malformed`, the message of the error; `settings`, if they matter;
- `jobs/*.xml`, responses of DescribeJob, likewise: the expected `job` and its other values, or `malformed`;
- `requests.json`: the expected URL for settings and a `token` or a `job_id`, and all headers once it is signed; the
  settings of the first case are also those of all other tests;
- `settings.json`: invalid settings, with the expected problems, and the region, if it matters;
- `errors.json`: responses other than 200, their meaning, what the message `says` and what it `hides`.
"""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.errors import REASONS, MalformedResponse, ServiceError
from exporter.core.http import Response
from exporter.core.secrets import Credentials, Secret
from exporter.core.section import Section
from exporter.providers import PROVIDERS

if TYPE_CHECKING:
    from exporter.core.errors import Problem
    from exporter.core.http import Request
    from exporter.core.interfaces import Provider
    from exporter.core.jobs import Job, JobDetail, JobPage

HERE = Path(__file__).parent
KEYS = Credentials("the-key-id", Secret("the-secret"), Secret("the-session-token"))

every_provider = pytest.mark.parametrize("provider", PROVIDERS)


def read(provider: str, name: str) -> Any:
    return json.loads(HERE.joinpath(provider, f"{name}.json").read_text())


def every_case(name: str) -> pytest.MarkDecorator:
    """Each case of the file `name` of each provider."""
    return pytest.mark.parametrize(
        ("provider", "case"),
        [
            pytest.param(provider, case, id=f"{provider}-{case['name']}")
            for provider in PROVIDERS
            if HERE.joinpath(provider).exists()
            for case in read(provider, name)
        ],
    )


def every_response(folder: str) -> pytest.MarkDecorator:
    """Each response in the `folder` of each provider."""
    return pytest.mark.parametrize(
        ("provider", "path"),
        [
            pytest.param(provider, path, id=f"{provider}-{path.stem}")
            for provider in PROVIDERS
            for path in sorted(HERE.glob(f"{provider}/{folder}/*.xml"))
        ],
    )


def build(provider: str, mapping: dict[str, Any], region: str) -> tuple[Provider, list[Problem]]:
    """The provider with the settings of `mapping`, and the problems with them."""
    problems: list[Problem] = []
    section = Section(mapping, "", problems)
    api = PROVIDERS[provider].from_section(section, region)
    section.reject_unknown()
    return api, problems


def valid(provider: str, mapping: dict[str, Any] | None = None) -> Provider:
    """The provider with settings that are valid, changed by `mapping`."""
    case = read(provider, "requests")[0]
    return build(provider, case["settings"] | (mapping or {}), case["region"])[0]


def asked(api: Provider, case: dict[str, Any]) -> Request:
    """The unsigned request of a case."""
    return api.describe_request(case["job_id"]) if "job_id" in case else api.list_request(case["token"])


def returned(values: Job | JobPage | JobDetail) -> dict[str, Any]:
    """The values that the service returned, in the form of JSON."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values._asdict().items()}
    return {name: value for name, value in plain.items() if value is not None and (name, value) != ("unreadable", [])}


def expectation(path: Path) -> dict[str, Any]:
    """The expectation for a response."""
    expected: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return expected


def shown(error: BaseException) -> str:
    """Everything that a log, a landing page or a debugger might show of an error."""
    return "\n".join([str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)])


def test_each_provider_has_its_folder_and_no_other_has_one():
    """There is a folder of cases for each provider, with valid and malformed responses."""
    folders = {path.name for path in HERE.iterdir() if path.is_dir()} - {"__pycache__", "signatures"}
    assert folders == set(PROVIDERS)
    for provider in PROVIDERS:
        for folder in ("pages", "jobs"):
            responses = list(HERE.glob(f"{provider}/{folder}/*.xml"))
            assert {path.stem for path in responses} == {path.stem for path in HERE.glob(f"{provider}/{folder}/*.json")}
            assert {"malformed" in expectation(path) for path in responses} == {True, False}


@every_response("pages")
def test_a_page_is_what_its_case_says(provider, path):
    """A response of ListJobs is read as exactly the expected page, or raises exactly the expected error."""
    expected = expectation(path)
    api = valid(provider, expected.pop("settings", None))
    if "malformed" in expected:
        with pytest.raises(MalformedResponse) as caught:
            api.parse_jobs(path.read_bytes())
        assert str(caught.value) == expected["malformed"]
    else:
        page = api.parse_jobs(path.read_bytes())
        values = {"next_token": None} | returned(page) | {"jobs": [returned(job) for job in page.jobs]}
        assert values.pop("parser") in ("pattern", "xml")
        assert values == expected
        assert all(has_its_types(job) for job in page.jobs)


@every_response("jobs")
def test_a_job_is_what_its_case_says(provider, path):
    """A response of DescribeJob is read as exactly the expected job, or raises exactly the expected error."""
    expected = expectation(path)
    if "malformed" in expected:
        with pytest.raises(MalformedResponse) as caught:
            valid(provider).parse_job(path.read_bytes())
        assert str(caught.value) == expected["malformed"]
    else:
        detail = valid(provider).parse_job(path.read_bytes())
        assert returned(detail) | {"job": returned(detail.job)} == expected
        assert has_its_types(detail.job)


def has_its_types(job: Job) -> bool:
    """Whether each value has the type of its field: no number or time is left as a text."""
    words, times = {"id", "status", "operation", "description"}, {"created", "terminated"}
    return all(
        type(value) in ((str,) if name in words else (int, float) if name in times else (int,))
        for name, value in returned(job).items()
    )


@every_case("requests")
def test_a_request_is_what_its_case_says(provider, case):
    """The request for settings and a token, or a job's id, has exactly the expected URL and no signature."""
    api, problems = build(provider, case["settings"], case["region"])
    request = asked(api, case)
    assert not problems
    assert request.operation == ("DescribeJob" if "job_id" in case else "ListJobs")
    assert (request.method, request.url) == ("GET", case["url"])
    assert "authorization" not in request.headers


@every_case("requests")
def test_a_signed_request_is_what_its_case_says(provider, case):
    """A signed request has exactly the expected headers, and is unchanged otherwise."""
    signed = case.get("signed")
    if signed is None:
        return
    api, _ = build(provider, case["settings"], case["region"])
    token = None if signed["token"] is None else Secret(signed["token"])
    request = api.sign(asked(api, case), Credentials(signed["key_id"], Secret(signed["secret"]), token), signed["now"])
    assert request.headers == signed["headers"]
    assert replace(request, headers={}) == replace(asked(api, case), headers={})


@every_case("settings")
def test_invalid_settings_are_reported(provider, case):
    """Invalid settings are reported with exactly the expected problems, each with its path."""
    _, problems = build(provider, case["settings"], case.get("region", "a-region"))
    assert sorted(map(str, problems)) == case["problems"]


@every_case("errors")
def test_an_error_is_what_its_case_says(provider, case):
    """A response other than 200 becomes the expected error, with its remedy and without any secret that it echoes."""
    response = Response(case["status"], case["headers"], case["body"].encode())
    error = valid(provider).error(response, "ListJobs")
    assert {name: getattr(error, name) for name in case["error"]} == case["error"]
    assert error.status == case["status"]
    for text in ("ListJobs", str(case["status"]), error.code or "", error.request_id or "", *case["says"]):
        assert text in str(error)
    for text in case["hides"]:
        assert text in case["body"] + str(case["headers"])
        assert text not in shown(error)


@every_provider
def test_credentials_have_names(provider):
    """Each part of the credentials has a key of its own, and can come from environment variables."""
    names = PROVIDERS[provider].credential_names
    assert len({names.key_id, names.secret, names.token} - {""}) == 3
    assert names.environment
    assert all(re.fullmatch("[A-Z][A-Z0-9_]*", name) for family in names.environment for name in family)


@every_provider
@settings(max_examples=100, deadline=None)
@given(token=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_token_reaches_the_service_as_it_is(provider, token):
    """Any token is in the query once, percent-encoded."""
    api = valid(provider)
    query, first = api.list_request(token).query, api.list_request(None).query
    assert re.fullmatch(r"[A-Za-z0-9._~&=%-]*", query)
    assert quote(token, safe="") in query
    assert [unquote(part.partition("=")[2]) for part in query.split("&")].count(token) >= 1
    assert len(query.split("&")) == len(first.split("&")) + 1


@every_provider
def test_signing_twice_is_signing_once(provider):
    """A request that is signed again for a retry equals one that is signed once; only time changes the signature."""
    api = valid(provider)
    once = api.sign(api.list_request(None), KEYS, 1795325400.0)
    assert api.sign(once, KEYS, 1795325400.0) == once
    assert api.sign(once, KEYS, 1795325400.9) == once
    assert api.sign(once, KEYS, 1795325461.0).headers != once.headers


@every_provider
def test_a_signed_request_does_not_show_its_keys(provider):
    """The representation of a signed request contains neither the secret nor the token; the secret is never sent."""
    request = valid(provider).sign(valid(provider).list_request(None), KEYS, 1795325400.0)
    assert "the-secret" not in repr(request) + str(request.headers) + request.url
    assert "the-session-token" not in repr(request) + request.url
    assert "the-session-token" in request.headers.values()


@every_provider
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_response_raises_anything_else(provider, data):
    """A response with a piece removed, doubled or replaced is read, or raises MalformedResponse."""
    path = data.draw(st.sampled_from(sorted(HERE.glob(f"{provider}/*/*.xml"))))
    body = path.read_bytes()
    start, end = sorted((data.draw(st.integers(0, len(body))), data.draw(st.integers(0, len(body)))))
    piece = data.draw(
        st.sampled_from([b"", b"\0", b"<", b"</Jobs>", b"<!--", b"9", b"-", b"\xff", body[start:end] * 2])
    )
    cut = body[:start] + piece + body[end:]
    try:
        jobs = (
            valid(provider).parse_jobs(cut).jobs
            if path.parent.name == "pages"
            else [valid(provider).parse_job(cut).job]
        )
    except (MalformedResponse, ServiceError):
        return
    assert all(job.id and job.status for job in jobs)


@every_provider
@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    status=st.integers(100, 599).filter(lambda status: status != 200),
    body=st.binary(max_size=40) | st.text(max_size=10).map("<Error><Code>{0}</Code></Error>".format).map(str.encode),
)
def test_every_error_response_becomes_an_error(provider, data, status, body):
    """Any response with a status other than 200 becomes an error with a known reason and a message of one line."""
    names = sorted({name for case in read(provider, "errors") for name in case["headers"]} | {"date", "retry-after"})
    values = st.text(max_size=20) | st.sampled_from(["1", "Sun, 22 Nov 2026 05:30:00 GMT", "PEVycm9yLz4="])
    headers = data.draw(st.dictionaries(st.sampled_from(names), values))
    error = valid(provider).error(Response(status, headers, body), "ListJobs")
    assert isinstance(error, ServiceError)
    assert error.reason in REASONS
    assert str(error).isprintable()
    assert error.retry_after is None or 0 <= error.retry_after < float("inf")
