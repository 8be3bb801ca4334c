from __future__ import annotations

import numpy as np

from model.evaluation import METRICS, compare
from pipelines.cli.tables import evaluation_table


def test_every_model_has_a_row_under_every_metric() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 60)
    near = np.clip(0.3 + 0.4 * labels + draw.normal(scale=0.2, size=(2, 60)), 0.01, 0.99)
    comparison = compare(
        labels,
        np.arange(60),
        {"ours": near, "blunt": np.full((2, 60), 0.5), "theirs": near**2},
        seed=7,
        n_splits=10,
        baseline="theirs",
        skipped_models={"another": "slow"},
    )
    text = evaluation_table(comparison)
    assert "2 x 10 stratified folds, seed 7, 60 patients" in text
    for name in ("ours", "blunt", "theirs"):
        assert text.count(f"\n  {name} ") == len(METRICS)
    assert text.count("minus theirs") == len(METRICS)
    assert text.endswith("\nskipped: another (slow)")
    ours, blunt, theirs = (
        next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        for name in ("ours", "blunt", "theirs")
    )
    figure, difference = (
        comparison.estimates["blunt"]["log_loss"],
        comparison.other_differences["blunt"]["log_loss"],
    )
    assert figure.value != 0 and difference.value != 0
    for number in (figure.value, figure.low, figure.high):
        assert f"{number:.4f}" in blunt
    for number in (difference.value, difference.low, difference.high):
        assert f"{number:+.4f}" in blunt
    assert ours.count("(") == 2 and theirs.count("(") == 1
