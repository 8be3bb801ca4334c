# Three images from one file:
#   docker build --target train -t heart-train .    trains (see compose.yaml)
#   docker build --target serve -t heart-serve .    serves a store of versions mounted at /models
#   docker build -t heart .                         serves a model that is trained during the build
# The serving images do not contain TensorFlow, Keras, pandas or scikit-learn.

FROM python:3.11-slim-bookworm AS train
# With CUDA, build with --build-arg REQUIREMENTS=requirements-gpu.txt
ARG REQUIREMENTS=requirements.txt
WORKDIR /srv
COPY requirements.txt requirements-serve.txt requirements-gpu.txt constraints.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r ${REQUIREMENTS}
COPY schemas schemas
COPY data data
COPY model model
COPY pipelines pipelines
ENTRYPOINT ["python", "-m", "pipelines"]
CMD ["retrain"]

FROM train AS trained
RUN python -m pipelines train

FROM python:3.11-slim-bookworm AS serve
WORKDIR /srv
COPY requirements-serve.txt constraints.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements-serve.txt
COPY model model
COPY app app
RUN python -m compileall -q app model && useradd --system --uid 10001 --no-create-home service
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1 \
    HOST=0.0.0.0 PORT=8080 MODEL_STORE=/models
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=2)"]
# gunicorn replaces this process. SageMaker adds the argument `serve`.
ENTRYPOINT ["python", "-m", "app"]

FROM serve AS baked
COPY --from=trained /srv/artifacts/cleveland /models
