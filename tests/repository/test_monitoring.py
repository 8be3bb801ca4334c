"""Dashboard and alerts: queries of existing metrics, complete panels, runbooks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.web import Metrics
from model.errors import Problem
from tests.conftest import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"


def metrics_of_service() -> dict[str, tuple[str, set[str]]]:
    """Return kind and labels of the service's metrics by name."""
    metrics = Metrics()
    metrics.observe_request("/predict", 200, "1", 0.001)
    metrics.observe_predictions("1", np.array([0.5], np.float32), {"ca": 1})
    problem = Problem(field="ca", code="absent", message="is absent")
    metrics.count_problems([problem], frozenset({"ca"}))
    metrics.count_reload("loaded")
    metrics.set_serving_version("1", 0.0, ())
    kinds_and_labels = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        assert family.samples, f"{family.name} is never counted here"
        if not family.name.endswith("_created"):  # added by prometheus_client
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            kinds_and_labels[name] = (family.type, labels)
    return kinds_and_labels


METRICS = metrics_of_service()
# Prometheus records the metric up of every target, and adds labels to every series.
OWN = {"up": ("gauge", set[str]())}
ADDED = {"job", "instance"}


def dashboard() -> dict[str, Any]:
    content = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    assert isinstance(content, dict)
    return content


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Yield the name of the alert, panel, annotation or variable, and its query."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def series() -> dict[str, tuple[str, set[str]]]:
    """Return kind and labels of all series by name; a histogram has buckets, sum and count."""
    kinds_and_labels = dict(OWN)
    for name, (kind, labels) in METRICS.items():
        if kind == "histogram":
            kinds_and_labels[f"{name}_bucket"] = (kind, labels | {"le"})
            kinds_and_labels[f"{name}_sum"] = kinds_and_labels[f"{name}_count"] = (kind, labels)
        else:
            kinds_and_labels[name] = (kind, labels)
    return kinds_and_labels


def balanced(query: str) -> bool:
    pairs = {")": "(", "]": "[", "}": "{"}
    opened = []
    for character in re.sub(r'"[^"]*"', "", query):
        if character in pairs.values():
            opened.append(character)
        elif character in pairs and (not opened or opened.pop() != pairs[character]):
            return False
    return not opened and query.count('"') % 2 == 0


def test_every_query_uses_existing_metrics_and_labels() -> None:
    known = series()
    used = set()
    for owner, query in queries():
        assert balanced(query), owner
        names = set(re.findall(r"\b(?:tabular_\w+|up)\b", re.sub(r'"[^"]*"', "", query)))
        assert names and names <= set(known), f"{owner} uses {names - set(known)}"
        used |= names
        for name, selector in re.findall(r"\b(tabular_\w+|up)\{(.*?)\}", query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= known[name][1] | ADDED, f"{owner}: {name} has no {labels}"
        all_labels = set.union(*(known[name][1] for name in names)) | ADDED
        for selector in re.findall(r"\b(?:by|on)\s*\((.*?)\)", query):
            assert set(re.findall(r"\w+", selector)) <= all_labels, owner
        for name in names:
            if known[name][0] == "counter" and "label_values" not in query:
                over_time = rf"(?:rate|increase)\({name}\b"
                assert len(re.findall(over_time, query)) == len(re.findall(rf"\b{name}\b", query))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert bare - {"up"} == set(METRICS), "every metric is used"


def test_unbalanced_queries_are_recognised() -> None:
    assert balanced('sum(rate(x{a="("}[5m]))')
    for query in ("sum(x", "sum(x))", "x[5m)", 'x{a="b}'):
        assert not balanced(query)


def test_every_panel_is_complete() -> None:
    content = dashboard()
    assert content["schemaVersion"] >= 41
    (source,) = [v for v in content["templating"]["list"] if v["type"] == "datasource"]
    assert (source["name"], source["query"]) == ("datasource", "prometheus")
    panels = content["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        assert panel["title"] and panel["description"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"], panel["title"]
        axis = panel["options"].get("yAxis") or {
            "unit": defaults["unit"],
            "axisLabel": defaults["custom"].get("axisLabel"),
        }
        assert axis["unit"] and axis["axisLabel"], panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        position = panel["gridPos"]
        for x in range(position["x"], position["x"] + position["w"]):
            for y in range(position["y"], position["y"] + position["h"]):
                assert (x, y) not in cells and x < 24, f"{panel['title']} overlaps another panel"
                cells.add((x, y))
    (heatmap,) = [panel for panel in panels if panel["type"] == "heatmap"]
    assert heatmap["options"]["calculate"] is False, "the buckets come from the service"
    assert heatmap["targets"][0]["format"] == "heatmap"


def test_every_alert_has_a_description_and_a_runbook() -> None:
    text = (ROOT / "docs/deploy.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }
    rules = alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 7
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"\d+[smhd]", rule["for"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/deploy.md" and anchor in anchors, rule["alert"]
        assert f"`{rule['alert']}`" in text, "the page names the alert"


def test_prometheus_loads_the_rules_and_scrapes_the_service() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    assert configuration["rule_files"] == ["alerts.yaml"]
    (job,) = configuration["scrape_configs"]
    assert job["job_name"] == "tabular" and job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["serve:8080"]}]
    for owner, query in queries():
        if "$" not in query and "label_values" not in query:
            without_strings = re.sub(r'"[^"]*"', "", query)
            n_series = len(re.findall(r"\b(?:tabular_\w+|up)\b", without_strings))
            assert query.count('job="tabular"') == n_series, owner


def test_every_alert_is_tested_on_synthetic_series() -> None:
    tests = (PROMETHEUS / "alerts-test.yaml").read_text()
    for rule in alerts():
        assert f"alertname: {rule['alert']}\n" in tests, rule["alert"]
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool, which is not on this machine")
    for command in (["check", "config", "prometheus.yaml"], ["test", "rules", "alerts-test.yaml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
