"""A signed webhook is read once; forged, stale and replayed ones are refused with the reason."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from domain.errors import Undelivered
from domain.notifications.notice import Notice
from domain.notifications.post import Post
from domain.notifications.targets import Directory
from domain.notifications.wording import sample
from serving.webhooks import Received, Receiver, Refused, Replayed, _Seen
from tests.mailbox import Letter, Mailbox, mailbox

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """An application that receives, on a real HTTP server."""
    with mailbox(Receiver(KEY)) as opened:
        yield opened


def post_to(box: Mailbox, tmp_path: Path, *, key: str = KEY, path: str = "/signed") -> Post:
    file = tmp_path / "notify.yaml"
    address = f"http://{box.host}{path}"
    file.write_text(f"targets: [{{name: audit, webhook: '{address}', secret: '{key}'}}]")
    return Post(Directory.read("", str(file)))


def again(box: Mailbox, letter: Letter) -> tuple[int, str]:
    """Post the very same bytes once more, as somebody who has overheard them would."""
    url = f"http://{box.host}{letter.path}"
    request = urllib.request.Request(url, data=letter.body, headers=letter.headers)
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, box.refusals[-1]


def signed(
    body: str = '{"type": "rollout.test", "timestamp": "2026-01-01T00:00:00Z", "data": {}}',
    *,
    webhook_id: str = "n-1",
    key: str = KEY,
    age: timedelta = timedelta(0),
) -> tuple[dict[str, str], bytes]:
    at = datetime.now(UTC) - age
    headers = {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(key).sign(webhook_id, at, body),
    }
    return headers, body.encode()


def read(receiver: Receiver, headers: dict[str, str], body: bytes) -> Received:
    with receiver.receive(headers, body) as received:
        return received


async def test_what_is_posted_says_what_happened_and_is_taken(box: Mailbox, tmp_path: Path) -> None:
    notice = sample("rolled_back")

    await post_to(box, tmp_path).send(notice, "audit")

    (letter,) = box.letters
    assert letter.json["type"] == "rollout.rolled_back"
    assert letter.json["timestamp"] == notice.at.isoformat()
    assert Notice.model_validate(letter.json["data"]) == notice
    assert letter.json["data"]["prompt"] == "greeting.system"
    assert letter.headers["webhook-id"] == notice.id
    assert box.refusals == []


async def test_a_replayed_webhook_is_refused_with_the_reason(box: Mailbox, tmp_path: Path) -> None:
    await post_to(box, tmp_path).send(sample(), "audit")

    answers = [again(box, box.letters[0]) for _ in range(2)]

    refusal = (409, f"webhook {sample().id!r} was received before")
    assert answers == [refusal, refusal]


async def test_what_arrived_though_its_answer_did_not_counts_as_taken(
    box: Mailbox, tmp_path: Path
) -> None:
    post = post_to(box, tmp_path)
    await post.send(sample(), "audit")

    await post.send(sample(), "audit", again=True)

    assert box.refusals == [f"webhook {sample().id!r} was received before"]


async def test_an_answer_of_409_to_the_first_attempt_is_a_failure(
    box: Mailbox, tmp_path: Path
) -> None:
    post = post_to(box, tmp_path)
    await post.send(sample(), "audit")

    with pytest.raises(Undelivered, match="audit did not take it: it answered 409"):
        await post.send(sample(), "audit")


async def test_a_webhook_signed_with_another_secret_is_refused(
    box: Mailbox, tmp_path: Path
) -> None:
    post = post_to(box, tmp_path, key=OTHER)

    with pytest.raises(Undelivered, match="audit did not take it: it answered 401"):
        await post.send(sample(), "audit")

    assert box.refusals == ["no matching signature found"]


async def test_a_redirect_is_not_followed_to_somebody_else(tmp_path: Path) -> None:
    class Redirecting(Mailbox):
        def answer(self, letter: Letter) -> int:
            super().answer(letter)
            return 308

    with mailbox() as box:
        box.__class__ = Redirecting

        with pytest.raises(Undelivered, match="it answered 308"):
            await post_to(box, tmp_path, path="/elsewhere").send(sample(), "audit")

    assert len(box.letters) == 1


def test_both_secrets_are_good_while_one_replaces_the_other() -> None:
    receiver = Receiver(OTHER, KEY)

    assert read(receiver, *signed(webhook_id="n-1")).id == "n-1"
    assert read(receiver, *signed(webhook_id="n-2", key=OTHER)).id == "n-2"


@pytest.mark.parametrize(
    ("age", "why"), [(6 * MINUTE, "timestamp too old"), (-6 * MINUTE, "timestamp too new")]
)
def test_a_webhook_out_of_its_time_is_refused(age: timedelta, why: str) -> None:
    with pytest.raises(Refused, match=why):
        read(Receiver(KEY), *signed(age=age))


@pytest.mark.parametrize("age", [4 * MINUTE, -4 * MINUTE])
def test_one_within_the_tolerance_is_read_once(age: timedelta) -> None:
    receiver, letter = Receiver(KEY), signed(age=age)

    assert read(receiver, *letter).type == "rollout.test"
    with pytest.raises(Replayed):
        read(receiver, *letter)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Webhook-Id": "n-2"}, "no matching signature"),
        ({"Webhook-Timestamp": "soon"}, "invalid signature headers"),
        ({"Webhook-Timestamp": "nan"}, "invalid signature headers"),
        ({"Webhook-Signature": "v1,AAAA"}, "no matching signature"),
        ({"Webhook-Signature": "v1"}, "malformed signature"),
        ({"Webhook-Signature": "v1,a"}, "malformed signature"),
        ({"Webhook-Signature": "v1,é,é"}, "malformed signature"),
        ({"Webhook-Signature": "v0,AAAA"}, "no matching signature"),
        ({"Webhook-Signature": ""}, "missing required headers"),
    ],
)
def test_a_webhook_with_changed_headers_is_refused(change: dict[str, str], why: str) -> None:
    headers, body = signed()

    with pytest.raises(Refused, match=why):
        read(Receiver(KEY), headers | change, body)


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"type": "rollout.promoted"}'])
def test_a_webhook_with_another_body_is_refused(body: bytes) -> None:
    headers, _ = signed()

    with pytest.raises(Refused, match=r"signature|Malformed"):
        read(Receiver(KEY), headers, body)


@pytest.mark.parametrize("body", ["nothing", "[]", "{}", json.dumps({"type": "a", "data": 5})])
def test_a_signed_body_that_is_none_of_ours_is_refused(body: str) -> None:
    with pytest.raises(Refused, match="the body is none of rampart's"):
        read(Receiver(KEY), *signed(body))


def test_what_could_not_be_worked_on_may_be_sent_again() -> None:
    receiver, letter = Receiver(KEY), signed()

    with pytest.raises(OSError, match="disk full"), receiver.receive(*letter):
        raise OSError("disk full")

    assert read(receiver, *letter).id == "n-1"


def test_processes_may_share_what_they_have_received() -> None:
    kept: dict[str, datetime] = {}

    def remember(webhook_id: str, until: datetime) -> bool:
        return kept.setdefault(webhook_id, until) is until

    first, second = (Receiver(KEY, remember=remember, forget=kept.pop) for _ in range(2))
    letter = signed()

    read(first, *letter)

    with pytest.raises(Replayed):
        read(second, *letter)


def test_ids_are_kept_no_longer_than_they_could_be_replayed() -> None:
    seen, now = _Seen(), datetime.now(UTC)
    for number in range(50):
        seen.remember(f"n-{number}", now - MINUTE)

    assert seen.remember("n-50", now + MINUTE)
    assert list(seen._until) == ["n-50"]


def test_without_a_secret_nothing_can_be_received() -> None:
    with pytest.raises(ValueError, match="give at least one secret"):
        Receiver()
