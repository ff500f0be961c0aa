"""What a notebook shows of siv_jax: training as it goes on, pictures, a walk under a slider, files to take home."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.app import load_server
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.report import run_page
from siv_jax.sampling import pictures
from siv_jax.web.studio import enlarged
from siv_jax.workdir import layout, logs

# Pictures from one sample of a walk to the next: enough to see where it goes, few enough to draw at once.
_BETWEEN = 8


def choose(path: str) -> str:
    """`path` as it is, or, where it is empty, a file that is uploaded from the reader's machine, in Colab.

    Raises UserError: it is empty outside of Colab, or nothing was uploaded.
    """
    if path:
        return path
    try:
        from google.colab import files
    except ImportError:
        raise UserError("INPUT is empty: uploading works in Colab, elsewhere give the path of a file") from None
    uploaded = list(files.upload())
    if not uploaded:
        raise UserError("nothing was uploaded: run this cell again, or give the path of a file as INPUT")
    return uploaded[0]


def live(folder: str | Path) -> Callable[[int], None]:
    """A `watch` for siv_jax.train: draws picture, newest samples and curves of the run in `folder`, in place."""
    from IPython import display

    handle = display.display(display_id=True)

    def watch(step: int) -> None:
        handle.update(display.Image(data=overview(Path(folder), step)))

    return watch


def overview(folder: Path, step: int) -> bytes:
    """PNG of what a run trains on, its newest samples and its curves up to `step`."""
    # Its own canvas, which changes nothing about the figures of the notebook's reader.
    from matplotlib.figure import Figure

    entries = [entry for entry in logs.entries(folder) if entry["step"] <= step]
    figure = Figure(figsize=(13, 8), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1))
    files = (folder / run_page.PICTURE, folder / run_page.grids(folder)[-1][1])
    for axes, title, file in zip(
        above.subplots(1, 2, width_ratios=(1, 2)), ("trained on", f"samples after step {step:,}"), files, strict=True
    ):
        axes.imshow(np.asarray(Image.open(file)))
        axes.set_title(title)
        axes.axis("off")
    headline = registry.get(layout.load_config(folder).model.name).headline
    charts = run_page.groups(entries[-1] if entries else {}, headline)
    places = below.subplots(max(1, -(-len(charts) // 3)), 3, squeeze=False).flat
    for axes in places[len(charts) :]:
        axes.remove()
    for axes, (title, labels) in zip(places, charts, strict=False):
        for metric, label in labels.items():
            axes.plot([entry["step"] for entry in entries], [entry[metric] for entry in entries], label=label)
        axes.set_title(title)
        axes.legend(loc="best", fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def show(images: np.ndarray) -> None:
    """Displays uint8 images [n, H, W, C] as one grid."""
    from IPython import display

    display.display(display.Image(data=_png(pictures.grid(images))))


def walk(model, samples: int = 5, seed: int = 0) -> None:
    """A walk through `samples` samples of a siv_jax.Model: under a slider, or as a grid without ipywidgets."""
    images = model.interpolate(samples, frames_between=_BETWEEN, seed=seed)
    try:
        import ipywidgets
    except ImportError:
        show(images)
        return
    from IPython.display import display

    frames = [_png(image) for image in pictures.viewable(images)]
    slider = ipywidgets.IntSlider(max=len(frames) - 1, description="walk", layout={"width": "480px"})
    picture = ipywidgets.Image(value=frames[0], format="png", layout={"width": "480px"})
    slider.observe(lambda change: setattr(picture, "value", frames[change["new"]]), names="value")
    display(ipywidgets.VBox([picture, slider]))


def open_app(folder: str | Path) -> None:
    """Serves the page of siv_jax.app for the runs in `folder` as long as the notebook's kernel lives, and shows it.

    Raises UserError: Gradio is not installed, or the folder cannot be used.
    """
    server = load_server()
    try:
        from google.colab import output
    except ImportError:
        output = None
    listener = server.listen(0)
    port = listener.getsockname()[1]
    # Colab shows it under a name of its own.
    server.run_in_thread(server.make_app(Path(folder), hosted=output is not None), listener)
    if output is None:
        print(f"http://{server.HOST}:{port}/")
    else:
        output.serve_kernel_port_as_iframe(port, height="1100")


def pack(folder: str | Path) -> Path:
    """Writes FOLDER.zip with all of a run but its older checkpoints; returns its path. It can be resumed from."""
    folder = Path(folder)
    checkpoints = folder / layout.CHECKPOINTS
    newest = checkpoints / str(layout.completed_steps(folder))
    older = {path for path in checkpoints.iterdir() if path.is_dir() and path != newest}
    target = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith(".") and older.isdisjoint(path.parents):
                archive.write(path, path.relative_to(folder.parent))
    return target


def offer(path: Path) -> None:
    """Has the browser download a file, in Colab; elsewhere says where it is."""
    try:
        from google.colab import files
    except ImportError:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
        return
    files.download(str(path))


def _png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as PNG; small pictures are enlarged, as browsers would blur them."""
    buffer = io.BytesIO()
    Image.fromarray(enlarged(image, 320)).save(buffer, format="PNG")
    return buffer.getvalue()
