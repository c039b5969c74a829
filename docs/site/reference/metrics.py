"""Every metric of ours, from a gateway that has counted one of each, and from what workers note."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from prometheus_client import Metric

from docs.site.reference.markdown import MADE, code, plain, table
from domain.census import Census, CensusManager, Weight
from domain.intake.stream import Backlog
from domain.snapshot import Reason
from gateway.vitals import Vitals, intake_gauges
from serve import Options, build
from settings import Settings
from workflows.meters import LASTED, LATE, LATENESS, ROLLBACK

HEAD = """\
# Metrics

In Prometheus' format, at `/metrics` of every gateway and of every worker that has
`RAMPART_METRICS_ADDRESS`. No label holds a text of a user's.
What to watch, which alerts we ship and what to do about them:
[observability](../guides/observability.md).

"""
WORKER = "## Of a worker\n\nAnd all of [Temporal's SDK](https://docs.temporal.io/references/sdk-metrics).\n\n"
GATEWAY = "## Of a gateway\n\nWhat its process did: add it up over gateways.\n\n"
SHARED = """\
## Of the database and of Redis

Every gateway shows the same: take the largest. Only `rampart_events_waiting` is each gateway's own.

"""
COLUMNS = ("metric", "type", "labels", "what it is")


class Shown(NamedTuple):
    """A metric, as Prometheus sees it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    said: str


class _Counted(CensusManager):
    """A census of a house in which there is one of everything."""

    def __init__(self) -> None:
        """Need no database."""

    async def take(self) -> Census:
        weight = Weight(flag="greeting.system", guardrail="success", log_e=0.0)
        return Census(rollouts={"live": 1}, leases_expired=0, weights=(weight,), notifications=0)


def page() -> str:
    """Return the page."""
    sections = ((WORKER, of_workers()), (GATEWAY, of_gateways()), (SHARED, of_all()))
    return MADE + HEAD + "".join(said + table(COLUMNS, map(_row, rows)) for said, rows in sections)


def of_workers() -> list[Shown]:
    """Return what workflows note."""
    return [
        Shown(f"{name}_seconds", "histogram", (), said)
        for name, said in ((LATENESS, LATE), (ROLLBACK, LASTED))
    ]


def of_gateways() -> list[Shown]:
    """Return what a gateway counts, after one of each was counted."""
    telemetry = build(Settings(database_url="sqlite:///:memory:"), Options(open=True)).telemetry
    telemetry.request("/healthz", "GET", status=200, seconds=0.001)
    telemetry.events(accepted=1, refused=["user_id"])
    telemetry.evaluated(Reason.SPLIT)
    return [*_shown(telemetry.registry.collect())]


def of_all() -> list[Shown]:
    """Return what every gateway shows alike."""
    backlog = Backlog(entries=0, held=0, pending=0, aside=0, oldest=timedelta(0))
    census = asyncio.run(Vitals(_Counted()).measured())
    return [*_shown([*census, *intake_gauges(0, backlog)])]


def _shown(families: Iterable[Metric]) -> Iterator[Shown]:
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        yield Shown(name, family.type, tuple(sorted(labels)), family.documentation)


def _row(one: Shown) -> tuple[str, str, str, str]:
    return code(one.name), one.kind, ", ".join(map(code, one.labels)), plain(one.said)
