"""Templates in, pages out: escaped, and allowed to load nothing but what is ours."""

from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

from domain.duration import spell
from gateway.dashboard import instants, visit
from gateway.dashboard.figures import FILTERS
from gateway.exchange import Answer
from gateway.front import HOLDER
from gateway.problems import Problem

# Style attributes are what pictures are drawn with; no script, style or font comes from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class Pages:
    """Renders the templates of this package."""

    def __init__(self, *, open: bool) -> None:
        """`open`: everybody may look, so nobody logs in or out."""
        self._templates = Environment(
            loader=PackageLoader("gateway.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"root": visit.ROOT, "open": open}
        self._templates.filters |= {
            "words": words,
            "instant": instant,
            "spell": spell,
            "moment": instants.moment,
            "minute": instants.minute,
            "at": instants.at,
            "place": place,
        } | FILTERS

    def show(
        self,
        request: Request,
        template: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        **values: object,
    ) -> HTMLResponse:
        """Return a page for whoever asked."""
        holder = request.scope.get(HOLDER)
        text = self.render(template, holder=holder, path=request.url.path, **values)
        return HTMLResponse(text, status_code=status, headers=HEADERS)

    def render(self, template: str, **values: object) -> str:
        """Return a page, or a part of one, as text."""
        return self._templates.get_template(template).render(**values)

    def refuse(self, problem: Problem, path: str) -> Answer:
        """Say on a page what is wrong; whoever has no live token is asked for one."""
        headers = tuple(
            (name.encode(), value.encode()) for name, value in (HEADERS | problem.headers).items()
        )
        if problem.status is HTTPStatus.UNAUTHORIZED:
            where = f"{visit.LOGIN}?next={quote(path, safe='/')}".encode()
            return Answer(HTTPStatus.SEE_OTHER, b"", ((b"location", where), *headers))
        text = self.render("problem.html", problem=problem, holder=None, path=path)
        html = (b"content-type", b"text/html; charset=utf-8")
        return Answer(problem.status, text.encode(), (html, *headers))


def words(name: str) -> str:
    """Return `rolled back` for `rolled_back`."""
    return str(name).replace("_", " ")


def instant(when: datetime) -> str:
    """Return `2026-01-31 12:00:00 UTC`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def place(text: str) -> str:
    """Return a text as a part of an address, whatever it holds."""
    return quote(text, safe="")
