"""The board in Redis on which the current snapshot of every prompt hangs."""

import logging
from collections.abc import Awaitable, Sequence
from typing import cast

from pydantic import ValidationError
from redis.asyncio import Redis

from domain.broker import prefix
from domain.database import Prompt
from domain.snapshot import RoutingSnapshot

# Hangs up what is newer than what hangs there, and calls it out; returns how many were. Forced, it
# hangs up what is older too: what hangs there is then of a database that is no more.
HANG = """
local hung = 0
for i = 2, #ARGV, 3 do
  local held = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or -1)
  local epoch = tonumber(ARGV[i + 1])
  if epoch > held or (ARGV[1] == 'forced' and epoch < held) then
    redis.call('HSET', KEYS[1], ARGV[i], epoch)
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
    redis.call('PUBLISH', KEYS[3], ARGV[i + 2])
    hung = hung + 1
  end
end
return hung
"""

logger = logging.getLogger(__name__)


class Board:
    """Shows snapshots to whoever comes, and calls out new ones. Outages are raised as they come.

    Attributes:
        channel: On which snapshots are called out.
    """

    def __init__(self, client: Redis) -> None:
        place = f"{prefix(client)}routing"
        self.channel = f"{place}:changes"
        self._client = client
        self._epochs, self._snapshots = f"{place}:epochs", f"{place}:snapshots"
        self._hang = client.register_script(HANG)

    async def hang(self, snapshots: Sequence[RoutingSnapshot], *, forced: bool = False) -> int:
        """Hang up and call out those that are newer than what hangs there; return how many.

        Idempotent. An older epoch never takes the place of a newer one, unless it is forced.
        """
        arguments: list[str | int] = ["forced" if forced else ""]
        for each in snapshots:
            arguments += [f"{each.name}.{each.prompt_type}", each.epoch, each.model_dump_json()]
        keys = [self._epochs, self._snapshots, self.channel]
        return await cast(Awaitable[int], self._hang(keys, arguments))

    async def epochs(self) -> dict[Prompt, int]:
        """Return the epoch of everything that hangs there."""
        found = await cast(Awaitable[dict[bytes, bytes]], self._client.hgetall(self._epochs))
        return {_prompt(field): int(epoch) for field, epoch in found.items()}

    async def snapshots(self) -> list[RoutingSnapshot]:
        """Return everything that hangs there and can be read."""
        found = await cast(Awaitable[list[bytes]], self._client.hvals(self._snapshots))
        return [snapshot for each in found if (snapshot := readable(each)) is not None]


def readable(told: bytes) -> RoutingSnapshot | None:
    """Return the snapshot, None if it is none: the database is asked for it soon enough."""
    try:
        return RoutingSnapshot.model_validate_json(told)
    except ValidationError as error:
        logger.warning("board.unreadable", extra={"error": str(error)})
        return None


def _prompt(field: bytes) -> Prompt:
    name, _, prompt_type = field.decode().rpartition(".")  # a type contains no dot
    return name, prompt_type
