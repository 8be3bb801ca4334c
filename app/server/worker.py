"""gunicorn worker that serves the application with uvicorn's HTTP protocol in one event loop.

uvicorn's own worker for gunicorn stops at once: it resets clients that have just connected, and
closes connections whose next request is in transit. This one first announces the stop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

import uvicorn
from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker

from app.server.asgi import AsgiService
from app.server.connection import Connection, with_limits

TICK_S = 0.1
"""Seconds between two checks for a stop. Each also updates the heartbeat."""


class AsgiWorker(Worker):
    """A worker with one event loop for all of its clients."""

    def run(self) -> None:
        """Serve until gunicorn stops the worker."""
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve until a signal to stop, the parent's death, or the end of uvicorn's server."""
        service = AsgiService(self.wsgi)
        config = uvicorn.Config(
            with_limits(service),
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=self.cfg.backlog,
            limit_max_requests=self.max_requests,
            timeout_keep_alive=self.cfg.keepalive,
            timeout_graceful_shutdown=self.cfg.graceful_timeout,
            ssl_context_factory=(lambda *_: ssl_context(self.cfg)) if self.cfg.is_ssl else None,
        )
        server = uvicorn.Server(config)
        listeners = [listener.sock for listener in self.sockets]
        serving = asyncio.create_task(server.serve(listeners))
        while not (server.started or serving.done()):
            await asyncio.sleep(0)
        self.init_signals()  # gunicorn's handlers, which clear `alive`; uvicorn has replaced them
        while self.alive and os.getppid() == self.ppid and not serving.done():
            self.notify()
            await asyncio.sleep(TICK_S)
        service.stopping = True
        await accept_pending(server, listeners)
        await self.wait_for_idle_connections(server)
        server.should_exit = True
        await serving

    async def wait_for_idle_connections(self, server: uvicorn.Server) -> None:
        """Wait until connections without a request have reached the keep-alive timeout.

        Every response announces the close meanwhile, so that no client sends a request on a
        connection that is about to be closed.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.cfg.keepalive + TICK_S
        while server.server_state.connections and loop.time() < deadline:
            self.notify()
            await asyncio.sleep(TICK_S)


async def accept_pending(server: uvicorn.Server, listeners: Sequence[socket.socket]) -> None:
    """Stop listening, but serve the clients that the kernel has already connected.

    A client that connects between the last ``accept`` and the close is reset.
    """
    clients: list[socket.socket] = []
    for listener in listeners:
        with suppress(OSError):  # BlockingIOError: no client is waiting
            while True:
                with suppress(ConnectionError):  # this client has disconnected
                    clients.append(listener.accept()[0])
    for listening in server.servers:
        listening.close()
    loop = asyncio.get_running_loop()
    for client in clients:
        client.setblocking(False)
    connecting = (
        loop.connect_accepted_socket(
            lambda: Connection(server.config, server.server_state, {}),
            client,
            ssl=server.config.ssl,
        )
        for client in clients
    )
    await asyncio.gather(*connecting, return_exceptions=True)  # a TLS handshake may fail
