"""How a notice is worded: what, who, why, where to look, and what to type next. Pure.

Templates are those of prompts (`domain.templates`): no template can reach an object, or run on.
A wrong one is told at the start and by `rampart notify`; what is sent is then in our own words.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from domain.errors import InvalidValue
from domain.notifications.notice import Level, Message, Notice
from domain.record import Kind
from domain.templates.language import program
from domain.templates.variables import plain, size
from domain.value import Value, flat

ANY = "default"  # the kind of templates for all that have none of their own
TITLE_LIMIT, BODY_LIMIT = 250, 3_000  # characters; less than any common target takes

BODY = """\
{{ reason }}
{{ baseline }} → {{ candidate }}{% if stages %}, stage {{ stage }} of {{ stages }}\
, {{ percent }} %{% endif %}{% if by %}, by {{ by }}{% endif %}, {{ at }}
{% if link %}look: {{ link }}
{% endif %}next: {{ next }}"""
TITLES = {
    "opened": "{{ prompt }}: rollout of {{ candidate }} begins",
    "ramped": "{{ prompt }}: {{ percent }} % get {{ candidate }}",
    "paused": "{{ prompt }}: paused{% if by %} by {{ by }}{% endif %}",
    "resumed": "{{ prompt }}: resumed{% if by %} by {{ by }}{% endif %}",
    "waiting_for_approval": "{{ prompt }}: {{ candidate }} waits for your approval",
    "approved": "{{ prompt }}: approved{% if by %} by {{ by }}{% endif %}",
    "hurried": "{{ prompt }}: sent on early{% if by %} by {{ by }}{% endif %}",
    "refused": "{{ prompt }}: a message was refused",
    "promoted": "{{ prompt }}: {{ candidate }} is in production, and still watched",
    "completed": "{{ prompt }}: {{ candidate }} serves everybody",
    "rolling_back": "{{ prompt }}: users are on {{ baseline }} again, the rest follows",
    "rolled_back": "{{ prompt }}: rolled back to {{ baseline }}",
    "rollback_incomplete": "{{ prompt }}: ROLLBACK INCOMPLETE, it is tried again",
    "reconciled": "{{ prompt }}: its workflow is gone",
    ANY: "{{ prompt }}: {{ what }}",
}
LEVELS = {
    "paused": Level.WARNING,
    "waiting_for_approval": Level.WARNING,
    "refused": Level.WARNING,
    "reconciled": Level.WARNING,
    "completed": Level.SUCCESS,
    "rolling_back": Level.WARNING,
    "rolled_back": Level.WARNING,
    "rollback_incomplete": Level.FAILURE,
}
NEXT = {
    "paused": "rampart resume {prompt}",
    "waiting_for_approval": 'rampart approve {prompt} --reason "…"',
    "refused": "rampart why {prompt}",
    "completed": "rampart journal {prompt}",
    "rolled_back": "rampart explain {prompt}",
    "rollback_incomplete": "rampart why {prompt}",
    ANY: "rampart status {prompt}",
}


class Words(Value):
    """Templates of a title and a body; what is not given is in our own words."""

    title: str | None = None
    body: str | None = None


class Wording:
    """Puts notices into words."""

    def __init__(self, templates: Mapping[str, Words] | None = None) -> None:
        """Take templates by kind; those of `default` are for all kinds that have none."""
        self._templates = dict(templates or {})

    def problems(self) -> Iterator[str]:
        """Say what is wrong with each template: what it is, and that it fails on a sample."""
        for kind, words in self._templates.items():
            notice = sample("test" if kind == ANY else kind)
            for part, text in (("title", words.title), ("body", words.body)):
                try:
                    _filled(text or "", _values(notice, link="https://temporal.example"))
                except InvalidValue as error:
                    yield f"templates.{kind}.{part}: {error}"

    def word(self, notice: Notice, *, link: str = "") -> Message:
        """Return the message. Never fails: where a template does, our own words stand in."""
        values = _values(notice, link=link)
        title, body = self._parts(notice.kind)
        return Message(
            notice=notice,
            level=LEVELS.get(notice.kind, Level.INFO),
            title=_cut(flat(_either(title, TITLES.get(notice.kind, TITLES[ANY]), values))),
            body=_cut(_either(body, BODY, values).strip(), BODY_LIMIT),
            link=link,
        )

    def _parts(self, kind: str) -> tuple[str | None, str | None]:
        own, any_ = (self._templates.get(each, Words()) for each in (kind, ANY))
        title = any_.title if own.title is None else own.title
        return title, any_.body if own.body is None else own.body


def _values(notice: Notice, *, link: str) -> dict[str, Any]:
    """Return what templates may mention."""
    values = notice.model_dump(mode="json", exclude={"id"})
    return values | {
        "prompt": notice.prompt,
        "what": notice.kind.replace("_", " "),
        "percent": f"{notice.percent:g}",
        "at": f"{notice.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "link": link,
        "next": NEXT.get(notice.kind, NEXT[ANY]).format(prompt=notice.prompt),
    }


def _either(template: str | None, ours: str, values: dict[str, Any]) -> str:
    try:
        if template is not None and (filled := _filled(template, values)).strip():
            return filled
    except InvalidValue:
        pass  # told at the start; the news matter more than their form
    return _filled(ours, values)


def _filled(template: str, values: dict[str, Any]) -> str:
    known = plain(values)
    return program(template).run(known, size=size(known))


def _cut(text: str, limit: int = TITLE_LIMIT) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def sample(kind: str = "test", *, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> Notice:
    """Return a notice of nothing that has happened."""
    return Notice(
        id=f"test-{at:%Y%m%dT%H%M%S.%f}",
        kind=kind,
        at=at,
        name="greeting",
        prompt_type="system",
        baseline="1.0.0",
        candidate="1.1.0",
        plan="standard",
        stage=1,
        stages=4,
        percent=5.0,
        by="ana",
        reason="this is a test: nothing has happened",
    )


def kinds() -> tuple[str, ...]:
    """Return what may be asked for by name."""
    return tuple(kind.value for kind in Kind if kind is not Kind.CHECKED)
