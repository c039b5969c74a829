"""A report as HTML, Markdown or JSON. Whatever anybody wrote into it is text, and nothing else."""

import json
import re
from enum import StrEnum
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pictures.canvas import plain
from reports import wording
from reports.facts import Report, RolloutReport
from reports.illustrated import Illustrated

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")  # in the name of a file
MARKS = re.compile(r"([\\`*_{}\[\]<>#|~&@!])")  # what means something to Markdown within a line
STYLE = Path(__file__).parent / "templates" / "report.css"
WORDS = {
    name: getattr(wording, name)
    for name in (
        "words", "instant", "is_link", "arm", "difference", "harm", "safety", "tail", "split",
        "together", "line", "figure", "shift", "outcome", "ahead", "version",
    )
}  # fmt: skip


class Form(StrEnum):
    """How a report may be written."""

    HTML = "html"
    MARKDOWN = "md"
    JSON = "json"

    @property
    def media_type(self) -> str:
        """What a file that is written so is called: `text/html`, say."""
        return {"html": "text/html", "md": "text/markdown", "json": "application/json"}[self]


class Verbatim(str):
    """Markdown that is ours."""

    __slots__ = ()


def write(told: Illustrated, form: Form) -> str:
    """Return the report: one file that needs no other."""
    if form is Form.JSON:
        return to_json(told)
    environment = _HTML if form is Form.HTML else _MARKDOWN
    kind = "rollout" if isinstance(told.report, RolloutReport) else "experiment"
    template = environment.get_template(f"{kind}.{form.value}")
    return template.render(report=told.report, plates=told.plates, style=Markup(STYLE.read_text()))  # noqa: S704  # ours


def file_name(report: Report, form: Form) -> str:
    """Return the name of a report's file, safe on every system: `greeting.system-01a2….html`."""
    prompt = UNSAFE.sub("_", report.prompt).lstrip("._")
    return f"{prompt}-{report.id}.{form.value}"


def to_json(told: Illustrated) -> str:
    """Return the facts, as `reports.facts` has them."""
    return json.dumps(told.report.model_dump(mode="json"), ensure_ascii=False, indent=2)


def _html(value: object) -> object:
    """Escape it; line breaks stay, for what is shown as code."""
    if isinstance(value, Markup):
        return value
    return escape("\n".join(plain(line) for line in str(value).split("\n")))


def _markdown(value: object) -> object:
    return value if isinstance(value, Verbatim) else _quoted(str(value))


def _quoted(text: str) -> str:
    """Return text that Markdown shows as it is, in one line.

    Backslashes are for everybody; a break of a word keeps `www.` and `http:` from becoming links.
    """
    return MARKS.sub(r"\\\1", " ".join(plain(text).split())).replace("://", ":\\//")


def _yaml(value: object) -> str:
    """Return it as YAML, what says nothing left out."""
    return yaml.safe_dump(_told(value), sort_keys=False, allow_unicode=True)


def _told(value: object) -> object:
    if isinstance(value, dict):
        return {key: _told(one) for key, one in value.items() if one not in (None, [], {})}
    return [_told(one) for one in value] if isinstance(value, list) else value


def _code(value: str) -> Verbatim:
    """Return the text in a fence that is longer than any in it."""
    longest = max((len(ticks) for ticks in re.findall("`+", value)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(plain(line) for line in value.rstrip("\n").split("\n"))
    return Verbatim(f"{fence}yaml\n{lines}\n{fence}")


def _link(address: str, said: str) -> Verbatim:
    """Return a link; an address that is none is only text."""
    text = _quoted(said)
    return Verbatim(f"[{text}](<{address}>)" if wording.is_link(address) else text)


def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("reports"),
        autoescape=html,  # noqa: S701  # what is not for HTML is quoted for Markdown
        finalize=_html if html else _markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= WORDS
    made.filters |= {"yaml": _yaml, "code": _code, "link": _link, "ours": Verbatim}
    return made


_HTML, _MARKDOWN = _environment(html=True), _environment(html=False)
