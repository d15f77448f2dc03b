from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from exporter import config, options
from exporter.web.app import FIXED_PATHS
from tests.deploy import test_rules
from tests.deploy.prometheus_operator import relabel_configs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
PORT = int(options.DEFAULT_ADDRESS.removeprefix(":"))
OWN_FILES = {"config.yaml", "kustomization.yaml"}
"""Files that are not Kubernetes resources."""


def read(path: str) -> Any:
    """The only document of a file below deploy/kubernetes."""
    (document,) = yaml.safe_load_all((FOLDER / path).read_text())
    return document


def resources(*folders: str) -> dict[str, Any]:
    """Every resource in `folders`, by the file's path."""
    paths = sorted(path for folder in folders for path in (FOLDER / folder).glob("*.yaml"))
    return {str(path.relative_to(FOLDER)): read(str(path)) for path in paths if path.name not in OWN_FILES}


def single(kind: str, *folders: str) -> Any:
    """The only resource of a kind."""
    (result,) = (resource for resource in resources(*folders).values() if resource["kind"] == kind)
    return result


def container(workload: Any) -> Any:
    """The only container of a Deployment or StatefulSet."""
    (result,) = workload["spec"]["template"]["spec"]["containers"]
    return result


def stateful_set() -> Any:
    """The Deployment with the patches of sharded/kustomization.yaml applied."""
    patched = single("Deployment", "base")
    (patch,) = read("sharded/kustomization.yaml")["patches"]
    assert patch["target"] == {"kind": patched["kind"], "name": patched["metadata"]["name"]}
    assert patch["options"] == {"allowKindChange": True}
    for step in yaml.safe_load(patch["patch"]):
        *parents, last = step["path"].strip("/").split("/")
        place = patched
        for parent in parents:
            place = place[parent]
        assert (last in place) == (step["op"] == "replace")
        assert step["op"] in ("add", "replace")
        place[last] = step["value"]
    return patched


