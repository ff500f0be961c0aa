"""Samples on the page: draw more, go around one, walk between two, keep, render large, take home."""

import dataclasses
import random
from pathlib import Path

import gradio as gr

from siv_jax.cli import process
from siv_jax.errors import UserError
from siv_jax.web import places, runs
from siv_jax.web.places import STEPS, Place
from siv_jax.web.studio import Studio
from siv_jax.web.told import told

# Samples that the page shows at once.
SHOWN = 24


@dataclasses.dataclass(frozen=True)
class View:
    """What one browser shows.

    made: of the run, see runs.made. shown: the samples in the gallery. start, end: of the walk. chosen: the one that is
      shown large.
    """

    run: str = ""
    made: tuple = ()
    shown: tuple[Place, ...] = ()
    start: Place | None = None
    end: Place | None = None
    chosen: Place | None = None


def add(folder: Path, studio: Studio, run: gr.Dropdown, tab: gr.Tab) -> None:
    """Adds the tab's components."""
    handlers = _Handlers(folder, studio)
    view = gr.State(View())
    with gr.Row(equal_height=True):
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**32 - 1, elem_id="seed", min_width=100)
        start = gr.Number(0, label="First sample", precision=0, minimum=0, elem_id="first", min_width=100)
        strength = gr.Slider(
            0.3, 1.5, 1.0, step=0.05, label="Strength", elem_id="strength", min_width=200,
            info="below 1 more usual, above 1 odder",
        )  # fmt: skip
        with gr.Column(min_width=160):
            draw = gr.Button("Draw", variant="primary", elem_id="draw", size="md")
            dice = gr.Button("Another seed", elem_id="dice", size="md")
            later = gr.Button("Next samples", elem_id="later", size="md")
    shown = _gallery("Choose a sample", "shown")
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            large = gr.Image(
                label="Chosen", elem_id="large", interactive=False, format="png", buttons=["download", "fullscreen"]
            )
        with gr.Column(scale=2, min_width=300):
            gr.Markdown("**Around it**")
            distance = gr.Slider(0.05, 1.0, 0.3, step=0.05, label="How far", elem_id="distance")
            vary = gr.Button("Variations of it", elem_id="vary", size="md")
            gr.Markdown("**Walk**: start at one sample, then choose another above")
            begin = gr.Button("Start a walk here", elem_id="begin", size="md")
            way = gr.Slider(0, STEPS, STEPS, step=1, label="On the way", interactive=False, elem_id="way")
            keep = gr.Button("Keep as a favourite", elem_id="keep", size="md")
            gr.Markdown("**Take home**")
            size = gr.Textbox(
                "photo", label="Size", elem_id="size", max_length=20,
                info="photo, 2x or 1600x400: rendered; empty: as the network draws it",
            )  # fmt: skip
            with gr.Row():
                one = gr.Button("PNG of it", elem_id="one", size="md", min_width=100)
                everything = gr.Button("Zip of all shown", elem_id="zip", size="md", min_width=100)
                film = gr.Button("Film of the walk", elem_id="film", size="md", min_width=100)
            file = gr.File(label="Your file", interactive=False, elem_id="file", height=90)
    favourites = _gallery("Favourites", "favourites", visible=False)
    with gr.Row():
        drop = gr.Button("Remove the chosen favourite", elem_id="remove", size="md", min_width=160)
        packed = gr.Button("Zip of the favourites", elem_id="zip-favourites", size="md", min_width=160)
    wanted = [run, seed, start, strength]
    drawn = [view, shown, large, way, favourites]
    fill = {"fn": handlers.fill, "inputs": [view, *wanted], "outputs": drawn}
    draw.click(**fill)
    tab.select(handlers.fill_if_new, [view, *wanted], drawn)
    run.change(handlers.fill_if_new, [view, *wanted], drawn, show_progress="hidden")
    dice.click(lambda: (random.getrandbits(32), 0), outputs=[seed, start]).then(**fill)
    later.click(lambda first: int(first or 0) + SHOWN, start, start).then(**fill)
    picked = [view, large, way]
    shown.select(handlers.pick, view, picked, show_progress="hidden")
    favourites.select(handlers.pick_favourite, view, picked, show_progress="hidden")
    vary.click(handlers.vary, [view, distance, seed], [view, shown])
    begin.click(handlers.begin, view, [view, way])
    moved = {"inputs": [view, way], "outputs": [view, large], "show_progress": "hidden"}
    way.input(handlers.move, **moved, trigger_mode="always_last")
    way.release(handlers.arrive, **moved)
    keep.click(handlers.keep, view, favourites)
    drop.click(handlers.remove, view, favourites)
    one.click(handlers.picture, [view, size], file)
    everything.click(handlers.pack, [view, size], file)
    film.click(handlers.film, view, file)
    packed.click(handlers.pack_favourites, [view, size], file)


