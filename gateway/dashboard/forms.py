"""What a form brings; and what came of it, told once on the page that one is sent to.

It is told by a cookie that only we can set and that is gone when it is read: an address that says
it could be sent to somebody.
"""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, unquote

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.dashboard import visit
from gateway.operators import Body, Label, Reason
from gateway.problems import Problem

SAID = "rampart-said"
LONGEST = 600  # characters of an answer that are told
AGE_S = 60


class Wish(Body):
    """A command of a person: why, and that it is meant.

    Attributes:
        sure: "yes" of a box that was ticked.
        key: Made with the page, so that a form that is sent twice counts once.
    """

    reason: Reason = ""
    sure: str = ""
    key: Annotated[str, Field(max_length=200)] = ""

    def refuse_unless_meant(self) -> None:
        """Refuse what gives no reason, or is not confirmed.

        Raises:
            Problem: 422.
        """
        unprocessable = HTTPStatus.UNPROCESSABLE_ENTITY
        if not self.reason.strip():
            raise Problem(unprocessable, "nothing was changed: say why, it is kept in the journal")
        if self.sure != "yes":
            raise Problem(unprocessable, "nothing was changed: tick the box that says you mean it")


class Chosen(Wish):
    """A command that may name a version."""

    version: Annotated[str, Field(max_length=200)] = ""


class Tagging(Wish):
    """Which version is to carry which tag."""

    version: Label = ""
    tag: Label = ""


class Leaving(Wish):
    """The version that its sender saw in production."""

    leaving: Annotated[str, Field(max_length=200)] = ""


def answered(place: str, said: str) -> Response:
    """Send whoever sent a form to a page, which tells what came of it."""
    response = RedirectResponse(quote(place), status_code=HTTPStatus.SEE_OTHER)
    told = quote(said[:LONGEST])
    response.set_cookie(SAID, told, path=visit.ROOT, max_age=AGE_S, httponly=True, samesite="lax")
    return response


def told(request: Request) -> str:
    """Return what there is to tell on this page; "" when there is nothing."""
    return unquote(request.cookies.get(SAID, ""))[:LONGEST]


def forget(response: Response) -> None:
    """Have it told no more."""
    response.delete_cookie(SAID, path=visit.ROOT, httponly=True, samesite="lax")
