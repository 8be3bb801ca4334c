from __future__ import annotations

import csv
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model.artifacts import Artifact, Store
from model.artifacts.artifact import read_artifact
from model.errors import InvalidConfig, InvalidTable, ParityError
from model.inference import ExplanationData
from model.schema import Schema
from model.training import RECIPES, TrainingConfig
from pipelines.data import Table, read_table
from pipelines.fitted_pipeline import fit_pipeline
from pipelines.training import RetrainRequest, retrain_model
from pipelines.training.artifact_files import check_parity
from pipelines.training.promotion import Decision, decide
from tests.conftest import ROOT, explainer_of

DATA = ROOT / "data/cleveland.csv"


def request(
    schema: Schema, data: Path = DATA, *, report: bool = False, **settings: Any
) -> RetrainRequest:
    config = msgspec.structs.replace(RECIPES["default"], **settings)
    return RetrainRequest(data, schema, config, "changed", "cpu:0", "pytest", report=report)


def changed(tmp_path: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> Path:
    """Write the table with changed rows."""
    header, *rows = csv.reader(DATA.open())
    path = tmp_path / "changed.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *change(rows)])
    return path


def shuffled(rows: list[list[str]]) -> list[list[str]]:
    """Shuffle the outcomes over the rows."""
    outcomes = [row[-1] for row in rows]
    random.Random(1).shuffle(outcomes)
    return [[*row[:-1], outcome] for row, outcome in zip(rows, outcomes, strict=True)]


def inverted(rows: list[list[str]]) -> list[list[str]]:
    """Invert the outcome, which is as easy to learn as before."""
    return [[*row[:-1], str(int(row[-1] == "0"))] for row in rows]


def test_a_new_version_that_is_not_worse_becomes_current(store: Store, schema: Schema) -> None:
    artifact, decision = retrain_model(request(schema, seed=1), store)
    assert artifact.manifest.version == "2" and store.versions() == ["1", "2"]
    assert decision.promote == (store.current().version == "2")
    assert "the difference in log loss to version 1 is" in decision.reason
    assert decision.promote, decision.reason
    assert store.rollback().version == "1"


def decide_on(table: Table, challenger: Artifact, champion: Artifact | None) -> Decision:
    """Decide without out-of-fold predictions: the recipes are equal, or a check fails before."""
    return decide(table, challenger, np.full((1, len(table)), np.nan), champion)


def test_the_same_recipe_and_table_are_promoted(
    store: Store, table: Table, artifact: Artifact
) -> None:
    decision = decide_on(table, store.add(artifact.manifest, artifact.files), artifact)
    assert decision.promote
    assert decision.reason.startswith("same recipe as version 1")
    assert "with 303 records" in decision.reason


def test_a_worse_recipe_is_saved_and_not_promoted(store: Store, schema: Schema) -> None:
    artifact, decision = retrain_model(request(schema, epochs=4), store)
    assert not decision.promote, decision.reason
    assert store.current().version == "1"
    assert store.versions() == ["1", "2"]
    assert read_artifact(store.path("2")).manifest == artifact.manifest


def test_a_table_with_damaged_labels_is_not_promoted(
    store: Store, schema: Schema, tmp_path: Path
) -> None:
    file = changed(tmp_path, shuffled)
    _, decision = retrain_model(request(schema, file, epochs=10), store)
    assert not decision.promote
    assert store.current().version == "1"


def test_a_table_with_an_inverted_outcome_is_not_promoted(
    store: Store, schema: Schema, tmp_path: Path, artifact: Artifact
) -> None:
    """The recipe and its log loss equal those of the champion."""
    inverted_table = read_table(changed(tmp_path, inverted), schema)
    decision = decide_on(inverted_table, store.add(artifact.manifest, artifact.files), artifact)
    assert not decision.promote
    assert "version 1 predicts this table no better than chance" in decision.reason


def test_a_much_smaller_table_is_not_promoted(
    store: Store, schema: Schema, tmp_path: Path, artifact: Artifact
) -> None:
    few = read_table(changed(tmp_path, lambda rows: rows[:150]), schema)
    decision = decide_on(few, store.add(artifact.manifest, artifact.files), artifact)
    assert not decision.promote
    assert "150 records, but version 1 was trained on 303" in decision.reason


def worse_by(store: Store, artifact: Artifact, loss: float) -> Artifact:
    """Add a version whose recorded log loss on the folds is higher by an amount."""
    folds = msgspec.to_builtins(artifact.manifest.metrics["folds"])
    for figure in folds["estimates"].values():
        for field in ("value", "low", "high"):
            figure["log_loss"][field] += loss
    manifest = msgspec.structs.replace(artifact.manifest, metrics={"folds": folds})
    return store.add(manifest, artifact.files)


def test_a_much_harder_table_is_not_promoted(
    store: Store, table: Table, artifact: Artifact
) -> None:
    """The recipe learns much less than it did on the champion's table."""
    decision = decide_on(table, worse_by(store, artifact, 0.25), artifact)
    assert not decision.promote
    assert "standard errors above that of version 1" in decision.reason


def test_a_version_that_learned_nothing_is_not_promoted_without_a_champion(
    store: Store, table: Table, artifact: Artifact
) -> None:
    decision = decide_on(table, worse_by(store, artifact, 0.31), None)
    assert not decision.promote
    assert "no better than predicting the share of positives" in decision.reason


def test_no_version_is_added_if_the_table_is_invalid(
    store: Store, schema: Schema, tmp_path: Path
) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join(DATA.read_text().splitlines(keepends=True)[:12]))
    with pytest.raises(InvalidConfig, match="10 folds need 10 different"):
        retrain_model(request(schema, few), store)
    with pytest.raises(InvalidTable):
        retrain_model(request(schema, tmp_path / "none.csv"), store)
    assert store.versions() == ["1"]


