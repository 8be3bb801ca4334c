"""Shapley values of a game: exactly, or from permutations where there are too many coalitions.

The players of a game share what the whole coalition is worth above the empty one. A player's share
is the mean, over all orders in which the players could join, of what it adds when its turn comes
(L. S. Shapley, "A value for n-person games", 1953).

A game is a function from coalitions to their worth. Coalitions come as float32
(n_coalitions, 1 + n_players): a 1, and then for each player 1 where it takes part and 0 where not.
With the leading 1 a coalition can be multiplied by a constant and one vector a player.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import factorial

import numpy as np

Game = Callable[[np.ndarray], np.ndarray]
"""float32 (n_coalitions, 1 + n_players) → float64 (n_coalitions,)."""
Ends = tuple[float, float]
"""What the empty and the whole coalition are worth, more exactly than a game may know it."""
COALITION_NUMBERS_AT_ONCE = 2**17


@cache
def all_coalitions(n_players: int) -> np.ndarray:
    """float32 (2**n, 1 + n): all of them; the empty one is the first, the whole one the last."""
    numbers = np.arange(2**n_players)
    table = np.ones((2**n_players, 1 + n_players), dtype=np.float32)
    for player in range(n_players):
        table[:, 1 + player] = numbers >> player & 1
    return table


@cache
def shapley_weights(n_players: int) -> np.ndarray:
    """float64 (n, 2**n): what each coalition's worth counts in each player's Shapley value.

    Of the n! orders, (s-1)! (n-s)! let a player complete a coalition of s; there the worth counts
    for the player. In s! (n-s-1)! orders the player joins a coalition of s; there it counts
    against the player.
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
    """float64 (n,): the Shapley values, from the worth of all 2**n coalitions."""
    if not n_players:
        return np.zeros(0)
    worth = game(all_coalitions(n_players))
    worth[0], worth[-1] = ends
    return shapley_weights(n_players) @ worth


def sampled_shapley_values(
    game: Game, n_players: int, ends: Ends, *, n_pairs: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The Shapley values estimated from random orders of the players, and how far to trust them.

    Each order is followed by its reverse, which takes much of the chance out of the estimate:
    whoever came late in the one comes early in the other (Mitchell, Cooper, Frank and Holmes,
    "Sampling permutations for Shapley value estimation", 2022). In every order the shares sum to
    what is to be shared, and so they do in the estimate.

    Args:
        n_pairs: orders to draw, at least two; each pair asks for 2 (n + 1) coalitions.

    Returns:
        float64 (n,) the values, and float64 (n,) their standard errors over the pairs.
    """
    draw = np.random.default_rng(seed)
    shares = np.empty((n_pairs, n_players))
    at_once = max(1, COALITION_NUMBERS_AT_ONCE // (2 * (n_players + 1) ** 2))
    for start in range(0, n_pairs, at_once):
        block = shares[start : start + at_once]
        orders = np.stack([draw.permutation(n_players) for _ in block])
        forth, back = _marginal_contributions(game, np.stack([orders, orders[:, ::-1]]), ends)
        block[:] = (forth + back) / 2
    return shares.mean(axis=0), shares.std(axis=0, ddof=1) / np.sqrt(n_pairs)


def _marginal_contributions(game: Game, orders: np.ndarray, ends: Ends) -> np.ndarray:
    """(..., n) orders → float64 (..., n): what each player adds when they join in that order."""
    n_players = orders.shape[-1]
    turns = np.argsort(orders, axis=-1)
    joined = turns[..., None, :] < np.arange(n_players + 1)[:, None]
    chains = np.ones((*joined.shape[:-1], 1 + n_players), dtype=np.float32)
    chains[..., 1:] = joined
    worth = game(chains.reshape(-1, 1 + n_players)).reshape(chains.shape[:-1])
    worth[..., 0], worth[..., -1] = ends
    return np.take_along_axis(np.diff(worth), turns, axis=-1)
