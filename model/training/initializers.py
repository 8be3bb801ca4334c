"""Where a training starts and in what order it sees the rows: drawn by NumPy, by seed alone.

Keras's own initialisers and shuffling differ from one backend to another, and would count the
member axis of :mod:`model.training.ensemble.fit` as inputs. Drawn here, the same seed gives every backend the
same first weights and the same batches, to one network and to a thousand.
"""

from __future__ import annotations

import itertools

import numpy as np

from model.training.config import InitialWeights, TrainingConfig

NORMAL_STDDEV = 0.05
"""Standard deviation of ``normal``: that of Keras's RandomNormal."""


def draw_kernel(
    kind: InitialWeights, shape: tuple[int, int], *, seed: int, layer: int
) -> np.ndarray:
    """The first weights of a dense layer.

    - ``glorot``: uniform with variance 2 / (inputs + units) (Glorot and Bengio, 2010), Keras's
      default;
    - ``small``: of the first layer a tenth of that, of all others the same;
    - ``he``: normal with variance 2 / inputs (He and others, 2015);
    - ``normal``: normal with a standard deviation of 0.05, whatever the layer's size;
    - ``zeros``: units that start alike stay alike.

    Args:
        shape: (n_inputs, n_units).
        layer: its number, from 0; layers of one network are drawn independently.

    Returns:
        float64 of that shape.
    """
    n_inputs, n_units = shape
    draw = np.random.default_rng([seed, layer])
    if kind == "zeros":
        return np.zeros(shape)
    if kind == "he":
        return draw.normal(0, np.sqrt(2 / n_inputs), shape)
    if kind == "normal":
        return draw.normal(0, NORMAL_STDDEV, shape)
    limit = np.sqrt(6 / (n_inputs + n_units))
    return draw.uniform(-limit, limit, shape) * (0.1 if kind == "small" and layer == 0 else 1)


def draw_kernels(config: TrainingConfig, n_features: int, n_outputs: int = 1) -> list[np.ndarray]:
    """float64 (n_inputs, n_units) of every layer of a config's network; biases start at zero."""
    widths = [n_features, *config.hidden, n_outputs]
    return [
        draw_kernel(config.initial_weights, shape, seed=config.seed, layer=layer)
        for layer, shape in enumerate(itertools.pairwise(widths))
    ]


def n_parameters(config: TrainingConfig, n_features: int, n_outputs: int = 1) -> int:
    """Weights and biases of a config's network."""
    widths = [n_features, *config.hidden, n_outputs]
    return sum((n_inputs + 1) * n_units for n_inputs, n_units in itertools.pairwise(widths))
