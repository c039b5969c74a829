"""The news of an end carry a report, which is never in their way."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.database import Database
from domain.errors import Unavailable
from domain.notifications import post as postal
from domain.notifications.notice import Enclosure, Notice
from domain.notifications.outbox import Outbox
from domain.notifications.post import Post
from domain.notifications.targets import Directory
from domain.record import Kind
from reports import enclosing
from reports.enclosing import Enclosing
from reports.reporter import Reporter
from serving.webhooks import Receiver
from tests.finished import tell
from tests.house import House
from tests.mailbox import Letter, Mailbox, mailbox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # nobody's


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox(Receiver(SECRET)) as opened:
        yield opened


@pytest.fixture
async def house(sqlite: Database) -> House:
    house = House(sqlite)
    await house.furnish()
    await tell(house, "harmed at 10 %")
    return house


async def news(house: House, kind: Kind) -> Notice:
    """Return what the outbox has to tell of that kind."""
    outbox = Outbox(house.database)
    notices = [await outbox.notice(each) for each in await outbox.waiting()]
    return next(notice for notice in notices if notice.kind == kind)


def enclose(house: House) -> postal.Enclose:
    return Enclosing(Reporter(house.database)).enclose


def enclosed(letter: Letter) -> list[dict[str, str]]:
    found: list[dict[str, str]] = letter.json["attachments"]
    return found


async def test_the_end_is_told_with_its_report(house: House, box: Mailbox) -> None:
    post = Post(Directory.read(f"json://{box.host}/ok"), enclose=enclose(house))

    await post.send(await news(house, Kind.ROLLED_BACK), "json")
    await post.send(await news(house, Kind.RAMPED), "json")

    end, other = box.letters
    ((attachment),) = enclosed(end)
    html = base64.b64decode(attachment["base64"]).decode()
    assert attachment["mimetype"] == "text/html"
    assert attachment["filename"].startswith("greeting.system-")
    assert attachment["filename"].endswith(".html")
    assert "It was rolled back to 1.0.0 in stage 1 of 3" in html
    assert enclosed(other) == []


async def test_a_webhook_has_the_report_in_short(
    house: House, box: Mailbox, tmp_path: Path
) -> None:
    file = tmp_path / "notify.yaml"
    address = f"http://{box.host}/signed"
    file.write_text(f"targets: [{{name: audit, webhook: '{address}', secret: {SECRET}}}]")
    post = Post(Directory.read("", str(file)), enclose=enclose(house))

    await post.send(await news(house, Kind.ROLLED_BACK), "audit")

    (letter,) = box.letters
    report = letter.json["data"]["report"]
    assert report["report"] == "rampart-report/1"
    assert report["parts"][0]["grounds"]["guardrails"][0]["standing"] == "harmed"
    assert not {"timeline", "plan"} & report.keys()
    assert len(letter.body) < enclosing.MOST_DIGEST
    assert box.refusals == []


async def test_a_service_that_does_not_take_it_is_told_without(house: House, box: Mailbox) -> None:
    box.failing["/ok"] = 1
    post = Post(Directory.read(f"json://{box.host}/ok"), enclose=enclose(house))

    await post.send(await news(house, Kind.ROLLED_BACK), "json")

    first, second = box.letters
    assert enclosed(first)
    assert enclosed(second) == []
    assert first.json["title"] == second.json["title"]


async def test_what_is_sent_again_goes_without(house: House, box: Mailbox) -> None:
    post = Post(Directory.read(f"json://{box.host}/ok"), enclose=enclose(house))

    await post.send(await news(house, Kind.ROLLED_BACK), "json", again=True)

    (letter,) = box.letters
    assert enclosed(letter) == []


async def test_a_target_may_decline_it(house: House, box: Mailbox, tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text(f"targets: [{{name: chat, url: 'json://{box.host}/ok', report: false}}]")
    post = Post(Directory.read("", str(file)), enclose=enclose(house))

    await post.send(await news(house, Kind.ROLLED_BACK), "chat")

    (letter,) = box.letters
    assert enclosed(letter) == []


async def broken(_notice: Notice) -> Enclosure:
    raise Unavailable("database sqlite is unavailable: disk I/O error")


async def mistaken(_notice: Notice) -> Enclosure:
    raise ZeroDivisionError


async def endless(_notice: Notice) -> Enclosure:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("way", [broken, mistaken, endless])
async def test_a_report_that_cannot_be_made_keeps_no_news_back(
    house: House, box: Mailbox, monkeypatch: pytest.MonkeyPatch, way: postal.Enclose
) -> None:
    monkeypatch.setattr(postal, "ENCLOSING_S", 0.2)
    post = Post(Directory.read(f"json://{box.host}/ok"), enclose=way)

    await post.send(await news(house, Kind.ROLLED_BACK), "json")

    (letter,) = box.letters
    assert letter.json["title"] == "greeting.system: rolled back to 1.0.0"
    assert enclosed(letter) == []


async def test_what_would_be_too_large_goes_as_text_or_not_at_all(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = await news(house, Kind.ROLLED_BACK)

    monkeypatch.setattr(enclosing, "MOST", 12_000)
    smaller = await enclose(house)(notice)
    monkeypatch.setattr(enclosing, "MOST", 100)
    monkeypatch.setattr(enclosing, "MOST_DIGEST", 100)
    nothing = await enclose(house)(notice)

    assert smaller
    assert (smaller.kind, smaller.name[-3:]) == ("text/markdown", ".md")
    assert smaller.content.startswith(b"# greeting.system")
    assert nothing is None


async def test_a_name_of_a_file_is_no_path(sqlite: Database) -> None:
    house = House(sqlite, name="../../etc/x y")
    await house.furnish()
    await tell(house, "by a person")

    found = await enclose(house)(await news(house, Kind.ROLLED_BACK))

    assert found
    assert found.name.startswith("etc_x_y.system-")
    assert json.dumps(found.digest)
