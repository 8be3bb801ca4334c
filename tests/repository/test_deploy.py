"""The manifests under deploy/, held to Kubernetes' schemas and to each other, without a cluster."""

from __future__ import annotations

import copy
import json
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app import Settings, create_app
from app.api_keys import ApiKeys
from model.artifacts import Store
from tests.conftest import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
KSERVE = ROOT / "deploy/kserve/inference-service.yaml"
COMPONENTS = ("store", "keys")
# The newest whose schemas the package brings. ContainerResource and preStop's sleep are the newest
# that is used here; both are on since 1.30.
VERSION = "1.37"

# The fields of a KServe predictor in addition to those of a pod, from the class
# V1beta1PredictorSpec of the PyPI package kserve 0.21, in the spelling of Kubernetes. The package
# itself is not used, because it requires older versions of pandas and protobuf; see
# docs/decisions/0002-dependencies.md.
PREDICTOR = {
    *("annotations", "autoScaling", "batcher", "canaryTrafficPercent", "containerConcurrency"),
    *("deploymentStrategy", "labels", "logger", "maxReplicas", "minReplicas", "model", "name"),
    *("scaleMetric", "scaleMetricType", "scaleTarget", "storageUris", "timeout", "workerSpec"),
}
# Variables of a container that are not the service's own settings.
NOT_SETTINGS = {"PROTOCOL"}


def load(path: Path) -> dict[str, Any]:
    (document,) = yaml.safe_load_all(path.read_text())
    assert isinstance(document, dict)
    return document


def manifests() -> list[Path]:
    kustomize = {"kustomization.yaml", "deployment-patch.yaml"}
    return sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name not in kustomize)


def names(path: Path) -> str:
    return str(path.relative_to(KUBERNETES))