def test_parity_fails_for_a_graph_with_other_weights(table: Table, artifact: Artifact) -> None:
    fitted = fit_pipeline(table, RECIPES["default"])
    assert check_parity(table, fitted, artifact.files["model.onnx"]) <= 1e-6
    other = fit_pipeline(table, TrainingConfig(epochs=1))
    with pytest.raises(ParityError, match="limit is 1e-06"):
        check_parity(table, other, artifact.files["model.onnx"])


def test_training_is_reproducible(table: Table, artifact: Artifact) -> None:
    """Seed, table and recipe determine every weight, in this process and in another."""
    from pipelines.training import load_keras_network

    saved = load_keras_network(artifact).get_weights()
    for trained, expected_weights in zip(
        fit_pipeline(table, RECIPES["default"]).fit.network.get_weights(), saved, strict=True
    ):
        np.testing.assert_array_equal(trained, expected_weights)
    program = """
from pathlib import Path
from model.training import RECIPES
from model.schema import load_schema
from pipelines.fitted_pipeline import fit_pipeline
from pipelines.data import read_table
schema = load_schema(Path("schemas/cleveland.toml"))
table = read_table(Path("data/cleveland.csv"), schema)
weights = fit_pipeline(table, RECIPES["default"]).fit.network.get_weights()
print(*[float(w).hex() for array in weights for w in array.ravel()])
"""
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = [float(w).hex() for array in saved for w in array.ravel()]
    assert completed.stdout.split() == expected
    assert len(expected) == 497


@pytest.mark.slow
def test_the_release_schema_trains_too(tmp_path: Path) -> None:
    from model.schema import load_schema
    from tests.unit.pipelines.data.test_table import as_release

    file = tmp_path / "heart.csv"
    file.write_text(as_release())
    release = load_schema(ROOT / "schemas/cleveland-release.toml")
    assert read_table(file, release).labels.sum() == 84
    store = Store(tmp_path / "store")
    artifact, decision = retrain_model(request(release, file, report=True, epochs=8), store)
    assert decision.promote
    assert artifact.manifest.name == "cleveland-release"
    assert artifact.manifest.ranges["cp"].codes == (0, 1, 2, 3, 4)
    assert explainer_of(artifact).explain(np.full((1, 13), np.nan, np.float64))
    # The schema does not list this file as published, so the artifact must not contain its rows.
    background = msgspec.json.decode(
        artifact.files["explanation.json"], type=ExplanationData
    ).background
    patients = {tuple(row) for row in read_table(file, release).values.tolist()}
    assert background.origin == "synthetic"
    assert not patients & {tuple(row) for row in background.values}
    report = (store.path("1") / "report.html").read_text()
    assert "“marked disease” (target &gt; 0)" in report and "84 of them (28 %)" in report
    assert "no record may show" in report
