"""What is logged: one line each, as text or as JSON, with what it is about, and without secrets.

The code logs by the standard library: a dotted name of what happened, and in `extra` to what.
"""

import logging
import re
import sys
from collections.abc import Callable
from enum import StrEnum

from opentelemetry import trace
from structlog.processors import JSONRenderer, LogfmtRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow

from domain.errors import InvalidValue

HIDDEN = "***"
SECRETS = re.compile(r"password|secret|authorization|api_?key|^token$|_token$", re.IGNORECASE)
# The password of a URL, the secret of a token of ours, and what a request proves itself by.
HIDE = (
    (re.compile(r"(://[^\s:/@]*):\S+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\b(rampart_[0-9A-Za-z]+)_[\w-]+"), rf"\1_{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic) \S+", re.IGNORECASE), rf"\1 {HIDDEN}"),
)
CONTROL = {code: f"\\x{code:02x}" for code in {*range(32), 127} - {ord("\n")}}


class Form(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


def set_up(form: str) -> None:
    """Have everything from INFO on written to stderr.

    Raises:
        InvalidValue: The form is neither `text` nor `json`.
    """
    handler = _ToStderr()
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    workflow.logger.workflow_info_on_message = False  # it is in fields of its own
    activity.logger.activity_info_on_message = False


class _ToStderr(logging.Handler):
    """Writes to what stderr is now: whoever embeds us may have exchanged it since."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def formatter(form: str) -> logging.Formatter:
    """Return what makes a line of a record."""
    if form not in set(Form):
        raise InvalidValue(f"log format {form!r} is not known: give one of {', '.join(Form)}")
    chain: list[Processor] = [
        add_log_level,
        ExtraAdder(),
        TimeStamper(fmt="iso", utc=True, key="time"),
        _place,
        _span,
        format_exc_info,
    ]
    render: Processor = JSONRenderer(default=str, ensure_ascii=False)
    return ProcessorFormatter(
        foreign_pre_chain=chain,
        processors=[
            ProcessorFormatter.remove_processors_meta,
            _hide,
            _order,
            _text if form == Form.TEXT else render,
        ],
    )


def _place(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say in which workflow or activity it was logged."""
    told = event.pop("temporal_workflow", None)
    event.pop("temporal_activity", None)
    if told:
        event.update(workflow_id=told["workflow_id"], run_id=told["run_id"])
    elif activity.in_activity():
        info = activity.info()
        event.update(workflow_id=info.workflow_id, run_id=info.workflow_run_id)
        event.update(activity=info.activity_type, attempt=info.attempt)
    return event


def _span(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say in which span, where spans are made."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def _hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: object) -> object:
    """Return the value without the secrets in it, however deep they are."""
    if isinstance(value, dict):
        return {str(key): _hidden(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(name, inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if SECRETS.search(name):
        return HIDDEN if text else text
    for found, instead in HIDE:
        text = found.sub(instead, text)
    return text


def _order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put first what people look for first."""
    first = {name: event.pop(name) for name in ("time", "level", "event")}
    last = {name: event.pop(name) for name in ("exception",) if name in event}
    return {**first, **event, **last}


def _text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Write it as `time LEVEL event name=value …`; nobody's text can pass for another line."""
    time, level, said = event.pop("time"), event.pop("level"), event.pop("event")
    exception = event.pop("exception", "")
    told = _fields(logger, method, {name: _plain(value) for name, value in event.items()})
    line = f"{time} {level.upper()} {_plain(said)} {told}".rstrip().replace("\n", "\\n")
    return f"{line}\n{exception}" if exception else line


_fields: Callable[[WrappedLogger, str, EventDict], str] = LogfmtRenderer(bool_as_flag=False)


def _plain(value: object) -> object:
    return value.translate(CONTROL) if isinstance(value, str) else value
