"""The server of the latent browser: samples, walks between them, and favourites of one model."""

import asyncio
import functools
import io

from aiohttp import web
from PIL import Image

from siv_jax.errors import UserError
from siv_jax.report import html
from siv_jax.sampling import pictures
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.web.favourites import STEPS, Favourites, Place, way

HOST = "127.0.0.1"
# Samples that the page shows at once.
SHOWN = 24


def make_app(model: TrainedModel) -> web.Application:
    """The application that shows `model` and keeps favourites in its workdir.

    Raises UserError: favourites are there that cannot be read.
    """
    handlers = _Handlers(model)
    app = web.Application(middlewares=[_answer])
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


@web.middleware
async def _answer(request, handler):
    """Refuses requests for another host name or from another site's page; a UserError becomes the answer's text."""
    host, _, _ = request.host.partition(":")
    own = f"{request.scheme}://{request.host}"
    if host not in (HOST, "localhost") or request.headers.get("Origin", own) != own:
        return web.Response(status=403, text="only for pages of this server")
    try:
        return await handler(request)
    except UserError as error:
        return web.Response(status=400, text=str(error))


class _Handlers:
    """Answers of the server. One thread at a time draws; the latest strips are kept."""

    def __init__(self, model: TrainedModel):
        self._model, self._favourites = model, Favourites(model)
        self._drawing = asyncio.Lock()
        self._strip = functools.lru_cache(maxsize=64)(self._draw_strip)

    async def page(self, _):
        record, plan = self._model.record, self._model.record.plan
        height, width = self._model.size
        data = {
            "name": self._model.workdir.resolve().name,
            "facts": f"{record.source} at {plan.width}x{plan.height}, after {self._model.step:,} steps",
            **{"width": width, "height": height, "shown": SHOWN, "steps": STEPS},
            "folder": str(self._favourites.folder),
            "favourites": self._favourites.names(),
        }
        return web.Response(text=html.render("demo.html", title=data["name"], data=data), content_type="text/html")

    async def samples(self, request):
        """SHOWN samples from number `start` of `seed` on, one below the other."""
        return await self._drawn("samples", Place.parse("seed{seed}_{start}".format(**request.match_info)))

    async def way(self, request):
        """All pictures on the way of a place, one below the other."""
        return await self._drawn("way", Place.parse(request.match_info["name"]))

    async def favourites(self, _):
        return web.json_response(self._favourites.names())

    async def favourite(self, request):
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

    async def _drawn(self, kind: str, place: Place):
        async with self._drawing:
            png = await asyncio.to_thread(self._strip, kind, place.start, place.end)
        return web.Response(body=png, content_type="image/png")

    def _draw_strip(self, kind: str, start: tuple[int, int], end: tuple[int, int]) -> bytes:
        z = way(self._model, start, end) if kind == "way" else self._model.latents(SHOWN, *start)
        images = pictures.viewable(pictures.to_uint8(self._model.generate(z)))
        buffer = io.BytesIO()
        Image.fromarray(images.reshape(-1, *images.shape[2:])).save(buffer, format="PNG", compress_level=1)
        return buffer.getvalue()
