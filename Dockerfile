# One image for every role; the command decides which.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    REPLAY_DATA_DIR=/data REPLAY_CACHE_DIR=/cache

RUN groupadd --system --gid 10001 replay \
 && useradd --system --uid 10001 --gid replay --create-home replay \
 && install -d -o replay -g replay /data /cache

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY replay replay
COPY evidence evidence
COPY broker broker
COPY producer producer
COPY workers workers
COPY dashboard dashboard
COPY stack stack
COPY cli cli
# The lock has installed every dependency and the build backend; this adds only the package itself.
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

COPY data/tasks data/tasks
COPY data/playbooks data/playbooks

USER replay
VOLUME ["/data", "/cache"]
# Python as process 1 gets SIGTERM itself; no shell stands between.
ENTRYPOINT ["replay"]
CMD ["--help"]
