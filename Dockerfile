# One image for all services: the command says which.
#   docker build -t shopflow .
#   docker run --env-file .env.local -p 3000:3000 shopflow api
#   docker run --env-file .env.local --no-healthcheck shopflow workers inventory

FROM python:3.11.14-slim-bookworm AS python

# A stage of its own, so that the image has none of pip's own files.
FROM python AS packages
COPY requirements/services.lock /
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: --target=/packages \
    --requirement=/services.lock

FROM python
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin shopflow
WORKDIR /app
COPY --from=packages /packages /packages
COPY schemas schemas
COPY shopflow shopflow
COPY workers workers
COPY api api
# Compile now, because the service's user may not write here.
RUN python -m compileall -q .
ENV PYTHONPATH=/packages \
    PYTHONUNBUFFERED=1 \
    LOG_FORMAT=json \
    HOST=0.0.0.0 \
    PORT=3000
USER 10001:10001
EXPOSE 3000
# For the API. A worker listens on no port, so run it with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health')"]
# No shell in between: SIGTERM reaches the service, which finishes what is in flight and exits 0.
ENTRYPOINT ["python", "-m"]
CMD ["api"]