@pytest.mark.parametrize("folder", ["base", "sharded"])
def test_each_resource_is_applied(folder):
    """A kustomization lists every file of its folder, and no missing ones."""
    kustomization = read(f"{folder}/kustomization.yaml")
    named = [*kustomization["resources"], *(kustomization.get("configMapGenerator") or [{"files": []}])[0]["files"]]
    files = {path.name for path in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert sorted(name for name in named if name != "../base") == sorted(files)
    assert kustomization["namespace"] == read("base/kustomization.yaml")["namespace"]


def test_each_resource_is_named_like_the_exporter():
    """Each resource has a kind, a version and a name with the exporter's prefix, unique in its folder."""
    for folder in ("base", "sharded", "operator"):
        names = [(resource["kind"], resource["metadata"]["name"]) for resource in resources(folder).values()]
        assert all(name.startswith("batchops-exporter") for _, name in names)
        assert all(resource["apiVersion"] for resource in resources(folder).values())
        assert folder == "operator" or len(set(names)) == len(names)


def test_each_selector_matches_the_pods():
    """Every selector uses labels that the pods have."""
    pods = single("Deployment", "base")["spec"]["template"]
    labels = pods["metadata"]["labels"]
    (spread,) = pods["spec"]["topologySpreadConstraints"]
    selectors = [
        single("Deployment", "base")["spec"]["selector"]["matchLabels"],
        single("Service", "base")["spec"]["selector"],
        single("Service", "sharded")["spec"]["selector"],
        single("PodDisruptionBudget", "base")["spec"]["selector"]["matchLabels"],
        single("NetworkPolicy", "base")["spec"]["podSelector"]["matchLabels"],
        spread["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_the_ports_are_the_exporters():
    """The container's port is the default one, and Services, probes and the network policy use it."""
    (port,) = container(single("Deployment", "base"))["ports"]
    assert port["containerPort"] == PORT
    for folder in ("base", "sharded"):
        (served,) = single("Service", folder)["spec"]["ports"]
        assert (served["port"], served["targetPort"]) == (PORT, port["name"])
    for probe in ("livenessProbe", "readinessProbe"):
        assert container(single("Deployment", "base"))[probe]["httpGet"]["port"] == port["name"]
    (rule,) = single("NetworkPolicy", "base")["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["name"]}]


def test_the_probes_use_the_health_routes():
    """Liveness and readiness use their own routes, which never call a cloud API."""
    probed = container(single("Deployment", "base"))
    paths = [probed[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert paths == ["/-/healthy", "/-/ready"]
    assert set(paths) <= set(FIXED_PATHS)


def test_the_flags_are_the_exporters():
    """The arguments are valid, and name the configuration file at its mounted path."""
    started = container(single("Deployment", "base"))
    command = options.parse(started["args"]).command
    (generator,) = read("base/kustomization.yaml")["configMapGenerator"]
    pod = single("Deployment", "base")["spec"]["template"]["spec"]
    places = {mount["name"]: mount for mount in started["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert isinstance(command, options.Serve)
    assert volumes["config"]["configMap"]["name"] == generator["name"]
    assert [str(command.file.path)] == [f"{places['config']['mountPath']}/{file}" for file in generator["files"]]
    assert all(mount["readOnly"] for mount in places.values())
    assert places.keys() == volumes.keys()


def test_the_configuration_is_valid_and_its_keys_are_mounted():
    """config.yaml is valid, and its key files are those of the Secret documented in the kustomization."""
    text = (FOLDER / "base/config.yaml").read_bytes()
    assert config.parse(text, file="config.yaml", environment={}).targets
    mounts = {mount["name"]: mount["mountPath"] for mount in container(single("Deployment", "base"))["volumeMounts"]}
    names = re.findall(r"--from-file=(\S+)", (FOLDER / "base/kustomization.yaml").read_text())
    (account,) = read("base/config.yaml")["accounts"]
    files = {value for key, value in account["credentials"].items() if key.endswith("_file")}
    assert files == {f"{mounts['credentials']}/{name}" for name in names}
    (secret,) = (
        volume["secret"]["secretName"]
        for volume in single("Deployment", "base")["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    )
    assert f"create secret generic {secret} " in (FOLDER / "base/kustomization.yaml").read_text()


def test_the_pods_have_no_privileges():
    """Pods run as the image's user, with a read-only root, without capabilities and without an API token."""
    pod = single("Deployment", "base")["spec"]["template"]["spec"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    context = pod["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(single("Deployment", "base"))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert single("ServiceAccount", "base")["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == single("ServiceAccount", "base")["metadata"]["name"]


def test_the_roles_shown_are_those_of_the_credentials_page():
    """Each commented-out annotation of the service account is documented on the credentials page."""
    text = (FOLDER / "base/serviceaccount.yaml").read_text()
    shown = yaml.safe_load(re.sub(r"^  #(?! \S)", "  ", text, flags=re.MULTILINE))["metadata"]["annotations"]
    page = (ROOT / "docs/credentials.md").read_text()
    assert len(shown) == 4
    assert [name for name in shown if f"{name}: " not in page] == []


@pytest.mark.parametrize("file", sorted(resources("operator")))
def test_the_operator_resources_use_the_service(file):
    """Each resource uses a route of the Service, with the job name, labels and times of prometheus.yml."""
    service = single("Service", "base")["metadata"]["name"]
    namespace = read("base/kustomization.yaml")["namespace"]
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    resource = read(file)
    spec = resource["spec"]
    assert resource["metadata"]["namespace"] == namespace
    if resource["kind"] in ("PodMonitor", "PrometheusRule"):
        return
    if resource["kind"] == "Probe":
        url = urlsplit(f"http://{spec['prober']['url']}{spec['prober']['path']}")
        assert url.path == "/probe"
    else:
        assert spec["honorLabels"] is job["honor_labels"] is True
        (discovery,) = spec["httpSDConfigs"]
        url = urlsplit(discovery["url"])
        assert url.path == "/sd"
    assert url.path in FIXED_PATHS
    assert url.netloc == f"{service}.{namespace}.svc:{PORT}"
    assert spec["jobName"] == job["job_name"]
    assert spec.get("scrapeInterval", spec.get("interval")) == job["scrape_interval"]
    assert spec["scrapeTimeout"] == job["scrape_timeout"]


RULE_HEAD = """\
# For the Prometheus Operator, with any other resource here: all rules of ../../prometheus, from which ./dev golden
# writes this file. Set the label that your Prometheus selects (spec.ruleSelector), and the two addresses in
# batchops:links:info. The last group is only for the dashboards.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: batchops-exporter
  namespace: monitoring
  labels:
    release: prometheus
spec:
  groups:
"""


def test_golden_prometheus_rule(pytestconfig):
    """The PrometheusRule has the groups of all rule files, with their comments."""
    parts = [(test_rules.FOLDER / file).read_text().replace("groups:\n", "", 1) for file in test_rules.RULE_FILES]
    golden = FOLDER / "operator/prometheusrule.yaml"
    text = RULE_HEAD + "\n".join(textwrap.indent(part, "  ") for part in parts)
    if pytestconfig.getoption("--golden"):
        golden.write_text(text)
    assert golden.read_text() == text
    assert read("operator/prometheusrule.yaml")["spec"]["groups"] == [
        group
        for file in test_rules.RULE_FILES
        for group in yaml.safe_load((test_rules.FOLDER / file).read_text())["groups"]
    ]


def test_the_own_metrics_of_each_pod_are_scraped():
    """The PodMonitor selects the pods, and reads the route that calls no cloud, with the job name of the targets."""
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    spec = read("operator/podmonitor.yaml")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert spec["selector"] == single("Deployment", "base")["spec"]["selector"]
    assert endpoint["path"] == "/-/metrics"
    assert endpoint["path"] in FIXED_PATHS
    assert endpoint["port"] in {port["name"] for port in container(single("Deployment", "base"))["ports"]}
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": job["job_name"]}]
    assert endpoint["honorLabels"] is True
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == (job["scrape_interval"], job["scrape_timeout"])


def test_a_probe_names_targets_of_the_configuration():
    """The targets of the Probe are those of config.yaml."""
    text = (FOLDER / "base/config.yaml").read_bytes()
    targets = config.parse(text, file="config.yaml", environment={}).targets
    assert read("operator/probe.yaml")["spec"]["targets"]["staticConfig"]["static"] == [
        target.name for target in targets
    ]


def test_the_sharded_replicas_have_the_scraped_names():
    """The StatefulSet has the number of replicas and the host names that the relabeling rules use."""
    workload, service = stateful_set(), single("Service", "sharded")
    namespace = read("sharded/kustomization.yaml")["namespace"]
    assert workload["kind"] == "StatefulSet"
    assert workload["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    rules = read("operator/scrapeconfig-sharded.yaml")["spec"]["relabelings"]
    (modulus,) = (rule["modulus"] for rule in rules if rule.get("targetLabel") == "__tmp_exporter")
    (address,) = (rule["replacement"] for rule in rules if rule.get("targetLabel") == "__address__")
    assert modulus == workload["spec"]["replicas"]
    host = f"{workload['metadata']['name']}-$1.{service['metadata']['name']}.{namespace}.svc"
    assert address == f"{host}:{PORT}"


def test_the_operator_and_prometheus_have_the_same_rules():
    """The rules of the sharded ScrapeConfig equal those of sharded.yml, except for host names."""
    job, _ = yaml.safe_load((ROOT / "deploy/prometheus/sharded.yml").read_text())["scrape_configs"]
    names = relabel_configs(read("operator/scrapeconfig-sharded.yaml")["spec"]["relabelings"])
    assert names.pop(0) == {"source_labels": ["__param_target"], "target_label": "__tmp_hash"}
    own = {"regex": "$(SHARD)"}, {"replacement": names[-1]["replacement"]}
    here = job["relabel_configs"]
    assert [here[0], {**here[1], **own[0]}, here[2], {**here[3], **own[1]}] == names
    assert len(here) == 4
