"""The Colab notebook, executed from top to bottom as a reader would, and what it is made of."""

import base64
import io
import json
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import tiny
from nbclient import NotebookClient
from PIL import Image

from siv_jax import notebook
from siv_jax.errors import UserError

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "siv_jax_colab.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """(cells by id, folder) of the notebook after a run with tiny settings in its one parameter cell."""
    folder = tmp_path_factory.mktemp("notebook")
    book = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ()))
    settings = {key: value for key, value in tiny.OVERRIDES.items() if key != "data.path"}
    parameters.source += f"\nCONFIG, SETTINGS, SAMPLES, FETCH_WEIGHTS = 'single_image', {settings}, 4, False"
    client = NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env=tiny.environment() | {"SIV_JAX_CACHE": str(folder / "cache")})
    return {cell.id: cell for cell in book.cells}, folder


def text_of(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def images_of(cell) -> list[np.ndarray]:
    found = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in found]


def test_training_is_shown_in_one_place_that_changes(executed):
    cells, folder = executed
    assert "training" in text_of(cells["train"])
    (overview,) = images_of(cells["train"])
    assert overview.shape == (640, 1040, 4) and len(np.unique(overview[..., :3])) > 100
    assert (folder / "runs" / "notebook" / "samples" / "sample_00003.png").exists()


def test_samples_and_the_walk_are_shown(executed):
    cells, _ = executed
    (grid,) = images_of(cells["samples"])
    assert grid.std() > 1
    (shown,) = (output for output in cells["walk"].outputs if output.output_type == "display_data")
    assert "application/vnd.jupyter.widget-view+json" in shown.data


def test_the_page_of_the_app_is_offered(executed):
    cells, _ = executed
    assert text_of(cells["app"]).startswith("http://127.0.0.1:")


def test_without_weights_the_notebook_says_so_and_goes_on(executed):
    cells, folder = executed
    told = text_of(cells["evaluate"])
    assert told.startswith("not measured: the weights of") and "siv_jax.weights fetch" in told
    assert text_of(cells["download"]).startswith("runs/notebook.zip: ")
    with zipfile.ZipFile(folder / "runs" / "notebook.zip") as archive:
        names = archive.namelist()
    assert {"notebook/index.html", "notebook/config.json", "notebook/grids/step_00000040.png"} <= set(names)
    steps = {name.split("/")[2] for name in names if name.startswith("notebook/checkpoints/")}
    assert steps == {"40"}


def test_the_notebook_is_committed_clean():
    book = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebook_installs_a_wheel_beside_it_or_what_source_names(monkeypatch, tmp_path):
    book = json.loads(NOTEBOOK.read_text())
    install = "".join(next(cell["source"] for cell in book["cells"] if cell["id"] == "install"))
    lines = install.replace("%pip install --quiet ", "found.append(f").replace('{wanted}"', '{wanted}")')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)

    def wanted(source: str = "siv_jax") -> str:
        found: list[str] = []
        exec(lines.replace('SOURCE = "siv_jax"', f"SOURCE = {source!r}"), {"found": found})
        return found[0]

    assert wanted() == "siv_jax[notebook,app]"
    assert wanted("git+https://example.org/x") == "siv_jax[notebook,app] @ git+https://example.org/x"
    (tmp_path / "siv_jax-0.2.0-py3-none-any.whl").touch()
    assert wanted() == "./siv_jax-0.2.0-py3-none-any.whl[notebook,app]"


def test_no_input_outside_of_colab():
    assert notebook.choose("x.png") == "x.png"
    with pytest.raises(UserError, match="INPUT is empty"):
        notebook.choose("")


def test_slider_shows_the_pictures_of_the_walk(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (16, 48, 64, 1), np.uint8)

    class Model:
        def interpolate(self, samples, frames_between, seed):
            assert (samples, frames_between, seed) == (2, 8, 3)
            return images

    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    notebook.walk(Model(), samples=2, seed=3)
    picture, slider = shown[0].children
    assert slider.max == 15
    for at in (0, 7, 15):
        slider.value = at
        drawn = np.asarray(Image.open(io.BytesIO(picture.value)))
        assert drawn.shape == (240, 320, 3)
        assert np.abs(drawn[2::5, 2::5, 0].astype(int) - images[at, ..., 0]).max() <= 1
