"""What is told to whom, in which words; and nothing of what is secret."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from domain.database import Database
from domain.errors import Conflict, InvalidValue, Undelivered
from domain.notifications import post as postal
from domain.notifications.notice import Level, Notice, Receipt, Status
from domain.notifications.outbox import Outbox
from domain.notifications.post import Post
from domain.notifications.senders import masked, scrubbed
from domain.notifications.targets import Directory
from domain.notifications.wording import Wording, Words, kinds, sample
from domain.plan import Stage
from domain.record import Kind
from domain.retention.manager import RetentionManager
from tests.house import BY_THRESHOLD, House
from tests.mailbox import Mailbox, mailbox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # nobody's
GATED = BY_THRESHOLD.model_copy(
    update={
        "stages": (Stage(percent=10, bake=timedelta(hours=1), approval=True), Stage(percent=100))
    }
)
HOUR = timedelta(hours=1)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What a process logs that logs everything; `caplog` hears silenced loggers too."""
    written = StringIO()
    handler, root = logging.StreamHandler(written), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


async def furnished(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


async def waiting(database: Database) -> list[Notice]:
    outbox = Outbox(database)
    return [await outbox.notice(each) for each in await outbox.waiting()]


def directory(tmp_path: Path, source: str, *, urls: str = "") -> Directory:
    file = tmp_path / "notify.yaml"
    file.write_text(source)
    return Directory.read(urls, str(file))


# What is written


async def test_each_line_of_the_journal_is_to_be_told_and_checks_are_not(
    database: Database,
) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1)
    await house.rollouts.check(rollout.id, number=1)
    await house.rollouts.roll_back(rollout.id, reason="too slow", by="ana")

    told = await waiting(database)

    story = ["opened", "ramped", "rolling_back", "rolled_back"]
    assert [notice.kind for notice in told] == story
    last = told[-1]
    assert (last.prompt, last.baseline, last.candidate) == ("greeting.system", "1.0.0", "1.1.0")
    assert (last.by, last.reason, last.rollout_id) == ("ana", "too slow", rollout.id)


async def test_a_step_that_is_taken_again_is_told_once(database: Database) -> None:
    house = await furnished(database)
    rollout = await house.open()

    for _ in range(3):
        await house.rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)

    assert [notice.kind for notice in await waiting(database)] == ["opened", "ramped"]


async def test_what_was_not_committed_is_not_told(database: Database) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1)

    async def broken_off() -> None:
        async with database.transaction():
            await house.rollouts.roll_back(rollout.id, reason="too slow")
            raise Conflict("somebody else was first")

    with pytest.raises(Conflict):
        await broken_off()

    assert [notice.kind for notice in await waiting(database)] == ["opened", "ramped"]


async def test_a_version_that_is_gone_is_named_by_its_id(database: Database) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1)
    await house.rollouts.roll_back(rollout.id, reason="too slow")
    await house.versions.delete_version(rollout.candidate_id)

    told = await waiting(database)

    assert told[0].candidate == rollout.candidate_id


async def test_a_stage_that_lacks_only_an_approval_asks_for_it_once(database: Database) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1, plan=GATED)
    await house.events("1.1.0", good=200, bad=0)
    check = house.rollouts.check

    await check(rollout.id, number=1, baked=HOUR / 2)
    early = await waiting(database)
    for number in (2, 3):
        await check(rollout.id, number=number, baked=HOUR)
    asked = await waiting(database)

    assert [notice.kind for notice in early] == ["opened", "ramped"]
    assert [notice.kind for notice in asked] == ["opened", "ramped", "waiting_for_approval"]
    assert asked[-1].reason == "stage 1 has baked; only an approval is missing to ramp to 100 %"


@pytest.mark.parametrize(("good", "bad"), [(0, 0), (0, 200)])
async def test_nobody_is_asked_to_approve_what_is_in_doubt_or_harmful(
    database: Database, good: int, bad: int
) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1, plan=GATED)
    await house.events("1.1.0", good=good, bad=bad)

    await house.rollouts.check(rollout.id, number=1, baked=HOUR)

    assert "waiting_for_approval" not in [notice.kind for notice in await waiting(database)]


async def test_a_stage_that_was_sent_on_early_asks_for_its_approval_in_spite_of_doubt(
    database: Database,
) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1, plan=GATED)
    await house.rollouts.note(rollout.id, key="m:1", kind=Kind.HURRIED, by="ana", reason="now")

    await house.rollouts.check(rollout.id, number=1)

    assert [notice.kind for notice in await waiting(database)][-2:] == [
        "hurried",
        "waiting_for_approval",
    ]


