from __future__ import annotations

import pytest

from exporter.web.app import Settings
from tests.rig import parse, target_at, value

HOSTILE = 'a b&target=x#"größe'


@pytest.fixture
def entries(exported, store_url):
    """Requests /sd of an exporter of two targets, and returns its entries and the client."""

    def request(settings=None, **headers):
        client = exported(target_at(store_url), target_at(store_url, HOSTILE, region="r-two"), settings=settings)
        response = client.get("/sd", headers=headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        return response.json(), client

    return request


def test_there_is_an_entry_for_each_target(entries, store):
    """Each entry has this exporter's address and all labels for a scrape; no request is sent to a service."""
    result, client = entries()
    address = client.base_url.netloc.decode()
    assert [entry["targets"] for entry in result] == [[address], [address]]
    assert result[0]["labels"] == {
        "__scheme__": "http",
        "__metrics_path__": "/probe",
        "__param_target": "oss/prod/cn-hangzhou",
        "__meta_batchops_provider": "oss",
        "__meta_batchops_account": "prod",
        "__meta_batchops_region": "cn-hangzhou",
        "instance": "oss/prod/cn-hangzhou",
    }
    assert result[1]["labels"]["__meta_batchops_account"] == HOSTILE
    assert not store.requests


def test_an_entry_points_to_its_target(entries):
    """A scrape of the URL in each entry returns that target."""
    result, client = entries()
    for entry in result:
        labels = entry["labels"]
        url = f"{labels['__scheme__']}://{entry['targets'][0]}{labels['__metrics_path__']}"
        response = client.get(url, params={"target": labels["__param_target"]})
        assert response.status_code == 200
        samples = parse(response.text)
        assert value(samples, "batchops_up", account=labels["__meta_batchops_account"]) is not None


def test_each_entry_has_its_own_instance(entries):
    """Entries differ in `instance`, because otherwise all targets would share one `up` series."""
    result, _ = entries()
    assert len({entry["labels"]["instance"] for entry in result}) == len(result)


def test_the_address_is_the_requested_host(entries):
    """The entries have the host of the request as their address."""
    result, _ = entries(host="exporter.example:8080")
    assert {entry["targets"][0] for entry in result} == {"exporter.example:8080"}


def test_the_external_url_is_used_in_entries(entries):
    """With an external URL the entries use its scheme, host and path."""
    result, _ = entries(Settings(external_url="https://example.com/batch"))
    labels = result[0]["labels"]
    assert (result[0]["targets"], labels["__scheme__"]) == (["example.com"], "https")
    assert labels["__metrics_path__"] == "/batch/probe"