def _gallery(label: str, name: str, visible: bool = True) -> gr.Gallery:
    return gr.Gallery(
        label=label, elem_id=name, columns=8, height="auto", allow_preview=False, interactive=False, format="png",
        object_fit="contain", buttons=[], visible=visible,
    )  # fmt: skip


class _Handlers:
    """Handlers of the tab. Each gets the view of the browser that asks."""

    def __init__(self, folder: Path, studio: Studio):
        self._folder, self._studio = folder, studio

    @told
    def fill(self, view: View, run: str | None, seed: float, start: float, strength: float):
        """Draws samples, and shows the favourites of the run."""
        model = self._studio.model(runs.require(self._folder, run))
        most = 2**31 // model.config.candidates - 1 - SHOWN
        seed, start = _whole("the seed", seed, 2**32 - 1), _whole("the first sample", start, most)
        found = places.samples(model, seed, start, SHOWN, strength)
        made = runs.made(self._folder, run)
        view = View(run, made, tuple(found), *((view.start,) if view.made == made else ()))
        kept = self._favourites(model)
        return view, self._shown(model, found), None, _way(view), kept

    @told
    def fill_if_new(self, view: View, run: str | None, seed: float, start: float, strength: float):
        """As `fill` where the run is another one and has something to draw with; nothing where not."""
        if not run or run not in runs.names(self._folder) or view.made == runs.made(self._folder, run):
            return (gr.skip(),) * 5
        if not runs.status(self._folder, run).has_weights:
            return View(), [], None, _way(View()), gr.update(value=[], visible=False)
        return self.fill(View(), run, seed, start, strength)

    @told
    def pick(self, view: View, event: gr.SelectData):
        """Shows a sample of the gallery large, then sharp: the end of the walk, if one was started."""
        yield from self._picked(view, view.shown[event.index])

    @told
    def pick_favourite(self, view: View, event: gr.SelectData):
        """As `pick`, of the favourites."""
        kept = self._studio.favourites(self._model(view)).places()
        if event.index < len(kept):
            yield from self._picked(view, kept[event.index])

    def _picked(self, view: View, place: Place):
        view = dataclasses.replace(view, chosen=place, end=place)
        images = self._images(view, place)
        yield view, next(images), _way(view)
        # The view may have changed while the sample was made sharp.
        for image in images:
            yield gr.skip(), image, gr.skip()

    @told
    def vary(self, view: View, distance: float, seed: float):
        """Fills the gallery with variations of the chosen sample, which comes first."""
        model, chosen = self._model(view), _chosen(view)
        # Noise of another seed than the samples have, so that no variation is on the way to one of them.
        found = places.around(model, chosen, distance, (_whole("the seed", seed, 2**32 - 1) + 1) % 2**32, SHOWN - 1)
        view = dataclasses.replace(view, shown=(chosen, *found))
        return view, self._shown(model, view.shown)

    @told
    def begin(self, view: View):
        """The chosen sample becomes the start of a walk."""
        view = dataclasses.replace(view, start=_chosen(view), end=None)
        gr.Info("Now choose where the walk ends.")
        return view, _way(view)

    @told
    def move(self, view: View, step: int):
        """Shows a step of the walk as the network draws it."""
        view = self._moved(view, step)
        return view, next(self._images(view, view.chosen))

    @told
    def arrive(self, view: View, step: int):
        """Shows a step of the walk, rendered."""
        view = self._moved(view, step)
        *_, image = self._images(view, view.chosen)
        return view, image

    def _moved(self, view: View, step: int) -> View:
        if view.start is None or view.end is None:
            raise UserError("start a walk at one sample, then choose another")
        return dataclasses.replace(view, chosen=places.between(view.start, view.end, int(step)))

    @told
    def keep(self, view: View):
        """Keeps the chosen sample."""
        model = self._model(view)
        self._studio.favourites(model).add(_chosen(view))
        return self._favourites(model)

    @told
    def remove(self, view: View):
        """Removes the chosen sample from the favourites."""
        model = self._model(view)
        self._studio.favourites(model).remove(_chosen(view))
        return self._favourites(model)

    @told
    def picture(self, view: View, size: str):
        """The chosen sample as a PNG, and its mask where it has one."""
        return list(map(str, self._studio.picture(self._model(view), _chosen(view), size.strip())))

    @told
    def pack(self, view: View, size: str, progress=gr.Progress()):
        """What the gallery shows as a zip."""
        return self._packed(view, view.shown, size, progress, "draw some samples first")

    @told
    def pack_favourites(self, view: View, size: str, progress=gr.Progress()):
        """The favourites as a zip."""
        kept = self._studio.favourites(self._model(view)).places()
        return self._packed(view, kept, size, progress, "there are no favourites yet")

    @told
    def film(self, view: View):
        """The walk as an MP4."""
        if view.start is None or view.end is None:
            raise UserError("start a walk at one sample, then choose another")
        return str(self._studio.film(self._model(view), view.start, view.end))

    def _packed(self, view: View, found, size: str, progress: gr.Progress, otherwise: str):
        if not found:
            raise UserError(otherwise)

        def watched(batches, count: int):
            return progress.tqdm(batches, total=count, desc="samples", unit="of them")

        return str(self._studio.pack(self._model(view), found, size.strip(), watched))

    def _model(self, view: View):
        return self._studio.model(runs.require(self._folder, view.run))

    def _shown(self, model, found) -> list[tuple]:
        return [(image, place.name) for image, place in zip(self._studio.draw(model, found), found, strict=True)]

    def _favourites(self, model) -> dict:
        kept = self._studio.favourites(model)
        shown = [(str(kept.picture(place.name)), place.name) for place in kept.places()]
        return gr.update(value=shown, visible=bool(shown))

    def _images(self, view: View, place: Place):
        """The sample as the network draws it, and rendered where the photo is large enough for that."""
        model = self._model(view)
        yield gr.update(value=self._studio.draw(model, [place])[0], label=place.name)
        try:
            yield gr.update(value=self._studio.preview(model, place), label=f"{place.name}, rendered")
        except UserError:  # its photo is too small, or it has none
            return


def _chosen(view: View) -> Place:
    if view.chosen is None:
        raise UserError("choose a sample first")
    return view.chosen


def _way(view: View) -> dict:
    ready = view.start is not None and view.end is not None
    label = f"On the way from {view.start.name} to {view.end.name}" if ready else "On the way"
    return gr.update(interactive=ready, value=STEPS, label=label)


def _whole(name: str, value: float | None, highest: int) -> int:
    """The number as an int. Raises UserError: it is none, or out of its range."""
    whole = int(value) if value is not None and value == int(value) else value
    process.require_whole(name, whole, 0, highest)
    return whole
