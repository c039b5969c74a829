"""The stream of events in Redis: its names, and what is done to it in one step.

Each entry holds `events`, packed, and `n`, how many they are. How many bytes the stream holds is
counted beside it, so that its memory is bounded, and not its entries. Nothing is ever trimmed: an
entry leaves the stream when its events are counted, or set aside.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domain.broker import prefix

GROUP = "drain"

# Returns -1 when the entries were added, else how many bytes there are already.
ADD = """
local held = tonumber(redis.call('GET', KEYS[2]) or 0)
if held > 0 and redis.call('XLEN', KEYS[1]) == 0 then held = 0 end
local more = 0
for i = 3, #ARGV, 2 do more = more + #ARGV[i] end
if held > 0 and held + more > tonumber(ARGV[1]) then return held end
for i = 2, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'n', ARGV[i], 'events', ARGV[i + 1])
end
redis.call('SET', KEYS[2], held + more)
return -1
"""

# Removes entries that are done with, once each, and keeps aside what could not be counted of them.
SETTLE = """
local gone = 0
for i = 2, #ARGV, 5 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    gone = gone + tonumber(ARGV[i + 1])
    if ARGV[i + 2] ~= '' then
      redis.call('XADD', KEYS[3], '*', 'entry', ARGV[i], 'reason', ARGV[i + 2],
        'n', ARGV[i + 3], 'events', ARGV[i + 4])
    end
  end
end
local held = tonumber(redis.call('GET', KEYS[2]) or 0)
redis.call('SET', KEYS[2], math.max(0, held - gone))
return gone
"""

# Forgets consumers that are gone, but none that holds something. Delivers again what is in the
# stream although it was delivered and nobody holds it: somebody deleted its consumer.
TIDY = """
local function fields(of)
  local found = {}
  for i = 1, #of, 2 do found[of[i]] = of[i + 1] end
  return found
end
for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = fields(each)
  if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
  end
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
for _, each in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = fields(each)
  local idle = group['name'] == ARGV[1] and group['pending'] == 0
  if idle and last and group['last-delivered-id'] == last[1] then
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '0')
    return 1
  end
