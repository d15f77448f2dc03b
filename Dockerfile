# Two stages: the first installs what the lock files name, the second runs it, as nobody and without a shell.
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" -t batchops-exporter .
#   docker run --read-only -p 10083:10083 batchops-exporter --demo
# With the vendors' packages for keys (docs/credentials.md): --build-arg EXTRAS=aws,alibaba,tencent or some of them.
# Give BASE with its digest (…@sha256:…) where a build must be repeatable to the byte.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The venv that is shipped has no pip: the builder's own pip fills it.
RUN ["python", "-m", "venv", "--without-pip", "/opt/venv"]
RUN ["python", "-m", "venv", "/opt/build"]
COPY requirements/run.txt requirements/build.txt /src/requirements/
RUN ["python", "-m", "pip", "--python", "/opt/venv/bin/python", "install", "--only-binary=:all:", "--require-hashes", "-r", "/src/requirements/run.txt"]
RUN ["/opt/build/bin/python", "-m", "pip", "install", "--only-binary=:all:", "--require-hashes", "-r", "/src/requirements/build.txt"]
COPY requirements/extra-*.txt /src/requirements/
ARG EXTRAS=""
# A package without a wheel is built from its source, whose hash is locked too, with the locked build requirements.
RUN set -eu; cd /src/requirements; \
    for extra in $(echo "$EXTRAS" | tr ',' ' '); do \
        if [ ! -f "extra-$extra.txt" ]; then \
            echo "EXTRAS: there is no extra $extra; there are: $(echo extra-*.txt | sed 's/extra-//g; s/\.txt//g')" >&2; \
            exit 1; \
        fi; \
        /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --require-hashes -w /src/wheels -r "extra-$extra.txt"; \
        python -m pip --python /opt/venv/bin/python install --no-index --no-deps /src/wheels/*.whl; \
    done
COPY pyproject.toml README.md LICENSE /src/
COPY exporter /src/exporter
WORKDIR /src
# The build backend called by itself: a frontend would fetch it once more, and without hashes.
RUN ["/opt/build/bin/python", "-m", "hatchling", "build", "-t", "wheel", "-d", "/src/dist"]
RUN ["python", "-m", "pip", "--python", "/opt/venv/bin/python", "install", "--no-index", "--no-deps", "--find-links", "/src/dist", "batchops-exporter"]

FROM ${BASE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="batchops-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the batch jobs of object storage" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /opt/venv /opt/venv
# The root file system may be read-only: nothing is written, bytecode was compiled in the builder.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 BATCHOPS_EXPORTER_REVISION="${REVISION}"
# A numeric user, so that Kubernetes can prove runAsNonRoot.
USER 65532:65532
# --config.file defaults to config.yaml here: mount /etc/batchops-exporter/config.yaml.
WORKDIR /etc/batchops-exporter
EXPOSE 10083
STOPSIGNAL SIGTERM
# http.client knows no proxy variables. With another port, replace this check at run time.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/opt/venv/bin/python", "-I", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 10083, timeout=3); c.request('GET', '/-/healthy'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/venv/bin/batchops-exporter"]
