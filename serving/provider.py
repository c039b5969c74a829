"""RampartProvider: prompts as OpenFeature flags, evaluated in this process."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import (
    FlagNotFoundError,
    GeneralError,
    InvalidContextError,
    ProviderNotReadyError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata
from openfeature.track import TrackingEventDetails

from domain import limits
from domain.database import Prompt
from domain.errors import InvalidValue, RampartError
from domain.prompts import PromptVersion
from domain.segments.rule import Attributes
from domain.snapshot import Assignment, Reason
from serving.recent import Recent
from serving.serving import Serving
from serving.tracking import Tracked

Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]
NAME = "rampart"

V = TypeVar("V")


class RampartProvider(AbstractProvider):
    """Evaluates `<name>.<prompt_type>` from memory: the template as a string, or as an object.

    The variant is the version; the reason is SPLIT, DEFAULT (no experiment splits) or STALE (as
    before, for the database cannot be asked). Every evaluation with a targeting key is recorded as
    an exposure, and tracking events become events of the version the user was served
    (`serving.tracking`). Events: READY, STALE, CONFIGURATION_CHANGED with the flag's key.
    """

    def __init__(self, serving: Serving | None = None) -> None:
        """Take what serves; by default from the database of `RAMPART_DATABASE_URL`."""
        super().__init__()
        self._serving = serving or Serving()
        self._serving.watch(changed=self._on_change, stale=self._on_stale)
        self._recent = Recent()
        self._initialised = False

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name=NAME)

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002
        """Load what is served.

        Raises:
            GeneralError: The database could not be asked; the provider becomes READY when it can.
        """
        try:
            self._serving.start()
        except RampartError as error:
            raise GeneralError(str(error)) from error
        finally:
            self._initialised = True

    def shutdown(self) -> None:
        """Send what waits, and end."""
        self._initialised = False
        self._serving.stop()

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """Return the template, raw; of a version that was never registered, the default."""
        served = self._serve(flag_key, evaluation_context)
        version = self._serving.version(served)
        return _details(version.template if version else default_value, served)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Structure,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Structure]:
        """Return the template with its number, id, defaults and metadata."""
        served = self._serve(flag_key, evaluation_context)
        version = self._serving.version(served)
        return _details(_content(version) if version else default_value, served)

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: ARG002
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Refuse: a prompt is no boolean."""
        self._refuse(flag_key, evaluation_context, asked="boolean")

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,  # noqa: ARG002
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """Refuse: a prompt is no number."""
        self._refuse(flag_key, evaluation_context, asked="integer")

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,  # noqa: ARG002
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """Refuse: a prompt is no number."""
        self._refuse(flag_key, evaluation_context, asked="float")

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Have the event counted for the version the user was served. Never raises, never waits.

        How it is read: `Tracked.read`. What cannot be counted is dropped, and logged.
        """
        details = tracking_event_details or TrackingEventDetails()
        try:
            event = Tracked.read(
                tracking_event_name, value=details.value, attributes=details.attributes
            )
            served = self._used(event, evaluation_context or EvaluationContext())
        except InvalidValue as error:
            self._serving.drop(f"tracking event {tracking_event_name!r}: {error}")
            return
        self._serving.report(
            served,
            (evaluation_context and evaluation_context.targeting_key) or None,
            success=event.success,
            numbers=event.numbers,
            metadata=event.metadata,
            event_id=event.event_id,
            **event.measured,
        )

    def _serve(self, flag_key: str, context: EvaluationContext | None) -> Assignment:
        context = context or EvaluationContext()
        prompt, user = _prompt(flag_key), _user(context)
        served = self._serving.assign(*prompt, user, attributes=_attributes(context))
        if served.reason is Reason.UNKNOWN:
            if not self._serving.ready:
                raise ProviderNotReadyError("the database could not be asked yet")
            raise FlagNotFoundError(f"{flag_key!r} is no <name>.<prompt_type> that is served")
        self._recent.put(prompt, user, served)
        return served

    def _refuse(self, flag_key: str, context: EvaluationContext | None, *, asked: str) -> NoReturn:
        self._serve(flag_key, context)
        raise TypeMismatchError(f"{flag_key!r} is a string or an object, got asked for: {asked}")

    def _used(self, event: Tracked, context: EvaluationContext) -> Assignment:
        """Return what the event is about."""
        if event.version_id is not None:
            return Assignment(event.version_id, None, Reason.UNKNOWN)
        user = context.targeting_key
        if not user:
            raise InvalidValue("it needs a targeting key, or the attribute 'version_id'")
        prompt = _prompt(event.flag)
        served = self._recent.get(prompt, user) or self._serving.peek(
            *prompt, user, attributes=_attributes(context)
        )
        if served.version_id is None:
            raise InvalidValue(f"{event.flag!r} is no flag that serves a registered version")
        return served

    def _on_change(self, prompt: Prompt) -> None:
        if self._initialised:
            details = ProviderEventDetails(flags_changed=[".".join(prompt)])
            self.emit_provider_configuration_changed(details)

    def _on_stale(self, stale: bool) -> None:
        if not self._initialised:
            return
        if stale:
            told = "the database cannot be asked: served from memory"
            self.emit_provider_stale(ProviderEventDetails(message=told))
        else:
            self.emit_provider_ready(ProviderEventDetails())


def _prompt(flag_key: str) -> Prompt:
    name, _, prompt_type = flag_key.rpartition(".")
    return name, prompt_type


def _user(context: EvaluationContext) -> str:
    key = context.targeting_key
    if key is None or key == "":
        raise TargetingKeyMissingError("targeting_key must name the user")
    if not (isinstance(key, str) and limits.TEXT.fullmatch(key)):
        raise InvalidContextError(f"targeting_key must be {limits.A_TEXT}")
    return key


def _attributes(context: EvaluationContext) -> Attributes:
    """Return the attributes as the JSON that rules of segments are asked of, as OFREP sends it."""
    given = {key: _plain(value) for key, value in context.attributes.items()}
    return {"targetingKey": context.targeting_key} | given


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _details(value: V, served: Assignment) -> FlagResolutionDetails[V]:
    known = {
        "version_id": served.version_id,
        "experiment_id": served.experiment_id,
        "epoch": served.epoch,
    }
    return FlagResolutionDetails(
        value=value,
        reason=served.reason.value,
        variant=served.version,
        flag_metadata={key: each for key, each in known.items() if each is not None},
    )


def _content(version: PromptVersion) -> Structure:
    return {
        "template": version.template,
        "version": version.version,
        "version_id": version.version_id,
        "defaults": version.defaults,
        "metadata": version.metadata,
    }
