"""What a form brings, and how what came of it is told."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Self

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.errors import RampartError
from gateway.dashboard import notes
from gateway.dashboard.notes import Note
from gateway.dashboard.pages import Pages
from gateway.operators import Body, Reason
from gateway.problems import Problem, problem_of

KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that could not be followed: why, and the reason that was typed in it."""

    why: str
    status: HTTPStatus
    reason: str = ""

    @classmethod
    def by(cls, error: RampartError, reason: str) -> Self:
        """Read the error."""
        return cls(str(error), problem_of(error).status, reason)


class Wish(Body):
    """A command of a person: why, and that it is meant.

    Attributes:
        sure: "yes" of a box that was ticked.
        key: Made with the page, so that a form that is sent twice counts once.
    """

    reason: Reason = ""
    sure: str = ""
    key: Annotated[str, Field(max_length=KEY_LENGTH)] = ""

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

    version: Annotated[str, Field(max_length=200)] = ""
    tag: Annotated[str, Field(max_length=200)] = ""


class Leaving(Wish):
    """The version that its sender saw in production."""

    leaving: Annotated[str, Field(max_length=200)] = ""


def answered(address: str, said: str) -> Response:
    """Send whoever sent a form to a page, which tells what came of it."""
    response = RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
    notes.leave(response, Note(said))
    return response


async def show(
    pages: Pages, request: Request, template: str, *, refused: Refused | None = None, **values: Any
) -> Response:
    """Return a page that tells what came of a form; rendered beside the loop, as it may be long."""
    note = notes.take(request)
    status = refused.status if refused else HTTPStatus.OK
    response = await asyncio.to_thread(
        pages.show, request, template, status=status, note=note, refused=refused, **values
    )
    if note:
        notes.forget(response)
    return response
