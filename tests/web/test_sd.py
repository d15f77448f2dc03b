from __future__ import annotations

import pytest

from exporter.web.app import Settings
from tests.rig import parse, target_at, value

HOSTILE = 'a b&target=x#"größe'


@pytest.fixture
def entries(exported, store_url):
    """The entries of /sd for an exporter of two targets, and its client."""

    def asked(settings=None, **headers):
        client = exported(target_at(store_url), target_at(store_url, HOSTILE, region="r-two"), settings=settings)
        answer = client.get("/sd", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        return answer.json(), client

    return asked


def test_there_is_an_entry_for_each_target(entries, store):
    """Each entry has this exporter's address and all that a scrape of the target needs; no service is asked."""
    found, client = entries()
    address = client.base_url.netloc.decode()
    assert [entry["targets"] for entry in found] == [[address], [address]]
    assert found[0]["labels"] == {
        "__scheme__": "http",
        "__metrics_path__": "/probe",
        "__param_target": "oss/prod/cn-hangzhou",
        "__meta_batchops_provider": "oss",
        "__meta_batchops_account": "prod",
        "__meta_batchops_region": "cn-hangzhou",
        "instance": "oss/prod/cn-hangzhou",
    }
    assert found[1]["labels"]["__meta_batchops_account"] == HOSTILE
    assert not store.requests


def test_an_entry_leads_to_its_target(entries):
    """A scrape as the first entry says it is answered with that target; what the second one names is known too."""
    found, client = entries()
    for entry in found:
        labels = entry["labels"]
        url = f"{labels['__scheme__']}://{entry['targets'][0]}{labels['__metrics_path__']}"
        answer = client.get(url, params={"target": labels["__param_target"]})
        assert answer.status_code == 200
        samples = parse(answer.text)
        assert value(samples, "batchops_up", account=labels["__meta_batchops_account"]) is not None


def test_each_entry_is_an_instance_of_its_own(entries):
    """Entries differ in `instance`: with one label set in common, Prometheus would have one series `up` for all."""
    found, _ = entries()
    assert len({entry["labels"]["instance"] for entry in found}) == len(found)


def test_the_address_is_the_one_that_was_asked(entries):
    """Behind whatever name Prometheus reaches the exporter, the entries lead there again."""
    found, _ = entries(host="exporter.example:8080")
    assert {entry["targets"][0] for entry in found} == {"exporter.example:8080"}


def test_the_external_url_is_where_entries_lead(entries):
    """With an external URL its scheme, host and path are taken."""
    found, _ = entries(Settings(external_url="https://example.com/batch"))
    labels = found[0]["labels"]
    assert (found[0]["targets"], labels["__scheme__"]) == (["example.com"], "https")
    assert labels["__metrics_path__"] == "/batch/probe"
