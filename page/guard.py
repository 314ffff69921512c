"""The door of the page: what of a request reaches Gradio, and what is answered instead.

Gradio fetches what a client names, answers routes that this page has no use for, and prints with
every error what it was sent. So only known routes pass, files are those that were uploaded here,
bodies are read, checked and written anew, and no address of another host passes anywhere.
"""

from __future__ import annotations

import json
import logging
import math
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

import anyio
import gradio as gr
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import Access, Buckets

LOG = logging.getLogger("hearsay.page")
API = "/gradio_api/"
UPLOAD = f"{API}upload"
FILE = f"{API}file="
ASSETS = r"config|theme\.css|manifest\.json|robots\.txt|favicon\.ico|(assets|static|svelte)/.+"
READ = re.compile(
    rf"/({ASSETS})?/?|{API}(info/?|upload_progress|queue/data"
    r"|heartbeat/\w+|call/\w+/\w+|file=.+)"
)
ASKED = re.compile(rf"{API}(upload|cancel|reset/?|queue/join|run/\w+/?|call/(?P<name>\w+)/?)")
CALLS = re.compile(rf"{API}(queue/join|run/|call/)")
ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*:)?[/\\]{2}", re.IGNORECASE)
REFLECTED = (b"forwarded", b"x-forwarded-", b"x-gradio-server", b"x-original-", b"x-real-ip")
MOST_BYTES = 1_000_000  # of a body that is no upload: one has a few hundred
STALLED_S = 30  # without a byte of a body, after which nobody waits for the rest
BUSY_S = 60

GONE = "The recording is not here, or no longer: uploads are deleted after an hour."
NO_ADDRESS = "This page opens no addresses of other computers. Please upload the recording."
BUSY = "The page is busy with other recordings. Please try again in a minute."
BROKEN = "Something went wrong here. Please try again in a minute."


