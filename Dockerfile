# One image for every process of rampart; the command says which.
# The base is pinned by tag, which its publisher may rebuild. To pin what you have tested, append its
# digest to both lines: `docker buildx imagetools inspect python:3.13.14-slim-trixie`.
FROM python:3.13.14-slim-trixie AS build

RUN pip install --no-cache-dir "uv>=0.13,<0.14"
ENV UV_PROJECT_ENVIRONMENT=/opt/rampart \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src

# Dependencies first: they change less often than we do.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --extra tracing --no-install-project

COPY domain/ domain/
COPY activities/ activities/
COPY workflows/ workflows/
COPY control/ control/
COPY terminal/ terminal/
COPY embedded/ embedded/
COPY gateway/ gateway/
COPY pictures/ pictures/
COPY reports/ reports/
COPY serving/ serving/
COPY telemetry/ telemetry/
COPY *.py ./
RUN uv sync --frozen --no-dev --extra tracing --no-editable


FROM python:3.13.14-slim-trixie

LABEL org.opencontainers.image.title="rampart" \
      org.opencontainers.image.description="Durable, statistically guarded rollouts on Temporal." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13.14-slim-trixie"

RUN groupadd --gid 10001 rampart \
 && useradd --uid 10001 --gid 10001 --create-home --home-dir /var/lib/rampart rampart
COPY --from=build /opt/rampart /opt/rampart
COPY compose/worker_health.py compose/gateway_health.py /opt/rampart/

# Nothing is written beside the code: the root file system may be read-only.
ENV PATH=/opt/rampart/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/rampart

ENTRYPOINT ["rampart"]
CMD ["worker"]
