"""A latent browser: python -m siv_jax.demo --workdir runs/photo serves a page on this machine alone."""

import argparse
import asyncio
import functools
import io
import socket
from pathlib import Path

from siv_jax.cli import process as command_line
from siv_jax.errors import UserError
from siv_jax.report import html

HOST, PORT = "127.0.0.1", 8765
# Samples that the page shows at once.
SHOWN = 24


def main(argv: list[str]) -> None:
    """Runs the command: serves until Ctrl-C."""
    given = _parse(argv)
    try:
        from aiohttp import web
    except ImportError:
        raise UserError("the demo needs aiohttp: pip install aiohttp") from None
    command_line.cache_compiled_programs()
    from siv_jax.sampling.trained_model import TrainedModel

    app = make_app(given.workdir, TrainedModel(given.workdir))
    try:
        listener = socket.create_server((HOST, given.port))
    except OSError as error:
        raise UserError(f"cannot listen on port {given.port}: {error.strerror}; give another --port") from None
    port = listener.getsockname()[1]
    print(f"http://{HOST}:{port}/ shows {given.workdir}; Ctrl-C ends it", flush=True)
    web.run_app(app, sock=listener, print=None, access_log=None)


def make_app(folder: Path, model):
    """The aiohttp application that shows `model`, a TrainedModel, and keeps favourites in `folder`.

    Raises:
      UserError: favourites are there that cannot be read.
    """
    from aiohttp import web

    handlers = _Handlers(folder, model)
    app = web.Application(middlewares=[web.middleware(_answer)])
    app.add_routes(
        [
            web.get("/", handlers.page),
            web.get("/samples/{seed}/{start}.png", handlers.samples),
            web.get("/way/{name}.png", handlers.way),
            web.get("/favourites", handlers.favourites),
            web.get("/favourites/{name}.png", handlers.favourite),
            web.put("/favourites/{name}", handlers.keep),
            web.delete("/favourites/{name}", handlers.drop),
        ]
    )
    return app


async def _answer(request, handler):
    """Turns away what comes through another site's name or page, and says what is wrong with what cannot be used."""
    from aiohttp import web

    host, _, _ = request.host.partition(":")
    own = f"{request.scheme}://{request.host}"
    if host not in (HOST, "localhost") or request.headers.get("Origin", own) != own:
        return web.Response(status=403, text="only for pages of this server")
    try:
        return await handler(request)
    except UserError as error:
        return web.Response(status=400, text=str(error))


class _Handlers:
    """Answers of the server. One thread at a time draws; what it drew lately is kept."""

    def __init__(self, folder: Path, model):
        from siv_jax.web import favourites

        self._folder, self._model, self._lib = folder, model, favourites
        self._favourites = favourites.Favourites(folder, model)
        self._drawing = asyncio.Lock()
        self._strip = functools.lru_cache(maxsize=64)(self._draw_strip)

    async def page(self, _):
        from aiohttp import web

        plan, model = self._model.model.plan, self._model.model
        data = {
            "name": self._folder.resolve().name,
            "facts": f"{model.source} at {plan.width}x{plan.height}, after {self._model.step:,} steps",
            **{"width": plan.width, "height": plan.height, "shown": SHOWN, "steps": self._lib.STEPS},
            "folder": str(self._favourites.folder),
            "favourites": self._favourites.names(),
        }
        return web.Response(text=html.render("demo.html", title=data["name"], data=data), content_type="text/html")

    async def samples(self, request):
        """SHOWN samples from number `start` of `seed` on, one below the other."""
        seed, start = (request.match_info[name] for name in ("seed", "start"))
        place = self._lib.Place.parse(f"seed{seed}_{start}")
        return await self._drawn("samples", place)

    async def way(self, request):
        """All pictures on the way of a place, one below the other."""
        return await self._drawn("way", self._lib.Place.parse(request.match_info["name"]))

    async def favourites(self, _):
        from aiohttp import web

        return web.json_response(self._favourites.names())

    async def favourite(self, request):
        from aiohttp import web

        name = request.match_info["name"]
        if name not in self._favourites.names():
            return web.Response(status=404, text="no such favourite")
        return web.FileResponse(self._favourites.picture(name))

    async def keep(self, request):
        async with self._drawing:
            await asyncio.to_thread(self._favourites.add, request.match_info["name"])
        return await self.favourites(request)

    async def drop(self, request):
        async with self._drawing:
            self._favourites.remove(request.match_info["name"])
        return await self.favourites(request)

    async def _drawn(self, kind: str, place):
        from aiohttp import web

        async with self._drawing:
            png = await asyncio.to_thread(self._strip, kind, place.start, place.end)
        return web.Response(body=png, content_type="image/png")

    def _draw_strip(self, kind: str, start: tuple[int, int], end: tuple[int, int]) -> bytes:
        from PIL import Image

        from siv_jax.sampling import pictures

        z = self._lib.way(self._model, start, end) if kind == "way" else self._model.latents(SHOWN, *start)
        images = pictures.viewable(pictures.to_uint8(self._model.generate(z)))
        buffer = io.BytesIO()
        Image.fromarray(images.reshape(-1, *images.shape[2:])).save(buffer, format="PNG", compress_level=1)
        return buffer.getvalue()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.Parser(
        prog="python -m siv_jax.demo", description="A page to walk between samples and keep favourites."
    )
    parser.add_argument("--workdir", type=Path, required=True, help="of the run, such as runs/photo")
    parser.add_argument(
        "--port", type=command_line.whole_number(0, 65535), default=PORT, help=f"to listen on ({PORT}); 0: any free one"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    command_line.run(main)
