"""A wire between clients and a server of this machine that breaks when a test wants it to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

CHUNK = 4096


class FrailWire:
    """Carries what is said both ways, until it is cut; who connects again is carried again.

    Attributes
    ----------
    port
        Where clients connect.
    deaf
        What clients say does not arrive, as on a network that is gone before anybody knows.
    unheard
        All that clients said meanwhile.
    cuts
        How often it was cut.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._ends: list[asyncio.StreamWriter] = []
        self._left: int | None = None
        self.port = 0
        self.deaf = False
        self.unheard = b""
        self.cuts = 0

    def cut(self) -> None:
        """Break every connection at once; what is on its way is lost."""
        self.cuts += 1
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def cut_after(self, size_bytes: int) -> None:
        """Cut once clients were told so much from now on."""
        self._left = size_bytes

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until its end."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._ends += [writer, to_server]
        await asyncio.gather(self._up(reader, to_server), self._down(from_server, writer))

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(CHUNK):
                if self.deaf:
                    self.unheard += said
                else:
                    writer.write(said)
                    await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while told := await reader.read(CHUNK):
                if self._left is not None:
                    self._left -= len(told)
                    if self._left < 0:
                        self._left = None
                        self.cut()
                        break
                writer.write(told)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def frail_wire(server_port: int) -> AsyncGenerator[FrailWire]:
    """A wire to a port of this machine, while the block lasts."""
    wire = FrailWire(server_port)
    server = await asyncio.start_server(wire.carry, "127.0.0.1")
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await server.wait_closed()
