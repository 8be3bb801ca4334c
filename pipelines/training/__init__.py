"""Training a new version: fit, assess, write, promote.

retrain         the whole training, one call per step
assess          calibration and threshold, from out-of-fold predictions
promotion       the decision between champion and challenger
artifact_files  the files of the artifact, and their parity with the fitted pipeline
export          the ONNX graph
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.training.reload import load_keras_network as load_keras_network
    from pipelines.training.retrain import RetrainRequest as RetrainRequest
    from pipelines.training.retrain import retrain_model as retrain_model
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "reload": ("load_keras_network",),
            "retrain": (
                "RetrainRequest",
                "retrain_model",
            ),
        },
    )
