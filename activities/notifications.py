"""Notification activities: whom to tell, telling one of them, and noting what became of it."""

from temporalio import activity

from activities.refusals import final_refusals
from domain.notifications.notice import Addressee, Receipt
from domain.notifications.outbox import Outbox
from domain.notifications.post import Post


class NotificationActivities:
    """The postman. Orders and answers hold names of targets: their URLs stay in this process."""

    def __init__(self, outbox: Outbox, post: Post) -> None:
        self._outbox = outbox
        self._post = post

    @activity.defn
    async def address(self, notification_id: str) -> list[str]:
        """Return the names of the targets that ask for it."""
        with final_refusals():
            return self._post.wanting(await self._outbox.notice(notification_id))

    @activity.defn
    async def deliver(self, order: Addressee) -> None:
        """Send it to one target: once, and once more after each failure."""
        with final_refusals():
            notice = await self._outbox.notice(order.notification_id)
            again = activity.info().attempt > 1
            await self._post.send(notice, order.target, again=again)

    @activity.defn
    async def settle(self, receipt: Receipt) -> None:
        """Note what became of it."""
        with final_refusals():
            await self._outbox.settle(receipt)
