"""The scrape configs that the Prometheus Operator writes for its resources, as far as this project uses them.

Source: pkg/prometheus/promcfg.go and its golden files, github.com/prometheus-operator/prometheus-operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Rules = list[dict[str, Any]]
Resource = dict[str, Any]

_SNAKE: Final = {
    "sourceLabels": "source_labels",
    "targetLabel": "target_label",
    "action": "action",
    "modulus": "modulus",
    "regex": "regex",
    "replacement": "replacement",
}


def relabel_configs(relabelings: list[dict[str, Any]]) -> Rules:
    """`relabelings` of a resource, in the spelling of Prometheus' own configuration."""
    return [{_SNAKE[key]: value for key, value in rule.items()} for rule in relabelings]


def of_scrape_config(resource: Resource, shards: int, shard: int, *, shards_always: bool = False) -> Resource:
    """The scrape config that shard `shard` reads for a ScrapeConfig whose `httpSDConfigs` only have URLs.

    No sharding is added to rules with their own hashmod, unless `shards_always`.
    """
    spec = resource["spec"]
    rules = [*_job(spec["jobName"]), *relabel_configs(spec.get("relabelings", []))]
    if shards_always or not any(rule.get("action") == "hashmod" for rule in rules):
        rules += _sharding("__address__", shards)
    return {
        "job_name": f"scrapeConfig/{resource['metadata']['namespace']}/{resource['metadata']['name']}",
        "scrape_interval": spec["scrapeInterval"],
        "scrape_timeout": spec["scrapeTimeout"],
        "honor_labels": spec["honorLabels"],
        "http_sd_configs": [{"url": discovery["url"]} for discovery in spec["httpSDConfigs"]],
        "relabel_configs": _as_read_by(rules, shard),
    }


def of_probe(resource: Resource, shards: int, shard: int) -> Resource:
    """The scrape config that shard `shard` reads for a Probe with static targets."""
    spec = resource["spec"]
    rules = [
        *_job(spec["jobName"]),
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": spec["prober"]["url"]},
        *_sharding("__param_target", shards),
    ]
    return {
        "job_name": f"probe/{resource['metadata']['namespace']}/{resource['metadata']['name']}",
        "metrics_path": spec["prober"]["path"],
        "scrape_interval": spec["interval"],
        "scrape_timeout": spec["scrapeTimeout"],
        "static_configs": [{"targets": spec["targets"]["staticConfig"]["static"]}],
        "relabel_configs": _as_read_by(rules, shard),
    }


def _job(name: str) -> Rules:
    return [
        {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"},
        {"target_label": "job", "replacement": name},
    ]


def _sharding(label: str, shards: int) -> Rules:
    return [
        {"source_labels": [label, "__tmp_hash"], "target_label": "__tmp_hash", "regex": "(.+);", "replacement": "$1"},
        {"source_labels": ["__tmp_hash"], "target_label": "__tmp_hash", "modulus": shards, "action": "hashmod"},
        {"source_labels": ["__tmp_hash", "__tmp_disable_sharding"], "regex": "$(SHARD);|.+;.+", "action": "keep"},
    ]


def _as_read_by(rules: Rules, shard: int) -> Rules:
    """The rules with SHARD replaced, as in a shard's environment."""

    def expand(rule: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v.replace("$(SHARD)", str(shard)) if isinstance(v, str) else v for k, v in rule.items()}

    return [expand(rule) for rule in rules]
