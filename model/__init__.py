"""What is known about records, networks and artifacts; imports neither neighbour room."""

import os

# ONNX Runtime would keep a database in its user's cache, run a thread, and tell its maker about the
# machine and the graph. Nothing of a model that answers patients' records leaves it unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
