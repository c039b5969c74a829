"""What receivers of our signed webhooks need: read one, or refuse it and say why.

Signatures are those of https://www.standardwebhooks.com; other libraries for it, in any language,
can check them too, but do not notice a webhook that is sent twice.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from domain.errors import RampartError
from domain.value import Frozen

TOLERANCE = timedelta(minutes=5)  # of the signed timestamp; the library's, and the specification's


class Refused(RampartError):
    """The webhook is not from who signs with the secret, or it is too old or too new.

    Answer 401, or any other code but 2xx.
    """

    code = 401


class Replayed(Refused):
    """It was received before. Answer 409: rampart then knows that you have it."""

    code = 409


class Received(Frozen):
    """A webhook that is what it says. `type` is `rollout.` and a kind of line of the journal."""

    id: str
    type: str
    timestamp: datetime
    data: dict[str, Any]


class Receiver:
    """Reads webhooks. One for all requests of a process, so that it knows what it has had.

    Where several processes receive, have them share what was received: see `remember`.
    """

    def __init__(
        self,
        *secrets: str,
        remember: Callable[[str, datetime], bool] | None = None,
        forget: Callable[[str], object] | None = None,
    ) -> None:
        """Take the secrets: one, or while it is changed the new and the old.

        Args:
            secrets: As in `secret:` of the target, `whsec_…`.
            remember: Keeps an id until an instant, and says whether it was new; by default in
                memory. With Redis: `SET id 1 NX EXAT …`.
            forget: Undoes it, for a webhook that could not be worked on.
        """
        if not secrets:
            raise ValueError("give at least one secret")
        seen = _Seen()
        self._webhooks: Sequence[Webhook] = [Webhook(secret) for secret in secrets]
        self._remember = remember or seen.remember
        self._forget = forget or seen.forget

    @contextmanager
    def receive(self, headers: Mapping[str, str], body: bytes) -> Iterator[Received]:
        """Yield the webhook to work on; if that raises, it may be sent again.

        Raises:
            Refused: A header is missing or malformed, the signature is another's, the timestamp
                more than 5 minutes off, or the body is none of ours.
            Replayed: It was received before.
        """
        received, sent_at = self._verified(headers, body)
        if not self._remember(received.id, sent_at + TOLERANCE):
            raise Replayed(f"webhook {received.id!r} was received before")
        try:
            yield received
        except BaseException:
            self._forget(received.id)
            raise

    def _verified(self, headers: Mapping[str, str], body: bytes) -> tuple[Received, datetime]:
        """Return it, and the instant that was signed: after that the id need not be kept."""
        low = {name.lower(): value for name, value in headers.items()}
        self._check(low, body)
        sent_at = datetime.fromtimestamp(float(low["webhook-timestamp"]), UTC)
        try:
            given = json.loads(body)
            return Received.model_validate({**given, "id": low["webhook-id"]}), sent_at
        except (TypeError, ValueError):
            raise Refused("the body is none of rampart's") from None

    def _check(self, headers: dict[str, str], body: bytes) -> None:
        reason = ""
        for webhook in self._webhooks:
            try:
                webhook.verify(body, headers, json_parse=False)
            except WebhookVerificationError as error:
                reason = str(error)
            except ValueError:  # not base64, not two parts, not UTF-8
                reason = "Malformed signature or body"
            else:
                return
        raise Refused(reason.lower())


class _Seen:
    """Ids until they need not be known. Only what was signed gets here, so they are few."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def remember(self, webhook_id: str, until: datetime) -> bool:
        now = datetime.now(UTC)
        for old in [each for each, end in self._until.items() if end < now]:
            del self._until[old]
        if webhook_id in self._until:
            return False
        self._until[webhook_id] = until
        return True

    def forget(self, webhook_id: str) -> None:
        self._until.pop(webhook_id, None)
