"""A network between two processes that can fail: a TCP proxy on loopback."""

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from typing import Self

from embedded.ports import HOST

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CHUNK = 65536
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: closing sends RST


class Outage(StrEnum):
    """How a network fails."""

    CUT = "cut"  # connections end, nobody listens
    RESET = "reset"  # connections are reset, new ones too
    BLACK_HOLE = "black hole"  # everything is taken and nothing arrives, for ever


class Proxy:
    """Listens on a port and passes everything on, until it is told to fail.

    A connection that fell into a black hole never comes out of it, as behind a router that has
    forgotten it: both ends believe in it for as long as nobody asks.
    """

    def __init__(self, target: str) -> None:
        """Take where to pass it: `host:port`, or the path of a Unix socket."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._outage: Outage | None = None
        self._over = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()
        self._over.set()
        self._drop(reset=True)
        await asyncio.gather(*self._open)

    async def fail(self, outage: Outage) -> None:
        """Be broken in this way from now on."""
        self._outage = outage
        if outage is Outage.CUT:
            await self._close()
        if outage is Outage.BLACK_HOLE:
            self._lost |= self._writers
        else:
            self._drop(reset=outage is Outage.RESET)

    async def heal(self) -> None:
        """Be sound again, for new connections."""
        if self._outage is Outage.CUT:
            await self._listen()
        self._outage = None

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _drop(self, *, reset: bool) -> None:
        for writer in [*self._writers]:
            if reset:
                _reset(writer)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        self._writers.add(writer)
        try:
            with suppress(OSError):
                await self._serve((reader, writer))
        finally:
            self._open.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _serve(self, near: Stream) -> None:
        self.refused += self._outage is not None
        if self._outage is Outage.RESET:
            _reset(near[1])
            return
        if self._outage is Outage.BLACK_HOLE:
            await self._swallow(near[0])
            return
        far = await self._reach()
        self._writers.add(far[1])
        try:
            await asyncio.gather(self._pass(near[0], far[1]), self._pass(far[0], near[1]))
        finally:
            self._writers.discard(far[1])
            far[1].transport.abort()

    async def _reach(self) -> Stream:
        if self._target.startswith("/"):
            return await asyncio.open_unix_connection(self._target)
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if writer not in self._lost:
                writer.write(data)
                await writer.drain()
        if writer in self._lost:  # its end does not get through either
            await self._over.wait()
        writer.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(CHUNK):
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
