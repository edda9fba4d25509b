"""The page and the endpoint as an ASGI application: its routes, its refusals, and its security headers.

    GET  /              the page: plain HTML, CSS and JavaScript of the package
    GET  /api/run       what is known of the run
    POST /api/predict   the bytes of a picture's file; its answer (`cldl.web.answer`)

A refusal is an object with one sentence, `refused`. A body is read piece by piece into memory, and never beyond MAX_BYTES; images
are answered one at a time. A request is for this host by name, or refused: a page elsewhere could have its own name resolve to
127.0.0.1 (DNS rebinding). An upload must come from the page itself, or from a program, which sends no Origin header.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import UserError

MAX_BYTES = 20_000_000  # of an upload; a photograph has 2 to 12 million
UPLOAD_SECONDS, ANSWER_SECONDS = 10.0, 10.0  # that an image may take to arrive, and then to wait and be worked on
HOSTS = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?", re.IGNORECASE)
STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
HEADERS = {
    "Content-Security-Policy": "; ".join(POLICY),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LARGE = f"the image has more than {MAX_BYTES:,} bytes: give a smaller one."
SLOW = f"the image did not arrive within {UPLOAD_SECONDS:g} seconds: send it again."
BUSY = f"the network had no answer within {ANSWER_SECONDS:g} seconds, as it works on one image at a time: try again."
ELSEWHERE = "this is a server for its own machine: call it localhost or 127.0.0.1."
FOREIGN = "only the page itself and programs may send images: open the page in a window of its own."
NOWHERE = "there is nothing here: the page is at /, and images are sent to /api/predict by POST."
FAILED = "something went wrong here, and not with the image: the server's terminal shows what."


def make_app(answer: Callable[[bytes], dict[str, Any]], about: dict[str, Any]) -> ASGIApp:
    """The application.

    answer -- from the bytes of an upload to an object, or a UserError; called in one thread
    about  -- what is known of the run
    """
    worker = ThreadPoolExecutor(1)

    async def run(request: Request) -> JSONResponse:
        return JSONResponse({**about, "max_bytes": MAX_BYTES, "too_large": LARGE})

    async def predict(request: Request) -> JSONResponse:
        data = await within(UPLOAD_SECONDS, read_body(request), HTTPException(408, SLOW))
        answered = asyncio.get_running_loop().run_in_executor(worker, answer, data)
        return JSONResponse(await within(ANSWER_SECONDS, answered, HTTPException(503, BUSY)))

    routes = [
        Route("/api/run", run),
        Route("/api/predict", predict, methods=["POST"]),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    return Guard(Starlette(routes=routes, exception_handlers=REFUSALS))


async def within(seconds: float, result: Any, otherwise: Exception) -> Any:
    """What is awaited; if it takes longer it is cancelled, and `otherwise` is raised."""
    try:
        return await asyncio.wait_for(result, seconds)
    except TimeoutError:
        raise otherwise from None


async def read_body(request: Request) -> bytes:
    """The body, in memory; raises HTTPException as soon as it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise HTTPException(413, LARGE)
    return bytes(body)


def refusal(status: int, sentence: str) -> JSONResponse:
    """The answer to what is refused."""
    return JSONResponse({"refused": sentence}, status)


REFUSALS: dict[Any, Any] = {  # of what is raised
    UserError: lambda request, error: refusal(422, str(error)),
    404: lambda request, error: refusal(404, NOWHERE),
    405: lambda request, error: refusal(405, NOWHERE),
    HTTPException: lambda request, error: refusal(error.status_code, error.detail),
    ClientDisconnect: lambda request, error: refusal(400, SLOW),  # nothing reads it: the client has gone
    Exception: lambda request, error: refusal(500, FAILED),
}


class Guard:
    """Refuses what comes from other sites, and says in the headers of every answer what a browser may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._answering(Headers(scope=scope))(scope, receive, send_with_headers)

    def _answering(self, headers: Headers) -> ASGIApp:
        """What answers a request with these headers."""
        host = headers.get("host", "")
        if not HOSTS.fullmatch(host):
            return refusal(421, ELSEWHERE)
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return refusal(403, FOREIGN)
        return self._app
