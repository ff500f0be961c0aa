"""Training on the page: drop a file, choose, start, watch, stop, resume."""

import tempfile
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from siv_jax.data.files import CLIP_SUFFIXES, FRAME_SUFFIXES
from siv_jax.errors import UserError
from siv_jax.report import html, run_page
from siv_jax.web import labels, runs, trainer
from siv_jax.web.studio import PREVIEWS, Studio, enlarged
from siv_jax.web.told import told

_SECONDS = 2.0  # between two looks at the run
_MOST_RENDERED = 20
_GRID_SIDE = 1000  # of an enlarged grid, in pixels
_OTHER = "another config"
_EACH, _ALL = "a model of each", "one model of all"
_BRUSHES = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in labels.COLOURS]


def add(folder: Path, studio: Studio, run: gr.Dropdown) -> dict:
    """Adds the tab's components; returns the event that looks at the run, as arguments of Gradio's listeners."""
    tab = _Tab(folder, studio)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            dropped = gr.File(
                label="Photos or a clip",
                file_count="multiple",
                file_types=sorted(FRAME_SUFFIXES | CLIP_SUFFIXES),
                elem_id="drop",
                height=150,
            )
            choice = gr.Radio(
                [trainer.QUICK, trainer.PAPER, _OTHER], value=trainer.QUICK, label="How", elem_id="how",
                info="Two minutes on two CPU cores give a first look; the paper's setting is for a GPU.",
            )  # fmt: skip
            several = gr.Radio([_EACH, _ALL], value=_EACH, label="Several photos", visible=False, elem_id="several")
            config = gr.Dropdown(trainer.configs(), value="quick", label="Config", visible=False, elem_id="config")
            name = gr.Textbox(label="Name of the run", placeholder="after the file", max_length=100, elem_id="name")
            with gr.Accordion("A mask, to learn labels too", open=False, elem_id="labels"):
                mask = gr.File(
                    label="A mask of the photo: a label for every pixel", file_types=[".png", ".npy"], elem_id="mask",
                    height=120,
                )  # fmt: skip
                paint = gr.Button("Or paint it on the photo", size="sm", elem_id="paint")
                canvas = gr.ImageEditor(
                    label="Each colour is a class", elem_id="classes", sources=[], transforms=[], format="png",
                    brush=gr.Brush(default_size=12, colors=_BRUSHES, color_mode="fixed"), visible=False,
                )  # fmt: skip
            start = gr.Button("Train", variant="primary", elem_id="start")
            with gr.Row():
                stop = gr.Button("Stop and save", interactive=False, elem_id="stop", min_width=120)
                resume = gr.Button("Go on", interactive=False, elem_id="resume", min_width=120)
        with gr.Column(scale=5, min_width=300):
            status = gr.HTML(elem_id="status")
            with gr.Row():
                photo = _picture("It learns from", "photo")
                preview = gr.Gallery(
                    label="Samples, rendered from the photo's own patches", elem_id="preview", interactive=False,
                    columns=PREVIEWS, object_fit="contain", format="png", buttons=["download", "fullscreen"], scale=2,
                )  # fmt: skip
            rendered = gr.Gallery(
                label="Final samples, rendered", elem_id="rendered", visible=False, object_fit="contain",
                buttons=["download", "fullscreen"], interactive=False,
            )  # fmt: skip
            grid = _picture("Samples as the network draws them", "grid")
            with gr.Accordion("What the training said", open=False):
                log = gr.Textbox(show_label=False, lines=8, max_lines=12, interactive=False, elem_id="log")
    # What the page shows: sent again only where it has changed.
    shown, previewed = gr.State(()), gr.State((None, 0))
    outputs = [status, stop, resume, photo, grid, rendered, log, shown]
    look = {"fn": tab.look, "inputs": [run, shown], "outputs": outputs, "show_progress": "hidden"}
    sharpen = {"fn": tab.sharpen, "inputs": [run, previewed], "outputs": [preview, previewed]}
    choice.change(lambda chosen: gr.update(visible=chosen == _OTHER), choice, config, show_progress="hidden")
    dropped.change(
        lambda files: gr.update(visible=bool(files) and len(files) > 1), dropped, several, show_progress="hidden"
    )
    painted_on = gr.State(None)
    paint.click(tab.paint, dropped, [canvas, painted_on], show_progress="hidden")
    given, emptied = [dropped, several, choice, config, name, mask, canvas, painted_on], [dropped, name, mask, canvas]
    started = start.click(tab.start, given, [run, *emptied])
    started.success(**look)
    stop.click(tab.stop, show_progress="hidden").success(**look)
    resume.click(tab.resume, run, show_progress="hidden").success(**look)
    run.change(**look).then(**sharpen, show_progress="hidden")
    timer = gr.Timer(_SECONDS)
    timer.tick(**look)
    timer.tick(**sharpen, show_progress="hidden")
    return look


