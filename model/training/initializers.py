"""Initial weights, drawn by NumPy from the seed alone.

The initializers of Keras give other numbers on each backend, and would count the member axis of
:mod:`model.training.ensemble` as inputs. Drawn here, a seed gives the same initial weights on every
backend, for a single network and for each member of an ensemble.
"""

from __future__ import annotations

import itertools

import numpy as np

from model.training.config import InitialWeights, TrainingConfig

NORMAL_STDDEV = 0.05
"""Standard deviation of ``normal``, as in Keras's RandomNormal."""


def draw_kernel(
    kind: InitialWeights, shape: tuple[int, int], *, seed: int, layer: int
) -> np.ndarray:
    """Return the initial kernel of a dense layer.

    - ``glorot``: uniform with variance 2 / (inputs + units) (Glorot and Bengio, 2010), the default
      of Keras;
    - ``small``: a tenth of ``glorot`` in the first layer, ``glorot`` in all others;
    - ``he``: normal with variance 2 / inputs (He and others, 2015);
    - ``normal``: normal with a standard deviation of 0.05 for layers of any size;
    - ``zeros``: all zeros; the units of a layer stay equal during training.

    Args:
        kind: the initializer.
        shape: (n_inputs, n_units).
        seed: the network's seed.
        layer: index of the layer, from 0. The layers of a network are drawn independently.

    Returns:
        float64 (n_inputs, n_units).
    """
    n_inputs, n_units = shape
    rng = np.random.default_rng([seed, layer])
    if kind == "zeros":
        return np.zeros(shape)
    if kind == "he":
        return rng.normal(0, np.sqrt(2 / n_inputs), shape)
    if kind == "normal":
        return rng.normal(0, NORMAL_STDDEV, shape)
    limit = np.sqrt(6 / (n_inputs + n_units))
    return rng.uniform(-limit, limit, shape) * (0.1 if kind == "small" and layer == 0 else 1)


def draw_kernels(config: TrainingConfig, n_features: int, n_outputs: int = 1) -> list[np.ndarray]:
    """Return the initial kernel of each layer of a config's network; biases start at zero.

    Returns:
        One float64 (n_inputs, n_units) array per layer, from the first hidden layer to the output.
    """
    widths = [n_features, *config.hidden, n_outputs]
    return [
        draw_kernel(config.initial_weights, shape, seed=config.seed, layer=layer)
        for layer, shape in enumerate(itertools.pairwise(widths))
    ]


def n_parameters(config: TrainingConfig, n_features: int, n_outputs: int = 1) -> int:
    """Return the number of weights and biases of a config's network."""
    widths = [n_features, *config.hidden, n_outputs]
    return sum((n_inputs + 1) * n_units for n_inputs, n_units in itertools.pairwise(widths))
