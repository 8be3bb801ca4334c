"""Records, networks, artifacts and inference; imports neither ``app`` nor ``pipelines``.

schema        the table schema: columns, levels, outcome, source
records       JSON bodies and Python objects as validated arrays
features      encoding of values, imputation of missing ones
artifacts     files of a model version, and the store of versions
inference     probabilities, intervals and explanations, without Keras
evaluation    metrics, calibration measures and decision curves
calibration   calibration methods and their selection
training      networks, fitting, ensembles and the ONNX graph
errors        exceptions
logit         the logistic function and its inverse
lazy_imports  attributes of a package that are imported on first use
"""

import os

# ONNX Runtime's telemetry keeps a database in the user's cache, runs a thread, and sends data about
# the machine and the graph to its vendor. A service for patient records must send nothing.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