def _picture(label: str, name: str) -> gr.Image:
    return gr.Image(
        label=label, elem_id=name, interactive=False, format="png", buttons=["download", "fullscreen"], min_width=240
    )


class _Tab:
    """Handlers of the tab."""

    def __init__(self, folder: Path, studio: Studio):
        self._folder, self._studio = folder, studio

    @told
    def start(
        self, dropped: list[str] | None, several: str, choice: str, config: str, name: str, mask, canvas, painted_on
    ):
        """Trains on dropped files, or on a photo and its mask: the run, shown from now on; empties the fields."""
        chosen = config if choice == _OTHER else choice
        with tempfile.TemporaryDirectory() as scratch:
            painted = labels.write(canvas, Path(scratch))
            if mask and painted:
                raise UserError("there is a mask in a file and a painted one: remove one of them")
            if painted and painted_on != dropped:
                raise UserError("the labels were painted on another photo: paint them anew, or clear them")
            run = trainer.start(self._folder, dropped or [], chosen, name.strip(), mask or painted, several == _EACH)
        shown = gr.update(choices=runs.names(self._folder), value=run)
        return shown, None, "", None, gr.update(value=None, visible=False)

    @told
    def paint(self, dropped: list[str] | None):
        """Lays the dropped photo under the brush."""
        image = labels.photo(dropped)
        return gr.update(value={"background": image, "layers": [], "composite": image}, visible=True), dropped

    @told
    def stop(self):
        """Stops what is in training."""
        trainer.stop(self._folder)
        gr.Info("It saves and stops; this takes some seconds.")

    @told
    def resume(self, run: str | None):
        """Goes on with the run."""
        runs.require(self._folder, run)
        trainer.resume(self._folder, run)

    def look(self, run: str | None, shown: tuple):
        """All that is to be seen of a run but the rendered samples; see `shown` of `add`."""
        try:
            workdir = runs.require(self._folder, run)
            status = runs.status(self._folder, run)
        except (UserError, OSError) as error:
            card = html.render("status.html.j2", status=None, problem=str(error) if run else "")
            return card, _button(False), _button(False), None, None, gr.update(visible=False), "", ()
        training = trainer.current(self._folder)
        photo = workdir / run_page.PICTURE
        now = (
            training is not None and f"{run}/".startswith(f"{training.run}/"),
            training is None and status.state == runs.STOPPED,
            photo if photo.exists() else None,
            status.grid,
            status.rendered[:_MOST_RENDERED] if status.is_fleet or status.state not in runs.GOING else (),
            "\n".join(trainer.said(self._folder, run)),
        )
        ways = (_button, _button, _file, _grid, _gallery, str)
        before = shown[1:] if shown and shown[0] == run else (None, None, 0, 0, 0, 0)
        sent = [gr.skip() if new == old else way(new) for way, new, old in zip(ways, now, before, strict=True)]
        return html.render("status.html.j2", status=status, problem=status.problem), *sent, (run, *now)

    def sharpen(self, run: str | None, previewed: tuple[Path | None, int]):
        """One more of the first samples of the newest grid, rendered; see `previewed` of `add`."""
        try:
            workdir = runs.require(self._folder, run)
            grid = runs.status(self._folder, run).grid
            wanted = grid[1] if grid else None
            count = previewed[1] + 1 if wanted == previewed[0] else 1
            if wanted is None:
                return ([], (None, 0)) if previewed[0] else (gr.skip(), gr.skip())
            if count > PREVIEWS:
                return gr.skip(), gr.skip()
            made = self._studio.previews_of_grid(workdir, wanted, count)
            return [str(path) for path in made], (wanted, count)
        except (UserError, OSError):  # a photo too small to be rendered from, or a run that is being written
            return [], (None, 0)


def _button(on: bool) -> dict:
    return gr.update(interactive=on)


def _file(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _gallery(paths: tuple[Path, ...]) -> dict:
    return gr.update(value=[str(path) for path in paths], visible=bool(paths))


def _grid(grid: tuple[int, Path] | None) -> dict:
    if grid is None:
        return gr.update(value=None)
    step, path = grid
    with Image.open(path) as sheet:
        large = enlarged(np.asarray(sheet), _GRID_SIDE)
    return gr.update(value=large, label=f"Samples as the network draws them, step {step:,}")
