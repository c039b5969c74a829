"""The way into the pages: by a token in a cookie, and not by way of another site."""

from datetime import timedelta

import httpx
import pytest

from domain.database import Database
from domain.tokens import Role
from gateway.limits import Limits
from tests.gateway.entrance import ON_SQLITE, Entrance, entrance

pytestmark = ON_SQLITE

ELSEWHERE = ("https://evil.example", "//evil.example", "/ui/../v1/tokens", "/ui/\\evil.example", "")


async def enter(way_in: Entrance, text: str, **more: str) -> str:
    """Log in and return where that leads, or what was wrong."""
    answer = await way_in.client.post("/ui/login", data={"token": text, **more})
    return str(answer.headers.get("location", answer.text))


async def test_a_stranger_is_asked_for_a_token_and_led_to_where_they_wanted(
    way_in: Entrance,
) -> None:
    asked = await way_in.client.get("/ui/rollouts/greeting.system")
    shown = await way_in.client.get(asked.headers["location"])

    led = await enter(way_in, way_in.texts[Role.OPERATE], next="/ui/rollouts/greeting.system")
    page = await way_in.client.get("/ui")

    assert asked.status_code == 303
    assert 'value="/ui/rollouts/greeting.system"' in shown.text
    assert led == "/ui/rollouts/greeting.system"
    assert page.status_code == 200
    assert "operate" in page.text


async def test_the_cookie_is_for_pages_alone_and_no_script_can_read_it(way_in: Entrance) -> None:
    answer = await way_in.client.post("/ui/login", data={"token": way_in.texts[Role.ADMIN]})

    kept = answer.headers["set-cookie"].lower()
    api = await way_in.client.get("/v1/rollouts", headers={"cookie": kept.split(";")[0]})

    assert all(part in kept for part in ("httponly", "samesite=lax", "path=/ui"))
    assert "secure" not in kept
    assert api.status_code == 401


async def test_over_https_it_is_sent_over_https_alone(way_in: Entrance) -> None:
    way_in.client.base_url = "https://gateway"

    answer = await way_in.client.post("/ui/login", data={"token": way_in.texts[Role.ADMIN]})

    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("role", [Role.EVALUATE, Role.INGEST])
async def test_who_may_not_operate_is_told_so(way_in: Entrance, role: Role) -> None:
    said = await enter(way_in, way_in.texts[role])

    assert "this needs the role operate" in said
    assert way_in.texts[role] not in said


async def test_a_wrong_token_is_not_repeated(way_in: Entrance) -> None:
    said = await enter(way_in, "rampart_0123_<script>")

    assert "the token is unknown, expired or revoked" in said
    assert "script>" not in said


async def test_a_revoked_token_lets_in_no_more(way_in: Entrance) -> None:
    await enter(way_in, way_in.texts[Role.OPERATE])
    (token,) = [each for each in await way_in.tokens.list() if each.name == "operate"]
    await way_in.tokens.revoke(token.id)

    async def status() -> int:
        return (await way_in.client.get("/ui")).status_code

    await way_in.until(status, 303)


@pytest.mark.parametrize("next", ELSEWHERE)
async def test_a_login_leads_nowhere_else(way_in: Entrance, next: str) -> None:
    assert await enter(way_in, way_in.texts[Role.OPERATE], next=next) == "/ui"


@pytest.mark.parametrize(
    "sent",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_another_sites_page_can_change_nothing(
    way_in: Entrance, sent: dict[str, str]
) -> None:
    await enter(way_in, way_in.texts[Role.OPERATE])

    answer = await way_in.client.post(
        "/ui/rollouts/greeting.system/rollback", data={"reason": "evil"}, headers=sent
    )

    assert answer.status_code == 403
    assert "another site" in answer.text


async def test_our_own_page_gets_as_far_as_temporal(way_in: Entrance) -> None:
    await enter(way_in, way_in.texts[Role.OPERATE])

    answer = await way_in.client.post(
        "/ui/rollouts/greeting.system/rollback",
        data={"reason": "slow"},
        headers={"sec-fetch-site": "same-origin", "origin": "http://gateway"},
    )

    assert answer.status_code == 503
    assert "no Temporal server answers" in answer.text


async def test_pages_load_nothing_from_elsewhere(way_in: Entrance) -> None:
    page = await way_in.client.get("/ui/login")
    sheet = await way_in.client.get("/ui/static/style.css")

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text + sheet.text
    assert "https://" not in page.text + sheet.text
    assert sheet.status_code == 200


async def test_logged_out_the_browser_forgets(way_in: Entrance) -> None:
    await enter(way_in, way_in.texts[Role.OPERATE])

    await way_in.client.post("/ui/logout")

    assert (await way_in.client.get("/ui")).status_code == 303


async def test_who_tries_many_wrong_tokens_has_to_wait_and_others_need_not(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with entrance(
        database, limits=Limits(logins=3, login_within=timedelta(hours=1))
    ) as way_in:
        guesses = [
            await way_in.client.post("/ui/login", data={"token": f"rampart_00_{number}"})
            for number in range(4)
        ]
        late = await way_in.client.post("/ui/login", data={"token": way_in.texts[Role.OPERATE]})
        elsewhere = httpx.ASGITransport(app=way_in.gateway.app, client=("10.0.0.9", 1))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://gateway") as other:
            let_in = await other.post("/ui/login", data={"token": way_in.texts[Role.OPERATE]})

    assert [guess.status_code for guess in guesses] == [401, 401, 401, 429]
    assert "too many tokens were wrong" in guesses[-1].text
    assert (late.status_code, let_in.status_code) == (429, 303)
    assert "rampart_00" not in caplog.text
    assert way_in.texts[Role.OPERATE] not in caplog.text
