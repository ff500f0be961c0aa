"""The page of the app: the switcher of runs above, training, samples and edits below."""

from pathlib import Path

import gradio as gr
from markupsafe import Markup

from siv_jax.report import html
from siv_jax.report.run_page import PAGE
from siv_jax.web import edit_tab, runs, samples_tab, train_tab
from siv_jax.web.studio import Studio
from siv_jax.web.told import told

# Where the runs' folder is served.
RUNS = "/runs"
STYLE = Path(__file__).parent / "app.css"
_SECONDS_KEPT = 86_400  # of pictures that were shown


def theme() -> gr.themes.Base:
    """Of the machine's own fonts: none is loaded from another server."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "Menlo", "Consolas", "monospace"]}
    return gr.themes.Default(primary_hue="blue", **fonts)


def make(folder: Path) -> gr.Blocks:
    """The page of the runs in `folder`."""
    studio = Studio()
    with gr.Blocks(title="siv_jax", analytics_enabled=False, delete_cache=(_SECONDS_KEPT, _SECONDS_KEPT)) as blocks:
        with gr.Row(elem_id="head"):
            gr.HTML("<h1>siv_jax</h1><p>New, believable scenes from one photo or one short clip.</p>", min_width=300)
            run = gr.Dropdown(
                label="Run", choices=[], allow_custom_value=True, elem_id="run", scale=2, info=_where(folder)
            )
        link = gr.HTML(elem_id="link")
        with gr.Tab("Train"):
            refresh = train_tab.add(folder, studio, run)
        with gr.Tab("Samples") as tab:
            samples_tab.add(folder, studio, run, tab)
        with gr.Tab("Edit") as tab:
            edit_tab.add(folder, studio, run, tab)

        @told
        def opened():
            return gr.update(choices=runs.names(folder), value=runs.newest(folder))

        blocks.load(opened, outputs=run, show_progress="hidden").then(**refresh)
        run.change(lambda name: _link(folder, name), run, link, show_progress="hidden")
        run.focus(lambda: gr.update(choices=runs.names(folder)), outputs=run, show_progress="hidden")
    return blocks


def _where(folder: Path) -> str:
    return f"in {folder}"


def _link(folder: Path, run: str | None) -> str:
    """A link to the run's own page, once there is one."""
    if run not in runs.names(folder) or not (folder / run / PAGE).exists():
        return ""
    text = '<a href="{}" target="_blank">The page of this run</a>: curves, all settings, commands'
    address = f"{RUNS}/{html.link(*run.split('/'), PAGE)}"
    return Markup(text).format(address)
