"""Dashboard and alerts ask only for metrics that there are, and say what to do."""

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


def shown_metrics() -> dict[str, tuple[str, set[str]]]:
    """What the service shows under /metrics once each was counted: name, kind and labels."""
    metrics = Metrics()
    metrics.observe_request("/predict", 200, "1", 0.001)
    metrics.observe_predictions("1", np.array([0.5], np.float32), {"ca": 1})
    problem = Problem(field="ca", code="absent", message="is absent")
    metrics.count_problems([problem], frozenset({"ca"}))
    metrics.count_reload("loaded")
    metrics.set_serving_version("1", 0.0, ())
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        assert family.samples, f"{family.name} is never counted here"
        if not family.name.endswith("_created"):  # when prometheus_client began to count
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = (family.type, labels)
    return found


METRICS = shown_metrics()
# Prometheus' own: whether it reached a target, and what it adds to every series.
OWN = {"up": ("gauge", set[str]())}
ADDED = {"job", "instance"}


def dashboard() -> dict[str, Any]:
    found = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    assert isinstance(found, dict)
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Every query with where it stands."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for noted in dashboard()["annotations"]["list"]:
        yield noted["name"], noted["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def series() -> dict[str, tuple[str, set[str]]]:
    """What may be asked for by name; a histogram's are its buckets, its sum and its count."""
    found = dict(OWN)
    for name, (kind, labels) in METRICS.items():
        if kind == "histogram":
            found[f"{name}_bucket"] = (kind, labels | {"le"})
            found[f"{name}_sum"] = found[f"{name}_count"] = (kind, labels)
        else:
            found[name] = (kind, labels)
    return found


def balanced(query: str) -> bool:
    pairs = {")": "(", "]": "[", "}": "{"}
    waiting = []
    for sign in re.sub(r'"[^"]*"', "", query):
        if sign in pairs.values():
            waiting.append(sign)
        elif sign in pairs and (not waiting or waiting.pop() != pairs[sign]):
            return False
    return not waiting and query.count('"') % 2 == 0


def test_every_query_asks_for_what_there_is() -> None:
    known = series()
    asked = set()
    for where, query in queries():
        assert balanced(query), where
        names = set(re.findall(r"\b(?:tabular_\w+|up)\b", re.sub(r'"[^"]*"', "", query)))
        assert names and names <= set(known), f"{where} asks for {names - set(known)}"
        asked |= names
        for name, inside in re.findall(r"\b(tabular_\w+|up)\{(.*?)\}", query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
            assert labels <= known[name][1] | ADDED, f"{where}: {name} has no {labels}"
        of_all = set.union(*(known[name][1] for name in names)) | ADDED
        for inside in re.findall(r"\b(?:by|on)\s*\((.*?)\)", query):
            assert set(re.findall(r"\w+", inside)) <= of_all, where
        for name in names:
            if known[name][0] == "counter" and "label_values" not in query:
                counted = rf"(?:rate|increase)\({name}\b"
                assert len(re.findall(counted, query)) == len(re.findall(rf"\b{name}\b", query))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert bare - {"up"} == set(METRICS), "each is shown or watched somewhere"


def test_the_check_of_queries_can_fail() -> None:
    assert balanced('sum(rate(x{a="("}[5m]))')
    for query in ("sum(x", "sum(x))", "x[5m)", 'x{a="b}'):
        assert not balanced(query)


def test_every_panel_can_be_read() -> None:
    found = dashboard()
    assert found["schemaVersion"] >= 41
    (source,) = [v for v in found["templating"]["list"] if v["type"] == "datasource"]
    assert (source["name"], source["query"]) == ("datasource", "prometheus")
    panels = found["panels"]
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
        for asking in (panel, *panel["targets"]):
            assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in cells and x < 24, f"{panel['title']} lies on another"
                cells.add((x, y))
    (heatmap,) = [panel for panel in panels if panel["type"] == "heatmap"]
    assert heatmap["options"]["calculate"] is False, "the buckets come from the service"
    assert heatmap["targets"][0]["format"] == "heatmap"


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
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


def test_prometheus_reads_the_rules_and_asks_the_service() -> None:
    found = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    assert found["rule_files"] == ["alerts.yaml"]
    (job,) = found["scrape_configs"]
    assert job["job_name"] == "tabular" and job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["serve:8080"]}]
    for where, query in queries():
        if "$" not in query and "label_values" not in query:
            bare = re.sub(r'"[^"]*"', "", query)
            n_series = len(re.findall(r"\b(?:tabular_\w+|up)\b", bare))
            assert query.count('job="tabular"') == n_series, where


def test_every_alert_is_tried_on_made_up_days() -> None:
    tried = (PROMETHEUS / "alerts-test.yaml").read_text()
    for rule in alerts():
        assert f"alertname: {rule['alert']}\n" in tried, rule["alert"]
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool, which is not on this machine")
    for command in (["check", "config", "prometheus.yaml"], ["test", "rules", "alerts-test.yaml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
