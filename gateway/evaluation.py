"""OFREP, the OpenFeature Remote Evaluation Protocol 0.3: one flag, or all of them at once.

A flag's key is `<name>.<prompt_type>`, its variant the version's number, its value the template.
All is answered from memory.
"""

from hashlib import blake2b
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import UNSET, Struct, UnsetType

from domain import limits
from domain.errors import Unavailable
from domain.recorder import ExposureRecorder
from domain.segments.audience import SegmentRouter
from domain.snapshot import Assignment, Reason
from domain.tokens import Role, Token
from domain.wire import UNREADABLE
from gateway.bodies import media_type, read, unsupported
from gateway.exchange import JSON, Answer, Exchange
from gateway.guard import Guard
from gateway.problems import Problem
from gateway.streams import Streams
from gateway.telemetry import Telemetry
from gateway.templates import Templates

FLAGS = "/ofrep/v1/evaluate/flags"
FLAG = f"{FLAGS}/"
MEDIA_TYPE = "application/json"
REMEMBERED = 10_000  # answers


class Evaluated(Struct, omit_defaults=True):
    """One flag as OFREP has it; without a value, the application's own default is meant."""

    key: str
    reason: str
    variant: str
    metadata: dict[str, str | int]
    value: str | UnsetType = UNSET


class Failed(Struct, omit_defaults=True):
    """Why there is no evaluation."""

    errorCode: str  # noqa: N815  # the protocol's name
    errorDetails: str  # noqa: N815
    key: str | UnsetType = UNSET


class _Asked(Struct):
    context: dict[str, Any] | UnsetType = UNSET


