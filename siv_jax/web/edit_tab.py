"""Editing on the page: paint on the photo, copy a piece of it, or give it another shape."""

from pathlib import Path

import gradio as gr
import numpy as np

from siv_jax.errors import UserError
from siv_jax.web import canvas, runs
from siv_jax.web.studio import Studio
from siv_jax.web.told import told

PAINT, HARMONIZE, COPY = "turn it into a picture", "fit it into the photo", "it marks a piece: copy that elsewhere"
_MOST = 8  # variants


def add(folder: Path, studio: Studio, run: gr.Dropdown, tab: gr.Tab) -> None:
    """Adds the tab's components."""
    handlers = _Handlers(folder, studio)
    loaded = gr.State(None)
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            editor = gr.ImageEditor(
                label="Paint on the photo", elem_id="canvas", sources=[], transforms=[], format="png",
                brush=gr.Brush(default_size=12, colors=["#c81e1e", "#1e8c32", "#1e50c8", "#f0f0f0", "#141414"]),
            )  # fmt: skip
        with gr.Column(scale=2, min_width=300):
            what = gr.Radio([PAINT, HARMONIZE, COPY], value=PAINT, label="What I painted:", elem_id="what")
            right = gr.Slider(-1, 1, 0.25, step=0.01, label="To the right, in widths", visible=False, elem_id="right")
            down = gr.Slider(-1, 1, 0.0, step=0.01, label="Down, in heights", visible=False, elem_id="down")
            number = gr.Slider(1, _MOST, 1, step=1, label="Variants", elem_id="variants")
            go = gr.Button("Make it", variant="primary", elem_id="make")
            gr.Markdown("**Another shape**: the photo's things stay as large as they are")
            wider = gr.Slider(0.25, 3, 1.5, step=0.05, label="Width, in those of the photo", elem_id="wider")
            higher = gr.Slider(0.25, 3, 1.0, step=0.05, label="Height, in those of the photo", elem_id="higher")
            shape = gr.Button("Give it this shape", elem_id="shape")
    made = gr.Gallery(
        label="Made", elem_id="made", columns=4, object_fit="contain", interactive=False, format="png",
        buttons=["download", "fullscreen"],
    )  # fmt: skip
    filled = {"inputs": [run, loaded], "outputs": [editor, loaded], "show_progress": "hidden"}
    tab.select(handlers.fill, **filled)
    run.change(handlers.follow, **filled)
    moves = {"fn": lambda chosen: [gr.update(visible=chosen == COPY)] * 2, "show_progress": "hidden"}
    what.change(**moves, inputs=what, outputs=[right, down])
    go.click(handlers.make, [run, loaded, editor, what, right, down, number], made)
    shape.click(handlers.reshape, [run, wider, higher, number], made)


class _Handlers:
    """Handlers of the tab."""

    def __init__(self, folder: Path, studio: Studio):
        self._folder, self._studio = folder, studio

    @told
    def fill(self, run: str | None, loaded: tuple | None):
        """Lays the photo of the run under the brush, unless it lies there; `loaded` says which one does."""
        if run not in runs.names(self._folder) or runs.made(self._folder, run) == loaded:
            return gr.skip(), gr.skip()
        image = canvas.photo(runs.require(self._folder, run))
        return {"background": image, "layers": [], "composite": image}, runs.made(self._folder, run)

    def follow(self, run: str | None, loaded: tuple | None):
        """As `fill` after a switch of runs, once the tab was open; silent where there is no photo to paint on."""
        if loaded is None:
            return gr.skip(), gr.skip()
        try:
            return self.fill(run, loaded)
        except gr.Error:
            return None, ()

    @told
    def make(
        self, run: str | None, loaded: tuple | None, drawn: dict | None, what: str, right: float, down: float, num: int
    ):
        """Paints, harmonizes or copies."""
        workdir = runs.require(self._folder, run)
        if runs.made(self._folder, run) != loaded:
            raise UserError(f"the photo of {run} is not under the brush: open another tab, then this one again")
        image, marked = canvas.painted(drawn)
        options = {"num": int(num), "mask": marked}
        if what == PAINT:
            return self._made(run, "paint", image=image, num=int(num))
        if what == HARMONIZE:
            return self._made(run, "harmonize", image=image, **options)
        image, options["mask"] = canvas.copied(canvas.photo(workdir), marked, right, down)
        return self._made(run, "edit", image=image, **options)

    @told
    def reshape(self, run: str | None, wider: float, higher: float, number: int):
        """Retargets the photo."""
        return self._made(run, "retarget", size=f"{wider:.2f}x{higher:.2f}", num=int(number))

    def _made(self, run: str | None, task: str, **options) -> list[np.ndarray]:
        return self._studio.edit(self._studio.model(runs.require(self._folder, run)), task, **options)