# What becomes of it


async def test_what_is_handed_on_waits_no_more_and_what_is_settled_stays_so(
    database: Database,
) -> None:
    house = await furnished(database)
    await house.ramped(1)
    outbox = Outbox(database)
    first, second = await outbox.waiting()

    await outbox.settle(Receipt(notification_id=first, status=Status.SENT, sent=("ops",)))
    await outbox.hand([first, second])
    failed = Receipt(
        notification_id=second, status=Status.FAILED, failures={"ops": "it answered 500"}
    )
    for _ in range(2):
        await outbox.settle(failed)

    assert await outbox.waiting() == []
    standing = await outbox.standing()
    counts = {status: n for status, n in standing.counts.items() if n}
    assert counts == {Status.SENT: 1, Status.FAILED: 1}
    assert (standing.failures[0].kind, standing.failures[0].reasons) == ("ramped", failed.failures)
    assert standing.oldest is None


async def test_what_nobody_asks_for_is_dropped(database: Database) -> None:
    house = await furnished(database)
    await house.ramped(1)
    outbox = Outbox(database)
    assert (await outbox.standing()).oldest is not None

    await outbox.drop(await outbox.waiting())

    assert (await outbox.standing()).counts[Status.UNWANTED] == 2


async def test_old_notifications_go_and_the_journal_stays(database: Database) -> None:
    house = await furnished(database)
    rollout = await house.ramped(1)
    now = datetime.now(UTC)
    sweep = RetentionManager(database).sweep

    early = await sweep(now=now + timedelta(days=29))
    late = await sweep(now=now + timedelta(days=31))

    assert (early.notifications, late.notifications) == (0, 2)
    assert len(await house.rollouts.decisions(rollout.id)) == 2


# In which words


@pytest.mark.parametrize("kind", [*kinds(), "something_of_a_later_release"])
def test_every_kind_says_what_who_why_where_and_what_to_type(kind: str) -> None:
    message = Wording().word(sample(kind), link="https://temporal.example/r")

    assert message.title.startswith("greeting.system: ")
    assert "\n" not in message.title
    for words in ("nothing has happened", "1.0.0 → 1.1.0", "by ana", "stage 1 of 4, 5 %"):
        assert words in message.body
    assert "look: https://temporal.example/r\nnext: rampart " in message.body
    assert "greeting.system" in message.body.splitlines()[-1]


def test_a_kind_of_a_later_release_is_told_by_its_name() -> None:
    message = Wording().word(sample("moon_phase_changed"))

    assert message.title == "greeting.system: moon phase changed"
    assert message.level is Level.INFO


def test_templates_of_a_kind_come_before_those_for_all() -> None:
    wording = Wording(
        {
            "default": Words(title="{{ prompt }} !", body="{{ reason }}"),
            "rolled_back": Words(title="{{ name | upper }} IS BACK"),
        }
    )

    back, other = wording.word(sample("rolled_back")), wording.word(sample("paused"))

    assert list(wording.problems()) == []
    assert (back.title, back.body) == ("GREETING IS BACK", "this is a test: nothing has happened")
    assert other.title == "greeting.system !"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ nobody }}", "'nobody' has no value"),
        ("{{ prompt", "line 1: unexpected end of template"),
        ("{{ prompt.__class__ }}", "'__class__' has no value"),
        ("{{ cycler() }}", "Call is not allowed"),
        (
            "{% for a in prompt %}{% for b in prompt %}{{ a * 99999 }}{% endfor %}{% endfor %}",
            "Mul",
        ),
    ],
)
def test_a_template_that_fails_is_told_and_holds_nothing_up(template: str, why: str) -> None:
    wording = Wording({"rolled_back": Words(body=template)})

    problems, message = list(wording.problems()), wording.word(sample("rolled_back"))

    assert len(problems) == 1
    assert problems[0].startswith("templates.rolled_back.body: ")
    assert why in problems[0]
    assert message.body == Wording().word(sample("rolled_back")).body


def test_what_people_wrote_is_never_a_template_and_never_too_long() -> None:
    notice = sample().model_copy(update={"reason": "{{ 7 * 7 }}" + "x" * 9_000})

    message = Wording().word(notice)

    assert "{{ 7 * 7 }}" in message.body
    assert len(message.body) == 3_000


# To whom


