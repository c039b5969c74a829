"""Somebody who is logged in and looks at pages."""

import asyncio
from html import unescape
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any

import httpx

from domain.tokens import Role
from tests.gateway.entrance import Entrance


class Page:
    """A page as it came: its status, its source, and what stands on it."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.source = answer.text
        self.said = _Text.of(answer.text)


class Visitor:
    """Opens pages and sends their forms, as a browser would."""

    def __init__(self, way_in: Entrance, *, role: Role = Role.OPERATE) -> None:
        self._client = way_in.client
        self._cookies = {"rampart": way_in.texts[role]}

    async def open(self, path: str) -> Page:
        """Look at a page."""
        answer = await self._client.get(f"/ui{path}", headers=self._headers())
        self._keep(answer)
        return Page(answer)

    async def wait_for(self, path: str, said: str) -> Page:
        """Look at a page again and again until it says that."""
        async with asyncio.timeout(30):
            while said not in (page := await self.open(path)).said:
                await asyncio.sleep(0.02)
        return page

    async def send(self, path: str, **fields: Any) -> Page:
        """Send a form; a `yes, I mean it` is part of it."""
        sent = {"sure": "yes", "reason": "because"} | fields
        answer = await self._client.post(f"/ui{path}", data=sent, headers=self._headers())
        self._keep(answer)
        if answer.status_code == 303:
            return await self.open(answer.headers["location"].removeprefix("/ui"))
        return Page(answer)

    def _headers(self) -> dict[str, str]:
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def _keep(self, answer: httpx.Response) -> None:
        """Keep the cookies that were set, and no longer those that were taken back."""
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = morsel.value


class _Text(HTMLParser):
    """Reads what a page says, without its marks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    @classmethod
    def of(cls, source: str) -> str:
        reader = cls()
        reader.feed(source)
        return unescape(" ".join(" ".join(reader.parts).split()))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
