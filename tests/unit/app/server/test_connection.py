"""Tests of the limits of a connection, on uvicorn's server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from app.server.connection import MAX_HEADER_BYTES, Connection, with_limits

LARGE_RESPONSE = b"x" * 20_000_000
"""More than the kernel buffers of both ends hold."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ImpatientConnection(Connection):
    """A connection with short timeouts."""

    header_timeout_s = 0.3
    write_timeout_s = 0.3


async def respond(scope: Any, receive: Any, send: Any) -> None:
    """Respond with a large body to /large, and with the number of body bytes to other paths."""
    n_bytes, more = 0, True
    while more:
        message = await receive()
        n_bytes += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = LARGE_RESPONSE if scope["path"] == "/large" else b"%d" % n_bytes
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def running(connection: type[Connection]) -> AsyncIterator[uvicorn.Server]:
    """Run a server whose keep-alive timeout is longer than the test."""
    config = uvicorn.Config(
        with_limits(respond), http=connection, port=0, lifespan="off", log_config=None
    )
    config.timeout_keep_alive = 60
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server
    server.should_exit = server.force_exit = True
    await serving


async def connect(server: uvicorn.Server) -> Streams:
    port = server.servers[0].sockets[0].getsockname()[1]
    return await asyncio.open_connection("127.0.0.1", port)


async def get(streams: Streams, path: str = "/", *headers: str) -> bytes:
    """Send a request and return the response up to the end of its headers."""
    reader, writer = streams
    lines = [f"GET {path} HTTP/1.1", "Host: x", *headers]
    writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)


@pytest.mark.parametrize("n_headers", [1, 1_000])
def test_headers_over_the_limit_are_rejected(n_headers: int) -> None:
    """The limit is for all headers together, in one part or in many."""

    async def check() -> None:
        async with running(Connection) as server:
            size = MAX_HEADER_BYTES // n_headers - 20
            headers = [f"h{number}: {'x' * size}" for number in range(n_headers)]
            assert (await get(await connect(server), "/", *headers)).startswith(b"HTTP/1.1 200")
            large = [*headers, "more: " + "x" * 20 * n_headers]
            assert (await get(await connect(server), "/", *large)).startswith(b"HTTP/1.1 431")
            path = "/" + "x" * MAX_HEADER_BYTES
            assert (await get(await connect(server), path)).startswith(b"HTTP/1.1 4")

    asyncio.run(check())


def test_headers_without_end_are_not_read() -> None:
    """A client that sends headers forever gets 431 or a reset, and no memory."""

    async def check() -> None:
        async with running(Connection) as server:
            reader, writer = await connect(server)
            writer.write(b"GET / HTTP/1.1\r\n")
            n_sent = 0
            try:
                while not writer.is_closing() and n_sent < 100 * MAX_HEADER_BYTES:
                    writer.write(b"header: " + b"x" * 8_000 + b"\r\n")
                    n_sent += 8_000
                    await writer.drain()
                    await asyncio.sleep(0)
                assert (await reader.read(1_000)).startswith(b"HTTP/1.1 431")
            except ConnectionError:
                pass
            assert not server.server_state.connections

    asyncio.run(check())


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("used", [False, True])
def test_incomplete_headers_end_a_connection(sent: bytes, used: bool) -> None:
    """The first request of a connection, and a later one."""
    if used and not sent:
        pytest.skip("the keep-alive timeout of uvicorn ends a connection without a request")

    async def check() -> None:
        async with running(ImpatientConnection) as server:
            reader, writer = await connect(server)
            if used:
                assert (await get((reader, writer))).startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(1) == b"0"
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 20) == b""

    asyncio.run(check())


def test_a_slow_body_does_not_count_as_headers() -> None:
    """The application limits the time for a body."""

    async def check() -> None:
        async with running(ImpatientConnection) as server:
            reader, writer = await connect(server)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
            for _ in range(4):
                writer.write(b"x" * 50_000)
                await asyncio.sleep(0.2)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(6) == b"200000"

    asyncio.run(check())


def test_a_response_that_nobody_reads_ends_the_connection() -> None:
    async def check() -> None:
        async with running(ImpatientConnection) as server:
            streams = await connect(server)
            assert (await get(streams, "/large")).startswith(b"HTTP/1.1 200")
            for _ in range(100):
                if not server.server_state.connections:
                    break
                await asyncio.sleep(0.1)
            assert not server.server_state.connections
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await streams[0].readexactly(len(LARGE_RESPONSE))

    asyncio.run(check())


def test_a_large_response_is_read_whole() -> None:
    async def check() -> None:
        async with running(Connection) as server:
            streams = await connect(server)
            await get(streams, "/large")
            assert await streams[0].readexactly(len(LARGE_RESPONSE)) == LARGE_RESPONSE
            assert (await get(streams)).startswith(b"HTTP/1.1 200")

    asyncio.run(check())


@pytest.mark.parametrize("name", ["Upgrade", "upgrade", "UPGRADE"])
def test_a_request_to_upgrade_keeps_its_body(name: str) -> None:
    """Java's HttpClient asks every server for HTTP/2. The body may contain the same text."""
    body = b"\r\nUpgrade: h2c\r\n\r\n"

    async def check() -> None:
        async with running(Connection) as server:
            reader, writer = await connect(server)
            for _ in range(2):
                writer.write(
                    b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                    b"%b: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (name.encode(), len(body), body)
                )
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(2) == b"%d" % len(body)

    asyncio.run(check())