def test_urls_of_the_environment_are_named_by_their_kind() -> None:
    found = Directory.read("json://a.example/1 slack://A/B/C\njson://a.example/2")

    assert [target.name for target in found.targets] == ["json", "slack", "json-2"]


def test_a_target_asks_for_kinds_and_prompts(tmp_path: Path) -> None:
    found = directory(
        tmp_path,
        "targets:\n"
        "  - {name: back, url: 'json://a.example', kinds: [rolled_back]}\n"
        "  - {name: mine, url: 'json://a.example', prompts: ['checkout.*', 'greeting.*']}\n"
        "  - {name: other, url: 'json://a.example', prompts: ['checkout.*']}\n",
    )
    post = Post(found)

    assert post.wanting(sample("rolled_back")) == ["back", "mine"]
    assert post.wanting(sample("paused")) == ["mine"]


def test_addresses_and_keys_may_be_kept_in_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://a.example/hook\n")
    (tmp_path / "key").write_text(f"{SECRET}\n")
    source = (
        "targets:\n"
        f"  - {{name: chat, url_file: {tmp_path}/url}}\n"
        f"  - {{name: audit, webhook: 'https://a.example', secret_file: {tmp_path}/key}}\n"
    )

    chat, audit = directory(tmp_path, source).targets

    assert (chat.address(), audit.key()) == ("https://a.example/hook", SECRET)


HIDDEN = "hunter2hunter2"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (f"targets: [{{name: ops, url: ['json://{HIDDEN}']}}]", "targets.0.url: must be a valid"),
        ("targets: [{name: ops}]", "targets.0: give exactly one of url, url_file and webhook"),
        (
            f"targets: [{{name: ops, url: 'json://{HIDDEN}', webhook: 'https://a'}}]",
            "targets.0: give exactly one of url, url_file and webhook",
        ),
        (
            f"targets: [{{name: ops, webhook: 'https://{HIDDEN}'}}]",
            "targets.0: a webhook, and nothing else, has a secret or a secret_file",
        ),
        (
            f"targets: [{{name: ops, url: 'json://{HIDDEN}', kinds: [exploded]}}]",
            "targets.0.kinds: unknown kind 'exploded': allowed are opened, ramped",
        ),
        ("templates: {exploded: {title: a}}", "unknown kind 'exploded': allowed are default, op"),
        ("templates: {paused: {subject: a}}", "unknown field 'subject': allowed are title, body"),
        (
            f"targets: [{{name: a, url: 'json://{HIDDEN}'}}, {{name: a, url: 'json://b'}}]",
            "targets: two are named 'a'",
        ),
        (f"targets: [{{name: 'a b', url: 'json://{HIDDEN}'}}]", "targets.0.name: String should"),
        (f"targets: [{{name: ops, password: {HIDDEN}}}]", "unknown field 'password'"),
        (f"targets: [\n  {HIDDEN}: [", "line 2: it is not YAML"),
        (HIDDEN, "it must have targets and templates"),
    ],
)
def test_a_file_that_cannot_be_meant_says_why_and_shows_no_value(
    tmp_path: Path, source: str, why: str
) -> None:
    with pytest.raises(InvalidValue) as refusal:
        directory(tmp_path, source)

    assert why in str(refusal.value)
    assert HIDDEN not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (f"url: 'nosuch://{HIDDEN}'", "target 'ops': apprise cannot read its url"),
        (f"url: 'slack://{HIDDEN}'", "target 'ops': apprise cannot read its url"),
        ("url_file: /nowhere", "target 'ops': url_file cannot be read: No such file"),
        (
            f"webhook: 'ftp://{HIDDEN}', secret: {SECRET}",
            "target 'ops': webhook must be an https:// address",
        ),
        (f"webhook: 'https://a.example', secret: {HIDDEN}", "secret must be whsec_ and 24 to 64"),
        ("webhook: 'https://a.example', secret: a", "secret must be whsec_ and 24 to 64"),
    ],
)
def test_a_target_that_cannot_be_sent_to_says_why_and_shows_no_value(
    tmp_path: Path, target: str, why: str, logged: StringIO
) -> None:
    found = directory(tmp_path, f"targets: [{{name: ops, {target}}}]")

    with pytest.raises(InvalidValue) as refusal:
        Post(found)

    assert why in str(refusal.value)
    assert HIDDEN not in str(refusal.value) + logged.getvalue() + repr(found)


