"""The manifests under deploy/: validity by Kubernetes' schemas, and consistency."""

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
# The newest version in the package of the schemas. The manifests need 1.30, because of
# ContainerResource and preStop's sleep.
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


def relative_name(path: Path) -> str:
    return str(path.relative_to(KUBERNETES))


def validate(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def deployment() -> dict[str, Any]:
    return load(KUBERNETES / "deployment.yaml")


def pod(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]["template"]["spec"]
    return spec


def container(name: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    (match,) = [c for c in pod(document or deployment())["containers"] if c["name"] == name]
    assert isinstance(match, dict)
    return match


def environment(spec: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in spec["env"]}


def patched(component: str) -> dict[str, Any]:
    """Return the deployment with the patch of a component: containers by name, lists extended."""
    result = deployment()
    patch = pod(load(KUBERNETES / component / "deployment-patch.yaml"))
    for change in patch["containers"]:
        changed = container(change["name"], result)
        for key in ("env", "volumeMounts"):
            changed[key] = [*changed[key], *change[key]]
    pod(result)["volumes"] += patch["volumes"]
    return result


@pytest.mark.parametrize("path", manifests(), ids=relative_name)
def test_manifests_are_valid(path: Path) -> None:
    document = load(path)
    validate(document)
    broken = copy.deepcopy(document)
    broken["spec" if "spec" in broken else "stringData"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken)


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_deployment_with_a_component_is_valid(component: str) -> None:
    manifest = patched(component)
    validate(manifest)
    volumes = {volume["name"]: volume for volume in pod(manifest)["volumes"]}
    for spec in pod(manifest)["containers"]:
        assert {mount["name"] for mount in spec["volumeMounts"]} <= set(volumes)
    if component == "store":
        claim = volumes["store"]["persistentVolumeClaim"]["claimName"]
        assert claim == load(KUBERNETES / "store/claim.yaml")["metadata"]["name"]
        mounts = {m["name"]: m["mountPath"] for m in container("serve", manifest)["volumeMounts"]}
        assert mounts["store"] == environment(container("serve", manifest))["MODEL_STORE"]
    else:
        secret = load(KUBERNETES / "keys/secret.example.yaml")
        assert volumes["keys"]["secret"]["secretName"] == secret["metadata"]["name"]
        mount = next(m for m in container("serve", manifest)["volumeMounts"] if m["name"] == "keys")
        file = Path(environment(container("serve", manifest))["API_KEYS_FILE"])
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
        entries = [*content.get("resources", []), *content.get("components", [])]
        entries += [patch["path"] for patch in content.get("patches", [])]
        for generator in content.get("configMapGenerator", []):
            entries += generator["files"]
        for name in entries:
            target = (path.parent / name).resolve()
            assert target.exists(), f"{path} lists {name}"
            listed.add(target)
    files = {path for folder in ("kubernetes", "nginx") for path in files_of(folder)}
    assert files - listed == {KUBERNETES / "keys/secret.example.yaml"}
    comment = (KUBERNETES / "kustomization.yaml").read_text()
    for component in COMPONENTS:
        assert f"#   - {component} " in comment and (KUBERNETES / component).is_dir()


def files_of(folder: str) -> list[Path]:
    paths = (path for path in (ROOT / "deploy" / folder).rglob("*") if path.is_file())
    return [path for path in paths if path.name != "kustomization.yaml"]


def test_kustomize_renders_the_manifests_with_and_without_components(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, which is not on this machine")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    folder = tmp_path / "deploy/kubernetes"
    plain = folder / "kustomization.yaml"
    for components in ("[]", "[store, keys]"):
        plain.write_text((KUBERNETES / plain.name).read_text().replace("[]", components))
        done = subprocess.run(
            ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True
        )
        documents = list(yaml.safe_load_all(done.stdout))
        for document in documents:
            validate(document)
        by_kind = {document["kind"]: document for document in documents}
        rendered = by_kind["Deployment"]
        (generated,) = [v for v in pod(rendered)["volumes"] if "configMap" in v]
        assert generated["configMap"]["name"] == by_kind["ConfigMap"]["metadata"]["name"]
        configuration = (ROOT / "deploy/nginx/nginx.conf").read_text()
        assert by_kind["ConfigMap"]["data"] == {"nginx.conf": configuration}
        assert container("serve", rendered)["image"] == "registry.example.com/tabular:0.1.0"
        if components != "[]":
            assert {"API_KEYS_FILE", "MODEL_STORE"} <= set(
                environment(container("serve", rendered))
            )
            assert "serve-tmp" in str(rendered), "a patch keeps the volumes of the deployment"
            assert "PersistentVolumeClaim" in by_kind


@pytest.mark.parametrize("workload", ["deployment", "inference service"])
def test_pods_have_few_privileges(workload: str) -> None:
    spec = pod(deployment()) if workload == "deployment" else load(KSERVE)["spec"]["predictor"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for container_spec in spec["containers"]:
        assert container_spec["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        (tmp,) = [m["name"] for m in container_spec["volumeMounts"] if m["mountPath"] == "/tmp"]
        assert volumes[tmp]["emptyDir"]["medium"] == "Memory"
        assert set(container_spec["resources"]) == {"requests", "limits"}
        assert "livenessProbe" in container_spec and "startupProbe" in container_spec
    user = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert user and int(user[1]) == spec["securityContext"]["runAsUser"]


def test_ports_names_and_selectors_agree() -> None:
    configuration = (ROOT / "deploy/nginx/nginx.conf").read_text()
    ports = {
        port["name"]: port["containerPort"]
        for spec in pod(deployment())["containers"]
        for port in spec["ports"]
    }
    assert ports == {"service": Settings().port, "http": 8000}
    assert "listen 8000;" in configuration and "server serve:8080;" in configuration
    assert pod(deployment())["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": ["serve"]}]
    (service,) = load(KUBERNETES / "service.yaml")["spec"]["ports"]
    assert service["targetPort"] == "http", "clients connect to the proxy"
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    for name, path in (
        ("deployment", ("selector", "matchLabels")),
        ("service", ("selector",)),
        ("disruption-budget", ("selector", "matchLabels")),
        ("network-policy", ("podSelector", "matchLabels")),
    ):
        selector = load(KUBERNETES / f"{name}.yaml")["spec"]
        for key in path:
            selector = selector[key]
        assert selector == labels, name
    scaled = load(KUBERNETES / "autoscaler.yaml")["spec"]
    assert scaled["scaleTargetRef"]["name"] == deployment()["metadata"]["name"]
    assert scaled["metrics"][0]["containerResource"]["container"] == "serve"
    assert scaled["minReplicas"] >= 2 and "replicas" not in deployment()["spec"]
    rules = load(KUBERNETES / "network-policy.yaml")["spec"]
    unrestricted = [rule["ports"] for rule in rules["ingress"] if "from" not in rule]
    assert [[port["port"] for port in ports] for ports in unrestricted] == [["http"]]
    scrape = deployment()["spec"]["template"]["metadata"]["annotations"]
    assert scrape["prometheus.io/port"] == str(ports["service"])


def test_probes_use_existing_routes() -> None:
    routes = {rule.rule for rule in create_app(Settings()).url_map.iter_rules()}
    predictor = load(KSERVE)["spec"]["predictor"]["containers"][0]
    for spec in (container("serve"), predictor):
        paths = {
            kind: spec[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "readiness", "liveness")
        }
        assert paths == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
        assert set(paths.values()) <= routes
    assert "location = /.proxy/alive" in (ROOT / "deploy/nginx/nginx.conf").read_text()
    assert container("proxy")["livenessProbe"]["httpGet"]["path"] == "/.proxy/alive"


def test_requests_in_progress_can_finish() -> None:
    """The proxy stops first; both stop before the pod is killed."""
    pauses = {
        name: container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        for name in ("serve", "proxy")
    }
    graceful = int(environment(container("serve"))["GRACEFUL_SECONDS"])
    total = pod(deployment())["terminationGracePeriodSeconds"]
    configuration = (ROOT / "deploy/nginx/nginx.conf").read_text()
    closing = re.search(r"worker_shutdown_timeout (\d+)s;", configuration)
    longest = re.search(r"proxy_read_timeout (\d+)s;", configuration)
    assert closing and longest
    assert pauses["proxy"] < pauses["serve"]
    assert pauses["serve"] + graceful < total
    assert pauses["proxy"] + int(closing[1]) < total
    assert int(longest[1]) <= graceful
    assert load(KSERVE)["spec"]["predictor"]["terminationGracePeriodSeconds"] > graceful


def test_variables_are_settings_and_resources_are_explained_once() -> None:
    settings = {name.upper() for name in Settings.__dataclass_fields__}
    predictor = load(KSERVE)["spec"]["predictor"]["containers"][0]
    serve = container("serve")
    specs = [serve, predictor, *(container("serve", patched(name)) for name in COMPONENTS)]
    for spec in specs:
        assert set(environment(spec)) <= settings | NOT_SETTINGS
    Settings.from_environment(environment(serve))
    assert predictor["resources"] == serve["resources"]
    text = (KUBERNETES / "deployment.yaml").read_text()
    assert text.count("docs/performance.md") == 1
    n_workers = int(environment(serve)["WORKERS"])
    memory = serve["resources"]["requests"]["memory"]
    assert memory == f"{n_workers * 75 + 35}M", "2 workers of 75 MB and their parent process"


def test_the_inference_service_is_valid() -> None:
    """Check KServe's fields by name and all others by Kubernetes' schema of a pod."""
    document = load(KSERVE)
    assert document["apiVersion"] == "serving.kserve.io/v1beta1"
    assert document["kind"] == "InferenceService"
    assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(document["spec"]) == {"predictor"}
    predictor = document["spec"]["predictor"]
    rest = {key: value for key, value in predictor.items() if key not in PREDICTOR}
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": rest})
    (spec,) = predictor["containers"]
    assert spec["name"] == "kserve-container"
    assert environment(spec)["PROTOCOL"] == "v2"
    assert [port["containerPort"] for port in spec["ports"]] == [Settings().port]


def test_compose_publishes_the_proxy_only() -> None:
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


def test_gunicorn_serves_tls(
    trained: Store, record: dict[str, Any], tmp_path: Path, free_port: int
) -> None:
    """Run the line of docs/deploy.md with the entry point of the image and a new certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which is not on this machine")
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
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
            raise AssertionError("no answer over TLS")
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context())
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert 0 < answer["predictions"][0]["probability"] < 1
    assert process.returncode == 0, output
