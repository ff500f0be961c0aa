"""The server of the app: Gradio's page, the runs' own pages beside it, and who is answered."""

import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

# Before Gradio is imported: it reports nothing to anybody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from siv_jax.errors import UserError
from siv_jax.web import page

HOST = "127.0.0.1"
# Nothing on the page may come from another server: the browser itself refuses it.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
_MAX_UPLOAD = "2gb"


def listen(port: int, hosted: bool = False) -> socket.socket:
    """A socket that listens on `port`, or on any free one for 0; on this machine's own address unless `hosted`.

    Raises UserError: the port is taken or may not be used.
    """
    try:
        return socket.create_server(("" if hosted else HOST, port))
    except OSError as error:
        raise UserError(f"cannot listen on port {port}: {error.strerror}; give another --port") from None


def make_app(folder: Path, hosted: bool = False) -> "Guard":
    """The application that shows the runs in `folder`, which is made if need be.

    Raises UserError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}; give another --folder") from None
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount(page.RUNS, StaticFiles(directory=folder))
    gr.mount_gradio_app(
        app,
        page.make(folder),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        show_error=False,
        max_file_size=_MAX_UPLOAD,
        allowed_paths=[str(folder.resolve())],
        theme=page.theme(),
        css_paths=[page.STYLE],
    )
    return Guard(app, hosted)


def run(app: "Guard", listener: socket.socket) -> None:
    """Serves until Ctrl-C or SIGTERM, which it raises again once it has closed."""
    _server(app).run(sockets=[listener])


def run_in_thread(app: "Guard", listener: socket.socket) -> None:
    """Serves as long as this process lives."""
    threading.Thread(target=_server(app).run, kwargs={"sockets": [listener]}, daemon=True).start()


def _server(app: "Guard") -> uvicorn.Server:
    # The page keeps a connection open, which would hold up the end.
    return uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))


class Guard:
    """Answers only requests that name this machine (unless `hosted`) and come from no other site's page.

    Other sites' pages could otherwise send files and commands to the server from the browser of its user.
    """

    def __init__(self, app, hosted: bool):
        self._app, self._hosted = app, hosted

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket" or not self._welcome(dict(scope["headers"])):
            await _refuse(scope, send)
        else:
            await self._app(scope, receive, _with_policy(send, self._hosted))

    def _welcome(self, headers: dict[bytes, bytes]) -> bool:
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        ours = self._hosted or urlsplit(f"//{host}").hostname in (HOST, "localhost")
        return ours and (not origin or urlsplit(origin).netloc == host)


async def _refuse(scope, send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"only for pages of this server"})


def _with_policy(send, hosted: bool):
    policy = _POLICY if hosted else f"{_POLICY}; frame-ancestors 'self'"

    async def sending(message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"content-security-policy", policy.encode())]}
        await send(message)

    return sending
