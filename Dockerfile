# One image for gateway, worker and watchdog, with one process a container and no secret. See docs/operations.md.
FROM python:3.11-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
# uv installs what uv.lock names by its hashes, and is itself installed by its hash: of its wheels for amd64 and arm64.
RUN python -m venv /uv && printf '%s\n' 'uv==0.13.9 \' \
        '--hash=sha256:d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 \' \
        '--hash=sha256:5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe' > /uv/requirements.txt \
    && /uv/bin/pip install --quiet --no-cache-dir --require-hashes --only-binary :all: --requirement /uv/requirements.txt
WORKDIR /build
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN UV_PROJECT_ENVIRONMENT=/app /uv/bin/uv sync --frozen --no-dev --no-install-project --python "$(command -v python)"
COPY . .
RUN UV_PROJECT_ENVIRONMENT=/app /uv/bin/uv sync --frozen --no-dev --no-editable --python "$(command -v python)"

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 tocsin \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/tocsin --shell /usr/sbin/nologin tocsin \
    && install --directory --owner tocsin --group tocsin --mode 0700 /var/lib/tocsin
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 TOCSIN_STATE_DIR=/var/lib/tocsin TOCSIN_HOST=0.0.0.0 MPLCONFIGDIR=/tmp
USER 10001:10001
WORKDIR /var/lib/tocsin
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["tocsin", "health", "gateway"]
ENTRYPOINT ["tocsin"]
CMD ["gateway"]
