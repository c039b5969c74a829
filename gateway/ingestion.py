"""`POST /v1/events` and `POST /v1/exposures`: what happened to users, and who was given what."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count

import msgspec

from domain import wire
from domain.errors import DomainError
from domain.experiments import ABTestManager
from domain.fields import check_text
from domain.intake.intake import Intake, Refused
from domain.limits import BATCH_LIMIT
from domain.tokens import Role
from domain.wire import Decoded, Malformed, Refusal, TooMany
from gateway.bodies import media_type, read, unsupported
from gateway.exchange import Answer, Exchange
from gateway.guard import Guard
from gateway.problems import Problem
from gateway.telemetry import Telemetry

JSON = "application/json"
LINES = ("application/x-ndjson", "application/jsonl")
DECODERS: dict[str, Callable[..., Decoded]] = {JSON: wire.decode_json} | dict.fromkeys(
    LINES, wire.decode_lines
)


class Events:
    """Takes events: 202 when those that are sound are durable, whatever is said of the others."""

    def __init__(
        self, guard: Guard, intake: Intake, telemetry: Telemetry, *, limit_bytes: int
    ) -> None:
        self._guard = guard
        self._intake = intake
        self._telemetry = telemetry
        self._limit = limit_bytes

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer 202 if any event was taken, 422 if all were refused.

        Raises:
            Problem: 400 for a body that cannot be read, 413 for too much of it, 415, 401, 403, 429.
            Overloaded, Unavailable: Nothing was taken.
        """
        await self._guard.admit(exchange.headers, Role.INGEST)
        decoded = await self._decoded(exchange)
        refusals = decoded.refusals
        if decoded.events:
            refusals = await self._accept(decoded)
        accepted = len(decoded.events) - (len(refusals) - len(decoded.refusals))
        self._telemetry.events(accepted=accepted, refused=[each.field for each in refusals])
        if refusals and not accepted:
            raise _all_refused(refusals)
        return Answer(HTTPStatus.ACCEPTED, _taken(accepted, refusals))

    def refuse(self, problem: Problem, _exchange: Exchange) -> Answer:
        """Tell what is wrong."""
        return problem.answer()

    async def _decoded(self, exchange: Exchange) -> Decoded:
        given = media_type(exchange)
        decode = DECODERS.get(given)
        if decode is None:
            raise unsupported(given, JSON, *LINES)
        body = await read(exchange, limit=self._limit)
        try:
            return decode(body, now=datetime.now(UTC))
        except TooMany as error:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
        except Malformed as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error

    async def _accept(self, decoded: Decoded) -> list[Refusal]:
        """Have the events kept; return all refusals, those of the database too."""
        try:
            await self._intake.accept(decoded.events)
        except Refused as error:
            late = [
                Refusal(index, event.event_id, "", error.reasons[event.event_id])
                for index, event in zip(_indexes(decoded), decoded.events, strict=False)
                if event.event_id in error.reasons
            ]
            return sorted([*decoded.refusals, *late], key=lambda refusal: refusal.index)
        return decoded.refusals


class Exposed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user was given a version, by number, in an epoch of an experiment."""

    experiment_id: wire.Text
    user_id: wire.Text
    version: wire.Text
    epoch: int


class _Exposures(msgspec.Struct, forbid_unknown_fields=True):
    exposures: list[Exposed]


class Exposures:
    """Takes exposures, of applications that evaluate by themselves."""

    def __init__(self, guard: Guard, experiments: ABTestManager, *, limit_bytes: int) -> None:
        self._guard = guard
        self._experiments = experiments
        self._limit = limit_bytes
        self._decoder = msgspec.json.Decoder(_Exposures)

    async def handle(self, exchange: Exchange) -> Answer:
        """Record them: those of one experiment all together, or none of them and why.

        Raises:
            Problem: As for events.
            Unavailable: Some experiments' may have been recorded; they may all be sent again.
        """
        await self._guard.admit(exchange.headers, Role.INGEST)
        if (given := media_type(exchange)) != JSON:
            raise unsupported(given, JSON)
        exposures = self._decode(await read(exchange, limit=self._limit))
        accepted, errors = 0, list[dict[str, str]]()
        for experiment_id, told in _by_experiment(exposures).items():
            try:
                check_text(experiment_id, field="experiment_id")
                await self._experiments.record_exposures(experiment_id, told)
            except DomainError as error:
                errors.append({"experiment_id": experiment_id, "message": str(error)})
            else:
                accepted += len(told)
        if errors and not accepted:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "no exposure was taken: see errors",
                accepted=0,
                errors=errors,
            )
        return Answer(HTTPStatus.ACCEPTED, _taken(accepted, errors))

    def refuse(self, problem: Problem, _exchange: Exchange) -> Answer:
        """Tell what is wrong."""
        return problem.answer()

    def _decode(self, body: bytes) -> list[Exposed]:
        try:
            found = self._decoder.decode(body).exposures
        except msgspec.ValidationError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except wire.UNREADABLE as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"body is not JSON: {error}") from error
        if len(found) > BATCH_LIMIT:
            detail = f"exposures must be at most {BATCH_LIMIT} at once, got {len(found)}"
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        return found


def _taken(accepted: int, errors: Sequence[Refusal | dict[str, str]]) -> bytes:
    """Return the answer, in ASCII: what is quoted may hold halves of surrogate pairs."""
    if not errors:
        return b'{"accepted": %d, "errors": []}' % accepted
    told = {"accepted": accepted, "errors": msgspec.to_builtins(errors)}
    return json.dumps(told).encode()


def _by_experiment(exposures: Sequence[Exposed]) -> dict[str, list[tuple[str, str, int]]]:
    found: dict[str, list[tuple[str, str, int]]] = {}
    for each in exposures:
        told = (each.user_id, each.version, each.epoch)
        found.setdefault(each.experiment_id, []).append(told)
    return found


def _indexes(decoded: Decoded) -> Iterator[int]:
    """Yield where in the body the events were that are still there."""
    refused = {refusal.index for refusal in decoded.refusals}
    return (index for index in count() if index not in refused)


def _all_refused(refusals: Sequence[Refusal]) -> Problem:
    first = refusals[0]
    detail = f"no event was taken, the first because {first.message}"
    errors = msgspec.to_builtins(refusals)
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, accepted=0, errors=errors)
