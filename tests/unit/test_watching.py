"""Alert rules, dashboard and scrapes speak of what there is; each alert has an answer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from domain.record import RolloutStatus

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/observability.md").read_text()
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "compose/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "compose/grafana/dashboards/rampart.json").read_text()
)
SCRAPES: dict[str, Any] = yaml.safe_load((ROOT / "compose/prometheus/prometheus.yml").read_text())
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
LISTED = dict(re.findall(r"^\| `(\w+)` \| (\w+)", GUIDE, flags=re.MULTILINE))
LABELS = {
    name: set(re.findall(r"`(\w+)`", labels))
    for name, labels in re.findall(r"^\| `(\w+)` \| [\w, ]+ \|([^|]*)\|", GUIDE, flags=re.MULTILINE)
}
OF_PROMETHEUS = {"up"}
ANY = {"job", "instance", "namespace", "task_queue", "le"}
SEVERITIES = {"critical", "warning", "info"}


def expressions() -> Iterator[tuple[str, str]]:
    """Return what is asked of Prometheus, and by whom."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def selectors(expression: Any) -> Iterator[VectorSelector]:
    """Return the series that an expression names."""
    match expression:
        case VectorSelector():
            yield expression
        case MatrixSelector():
            yield expression.vector_selector
        case BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case Call():
            for argument in expression.args:
                yield from selectors(argument)
        case AggregateExpr() | ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield from selectors(expression.expr)


EXPRESSIONS = [pytest.param(expr, id=name) for name, expr in expressions()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_only_metrics_that_there_are(expression: str) -> None:
    named = {selector.name for selector in selectors(promql_parser.parse(expression))}

    assert named
    assert {metric_of(str(name)) for name in named} <= LISTED.keys() | OF_PROMETHEUS


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_only_labels_that_there_are(expression: str) -> None:
    for selector in selectors(promql_parser.parse(expression)):
        known = LABELS.get(metric_of(str(selector.name)), set()) | ANY
        assert {matcher.name for matcher in selector.matchers.matchers} <= known
    grouped = set(re.findall(r"\bby \(([\w, ]+)\)", expression))
    names = {name.strip() for group in grouped for name in group.split(",")}
    assert names <= ANY.union(*(LABELS[name] for name in LABELS if name in expression))


def test_a_rate_is_taken_of_what_only_grows() -> None:
    for _, expression in expressions():
        for function, name in re.findall(r"\b(rate|increase)\((\w+)", expression):
            assert LISTED[metric_of(name)] in {"counter", "histogram"}, (function, name)


def test_what_is_in_the_database_is_never_added_up() -> None:
    shared = {name for name, row in rows() if "from the database" in row or "_stream_" in name}

    for who, expression in expressions():
        summed = set(re.findall(r"\bsum[^(]*(?:\([\w, ]+\))? \(?(?:rate\()?(\w+)", expression))
        assert not summed & shared, who


def test_a_status_that_is_asked_for_is_one_that_there_may_be() -> None:
    asked = {
        status
        for _, expression in expressions()
        for selector in selectors(promql_parser.parse(expression))
        if selector.name == "rampart_rollouts"
        for matcher in selector.matchers.matchers
        for status in matcher.value.split("|")
    }

    assert asked
    assert asked <= set(RolloutStatus)


def test_every_alert_says_how_bad_it_is_and_the_guide_what_to_do() -> None:
    answers = re.findall(r"^\| `([A-Z]\w+)` \| (\w+) \| (.+) \|$", GUIDE, flags=re.MULTILINE)

    assert [(rule["alert"], rule["labels"]["severity"]) for rule in RULES] == [
        (name, severity) for name, severity, _ in answers
    ]
    assert {severity for _, severity, _ in answers} == SEVERITIES
    assert all(rule["annotations"]["summary"] for rule in RULES)


def test_a_panel_says_what_it_shows_and_none_lies_upon_another() -> None:
    taken: set[tuple[int, int]] = set()

    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert all(panel["description"] for panel in PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    asked = " ".join(expression for _, expression in expressions())

    assert [name for name in LISTED if name.startswith("rampart_") and name not in asked] == []


def test_prometheus_asks_where_workers_and_gateways_answer() -> None:
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in SCRAPES["scrape_configs"]}
    worker = SERVICES["worker"]["environment"]["RAMPART_METRICS_ADDRESS"]
    (published,) = SERVICES["gateway"]["ports"]

    assert jobs["rampart-worker"]["names"] == ["worker"]
    assert jobs["rampart-worker"]["port"] == int(worker.rpartition(":")[2])
    assert jobs["rampart-gateway"]["names"] == ["gateway"]
    assert jobs["rampart-gateway"]["port"] == int(published.rpartition(":")[2])
    assert {selected_job(rule["expr"]) for rule in RULES} - {None} == jobs.keys()


def test_a_metric_that_there_is_not_would_be_found() -> None:
    found = list(selectors(promql_parser.parse("sum(rate(rampart_x_total[5m])) / (up > 1)")))

    assert [selector.name for selector in found] == ["rampart_x_total", "up"]
    assert metric_of("rampart_x_total") not in LISTED


def metric_of(series: str) -> str:
    """Return the metric that a series belongs to: of a histogram there are three."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if LISTED.get(base) == "histogram" else series


def selected_job(expression: str) -> str | None:
    found = re.search(r'job="([\w-]+)"', expression)
    return found[1] if found else None


def rows() -> list[tuple[str, str]]:
    """Return the guide's rows about metrics."""
    return re.findall(r"^\| `([a-z]\w+)` \|(.+)$", GUIDE, flags=re.MULTILINE)
