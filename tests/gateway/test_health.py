"""Whether a gateway lives, whether it can serve, and what it tells Prometheus."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from domain.database import Database
from domain.tokens import Role
from tests.gateway.entrance import Entrance, entrance


async def figures(way_in: Entrance) -> dict[tuple[str, ...], float]:
    """Return what `/metrics` shows, by name and by labels in the order of their names."""
    text = (await way_in.ask("GET", "/metrics", role=Role.EVALUATE)).text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_was_done_is_counted_by_route_reason_and_outcome(way_in: Entrance) -> None:
    await way_in.report([{"version_id": "v"}, {"version_id": ""}, {"x": 1}, 7])
    await way_in.evaluate("greeting.system", targetingKey="user-1")
    await way_in.evaluate("nobody.knows", targetingKey="user-1")
    await way_in.ask("GET", "/v1/prompts/greeting.system/versions")
    await way_in.ask("GET", "/v1/whatever/someone/types")
    await way_in.ask("BREW", "/v1/events")

    shown = await figures(way_in)

    flag = "/ofrep/v1/evaluate/flags/{key}"
    assert shown["rampart_http_requests_total", "POST", "/v1/events", "202"] == 1
    assert shown["rampart_http_requests_total", "other", "/v1/events", "405"] == 1
    assert shown["rampart_http_requests_total", "POST", flag, "200"] == 1
    assert shown["rampart_http_requests_total", "POST", flag, "404"] == 1
    versions = "/v1/prompts/{flag}/versions"
    assert shown["rampart_http_requests_total", "GET", versions, "200"] == 1
    assert shown["rampart_http_requests_total", "GET", "unmatched", "404"] == 1
    assert shown["rampart_http_request_duration_seconds_count", flag] == 2
    assert shown["rampart_events_total", "accepted"] == 1
    assert shown["rampart_events_total", "refused"] == 3
    assert shown["rampart_event_refusals_total", "version_id"] == 1
    assert shown["rampart_event_refusals_total", "unknown"] == 1
    assert shown["rampart_event_refusals_total", "event"] == 1
    assert shown["rampart_evaluations_total", "DEFAULT"] == 1
    assert shown["rampart_evaluations_total", "UNKNOWN"] == 1
    assert (shown["rampart_flags",], shown["rampart_routing_stale",]) == (1, 0)


async def test_a_name_from_a_request_is_never_a_label(way_in: Entrance) -> None:
    await way_in.report([{"version_id": "v", "secret-field": 1}])
    await way_in.evaluate("secret.flag", targetingKey="secret-user")
    await way_in.ask("SECRET", "/secret/path")

    shown = (await way_in.ask("GET", "/metrics")).text

    assert "secret" not in shown.lower()


async def test_with_the_database_away_it_is_ready_and_says_what_it_does_without(
    sqlite: Database,
) -> None:
    async with entrance(sqlite) as way_in:
        well = await way_in.ask("GET", "/readyz", role=None)
        async with way_in.outage():
            router = way_in.gateway._services.router

            async def stale() -> bool:
                return router.stale

            await way_in.until(stale, True)
            degraded = await way_in.ask("GET", "/readyz", role=None)
            served = await way_in.evaluate("greeting.system", targetingKey="user-1")
        alive = await way_in.ask("GET", "/healthz", role=None)

    assert well.json() == {"status": "ready", "degraded": {}}
    assert degraded.status_code == 200
    assert "out of order" in degraded.json()["degraded"]["database"]
    assert (served.status_code, served.json()["reason"]) == (200, "STALE")
    assert alive.json() == {"status": "alive"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_health_check_may_be_a_head_request(way_in: Entrance, path: str) -> None:
    answer = await way_in.ask("HEAD", path, role=None)

    assert (answer.status_code, answer.content) == (200, b"")