class Refused(Exception):
    """A request that is answered at the door: status, a sentence, and when to come again."""

    def __init__(self, status: int, sentence: str, wait_s: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.wait_s = wait_s

    def response(self, path: str) -> Response:
        """As JSON under the key where Gradio's clients look, or as text to a file's request."""
        headers = {"Cache-Control": "no-store"}
        if self.wait_s is not None:
            headers["Retry-After"] = str(math.ceil(self.wait_s))
        if path == UPLOAD or not path.startswith(API) or path.startswith(FILE):
            return PlainTextResponse(str(self), self.status, headers)
        return JSONResponse({"detail": str(self), "error": str(self)}, self.status, headers)


class Guard:
    """ASGI middleware in front of Gradio.

    Args:
        app: What stands behind the door.
        access: Who may come in.
        blocks: The page, whose events say what their inputs may be.
        holds: Whether a path is a file that clients may name.
    """

    def __init__(
        self, app: ASGIApp, access: Access, blocks: gr.Blocks, holds: Callable[[str], bool]
    ) -> None:
        self.app = app
        self.access = access
        self.blocks = blocks
        self.holds = holds
        self.buckets = Buckets(access.per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page has no websocket
            await send({"type": "websocket.close"})
            return
        try:
            scope, receive = await self._admitted(scope, receive)
        except Refused as refused:
            await refused.response(scope["path"])(scope, receive, send)
            return
        reply = _Reply(scope, receive, send)
        try:
            await self.app(scope, receive, reply)
        except Exception as error:
            # frames without the message, which may quote what the client sent
            LOG.error(
                "%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
            )
            if not reply.started:
                await Refused(500, BROKEN, BUSY_S).response(scope["path"])(scope, receive, send)

    async def _admitted(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """The request as Gradio may see it; raises Refused."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        self._check_origin(headers)
        kept = [(name, value) for name, value in scope["headers"] if not name.startswith(REFLECTED)]
        scope = {**scope, "headers": kept}
        if "://" in path or "://" in unquote_plus(scope["query_string"].decode("latin-1")):
            raise Refused(403, NO_ADDRESS)
        if method in ("GET", "HEAD", "OPTIONS"):
            if path.startswith(FILE):
                self._check_file(path.removeprefix(FILE))
            elif not READ.fullmatch(path) and (method != "OPTIONS" or not ASKED.fullmatch(path)):
                raise Refused(404, "There is nothing here.")
            return scope, receive
        asked = ASKED.fullmatch(path)
        if method != "POST" or not asked:
            raise Refused(404, "There is nothing here.")
        wait_s = self.buckets.wait_s((scope.get("client") or ("",))[0])
        if wait_s:
            seconds = math.ceil(wait_s)
            raise Refused(
                429, f"That was too much at once. Please try again in {seconds} s.", wait_s
            )
        if path == UPLOAD:  # a route of our own takes it
            return scope, receive
        body = _parsed(await _whole(receive, headers))
        for key, value in _strings(body):
            self._check_string(key, value, headers)
        if CALLS.match(path):
            problem = input_problem(self.blocks, body, asked["name"] or path.rsplit("/")[-1])
            if problem:
                raise Refused(400, problem)
        return _with_body(scope, receive, body)

    def _check_origin(self, headers: Headers) -> None:
        """A page of another site does not speak for its visitor."""
        origin = headers.get("origin")
        if origin is None:
            return
        own = {headers.get("host", "").lower(), urlsplit(self.access.url).netloc.lower()} - {""}
        if (
            not origin.startswith(("http://", "https://"))
            or origin.split("//")[1].lower() not in own
        ):
            raise Refused(403, "This page takes no requests from other sites.")

    def _check_file(self, path: str) -> None:
        if ADDRESS.match(path):
            raise Refused(403, NO_ADDRESS)
        if not self.holds(path):
            raise Refused(404, GONE)

    def _check_string(self, key: str, value: str, headers: Headers) -> None:
        """Files are those that are here, and nothing else in a body is an address."""
        if key == "path":
            self._check_file(value)
        elif key == "url":
            own = (self.access.url, *(f"{s}://{headers.get('host')}" for s in ("http", "https")))
            prefix = next((f"{url}{FILE}" for url in own if value.startswith(f"{url}{FILE}")), None)
            if prefix is None:
                raise Refused(403, NO_ADDRESS)
            self._check_file(unquote(value.removeprefix(prefix)))
        elif ADDRESS.match(value):
            raise Refused(403, NO_ADDRESS)


class _Reply:
    """`send` that knows whether an answer began, and says of a full queue when to come again."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.started = False
        self.replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            path = self.scope["path"]
            self.replaced = message["status"] == 503 and bool(CALLS.match(path))
            if self.replaced:
                await Refused(503, BUSY, BUSY_S).response(path)(self.scope, self.receive, self.send)
        if not self.replaced:
            await self.send(message)


async def _whole(receive: Receive, headers: Headers) -> bytes:
    """A body that is no upload."""
    if headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "A request is not compressed here.")
    body = bytearray()
    more = True
    while more:
        try:
            with anyio.fail_after(STALLED_S):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "The request broke off. Please try again.") from None
        if message["type"] == "http.disconnect":
            raise Refused(400, "The request broke off. Please try again.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BYTES:
            raise Refused(413, "The request is too large: a recording is uploaded first.")
    return bytes(body)


def _parsed(body: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        parsed = json.loads(body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):  # a UnicodeDecodeError is a ValueError
        parsed = None
    if not isinstance(parsed, dict):
        raise Refused(400, "The request is not a JSON object. NaN and Infinity are no JSON.")
    return parsed


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All strings in parsed JSON, and the key that each of them stands under."""
    waiting = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            waiting += [("", part) for part in value]
        elif isinstance(value, dict):
            waiting += [("", name) for name in value] + list(value.items())


def _with_body(scope: Scope, receive: Receive, body: dict[str, Any]) -> tuple[Scope, Receive]:
    """The request with what was checked as its body, whatever other readers would make of it."""
    written = json.dumps(body).encode()
    replaced = (b"content-type", b"content-length", b"transfer-encoding")
    headers = [(name, value) for name, value in scope["headers"] if name not in replaced]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(written))]
    rest = iter([{"type": "http.request", "body": written, "more_body": False}])

    async def replay() -> Message:
        return next(rest, None) or await receive()

    return {**scope, "headers": headers}, replay


# --- what an event's inputs may be ---


def input_problem(blocks: gr.Blocks, body: dict[str, Any], name: str = "") -> str:
    """What is wrong with the values of a call, in a sentence; "" if nothing is.

    Args:
        blocks: The page.
        body: `data`, and `fn_index` where the call goes by number.
        name: Of the function, where it goes by name.
    """
    number, data = body.get("fn_index"), body.get("data")
    if number is None:
        functions = [fn for fn in blocks.fns.values() if fn.api_name == name]
    else:
        functions = [blocks.fns[number]] if type(number) is int and number in blocks.fns else []
    if not functions:
        return "There is no such function here."
    inputs = functions[0].inputs
    if not isinstance(data, list) or len(data) != len(inputs) or body.get("batched"):
        return f"data is a list of {len(inputs)} values."
    problems = [_problem(part, value) for part, value in zip(inputs, data, strict=True)]
    if functions[0].api_visibility == "public" and None in data:
        problems.append("null is no value here: a call gives all of them.")
    return next((problem for problem in problems if problem), "")


def _problem(component: Any, value: Any) -> str:
    label = getattr(component, "label", None) or "value"
    if isinstance(component, gr.Slider | gr.Number):
        low, high = component.minimum, component.maximum
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number and low <= value <= high else f"{label}: a number, {low} to {high}."
    if isinstance(component, gr.Audio | gr.File):
        return "" if value is None or _is_file(value) else f"{label}: a file that was uploaded."
    if isinstance(component, gr.State):  # Gradio keeps it itself
        return ""
    short = value is None or (isinstance(value, str) and re.fullmatch(r"[\w .+-]{0,100}", value))
    return "" if short else f"{label}: a short name."


def _is_file(value: Any) -> bool:
    """Is it a file as Gradio would accept it? What it does not accept it quotes in the log."""
    try:
        gr.FileData.model_validate(value, context={"validate_meta": True})
    except ValueError:
        return False
    return True
