"""What is answered to whom: `POST /smooth`, and GET of `/health`, `/models` and `/metrics`."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..card import Card
from ..commands import printable, version
from ..encode import check_format
from ..errors import ImageError, PnenError, TooLarge, UsageError
from ..info import describe_task
from .body import read_picture
from .measures import Measures
from .places import Full, GivenUp, Places
from .query import NoModel, Wanted, read_query

log = logging.getLogger("pnen")
LONGEST_NOTE = 1000  # characters of a header


class Slow(PnenError):
    """The client took too long to send its picture."""


STATUS = {NoModel: 404, UsageError: 400, Slow: 408, TooLarge: 413, ImageError: 422, Full: 503, GivenUp: 503}


class Service:
    """The application's parts, and `POST /smooth` as an ASGI application: it keeps its place until its answer is sent.

    `seconds` may pass until a picture is here, and again until its result is.
    """

    def __init__(self, cards: Mapping[str, Card], places: Places, most_bytes: int, seconds: float):
        self.cards, self.places, self.most_bytes, self.seconds = cards, places, most_bytes, seconds
        self.measures = Measures(places)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began, request = perf_counter(), Request(scope, receive)
        wanted, job = None, None
        answer: Response
        try:
            if request.method != "POST":
                raise HTTPException(405, headers={"Allow": "POST"})
            wanted = read_query(request.query_params.multi_items(), self.cards)
            self.places.take()
        except Exception as error:
            answer = self._refusal(error, request)
            self.measures.answered(wanted, answer.status_code, perf_counter() - began)
            await answer(scope, receive, send)
            return
        try:
            try:
                data = await self._received(request)
                given_up = threading.Event()
                job = self.places.begin(wanted, data, given_up)
                answer = self._result(wanted, *await self._until_done(job, given_up, request))
            except (ClientDisconnect, GivenUp) as error:
                if isinstance(error, ClientDisconnect) or await request.is_disconnected():
                    self.measures.answered(wanted, 499, perf_counter() - began)
                    return
                answer = self._refusal(error, request)
            except Exception as error:
                answer = self._refusal(error, request)
            self.measures.answered(wanted, answer.status_code, perf_counter() - began)
            await answer(scope, receive, send)
        finally:
            self.places.give_back(job)

    async def _received(self, request: Request) -> bytes:
        try:
            data = await asyncio.wait_for(read_picture(request, self.most_bytes), self.seconds)
        except asyncio.TimeoutError:
            raise Slow(f"expected the whole picture within {self.seconds:g} s, got a part; send it faster") from None
        self.measures.received.inc(len(data))
        return data

    async def _until_done(self, job: Any, given_up: threading.Event, request: Request) -> Any:
        """The job's result; where the client goes away or time is over, the job is told that nobody waits for it."""
        ended, left = asyncio.wrap_future(job), asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({ended, left}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
            if left.done():
                raise ClientDisconnect
            raise GivenUp(f"expected the result within {self.seconds:g} s of the picture, got none; make the picture "
                          f"smaller, or come back in {self.places.seconds_to_wait} s")  # fmt: skip
        finally:
            given_up.set()
            left.cancel()
            ended.cancel()  # and with it the job, where it has not begun

    def _result(self, wanted: Wanted, made: Any, notes: list[str], seconds: float) -> Response:
        from PIL import Image

        self.measures.computed(wanted, seconds)
        headers = {"Pnen-Model": wanted.model, "Cache-Control": "no-store"}
        if made.strength is not None:
            headers["Pnen-Strength"] = f"{made.strength:.4g}"
        if notes:
            told = "; ".join(notes)[:LONGEST_NOTE]
            headers["Pnen-Note"] = told.encode("ascii", "backslashreplace").decode()
        return Whole(made.data, media_type=Image.MIME[check_format(wanted.kind).name], headers=headers)

    def _refusal(self, error: Exception, request: Request) -> Response:
        """One line of JSON: what was expected, what came, what to do."""
        headers, line = {}, printable(" ".join(str(error).split()))
        if isinstance(error, HTTPException):
            status, headers = error.status_code, dict(error.headers or {})
            line = (f"expected POST /smooth, or GET /health, /models or /metrics, got {request.method} "
                    f"{printable(request.url.path)[:100]}")  # fmt: skip
        elif isinstance(error, MemoryError):
            status, line = 503, "expected memory for this picture, and there is not enough; make it smaller"
        else:
            kinds = [kind for kind in type(error).__mro__ if kind in STATUS]
            status = STATUS[kinds[0]] if kinds else 500
            if status == 500 and not isinstance(error, PnenError):
                line = f"unexpected {type(error).__name__}: {line}"
            if status == 500:
                log.error("%s", line, exc_info=log.isEnabledFor(logging.DEBUG))
        if status == 408:
            headers["Connection"] = "close"
        if status == 503:
            headers["Retry-After"] = str(self.places.seconds_to_wait)
        return JSONResponse({"error": line}, status, headers)

    async def health(self, _: Request) -> Response:
        places = self.places
        return JSONResponse({"status": "ok", "version": version(), "places": places.all, "taken": places.taken})

    async def models(self, _: Request) -> Response:
        found = [
            {"name": name, "does": describe_task(card), "task": card.task, "strength": card.strength or None,
             "licence": card.licence, "precision": card.precision, "open": name in self.places.open}
            for name, card in self.cards.items()
        ]  # fmt: skip
        return JSONResponse({"models": found})

    async def metrics(self, _: Request) -> Response:
        return Response(self.measures.text(), media_type=self.measures.media_type)

    def application(self) -> Starlette:
        async def refuse(request: Request, error: Exception) -> Response:
            return self._refusal(error, request)

        gets = [Route(f"/{name}", getattr(self, name)) for name in ("health", "models", "metrics")]
        return Starlette(routes=[Route("/smooth", self), *gets], exception_handlers={HTTPException: refuse})


class Whole(Response):
    """An answer that is done when the client has taken it: its end waits until little of it is left to send."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(request: Request) -> None:
    """Ends when the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
