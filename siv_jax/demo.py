"""A latent browser: python -m siv_jax.demo --workdir runs/photo serves a page on this machine alone."""

import argparse
import asyncio
import functools
import io
import socket

from siv_jax.cli import process
from siv_jax.errors import UserError

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
    from siv_jax import api

    app = make_app(api.load(given.workdir))
    try:
        listener = socket.create_server((HOST, given.port))
    except OSError as error:
        raise UserError(f"cannot listen on port {given.port}: {error.strerror}; give another --port") from None
    port = listener.getsockname()[1]
    print(f"http://{HOST}:{port}/ shows {given.workdir}; Ctrl-C ends it", flush=True)
    web.run_app(app, sock=listener, print=None, access_log=None)


def make_app(model):
    """The aiohttp application that shows `model`, a TrainedModel, and keeps favourites in its workdir.

    Raises:
      UserError: favourites are there that cannot be read.
    """
    from aiohttp import web

    handlers = _Handlers(model)
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

    def __init__(self, model):
        from siv_jax.web import favourites

        self._model, self._lib = model, favourites
        self._favourites = favourites.Favourites(model)
        self._drawing = asyncio.Lock()
        self._strip = functools.lru_cache(maxsize=64)(self._draw_strip)

    async def page(self, _):
        from aiohttp import web


        record, plan = self._model.record, self._model.record.plan
        data = {
            "name": self._model.workdir.resolve().name,
            "facts": f"{record.source} at {plan.width}x{plan.height}, after {self._model.step:,} steps",
            **{"width": plan.width, "height": plan.height, "shown": SHOWN, "steps": self._lib.STEPS},
            "folder": str(self._favourites.folder),
            "favourites": self._favourites.names(),
        }
        from siv_jax.report import html

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
    parser = process.Parser(
        prog="python -m siv_jax.demo", description="A page to walk between samples and keep favourites."
    )
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of the run, such as runs/photo")
    parser.add_argument(
        "--port", type=process.whole_number(0, 65535), default=PORT, help=f"to listen on ({PORT}); 0: any free one"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    process.run(main)
