"""What a line of the log looks like, and what never gets into it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from domain.database import Database
from domain.errors import InvalidValue
from telemetry.logs import formatter
from tests.house import House

SECRETS = (
    "postgresql+asyncpg://rampart:hunter2@postgres:5432/rampart is away",
    "Error 111 connecting to redis://:hunter2@redis:6379/0.",
    "sent Authorization: Bearer hunter2",
    "token rampart_0a1b2c_hunter2 is revoked",
    "amqp://user:hun@hunter2@host/",
)


class Log:
    """A logger whose lines can be read."""

    def __init__(self, form: str) -> None:
        self._written = io.StringIO()
        handler = logging.StreamHandler(self._written)
        handler.setFormatter(formatter(form))
        self.logger = logging.Logger("rampart", logging.INFO)  # noqa: LOG001  # nobody else's
        self.logger.addHandler(handler)

    @property
    def text(self) -> str:
        return self._written.getvalue()

    @property
    def line(self) -> dict[str, object]:
        (line,) = self.text.splitlines()
        found: dict[str, object] = json.loads(line)
        return found


def test_text_shows_what_it_is_about() -> None:
    log = Log("text")

    log.logger.info("worker.ready", extra={"task_queue": "rampart", "why": "so it is", "n": 3})

    time, level, rest = log.text.strip().split(" ", 2)
    assert time.endswith("Z")
    assert (level, rest) == ("INFO", 'worker.ready task_queue=rampart why="so it is" n=3')


def test_json_is_one_object_a_line() -> None:
    log = Log("json")

    log.logger.warning("%s waits", "drain", extra={"rollout": "r-1", "pause": 0.5, "names": ["a"]})

    told = {"rollout": "r-1", "pause": 0.5, "names": ["a"]}
    assert str(log.line["time"]).endswith("Z")
    assert log.line == log.line | {"level": "warning", "event": "drain waits"} | told


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_not_written_wherever_it_stands(form: str, secret: str) -> None:
    log = Log(form)

    log.logger.error(secret)
    log.logger.error("%s", secret, extra={"error": secret, "found": {"deep": [secret]}})
    try:
        raise OSError(secret)
    except OSError:
        log.logger.exception("it failed")

    assert "hunter2" not in log.text
    assert "***" in log.text


@pytest.mark.parametrize("name", ["password", "redis_password", "api_key", "token", "SECRET"])
def test_what_is_called_a_secret_is_not_written(name: str) -> None:
    log = Log("json")

    log.logger.info("made", extra={name: "hunter2", "tokens": 12})

    assert (log.line[name], log.line["tokens"]) == ("***", 12)


@given(st.text(), st.text())
def test_nobodys_text_can_pass_for_another_line(said: str, told: str) -> None:
    for form in ("text", "json"):
        log = Log(form)

        log.logger.info("%s", said, extra={"reason": told})

        assert log.text.endswith("\n")
        assert log.text.count("\n") == 1
        assert "\r" not in log.text


def test_an_exception_is_told_with_where_it_was_raised() -> None:
    text, as_json = Log("text"), Log("json")

    for log in (text, as_json):
        try:
            raise ValueError("nothing there")
        except ValueError:
            log.logger.exception("read.failed")

    assert text.text.splitlines()[0].endswith("ERROR read.failed")
    assert text.text.splitlines()[-1] == "ValueError: nothing there"
    assert "ValueError: nothing there" in str(as_json.line["exception"])


def test_a_line_names_the_span_it_was_written_in() -> None:
    log, tracer = Log("json"), TracerProvider().get_tracer("test")

    with tracer.start_as_current_span("work") as span:
        log.logger.info("worked")

    assert log.line["trace_id"] == f"{span.get_span_context().trace_id:032x}"


def test_a_format_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidValue, match="log format 'xml' is not known: give one of text, json"):
        formatter("xml")


@pytest.fixture
def journalled() -> Iterator[Log]:
    log, logger = Log("json"), logging.getLogger("domain.journal")
    before = logger.level
    logger.addHandler(log.logger.handlers[0])
    logger.setLevel(logging.INFO)
    yield log
    logger.removeHandler(log.logger.handlers[0])
    logger.setLevel(before)


async def test_a_line_of_the_journal_is_logged_with_its_rollout_and_prompt(
    sqlite: Database, journalled: Log
) -> None:
    house = House(sqlite)
    await house.furnish()

    rollout = await house.open()

    told = journalled.line
    assert (told["event"], told["rollout"]) == ("rollout.opened", rollout.id)
    assert told["prompt"] == "greeting.system"
