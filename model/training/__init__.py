"""Training: configuration, initial weights, the Keras network, fitting, the ONNX graph.

config             TrainingConfig, its limits, the named recipes
activations        activations by name
initializers       initial weights
shuffling          the order of the rows in each epoch
keras_network      the Keras network
fit                fitting one network
onnx_graph         preprocessing and network as one ONNX graph
background_sample  the rows that explanations compare with
ensemble           many networks in one program
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from model.training.background_sample import choose_background as choose_background
    from model.training.config import FIELD_TYPES as FIELD_TYPES
    from model.training.config import RECIPES as RECIPES
    from model.training.config import InitialWeights as InitialWeights
    from model.training.config import Optimizer as Optimizer
    from model.training.config import TrainingConfig as TrainingConfig
    from model.training.config import make_config as make_config
    from model.training.fit import FitResult as FitResult
    from model.training.fit import fit_network as fit_network
    from model.training.fit import predict as predict
    from model.training.initializers import draw_kernel as draw_kernel
    from model.training.initializers import draw_kernels as draw_kernels
    from model.training.initializers import n_parameters as n_parameters
    from model.training.keras_network import PROBABILITY_HEAD as PROBABILITY_HEAD
    from model.training.keras_network import Head as Head
    from model.training.keras_network import append_layers as append_layers
    from model.training.keras_network import build_network as build_network
    from model.training.keras_network import dense_layers as dense_layers
    from model.training.keras_network import describe_layers as describe_layers
    from model.training.keras_network import load_network as load_network
    from model.training.keras_network import read_layers as read_layers
    from model.training.keras_network import scale_output as scale_output
    from model.training.onnx_graph import build_graph as build_graph
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "background_sample": ("choose_background",),
            "config": (
                "InitialWeights",
                "FIELD_TYPES",
                "Optimizer",
                "RECIPES",
                "TrainingConfig",
                "make_config",
            ),
            "fit": (
                "FitResult",
                "fit_network",
                "predict",
            ),
            "initializers": (
                "draw_kernel",
                "draw_kernels",
                "n_parameters",
            ),
            "keras_network": (
                "Head",
                "PROBABILITY_HEAD",
                "append_layers",
                "build_network",
                "dense_layers",
                "describe_layers",
                "load_network",
                "read_layers",
                "scale_output",
            ),
            "onnx_graph": ("build_graph",),
        },
    )
