"""What is asked for over HTTP: a gateway, and Temporal's web UI."""

import asyncio

import requests

from settings import Settings
from terminal.checkup.finding import Finding, failed, ok, warning

PATIENCE_S = 5.0


async def gateway(url: str) -> list[Finding]:
    """Ask a gateway whether it can serve."""
    part, place = "gateway", url.rstrip("/")
    try:
        answer = await asyncio.to_thread(requests.get, f"{place}/readyz", timeout=PATIENCE_S)
        found = answer.json()
    except (requests.RequestException, ValueError) as error:
        said = f"{place} does not answer as a gateway does: {_short(error)}"
        return [failed(part, said, "start one with `rampart gateway`, or correct --gateway")]
    degraded = found.get("degraded") or {}
    told = "; ".join(f"{name}: {why}" for name, why in degraded.items())
    if not answer.ok:
        said = f"{place} cannot serve: {found.get('title') or told}"
        return [failed(part, said, "give it a database it can reach")]
    if degraded:
        return [warning(part, f"{place} does without: {told}", "see the parts it names")]
    return [ok(part, f"{place} is ready")]


async def ui(settings: Settings) -> list[Finding]:
    """Look whether links lead anywhere."""
    part = "Temporal's UI"
    if not settings.ui_url:
        return [ok(part, "RAMPART_UI_URL is not set: links are made for a local server alone")]
    try:
        answer = await asyncio.to_thread(requests.get, settings.ui_url, timeout=PATIENCE_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        said = f"{settings.ui_url} does not answer: {_short(error)}"
        return [warning(part, said, "correct RAMPART_UI_URL: links in journals and chats use it")]
    return [ok(part, settings.ui_url)]


def _short(error: Exception) -> str:
    """Return what went wrong, without the story that `requests` tells of it."""
    named = {requests.ConnectionError: "nothing listens there", requests.Timeout: "no answer"}
    return next((said for kind, said in named.items() if isinstance(error, kind)), str(error))
