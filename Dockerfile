# The image of web, worker and release. BASE is any image with Python 3.11 or newer; BUILD_BASE has pip too.
ARG BASE=python:3.13-slim-bookworm
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
COPY requirements.txt /build/
# The environment gets no pip of its own: nothing is installed where the application runs.
RUN python3 -m venv --without-pip /app/.venv \
    && python3 -m pip --python /app/.venv/bin/python --no-cache-dir --disable-pip-version-check \
        install --require-hashes --only-binary :all: --requirement /build/requirements.txt
COPY . /app
# The files may be readable by their owner only where they come from.
RUN /app/.venv/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /app && chmod -R a+rX /app

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="Team Hours for Bitrix24" \
    org.opencontainers.image.description="Shows everyone's Bitrix24 calendar settings, in a frame inside the portal" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}"
# The user owns three folders for volumes: a new named volume takes over the owner of the folder that it covers.
# Python's own images have pip: remove it.
RUN install -d -o 10001 -g 10001 -m 700 /keys /data /database-password \
    && rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/bin/pip*
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/data
WORKDIR /app
USER 10001:10001
EXPOSE 8000
# For the web process; compose.yaml turns it off for the others.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/readyz\", timeout=4)"]
CMD ["gunicorn", "app:create_app()"]
