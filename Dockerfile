# One image for every process of rampart; the command says which.
FROM python:3.13.14-slim-trixie AS build

RUN pip install --no-cache-dir "uv>=0.13,<0.14"
ENV UV_PROJECT_ENVIRONMENT=/opt/rampart \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src

# Dependencies first: they change less often than we do.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-install-project

COPY domain/ domain/
COPY activities/ activities/
COPY workflows/ workflows/
COPY control/ control/
COPY terminal/ terminal/
COPY embedded/ embedded/
COPY *.py ./
RUN uv sync --frozen --no-dev --no-editable


FROM python:3.13.14-slim-trixie

RUN groupadd --gid 10001 rampart \
 && useradd --uid 10001 --gid 10001 --create-home --home-dir /var/lib/rampart rampart
COPY --from=build /opt/rampart /opt/rampart
COPY compose/worker_health.py /opt/rampart/

ENV PATH=/opt/rampart/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/rampart

ENTRYPOINT ["rampart"]
CMD ["worker"]
