"""Shapley values of cooperative games: exact, or estimated from permutations of the players.

The Shapley values share the worth of the grand coalition above the empty one among the players. A
player's value is its marginal contribution, averaged over all orders in which the players can join
(L. S. Shapley, "A value for n-person games", 1953).

A game is a function from coalitions to their worth. Coalitions are float32
(n_coalitions, 1 + n_players): a 1, then for each player 1 if it is a member and 0 if not. With the
leading 1, a product with a matrix of 1 + n_players rows adds a constant to the members' rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import factorial

import numpy as np

Game = Callable[[np.ndarray], np.ndarray]
"""float32 (n_coalitions, 1 + n_players) → float64 (n_coalitions,)."""
Ends = tuple[float, float]
"""Exact worth of the empty and of the grand coalition; a game may compute them less precisely."""
COALITION_CELLS_PER_BLOCK = 2**17
"""Numbers of coalitions that are evaluated together, so that memory is bounded."""


@cache
def all_coalitions(n_players: int) -> np.ndarray:
    """Return all coalitions, float32 (2**n, 1 + n); the empty one first, the grand one last."""
    numbers = np.arange(2**n_players)
    table = np.ones((2**n_players, 1 + n_players), dtype=np.float32)
    for player in range(n_players):
        table[:, 1 + player] = numbers >> player & 1
    return table


@cache
def shapley_weights(n_players: int) -> np.ndarray:
    """Return the weight of each coalition's worth in each player's value, float64 (n, 2**n).

    A player completes a coalition of size s in (s-1)! (n-s)! of the n! orders; their share is a
    positive weight. It joins a coalition of size s in s! (n-s-1)! orders; their share is a negative
    weight.
    """
    members = all_coalitions(n_players)[:, 1:].T == 1
    sizes = members.sum(axis=0)
    orders = [
        factorial(s) * factorial(n_players - 1 - s) / factorial(n_players) for s in range(n_players)
    ]
    completes = np.array([0.0, *orders])[sizes]
    joins = np.array([*orders, 0.0])[sizes]
    return np.where(members, completes, -joins)


def exact_shapley_values(game: Game, n_players: int, ends: Ends) -> np.ndarray:
    """Compute the Shapley values from the worth of all 2**n coalitions, float64 (n,)."""
    if not n_players:
        return np.zeros(0)
    worth = game(all_coalitions(n_players))
    worth[0], worth[-1] = ends
    return shapley_weights(n_players) @ worth


def sampled_shapley_values(
    game: Game, n_players: int, ends: Ends, *, n_pairs: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the Shapley values from random orders of the players.

    Each order is paired with its reverse, which reduces the variance: a late player in one is early
    in the other (Mitchell, Cooper, Frank and Holmes, "Sampling permutations for Shapley value
    estimation", 2022). The contributions of every order sum to the worth of the grand coalition
    above the empty one, and so do the estimates.

    Args:
        n_pairs: pairs of orders to draw, at least two; each evaluates 2 (n + 1) coalitions.

    Returns:
        float64 (n,) the values, and float64 (n,) their standard errors over the pairs.
    """
    draw = np.random.default_rng(seed)
    contributions = np.empty((n_pairs, n_players))
    pairs_per_block = max(1, COALITION_CELLS_PER_BLOCK // (2 * (n_players + 1) ** 2))
    for start in range(0, n_pairs, pairs_per_block):
        block = contributions[start : start + pairs_per_block]
        orders = np.stack([draw.permutation(n_players) for _ in block])
        forward, reverse = _marginal_contributions(game, np.stack([orders, orders[:, ::-1]]), ends)
        block[:] = (forward + reverse) / 2
    return contributions.mean(axis=0), contributions.std(axis=0, ddof=1) / np.sqrt(n_pairs)


def _marginal_contributions(game: Game, orders: np.ndarray, ends: Ends) -> np.ndarray:
    """Compute what each player adds when the players join in an order.

    **Shape**: (..., n) orders → float64 (..., n), by player.
    """
    n_players = orders.shape[-1]
    turns = np.argsort(orders, axis=-1)
    joined = turns[..., None, :] < np.arange(n_players + 1)[:, None]
    chains = np.ones((*joined.shape[:-1], 1 + n_players), dtype=np.float32)
    chains[..., 1:] = joined
    worth = game(chains.reshape(-1, 1 + n_players)).reshape(chains.shape[:-1])
    worth[..., 0], worth[..., -1] = ends
    return np.take_along_axis(np.diff(worth), turns, axis=-1)