end
return 0
"""

# Appends what was set aside to the stream again, at most so many entries; returns how many.
RESTORE = """
local found = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', ARGV[1])
for _, each in ipairs(found) do
  local fields, n, events = each[2], 0, ''
  for i = 1, #fields, 2 do
    if fields[i] == 'n' then n = fields[i + 1] end
    if fields[i] == 'events' then events = fields[i + 1] end
  end
  redis.call('XADD', KEYS[1], '*', 'n', n, 'events', events)
  redis.call('XDEL', KEYS[3], each[1])
  redis.call('INCRBY', KEYS[2], #events)
end
return #found
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Some packed events as they came out of the stream.

    Attributes:
        told: How many events the one who wrote it says they are, 0 if that is no number.
    """

    id: bytes
    packed: bytes
    told: int


@dataclass(frozen=True, slots=True)
class Settled:
    """An entry that is done with.

    Attributes:
        reason: Why `aside` could not be counted; empty when everything was.
        count: Events in `aside`, as far as they can be told.
        aside: Packed events, or whatever the entry held.
    """

    entry: Entry
    reason: str = ""
    count: int = 0
    aside: bytes = b""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far counting is behind taking in.

    Attributes:
        entries: In the stream, those being counted included.
        held: Bytes of these.
        pending: Of these entries, those that somebody is counting, or was when it died.
        oldest: How long ago the first of them was taken in.
        aside: Entries that were set aside because they cannot be counted.
    """

    entries: int
    held: int
    pending: int
    oldest: timedelta
    aside: int


class Stream:
    """The stream of one Redis, as its writers and readers use it. Outages are raised as they come.

    Attributes:
        name: The key of the stream.
        aside: The key of the stream of what was set aside.
    """

    def __init__(self, client: Redis) -> None:
        self.name = f"{prefix(client)}events"
        self.aside = f"{self.name}:aside"
        self._held = f"{self.name}:held"
        self._client = client
        self._scripts = {
            code: client.register_script(code) for code in (ADD, SETTLE, TIDY, RESTORE)
        }

    async def add(self, entries: Sequence[tuple[int, bytes]], *, limit: int) -> int | None:
        """Append entries of (number of events, packed events), all of them or none.

        Returns:
            None when they were added; else how many bytes there are, too many for these. An empty
            stream takes any.
        """
        parts: list[int | bytes] = [part for entry in entries for part in entry]
        held = await self._run(ADD, limit, *parts)
        return None if held < 0 else held

    async def read(self, consumer: str, *, count: int, block_ms: int) -> list[Entry]:
        """Return what nobody has been given yet, after waiting for some."""
        found: Any = await self._client.xreadgroup(
            GROUP, consumer, {self.name: ">"}, count=count, block=block_ms
        )
        return _entries(found[0][1]) if found else []

    async def claim(
        self, consumer: str, *, after: bytes, idle_ms: int, count: int
    ) -> tuple[bytes, list[Entry]]:
        """Take over what others have held for long; return where to go on, and the entries."""
        found: Any = await self._client.xautoclaim(
            self.name, GROUP, consumer, min_idle_time=idle_ms, start_id=after, count=count
        )
        return found[0], _entries(found[1])

    async def settle(self, done: Sequence[Settled]) -> None:
        """Acknowledge and remove entries; set aside what could not be counted of them."""
        arguments: list[str | int | bytes] = []
        for each in done:
            size = len(each.entry.packed)
            arguments += [each.entry.id, size, each.reason, each.count, each.aside]
        await self._run(SETTLE, GROUP, *arguments)

    async def open(self) -> bool:
        """Create the stream and its group where they are missing; return whether they were."""
        try:
            await self._client.xgroup_create(self.name, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            return False
        return True

    async def tidy(self, *, forget_ms: int) -> bool:
        """Forget consumers idle for longer; return whether lost entries will be delivered again."""
        return await self._run(TIDY, GROUP, forget_ms) == 1

    async def restore(self, *, limit: int = 1000) -> int:
        """Append what was set aside to the stream again, after its cause was mended.

        Returns:
            How many entries, at most `limit` of them, oldest first.
        """
        return await self._run(RESTORE, limit)

    async def backlog(self) -> Backlog:
        """Return how far counting is behind."""
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.xlen(self.name)
            pipeline.get(self._held)
            pipeline.xlen(self.aside)
            pipeline.time()
            pipeline.xrange(self.name, count=1)
            pipeline.xpending(self.name, GROUP)
            entries, held, aside, now, first, pending = await pipeline.execute(raise_on_error=False)
        at = now[0] * 1000 + now[1] // 1000
        since = int(first[0][0].partition(b"-")[0]) if first else at
        return Backlog(
            entries=entries,
            held=int(held or 0) if entries else 0,
            pending=0 if isinstance(pending, ResponseError) else pending["pending"],
            oldest=max(timedelta(0), timedelta(milliseconds=at - since)),
            aside=aside,
        )

    async def dangers(self) -> list[str]:
        """Return what in the settings of this Redis may lose events, in words."""
        found: Any = await self._client.info()
        dangers = []
        if not found.get("aof_enabled", 1):
            dangers.append("appendonly is off: a restart loses what was not counted yet")
        policy = found.get("maxmemory_policy", "noeviction")
        if found.get("maxmemory", 0) and policy != "noeviction":
            dangers.append(f"maxmemory-policy is {policy}: events may be evicted")
        return dangers

    async def _run(self, code: str, *arguments: str | int | bytes) -> int:
        keys = [self.name, self._held, self.aside]
        return await cast(Awaitable[int], self._scripts[code](keys, list(arguments)))


def _entries(found: Any) -> list[Entry]:
    """Return the entries of a reply; of those deleted meanwhile only the place is left."""
    return [_entry(id_, fields) for id_, fields in found if id_ is not None and fields is not None]


def _entry(id_: bytes, fields: dict[bytes, bytes]) -> Entry:
    told = fields.get(b"n", b"")
    return Entry(id_, fields.get(b"events", b""), int(told) if told.isdigit() else 0)
