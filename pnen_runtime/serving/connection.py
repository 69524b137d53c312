"""Connections that end where their client takes too long, and the server that they belong to."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from functools import partial
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 500  # connections at once


class Watched(H11Protocol):
    """HTTP/1.1 whose client has `seconds` for the head of a request, and as many to take the answer.

    In between the application watches over the time.
    """

    def __init__(self, *words: Any, seconds: float, **settings: Any):
        super().__init__(*words, **settings)
        self._seconds = seconds
        self._alarm: asyncio.TimerHandle | None = None

    def _give_time(self) -> None:
        self._stop_the_clock()
        self._alarm = self.loop.call_later(self._seconds, self.transport.abort)

    def _stop_the_clock(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._give_time()
        if len(self.connections) > MOST:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_the_clock()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_the_clock()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._give_time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_the_clock()

    def on_response_complete(self) -> None:
        self._give_time()  # to send the rest of a body that nobody reads, and the next request
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        data = json.dumps({"error": "expected a request of HTTP/1.1, got something else; check the client"}).encode()
        head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}"
        self.transport.write(head.format(len(data)).encode() + b"\r\n\r\n" + data)
        self.transport.close()


def make_server(application: Any, seconds: float) -> Server:
    """It ends as asked by `should_exit`, SIGTERM or SIGINT: no new connections, and what has begun is answered."""
    for name in ("uvicorn.error", "python_multipart"):  # they would tell of every bad request
        logging.getLogger(name).setLevel(logging.ERROR)
    config = Config(
        application, http=partial(Watched, seconds=seconds), ws="none", lifespan="off", log_config=None,  # type: ignore[arg-type]
        access_log=False, server_header=False, timeout_keep_alive=int(min(5, max(1, seconds))),
    )  # fmt: skip
    server = Server(config)
    # what a second Ctrl-C breaks off is not an error of the application
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.force_exit)
    return server


def listen(host: str, port: int) -> socket.socket:
    """A socket of this address; OSError, which names it, where it cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(128)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), f"{host}:{port}") from None
    return opened
