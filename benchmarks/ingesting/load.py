"""The load: batches of events as HTTP requests, some of them sent twice, and who sends them.

Run as a program it is the client: `python -m benchmarks.ingesting.load PORT FILE`. What it sends
is made beforehand, so that it costs the servers beside it little.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop

from domain.wire import new_event_id

BATCH = 100  # events of a request
CONNECTIONS = 32
AGAIN = 0.03  # of the batches are sent a second time, and as many made up of events of others
VERSIONS = 4
HEAD = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "


@dataclass(frozen=True, slots=True)
class Sent:
    """What the client saw: from when, how long it took, and the answers by status.

    Attributes:
        begun: By the clock of `time.perf_counter`, which processes share on Linux.
    """

    begun: float
    seconds: float
    statuses: dict[str, int]


def write(path: Path, *, events: int, seed: int) -> None:
    """Write the requests for so many different events into a file."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    made = [_event(rng) for _ in range(events)]
    batches = [made[at : at + BATCH] for at in range(0, events, BATCH)]
    again = max(1, int(len(batches) * AGAIN))
    batches += rng.sample(batches, again)
    batches += [rng.sample(made, BATCH) for _ in range(again)]
    rng.shuffle(batches)
    path.write_bytes(msgspec.msgpack.encode([_request(batch) for batch in batches]))


def _event(rng: random.Random) -> dict[str, object]:
    return {
        "version_id": f"019e4c2a-version-{rng.randrange(VERSIONS)}",
        "event_id": new_event_id(),
        "user_id": f"user-{rng.randrange(100_000)}",
        "success": rng.random() < 0.95,
        "response_time": round(rng.lognormvariate(-1, 0.5), 4),
        "tokens": rng.randrange(2_000),
        "occurred_at": datetime.now(UTC).isoformat(),
    }


def _request(batch: list[dict[str, object]]) -> bytes:
    body = msgspec.json.encode(batch)
    return f"{HEAD}{len(body)}\r\n\r\n".encode() + body


async def send(port: int, requests: list[bytes]) -> Sent:
    """Send all over a few connections, each waiting for one answer after the other."""
    statuses: dict[str, int] = {}
    waiting = iter(requests)
    begun = time.perf_counter()
    await asyncio.gather(*(_connection(port, waiting, statuses) for _ in range(CONNECTIONS)))
    return Sent(begun, time.perf_counter() - begun, statuses)


async def _connection(port: int, waiting: Iterator[bytes], statuses: dict[str, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in waiting:
        status = ""
        while status != "202":  # 429 and 503 ask to be sent again
            writer.write(request)
            status = await _status(reader)
            statuses[status] = statuses.get(status, 0) + 1
            if status not in ("202", "429", "503"):
                raise SystemExit(f"unexpected answer {status}")
            if status != "202":
                await asyncio.sleep(0.05)
    writer.close()


async def _status(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    await reader.readexactly(length)
    return head.split(" ", 2)[1]


if __name__ == "__main__":
    kept = msgspec.msgpack.decode(Path(sys.argv[2]).read_bytes(), type=list[bytes])
    print(json.dumps(asdict(uvloop.run(send(int(sys.argv[1]), kept)))))