class Unanswerable(Problem):
    """The evaluation is refused, with one of OpenFeature's error codes."""

    def __init__(self, code: str, detail: str, *, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(HTTPStatus(status), detail)
        self.code = code


class Evaluator:
    """Evaluates flags from memory, and notes who was given what."""

    def __init__(
        self,
        router: SegmentRouter,
        templates: Templates,
        exposures: ExposureRecorder,
        telemetry: Telemetry,
    ) -> None:
        self._router = router
        self._templates = templates
        self._exposures = exposures
        self._telemetry = telemetry
        self._told: dict[tuple[str, Assignment], bytes] = {}
        self._keys: list[tuple[str, str]] = []

    async def evaluate(self, key: str, context: dict[str, Any]) -> bytes | None:
        """Return the flag's evaluation as JSON; None if nothing is served under that key.

        Raises:
            Unavailable: Nothing is known yet, for the database cannot be asked.
        """
        name, _, prompt_type = key.rpartition(".")
        user_id = context["targetingKey"]
        assigned = self._router.assign(name, prompt_type, user_id, attributes=context)
        self._telemetry.evaluated(assigned.reason)
        if assigned.reason is Reason.UNKNOWN or assigned.version is None:
            if self._router.stale and not self._router.snapshots:
                raise Unavailable("no flag is known yet: the database cannot be asked")
            return None
        self._exposures.note(assigned, user_id)
        told = self._told.get((key, assigned))
        return told if told is not None else await self._tell(key, assigned)

    async def evaluate_all(self, context: dict[str, Any]) -> bytes:
        """Return the evaluations of all flags, by key, as a JSON list."""
        known = self._router.snapshots
        if len(self._keys) != len(known):  # prompts never leave
            self._keys = sorted(known)
        told = [await self._one_of_all(".".join(prompt), context) for prompt in self._keys]
        return b"[" + b",".join(one for one in told if one is not None) + b"]"

    async def _one_of_all(self, key: str, context: dict[str, Any]) -> bytes | None:
        try:
            return await self.evaluate(key, context)
        except Unavailable as error:
            return msgspec.json.encode(Failed("GENERAL", str(error), key))

    async def _tell(self, key: str, assigned: Assignment) -> bytes:
        known = {
            "version_id": assigned.version_id,
            "experiment_id": assigned.experiment_id,
            "epoch": assigned.epoch,
            "rampart_reason": assigned.reason.value,
        }
        template = await self._templates.of(assigned.version_id) if assigned.version_id else None
        told = msgspec.json.encode(
            Evaluated(
                key=key,
                reason=assigned.reason.value,
                variant=assigned.version or "",
                metadata={name: value for name, value in known.items() if value is not None},
                value=UNSET if template is None else template,
            )
        )
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told[key, assigned] = told
        return told


class _Hot:
    """What both routes do alike."""

    def __init__(self, guard: Guard, evaluator: Evaluator, *, limit_bytes: int) -> None:
        self._guard = guard
        self._evaluator = evaluator
        self._limit = limit_bytes

    async def _asked(self, exchange: Exchange) -> tuple[Token, dict[str, Any]]:
        token = await self._guard.admit(exchange.headers, Role.EVALUATE)
        if (given := media_type(exchange)) != MEDIA_TYPE:
            raise unsupported(given, MEDIA_TYPE)
        return token, _context(await read(exchange, limit=self._limit))


class OneFlag(_Hot):
    """Evaluates the flag in the path: `POST /ofrep/v1/evaluate/flags/{key}`."""

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer the evaluation, or why there is none."""
        _, context = await self._asked(exchange)
        key = exchange.path.removeprefix(FLAG)
        told = await self._evaluator.evaluate(key, context)
        if told is None:
            detail = f"no flag {key!r}: a key is <name>.<prompt_type>, of a prompt that serves"
            raise Unanswerable("FLAG_NOT_FOUND", detail, status=HTTPStatus.NOT_FOUND)
        return Answer(HTTPStatus.OK, told)

    def refuse(self, problem: Problem, exchange: Exchange) -> Answer:
        """Tell what is wrong as OFREP does."""
        return _failure(problem, key=exchange.path.removeprefix(FLAG))


class AllFlags(_Hot):
    """Evaluates all flags: `POST /ofrep/v1/evaluate/flags`."""

    def __init__(
        self, guard: Guard, evaluator: Evaluator, streams: Streams, *, limit_bytes: int
    ) -> None:
        super().__init__(guard, evaluator, limit_bytes=limit_bytes)
        self._streams = streams

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer all evaluations, or 304 if they are those of the ETag that was sent."""
        token, context = await self._asked(exchange)
        if told := parse_qs(exchange.query.decode("latin-1")).get("flagConfigEtag"):
            await self._streams.catch_up(told[0])
        flags = await self._evaluator.evaluate_all(context)
        etag = b'"' + blake2b(flags, digest_size=16).hexdigest().encode() + b'"'
        headers = ((b"etag", etag), (b"cache-control", b"no-cache"))
        if _matches(exchange.headers.get(b"if-none-match"), etag):
            return Answer(HTTPStatus.NOT_MODIFIED, b"", headers)
        rest = msgspec.json.encode(await self._streams.offer(token))[1:]
        return Answer(HTTPStatus.OK, b'{"flags":' + flags + b"," + rest, (*JSON, *headers))

    def refuse(self, problem: Problem, _exchange: Exchange) -> Answer:
        """Tell what is wrong as OFREP does."""
        return _failure(problem)


def _context(body: bytes) -> dict[str, Any]:
    """Return the evaluation context, its targeting key checked.

    Raises:
        Unanswerable: It is none.
    """
    try:
        context = _ASKED.decode(body).context
    except msgspec.ValidationError as error:
        code = "INVALID_CONTEXT" if "$.context" in str(error) else "PARSE_ERROR"
        raise Unanswerable(code, str(error)) from error
    except UNREADABLE as error:
        raise Unanswerable("PARSE_ERROR", f"body is not JSON: {error}") from error
    key = None if context is UNSET else context.get("targetingKey")
    if context is UNSET or key is None or key == "":
        raise Unanswerable("TARGETING_KEY_MISSING", "context.targetingKey must name the user")
    if not (isinstance(key, str) and limits.TEXT.fullmatch(key)):
        raise Unanswerable("INVALID_CONTEXT", f"context.targetingKey must be {limits.A_TEXT}")
    return context


_ASKED = msgspec.json.Decoder(_Asked)


def _failure(problem: Problem, *, key: str | UnsetType = UNSET) -> Answer:
    code = problem.code if isinstance(problem, Unanswerable) else "GENERAL"
    body = msgspec.json.encode(Failed(code, _plain(problem.detail), key and _plain(key)))
    return Answer(problem.status, body, problem.headers_with(MEDIA_TYPE.encode()))


def _plain(text: str) -> str:
    """Return a text that can be sent, whatever was quoted in it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _matches(given: bytes | None, etag: bytes) -> bool:
    if given is None:
        return False
    named = (one.strip().removeprefix(b"W/") for one in given.split(b","))
    return any(one in (etag, b"*") for one in named)
