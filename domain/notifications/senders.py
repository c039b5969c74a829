"""How a message leaves: by apprise, or as a webhook that is signed.

Both block, and are called in a thread (`domain.notifications.post`). What they raise tells nothing
of where they sent: neither a URL, nor what others say about it.
"""

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from apprise import (
    Apprise,
    AppriseAsset,
    AppriseAttachment,
    AppriseResult,
    NotifyFormat,
    NotifyType,
)
from apprise.attachment.memory import AttachMemory
from apprise.plugins import NotifyBase
from standardwebhooks import Webhook

from domain.errors import InvalidValue, Undelivered
from domain.notifications.notice import Enclosure, Level, Message
from domain.notifications.targets import Target

SERVICE_S = 20.0  # that apprise waits for one service
CONNECT_S, ANSWER_S = 5.0, 10.0
SHORTEST = 3  # characters of a URL's part that could give anything away
HOSTS = ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "http", "https")
TYPES = {
    Level.INFO: NotifyType.INFO,
    Level.SUCCESS: NotifyType.SUCCESS,
    Level.WARNING: NotifyType.WARNING,
    Level.FAILURE: NotifyType.FAILURE,
}
ALREADY = 409  # what our own receiver answers to an id it has seen

Send = Callable[[Message, bool], None]  # and whether it may have been sent before


def sender(target: Target) -> Send:
    """Return what sends to the target.

    Raises:
        InvalidValue: Its address is none that apprise knows, or its secret is none.
    """
    if target.webhook is not None:
        return SignedWebhook(target).send
    return Service(target).send


class Service:
    """One of the services of apprise."""

    def __init__(self, target: Target) -> None:
        _silence()
        self._name, self._address = target.name, target.address()
        self._asset = AppriseAsset(
            app_id="rampart",
            app_desc="rampart",
            storage_mode="memory",
            service_timeout=SERVICE_S,
            result_log_memory_size=64,
        )
        self._made()

    def _made(self) -> NotifyBase:
        """Return the service; a new one each time, because several threads send."""
        made = Apprise.instantiate(self._address, asset=self._asset)
        if not isinstance(made, NotifyBase):
            raise InvalidValue(
                f"target {self._name!r}: apprise cannot read its url;"
                " https://appriseit.com/services shows how they are written"
            )
        return made

    def send(self, message: Message, _again: bool) -> None:
        """Send it; without its enclosure, if the service does not take that.

        Raises:
            Undelivered: The service did not take it, or not in 20 s.
        """
        result = self._notify(message, message.enclosure)
        if not result and message.enclosure:
            result = self._notify(message, None)
        if not result:
            lines = [log.message for one in result for attempt in one for log in attempt.logs]
            said = scrubbed("; ".join(lines), self._address)
            raise Undelivered(f"{self._name} did not take it: {said or 'no reason given'}")

    def _notify(self, message: Message, enclosure: Enclosure | None) -> AppriseResult:
        service = self._made()
        enclosed = enclosure if service.attachment_support else None
        return Apprise([service], asset=self._asset).notify(
            body=message.body,
            title=message.title,
            notify_type=TYPES[message.level],
            body_format=NotifyFormat.TEXT,
            attach=_attached(enclosed) if enclosed else None,
        )


class SignedWebhook:
    """A POST that its receiver can check, as https://www.standardwebhooks.com has it."""

    def __init__(self, target: Target) -> None:
        _silence()
        self._name, self._address = target.name, target.address()
        self._signer = Webhook(target.key())

    def send(self, message: Message, again: bool) -> None:
        """Post it. Its id stays the same however often it is sent, its timestamp does not.

        Raises:
            Undelivered: No answer, or another one than 2xx. A receiver that says that it has had
                it, has it.
        """
        notice, now = message.notice, datetime.now(UTC)
        body = json.dumps(payload(message), ensure_ascii=False)
        headers = {
            "content-type": "application/json",
            "user-agent": "rampart",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(notice.id, now, body),
        }
        code = self._post(body, headers)
        if not (200 <= code < 300 or (again and code == ALREADY)):
            raise Undelivered(f"{self._name} did not take it: it answered {code}")

    def _post(self, body: str, headers: dict[str, str]) -> int:
        try:
            with requests.post(
                self._address,
                data=body.encode(),
                headers=headers,
                timeout=(CONNECT_S, ANSWER_S),
                allow_redirects=False,  # elsewhere nobody has agreed on a secret
                stream=True,  # what it says is of no interest, however long
            ) as answer:
                return answer.status_code
        except requests.RequestException as error:
            kind = type(error).__name__  # its text shows the URL
            raise Undelivered(f"{self._name} does not answer: {kind}") from None


def payload(message: Message) -> dict[str, Any]:
    """Return what a webhook posts."""
    notice, enclosure = message.notice, message.enclosure
    told: dict[str, Any] = {"prompt": notice.prompt, "title": message.title, "body": message.body}
    if enclosure and enclosure.digest:
        told["report"] = enclosure.digest
    return {
        "type": f"rollout.{notice.kind}",
        "timestamp": notice.at.isoformat(),
        "data": notice.model_dump(mode="json") | told | {"link": message.link},
    }


def _attached(enclosure: Enclosure) -> AppriseAttachment:
    content, kind = enclosure.content, enclosure.kind
    made = AttachMemory(content=content, name=enclosure.name, mimetype=kind)  # type: ignore[no-untyped-call]
    return AppriseAttachment(made)


def masked(address: str) -> str:
    """Return as much of an address as is no secret: the service, and of plain hosts the name."""
    parts = urlsplit(address)
    if parts.scheme in HOSTS and parts.hostname:
        return f"{parts.scheme}://{parts.hostname}/…"
    return f"{address.partition('://')[0]}://…"


def scrubbed(text: str, address: str) -> str:
    """Return the text without any part of the address."""
    rest = address.partition("://")[2]
    parts = {rest, unquote(rest), *re.split(r"[^\w.~-]+", rest), *re.split(r"[/?&=@:#]+", rest)}
    parts |= {unquote(part) for part in parts}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST:
            text = text.replace(part, "…")
    return text


def _silence() -> None:
    """Keep others from logging URLs: what they have to say is told in our own words."""
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.INFO)
