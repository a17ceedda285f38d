# The api with everything in it but the model files, which lie on a volume.
# Parsed only: no container engine was at hand where this was written, so the build has not been run.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/pagewarden
ENV PATH=/opt/pagewarden/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN pip install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY agent ./agent
COPY api ./api
COPY guardrails ./guardrails
COPY ingest ./ingest
COPY docs/sample ./docs/sample
# The sample goes beside the package that shelves it; the build tools are in the lock.
RUN pip install --no-deps --no-build-isolation . \
 && cp -r docs/sample "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/api/sample"

FROM python:3.12-slim-bookworm
# libgomp1: the local model's threads. libmagic1: telling file types apart.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 libmagic1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home pagewarden \
 && install --directory --owner pagewarden /library /weights
COPY --from=build /opt/pagewarden /opt/pagewarden
ENV PATH=/opt/pagewarden/bin:$PATH PYTHONUNBUFFERED=1 \
    PAGEWARDEN_HOME=/library PAGEWARDEN_WEIGHTS=/weights PAGEWARDEN_HOST=0.0.0.0 PAGEWARDEN_PORT=8000
USER 10001
WORKDIR /home/pagewarden
VOLUME ["/library", "/weights"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Listening beyond loopback wants PAGEWARDEN_API_KEY; the start says so otherwise.
ENTRYPOINT ["pagewarden"]
CMD ["serve"]
