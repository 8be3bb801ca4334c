from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import msgspec
import pytest
from click.testing import CliRunner

from model.artifacts import Artifact, Store
from model.artifacts.artifact import read_artifact
from model.evaluation import ModelComparison
from pipelines.cli import main
from pipelines.devices import select_device
from pipelines.evaluation import choose_baselines
from tests.conftest import ROOT


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ROOT)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(main, [str(a) for a in arguments])


def test_describe(run: Any, schema: Any) -> None:
    result = run("describe")
    assert result.exit_code == 0
    assert "29 features" in result.output and "\n497 parameters" in result.output
    numbered = [line for line in result.output.splitlines() if line[:4].strip().isdigit()]
    printed = [line.split()[1] for line in numbered[:29]]
    assert tuple(printed) == schema.feature_names
    assert "hidden_1" in result.output
    assert "\n30 parameters" in run("describe", "--hidden", "").output


def test_train_does_nothing_if_there_is_a_version(run: Any, store: Store) -> None:
    result = run("train", "--store", store.folder)
    assert result.exit_code == 0
    assert result.output.startswith("Version 1 is already current")
    assert "make retrain" in result.output
    assert run("train", "--if-needed", "--store", store.folder).output == ""
    assert store.versions() == ["1"]


def test_versions_promote_and_rollback(run: Any, store: Store, artifact: Artifact) -> None:
    store.add(artifact.manifest, artifact.files)
    assert run("promote", "2", "--store", store.folder).output == "Version 2 is now current.\n"
    (store.path("1") / "golden.json").unlink()
    first, second = run("versions", "--store", store.folder).output.splitlines()
    assert first == "    1  version 1: golden.json is missing"
    assert second.startswith("*   2") and "cleveland.csv (303 records)" in second
    assert run("rollback", "--store", store.folder).output == "Version 1 is now current.\n"
    result = run("rollback", "--store", store.folder)
    assert result.exit_code == 1
    assert result.output == "Error: version 1 has no predecessor in the store\n"
    assert "there is no version 9" in run("promote", "9", "--store", store.folder).output


def test_a_store_without_write_permission(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("promote", "1", "--store", tmp_path / "file" / "store")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and "Not a directory" in result.output


def test_evaluating_with_another_schema_is_an_error(run: Any, store: Store) -> None:
    result = run("evaluate", "--schema", "schemas/cleveland-release.toml", "--store", store.folder)
    assert result.exit_code == 1
    assert "it was trained with a different schema from the one in use" in result.output


def test_an_empty_store(run: Any, tmp_path: Path) -> None:
    assert "no version is current yet" in run("versions", "--store", tmp_path).output


def test_a_missing_gpu_is_an_error(run: Any, tmp_path: Path) -> None:
    if select_device("auto").startswith("gpu"):
        pytest.skip("there is a GPU on this machine")
    result = run("retrain", "--device", "gpu", "--store", tmp_path / "store")
    assert result.exit_code == 1
    assert "a GPU was requested" in result.output and "--device cpu" in result.output
    assert not (tmp_path / "store").exists()


def test_a_backend_that_cannot_train_is_an_error(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "numpy")
    result = run("train", "--store", tmp_path / "store")
    assert result.exit_code == 1
    assert "Keras backend numpy cannot train" in result.output and "tensorflow" in result.output


def test_invalid_settings_are_reported_before_training(run: Any, tmp_path: Path) -> None:
    result = run("retrain", "--epochs", "0", "--l2", "-1", "--store", tmp_path / "store")
    assert result.exit_code == 1
    assert "epochs: Expected `int` >= 1" in result.output and "l2" in result.output
    assert "numbers separated by commas" in run("describe", "--hidden", "16;8").output


def test_evaluate_prints_a_table_and_saves_it_with_the_version(run: Any, store: Store) -> None:
    result = run("evaluate", "--repeats", 1, "--store", store.folder)
    assert result.exit_code == 0, result.output
    assert result.output.count("1 x 10 stratified folds") == 2
    for title in ("AUC", "accuracy", "Brier", "log loss", "calibration error"):
        assert result.output.count(f"\n{title} ") == 2
    quick, skipped = choose_baselines(slow=False)
    names = ["default", "default, ten averaged", "textbook", *[b.name for b in quick]]
    for name in names:
        assert result.output.count(f"\n  {name}  ") == 2 * 5, name
    for name in skipped:
        assert result.output.count(f"\nskipped: {name} (") == 2
    assert "Saved the results with version 1." in result.output
    metrics = read_artifact(store.path("1")).manifest.metrics
    assert metrics["evaluation"]["seed"] == 20241
    assert metrics["evaluation_second_seed"]["seed"] == 20242
    stored = msgspec.convert(metrics["evaluation"], ModelComparison)
    assert set(stored.estimates) == set(names)
    loss = stored.estimates["default"]["log_loss"].value
    fold_loss = metrics["folds"]["estimates"]["default"]["log_loss"]["value"]
    assert loss == pytest.approx(fold_loss, abs=1e-5)


def test_evaluating_another_recipe_does_not_change_the_version(run: Any, store: Store) -> None:
    result = run("evaluate", "--repeats", 1, "--epochs", 1, "--store", store.folder)
    assert "The results were not saved" in result.output
    assert "\n  default, changed  " in result.output
    assert "\nskipped: gradient boosting, tuned (slow; --all-baselines adds it)" in result.output
    assert "evaluation" not in read_artifact(store.path("1")).manifest.metrics


@pytest.mark.slow
def test_slow_baselines_are_fitted_on_request(run: Any, store: Store) -> None:
    options = ("--repeats", 1, "--epochs", 1, "--all-baselines", "--store", store.folder)
    result = run("evaluate", *options)
    assert "\n  gradient boosting, tuned " in result.output
    assert "--all-baselines" not in result.output