@pytest.mark.parametrize("urls", [HIDDEN, f"://{HIDDEN}", f"json://a {HIDDEN}"])
def test_a_setting_that_holds_no_urls_says_so_and_shows_no_value(urls: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        Directory.read(urls)

    assert HIDDEN not in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("slack://TokenA/TokenB/TokenC/#ops", "slack://…"),
        ("tgram://123456:ABC-DEF/42", "tgram://…"),
        ("sendgrid://SG.abc.def:me@a.example", "sendgrid://…"),
        ("mailto://me:pass@gmail.com", "mailto://gmail.com/…"),
        ("jsons://me:pass@a.example/secret?x=y", "jsons://a.example/…"),
        ("https://hooks.example/services/T/B/x", "https://hooks.example/…"),
    ],
)
def test_of_an_address_only_what_is_public_is_shown(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_what_others_say_is_told_without_any_part_of_the_address() -> None:
    address = "json://me:p%40ss%2Fword@a.example/T0KEN?+X-Key=k3y"
    said = "POST to http://me@a.example/T0KEN failed for p@ss/word (p%40ss%2Fword): k3y, error=500"

    told = scrubbed(said, address)

    for part in ("p@ss/word", "p%40ss", "T0KEN", "k3y", "a.example"):
        assert part not in told
    assert told.endswith("error=500")


# On its way


async def test_apprise_tells_what_happened_and_how_bad_it_is(box: Mailbox) -> None:
    post = Post(Directory.read(f"json://{box.host}/ok"), ui="https://temporal.example/")
    notice = sample("rolled_back").model_copy(update={"workflow_id": "rollout/greeting.system"})

    await post.send(notice, "json")

    (letter,) = box.letters
    assert letter.json["title"] == "greeting.system: rolled back to 1.0.0"
    assert letter.json["type"] == "warning"
    link = "https://temporal.example/namespaces/default/workflows/rollout%2Fgreeting.system"
    assert f"look: {link}\nnext: rampart explain greeting.system" in letter.json["message"]


async def test_a_target_that_fails_is_told_without_its_secrets(
    box: Mailbox, logged: StringIO
) -> None:
    box.failing["/hunter2hunter2"] = 1
    address = f"json://ann:{HIDDEN}pw@{box.host}/{HIDDEN}?+x-key={HIDDEN}"
    post = Post(Directory.read(address))

    with pytest.raises(Undelivered) as failure:
        await post.send(sample(), "json")

    assert str(failure.value).startswith("json did not take it: Failed to send JSON POST")
    assert "error=500" in str(failure.value)
    assert HIDDEN not in str(failure.value) + logged.getvalue()
    assert failure.value.__cause__ is None


async def test_a_target_that_is_not_there_is_told_without_its_secrets(
    tmp_path: Path, logged: StringIO
) -> None:
    address = f"http://127.0.0.1:9/{HIDDEN}"
    source = f"targets: [{{name: audit, webhook: '{address}', secret: {SECRET}}}]"
    post = Post(directory(tmp_path, source))

    with pytest.raises(Undelivered) as failure:
        await post.send(sample(), "audit")

    assert str(failure.value) == "audit does not answer: ConnectionError"
    assert HIDDEN not in logged.getvalue()
    assert SECRET not in logged.getvalue()


async def test_a_target_that_hangs_takes_no_more_than_its_own_threads(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postal, "PATIENCE_S", 0.2)
    post = Post(Directory.read(f"json://{box.host}/hang form://{box.host}/ok"))

    failures = [await _failure(post, "json") for _ in range(postal.LANES + 1)]
    await post.send(sample(), "form")

    assert failures[:-1] == ["json does not answer within 0.2 s"] * postal.LANES
    assert failures[-1] == f"json has not answered to {postal.LANES} earlier ones yet"
    assert len(box.at("/ok")) == 1


async def _failure(post: Post, name: str) -> str:
    with pytest.raises(Undelivered) as failure:
        await post.send(sample(), name)
    return str(failure.value)


async def test_a_target_that_is_configured_no_more_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no target 'ops' is configured"):
        await Post(Directory()).send(sample(), "ops")


async def test_nothing_secret_is_written_to_the_database(database: Database) -> None:
    """The row holds what the journal holds, and names of targets."""
    await (await furnished(database)).ramped(1)

    async with database.reading() as session:
        found: Any = await (await session.connection()).execute(text("SELECT * FROM notification"))

    assert set(found.keys()) == {
        "id", "rollout_id", "kind", "occurred_at", "status", "settled_at", "failures",
    }  # fmt: skip