def validate(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def deployment() -> dict[str, Any]:
    return load(KUBERNETES / "deployment.yaml")


def pod(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["spec"]["template"]["spec"]
    return found


def container(name: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    (found,) = [c for c in pod(document or deployment())["containers"] if c["name"] == name]
    assert isinstance(found, dict)
    return found


def environment(described: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in described["env"]}


def patched(component: str) -> dict[str, Any]:
    """The deployment as a component changes it: containers by name, lists appended to."""
    found = deployment()
    patch = pod(load(KUBERNETES / component / "deployment-patch.yaml"))
    for change in patch["containers"]:
        changed = container(change["name"], found)
        for key in ("env", "volumeMounts"):
            changed[key] = [*changed[key], *change[key]]
    pod(found)["volumes"] += patch["volumes"]
    return found


@pytest.mark.parametrize("path", manifests(), ids=names)
def test_a_manifest_is_what_kubernetes_takes(path: Path) -> None:
    document = load(path)
    validate(document)
    broken = copy.deepcopy(document)
    broken["spec" if "spec" in broken else "stringData"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_leaves_a_valid_deployment(component: str) -> None:
    found = patched(component)
    validate(found)
    volumes = {volume["name"]: volume for volume in pod(found)["volumes"]}
    for described in pod(found)["containers"]:
        assert {mount["name"] for mount in described["volumeMounts"]} <= set(volumes)
    if component == "store":
        claim = volumes["store"]["persistentVolumeClaim"]["claimName"]
        assert claim == load(KUBERNETES / "store/claim.yaml")["metadata"]["name"]
        mounts = {m["name"]: m["mountPath"] for m in container("serve", found)["volumeMounts"]}
        assert mounts["store"] == environment(container("serve", found))["MODEL_STORE"]
    else:
        secret = load(KUBERNETES / "keys/secret.example.yaml")
        assert volumes["keys"]["secret"]["secretName"] == secret["metadata"]["name"]
        mount = next(m for m in container("serve", found)["volumeMounts"] if m["name"] == "keys")
        file = Path(environment(container("serve", found))["API_KEYS_FILE"])
        assert (str(file.parent), [file.name]) == (mount["mountPath"], list(secret["stringData"]))
        entries = secret["stringData"][file.name]
        ApiKeys(entries)
        hashes = re.findall(r":([0-9a-f]{64})$", entries, re.M)
        assert hashes and set("".join(hashes)) == {"0"}, "an example holds no real hash"


def test_every_file_is_listed_by_a_kustomization() -> None:
    listed = set()
    for path in ROOT.glob("deploy/**/kustomization.yaml"):
        content = load(path)
        assert content["kind"] in ("Kustomization", "Component")
        assert content["apiVersion"].startswith("kustomize.config.k8s.io/")
        here = [*content.get("resources", []), *content.get("components", [])]
        here += [patch["path"] for patch in content.get("patches", [])]
        for generator in content.get("configMapGenerator", []):
            here += generator["files"]
        for name in here:
            target = (path.parent / name).resolve()
            assert target.exists(), f"{path} lists {name}"
            listed.add(target)
    files = {path for folder in ("kubernetes", "nginx") for path in rooms(folder)}
    assert files - listed == {KUBERNETES / "keys/secret.example.yaml"}
    comment = (KUBERNETES / "kustomization.yaml").read_text()
    for component in COMPONENTS:
        assert f"#   - {component} " in comment and (KUBERNETES / component).is_dir()


def rooms(folder: str) -> list[Path]:
    found = (path for path in (ROOT / "deploy" / folder).rglob("*") if path.is_file())
    return [path for path in found if path.name != "kustomization.yaml"]


def test_kustomize_renders_it_with_and_without_components(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, which is not on this machine")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    folder = tmp_path / "deploy/kubernetes"
    plain = folder / "kustomization.yaml"
    for chosen in ("[]", "[store, keys]"):
        plain.write_text((KUBERNETES / plain.name).read_text().replace("[]", chosen))
        done = subprocess.run(
            ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True
        )
        documents = list(yaml.safe_load_all(done.stdout))
        for document in documents:
            validate(document)
        found = {document["kind"]: document for document in documents}
        rendered = found["Deployment"]
        (generated,) = [v for v in pod(rendered)["volumes"] if "configMap" in v]
        assert generated["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
        conf = (ROOT / "deploy/nginx/nginx.conf").read_text()
        assert found["ConfigMap"]["data"] == {"nginx.conf": conf}
        assert container("serve", rendered)["image"] == "registry.example.com/tabular:0.1.0"
        if chosen != "[]":
            assert {"API_KEYS_FILE", "MODEL_STORE"} <= set(
                environment(container("serve", rendered))
            )
            assert "serve-tmp" in str(rendered), "a patch adds, and takes nothing away"
            assert "PersistentVolumeClaim" in found


@pytest.mark.parametrize("of", ["deployment", "inference service"])
def test_a_pod_may_do_little(of: str) -> None:
    spec = pod(deployment()) if of == "deployment" else load(KSERVE)["spec"]["predictor"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for described in spec["containers"]:
        assert described["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        (tmp,) = [m["name"] for m in described["volumeMounts"] if m["mountPath"] == "/tmp"]
        assert volumes[tmp]["emptyDir"]["medium"] == "Memory"
        assert set(described["resources"]) == {"requests", "limits"}
        assert "livenessProbe" in described and "startupProbe" in described
    user = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert user and int(user[1]) == spec["securityContext"]["runAsUser"]


def test_ports_names_and_selectors_meet() -> None:
    conf = (ROOT / "deploy/nginx/nginx.conf").read_text()
    ports = {
        port["name"]: port["containerPort"]
        for described in pod(deployment())["containers"]
        for port in described["ports"]
    }
    assert ports == {"service": Settings().port, "http": 8000}
    assert "listen 8000;" in conf and "server serve:8080;" in conf
    assert pod(deployment())["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": ["serve"]}]
    (service,) = load(KUBERNETES / "service.yaml")["spec"]["ports"]
    assert service["targetPort"] == "http", "clients come through the proxy"
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    for name, where in (
        ("deployment", ("selector", "matchLabels")),
        ("service", ("selector",)),
        ("disruption-budget", ("selector", "matchLabels")),
        ("network-policy", ("podSelector", "matchLabels")),
    ):
        found = load(KUBERNETES / f"{name}.yaml")["spec"]
        for key in where:
            found = found[key]
        assert found == labels, name
    scaled = load(KUBERNETES / "autoscaler.yaml")["spec"]
    assert scaled["scaleTargetRef"]["name"] == deployment()["metadata"]["name"]
    assert scaled["metrics"][0]["containerResource"]["container"] == "serve"
    assert scaled["minReplicas"] >= 2 and "replicas" not in deployment()["spec"]
    rules = load(KUBERNETES / "network-policy.yaml")["spec"]
    open_to_all = [rule["ports"] for rule in rules["ingress"] if "from" not in rule]
    assert [[port["port"] for port in ports] for ports in open_to_all] == [["http"]]
    scrape = deployment()["spec"]["template"]["metadata"]["annotations"]
    assert scrape["prometheus.io/port"] == str(ports["service"])


def test_probes_ask_routes_that_there_are() -> None:
    routes = {rule.rule for rule in create_app(Settings()).url_map.iter_rules()}
    predictor = load(KSERVE)["spec"]["predictor"]["containers"][0]
    for described in (container("serve"), predictor):
        asked = {
            kind: described[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "readiness", "liveness")
        }
        assert asked == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
        assert set(asked.values()) <= routes
    assert "location = /.proxy/alive" in (ROOT / "deploy/nginx/nginx.conf").read_text()
    assert container("proxy")["livenessProbe"]["httpGet"]["path"] == "/.proxy/alive"


def test_there_is_time_to_finish_what_is_under_way() -> None:
    """The proxy stops first; both are done before the pod is killed."""
    pauses = {
        name: container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        for name in ("serve", "proxy")
    }
    graceful = int(environment(container("serve"))["GRACEFUL_SECONDS"])
    total = pod(deployment())["terminationGracePeriodSeconds"]
    conf = (ROOT / "deploy/nginx/nginx.conf").read_text()
    closing = re.search(r"worker_shutdown_timeout (\d+)s;", conf)
    longest = re.search(r"proxy_read_timeout (\d+)s;", conf)
    assert closing and longest
    assert pauses["proxy"] < pauses["serve"]
    assert pauses["serve"] + graceful < total
    assert pauses["proxy"] + int(closing[1]) < total
    assert int(longest[1]) <= graceful
    assert load(KSERVE)["spec"]["predictor"]["terminationGracePeriodSeconds"] > graceful


def test_variables_are_settings_and_figures_stand_in_one_place() -> None:
    settings = {name.upper() for name in Settings.__dataclass_fields__}
    predictor = load(KSERVE)["spec"]["predictor"]["containers"][0]
    serve = container("serve")
    both = [serve, predictor, *(container("serve", patched(name)) for name in COMPONENTS)]
    for described in both:
        assert set(environment(described)) <= settings | NOT_SETTINGS
    Settings.from_environment(environment(serve))
    assert predictor["resources"] == serve["resources"]
    text = (KUBERNETES / "deployment.yaml").read_text()
    assert text.count("docs/performance.md") == 1
    n_workers = int(environment(serve)["WORKERS"])
    asked = serve["resources"]["requests"]["memory"]
    assert asked == f"{n_workers * 75 + 35}M", "2 workers of 75 MB and the process above them"


def test_the_inference_service_is_what_kserve_takes() -> None:
    """Its own fields by name; all others are a pod's, and Kubernetes' schema knows those."""
    document = load(KSERVE)
    assert document["apiVersion"] == "serving.kserve.io/v1beta1"
    assert document["kind"] == "InferenceService"
    assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(document["spec"]) == {"predictor"}
    predictor = document["spec"]["predictor"]
    rest = {key: value for key, value in predictor.items() if key not in PREDICTOR}
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": rest})
    (described,) = predictor["containers"]
    assert described["name"] == "kserve-container"
    assert environment(described)["PROTOCOL"] == "v2"
    assert [port["containerPort"] for port in described["ports"]] == [Settings().port]


def test_under_compose_clients_come_through_the_proxy() -> None:
    services = load(ROOT / "compose.yaml")["services"]
    assert "ports" not in services["serve"]
    proxy = services["proxy"]
    assert proxy["ports"] == ["127.0.0.1:${PORT:-8080}:8000"]
    assert proxy["image"] == container("proxy")["image"] and ":" in proxy["image"]
    assert proxy["entrypoint"] == container("proxy")["command"]
    source, target, mode = proxy["volumes"][0].split(":")
    assert (ROOT / source).is_file() and mode == "ro" and target == proxy["entrypoint"][-1]
    assert proxy["depends_on"]["serve"]["condition"] == "service_healthy"
    for service in (services["serve"], proxy):
        assert service["read_only"] is True and service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]


def test_gunicorn_speaks_tls_by_its_own_options(
    trained: Store, record: dict[str, Any], tmp_path: Path, free_port: int
) -> None:
    """The line of docs/deploy.md, through the container's entry, with a certificate made here."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which is not on this machine")
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    line = "--certfile {} --keyfile {}"
    documented = re.search(r'GUNICORN_CMD_ARGS="(.*?)"', (ROOT / "docs/deploy.md").read_text())
    assert documented
    assert documented[1] == line.format("/etc/tls/tls.crt", "/etc/tls/tls.key")
    process = subprocess.Popen(
        [sys.executable, "app", "serve"],
        cwd=ROOT,
        env={
            "MODEL_STORE": str(trained.folder),
            "PORT": str(free_port),
            "WORKERS": "1",
            "GUNICORN_CMD_ARGS": line.format(certificate, key),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    trusted = ssl.create_default_context(cafile=certificate)
    request = urllib.request.Request(
        f"https://localhost:{free_port}/predict",
        json.dumps(record).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        for _ in range(200):
            assert process.poll() is None, process.communicate()[0]
            try:
                with urllib.request.urlopen(request, timeout=10, context=trusted) as response:
                    answer = json.load(response)
                    break
            except TimeoutError:
                raise  # it accepts connections, but does not respond
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError("it never answered over TLS")
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context())
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert 0 < answer["predictions"][0]["probability"] < 1
    assert process.returncode == 0, output
