from __future__ import annotations

import numpy as np
import pytest

from model.inference.shapley import all_coalitions, exact_shapley_values, sampled_shapley_values


def gloves(joined: np.ndarray) -> np.ndarray:
    """One left glove, two right ones: worth 1 as a pair. The textbook's answer is 4/6, 1/6, 1/6."""
    return joined[:, 1] * np.maximum(joined[:, 2], joined[:, 3]).astype(np.float64)


def pairs(joined: np.ndarray) -> np.ndarray:
    """Five players, each worth something alone and something more beside each other one."""
    members = joined[:, 1:].astype(np.float64)
    beside = np.random.default_rng(3).normal(size=(5, 5))
    return ((members @ beside) * members).sum(axis=1)


def test_coalitions_begin_with_nobody_and_end_with_everybody() -> None:
    assert all_coalitions(2).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]]
    assert len(np.unique(all_coalitions(6), axis=0)) == 64


def test_the_glove_game() -> None:
    found = exact_shapley_values(gloves, 3, (0.0, 1.0))
    np.testing.assert_allclose(found, [4 / 6, 1 / 6, 1 / 6], atol=1e-15)


def test_without_players_there_is_nothing_to_share() -> None:
    assert exact_shapley_values(gloves, 0, (0.5, 0.5)).tolist() == []


def test_the_ends_are_taken_as_they_were_given() -> None:
    """They are known more exactly than a game in single precision knows them."""
    assert exact_shapley_values(gloves, 3, (0.25, 1.5)).sum() == pytest.approx(1.25, abs=1e-15)
    values, _ = sampled_shapley_values(gloves, 3, (0.25, 1.5), n_pairs=3, seed=0)
    assert values.sum() == pytest.approx(1.25, abs=1e-15)


def test_an_order_and_its_reverse_are_exact_where_only_pairs_interact() -> None:
    whole = float(pairs(all_coalitions(5))[-1])
    values, errors = sampled_shapley_values(pairs, 5, (0.0, whole), n_pairs=2, seed=0)
    np.testing.assert_allclose(values, exact_shapley_values(pairs, 5, (0.0, whole)), atol=1e-12)
    np.testing.assert_allclose(errors, 0, atol=1e-12)


def test_sampling_nears_the_truth_as_its_errors_say() -> None:
    """Over 400 seeds the estimates scatter as widely as one of them says, around the truth."""
    found = [
        sampled_shapley_values(gloves, 3, (0.0, 1.0), n_pairs=30, seed=seed) for seed in range(400)
    ]
    values, errors = (np.array(part) for part in zip(*found, strict=True))
    np.testing.assert_allclose(values.mean(axis=0), [4 / 6, 1 / 6, 1 / 6], atol=0.01)
    np.testing.assert_allclose(values.std(axis=0), errors.mean(axis=0), rtol=0.15)
