from __future__ import annotations

import numpy as np
import pytest

from model.inference.shapley import all_coalitions, exact_shapley_values, sampled_shapley_values


def gloves(coalitions: np.ndarray) -> np.ndarray:
    """Return the worth of pairs of one left and two right gloves; the values are 4/6, 1/6, 1/6."""
    return coalitions[:, 1] * np.maximum(coalitions[:, 2], coalitions[:, 3]).astype(np.float64)


def pairs(coalitions: np.ndarray) -> np.ndarray:
    """Return the worth of five players with main effects and pairwise interactions."""
    members = coalitions[:, 1:].astype(np.float64)
    interactions = np.random.default_rng(3).normal(size=(5, 5))
    return ((members @ interactions) * members).sum(axis=1)


def test_coalitions_start_with_the_empty_and_end_with_the_grand_one() -> None:
    assert all_coalitions(2).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]]
    assert len(np.unique(all_coalitions(6), axis=0)) == 64


def test_the_glove_game() -> None:
    values = exact_shapley_values(gloves, 3, (0.0, 1.0))
    np.testing.assert_allclose(values, [4 / 6, 1 / 6, 1 / 6], atol=1e-15)


def test_a_game_without_players_has_no_values() -> None:
    assert exact_shapley_values(gloves, 0, (0.5, 0.5)).tolist() == []


def test_the_given_worths_of_the_ends_are_used() -> None:
    """They are more precise than those of a game in single precision."""
    assert exact_shapley_values(gloves, 3, (0.25, 1.5)).sum() == pytest.approx(1.25, abs=1e-15)
    values, _ = sampled_shapley_values(gloves, 3, (0.25, 1.5), n_pairs=3, seed=0)
    assert values.sum() == pytest.approx(1.25, abs=1e-15)


def test_an_order_and_its_reverse_are_exact_if_only_pairs_interact() -> None:
    grand_worth = float(pairs(all_coalitions(5))[-1])
    values, errors = sampled_shapley_values(pairs, 5, (0.0, grand_worth), n_pairs=2, seed=0)
    np.testing.assert_allclose(
        values, exact_shapley_values(pairs, 5, (0.0, grand_worth)), atol=1e-12
    )
    np.testing.assert_allclose(errors, 0, atol=1e-12)


def test_sampled_values_are_unbiased_with_the_estimated_errors() -> None:
    """Over 400 seeds, mean and standard deviation are the exact values and the errors."""
    samples = [
        sampled_shapley_values(gloves, 3, (0.0, 1.0), n_pairs=30, seed=seed) for seed in range(400)
    ]
    values, errors = (np.array(part) for part in zip(*samples, strict=True))
    np.testing.assert_allclose(values.mean(axis=0), [4 / 6, 1 / 6, 1 / 6], atol=0.01)
    np.testing.assert_allclose(values.std(axis=0), errors.mean(axis=0), rtol=0.15)
