"""Coverage of the intervals for simulated truths; the patients' own probabilities are unknown."""

from __future__ import annotations

import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from model.training import TrainingConfig
from model.training.ensemble import MemberSpec, fit_ensemble
from pipelines.data import Table, build_preprocessing
from tests.conftest import ReportMeasurement
from tests.studies.interval_coverage import Coverage, simulate_coverage


def simulate(
    table: Table, names: list[str], n_redraws: int, **choices: float
) -> dict[str, Coverage]:
    features = build_preprocessing(table.schema).fit_transform(table.frame)
    boosting = GradientBoostingClassifier(
        max_depth=2, learning_rate=0.05, subsample=0.5, random_state=0
    )
    truths = {}
    for name in names:
        if name == "the default recipe":
            fit = fit_ensemble(features, table.labels, [MemberSpec(TrainingConfig())])
            truths[name] = fit.predict(features)[0]
        else:
            model = boosting if name == "boosting" else LogisticRegression(C=0.3, max_iter=2_000)
            truths[name] = model.fit(features, table.labels).predict_proba(features)[:, 1]
    return simulate_coverage(
        features,
        table.groups,
        truths,
        TrainingConfig(),
        n_redraws=n_redraws,
        seed=1,
        **choices,  # type: ignore[arg-type]
    )


def test_a_larger_spread_gives_wider_intervals_with_more_coverage(table: Table) -> None:
    narrow = simulate(table, ["logistic regression"], 3, n_members=30, spread=0.5)
    wide = simulate(table, ["logistic regression"], 3, n_members=30, spread=2.0)
    low, high = narrow["logistic regression"], wide["logistic regression"]
    assert max(low.fitted, low.held_out) < 0.75
    assert min(high.fitted, high.held_out) > 0.93
    assert 2 * low.width < high.width
    assert len(low.tenths) == 10


@pytest.mark.slow
def test_coverage_is_near_the_nominal_level(
    table: Table, report_measurement: ReportMeasurement
) -> None:
    coverages = simulate(table, ["the default recipe", "logistic regression", "boosting"], 100)
    for name, coverage in coverages.items():
        tenths = " ".join(f"{share:.2f}" for share in coverage.tenths)
        report_measurement(
            f"{name}: coverage {coverage.fitted:.3f} for patients trained on, "
            f"{coverage.held_out:.3f} for other patients, mean width {coverage.width:.3f}; "
            f"by tenth {tenths}"
        )
    for coverage in coverages.values():
        assert 0.85 <= coverage.fitted <= 0.95
        assert 0.85 <= coverage.held_out <= 0.95
        assert min(coverage.tenths) >= 0.75
        assert coverage.width <= 0.37
