"""The page of a run and the index of a fleet, in Python and in a real browser."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny
from chromium import Browser
from PIL import Image

from siv_jax.cli import command_text
from siv_jax.cli import training_flags as arguments
from siv_jax.config import Config
from siv_jax.data.pixel_format import PICTURE
from siv_jax.models.siv_gan.plan import make_plan
from siv_jax.report import run_page as page
from siv_jax.sampling import pictures
from siv_jax.workdir import layout as workdir

NASTY = 'a & b</script><i>"c"'


def make_run(folder: Path, steps: int, num_steps: int = 1000, frames: int = 1) -> Path:
    """A workdir as training leaves it after `steps` of `num_steps`, with an entry and a grid every 100 steps."""
    config = tiny.config(num_steps=num_steps, log_every=50, sample_every=100, data__path=NASTY + ".png")
    pixels = np.random.default_rng(0).integers(0, 256, (frames, 48, 64, 3), np.uint8)
    plan = make_plan(48, 64, 3, 64, config.model)
    lock = workdir.open_for_training(folder, config, workdir.Model(plan, PICTURE, NASTY, "d"), pixels)
    lock.release()
    (folder / workdir.GRIDS).mkdir()
    lines = []
    for step in range(50, steps + 1, 50):
        losses = {"loss_g": 2.0 - step / 1000, "loss_d": 1.0 + step / 1000, "diversity": 0.5}
        logits = {f"logit_{of}/{part}": 0.1 for of in ("real", "fake") for part in ("content", "layout")}
        # Interrupted at step 500: the clock begins again.
        seconds = step / 10 if step <= 500 else (step - 500) / 10
        lines.append({"step": step, "seconds": seconds, "steps_per_second": 10.0} | losses | logits)
        if step % 100 == 0:
            shade = np.full((4, 48, 64, 3), step * 255 // 1000, np.uint8)
            pictures.save_png(folder / workdir.GRIDS / f"step_{step:08d}.png", pictures.grid(shade))
    (folder / workdir.SCALARS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def test_page_shows_the_run_and_asks_for_nothing_else(browser, tmp_path):
    folder = make_run(tmp_path / NASTY.replace("/", ""), steps=800)
    path = page.RunPage(folder).write(800)
    browser.open(path.as_uri())
    text = browser.value("document.querySelector('main').innerText")
    for expected in ("800 of 1,000", "10 steps/s", "1 min 20 s", "20 s", "training", NASTY, folder.name):
        assert expected in text
    assert browser.value("document.title") == folder.name
    assert (
        command_text.equivalent(tiny.config(num_steps=1000, log_every=50, sample_every=100), folder).split()[2] in text
    )
    assert all(request.startswith(folder.as_uri() + "/") for request in browser.requests), browser.requests
    assert len(browser.requests) == 3 and not browser.complaints
    for image in ("picture", "grid"):
        browser.wait_for(f"document.getElementById('{image}').naturalWidth > 0")
    # Losses, two parts of logits, diversity and speed; the metrics that this run lacks have no chart.
    titles = browser.value("[...document.querySelectorAll('.chart h3')].map((h) => h.textContent)")
    assert titles == ["Losses", "Logits, content", "Logits, layout", "Diversity term", "Speed"]


def test_slider_and_curves_go_through_the_steps(browser, tmp_path):
    folder = make_run(tmp_path / "run", steps=800)
    browser.open(page.RunPage(folder).write(800, ended=True).as_uri())
    label, shown = "document.getElementById('step-label').textContent", "document.getElementById('grid').src"
    assert browser.value(label) == "step 800"
    assert "stopped" in browser.value("document.getElementById('state').className")
    browser.drag("#slider", 0.99, 0.01)
    assert browser.value(label) == "step 100"
    assert browser.value(shown).endswith("/grids/step_00000100.png")
    assert browser.value("location.hash") == "#step=100"
    browser.click("#newest")
    assert browser.value(label) == "step 800"
    # There the first chart's axis is at step 423: the nearest entry is that of 400.
    browser.hover(".chart svg", across=0.535)
    legend = browser.value("document.querySelector('.legend').innerText")
    assert legend.split() == ["generator", "1.6", "discriminator", "1.4"]
    browser.click(".chart svg", across=0.535)
    assert browser.value(label) == "step 400"
    assert not browser.complaints


def test_playing_ends_at_the_newest_grid(browser, tmp_path):
    browser.open(page.RunPage(make_run(tmp_path / "run", steps=300)).write(300).as_uri())
    browser.click("#play")
    assert browser.value("document.getElementById('step-label').textContent") == "step 100"
    browser.wait_for("document.getElementById('step-label').textContent === 'step 300' && viewer.timer === null")


def test_before_the_first_entry(browser, tmp_path):
    browser.open(page.RunPage(make_run(tmp_path / "run", steps=0, frames=9)).write(0).as_uri())
    text = browser.value("document.querySelector('main').innerText")
    assert "first samples are drawn after step 100" in text and "Logged from step 50 on" in text
    assert "6 of the 9 frames" in text
    assert not browser.complaints


def test_steps_that_a_resumed_run_repeats_are_left_out(tmp_path):
    folder = make_run(tmp_path / "run", steps=1000)
    text = page.RunPage(folder).write(450).read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["scalars"]["step"] == list(range(50, 451, 50))
    assert [grid["step"] for grid in data["grids"]] == [100, 200, 300, 400]
    assert data["state"] == "training"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".i")] == []


def test_fleet_index_shows_its_members(browser, tmp_path):
    fleet = tmp_path / "fleet"
    for name, steps in (("one", 1000), (NASTY.replace("/", ""), 250), ("three", 0)):
        make_run(fleet / name, steps)
        page.RunPage(fleet / name).write(steps)
    (fleet / "notes").mkdir()
    browser.open(page.write_fleet_index(fleet).as_uri())
    cards = browser.value("[...document.querySelectorAll('.member')].map((card) => card.innerText)")
    assert [card.split("\n")[0] for card in cards] == sorted(["one", NASTY.replace("/", ""), "three"])
    assert "finished" in cards[1] and "step 250 of 1,000" in cards[0] and "step 0" in cards[2]
    assert "41.7 %" in browser.value("document.querySelector('main').innerText")
    assert not browser.complaints
    browser.click(".member")
    browser.wait_for("document.title === " + json.dumps(NASTY.replace("/", "")))
    # One more has not begun, which the share of all steps counts.
    browser.open(page.write_fleet_index(fleet, planned=4).as_uri())
    assert "4 runs, 31.2 % of all steps" in browser.value("document.querySelector('main').innerText")


def test_curves_of_long_runs_are_means_of_neighbours():
    entries = [{"step": i, "seconds": 0.0, "loss": float(i)} | ({"late": 1.0} if i > 5 else {}) for i in range(1, 8)]
    columns, size = page.thinned(entries, points=3)
    assert size == 3
    assert columns == {"step": [3, 6, 7], "loss": [2.0, 5.0, 7.0], "late": [None, 1.0, 1.0]}
    assert page.thinned([]) == ({"step": []}, 1)


def test_time_over_resumptions():
    assert page.seconds_trained([{"seconds": s} for s in (1.0, 5.0, 2.0, 4.0, 1.5)]) == 5.0 + 4.0 + 1.5
    assert page.seconds_trained([]) == 0


def test_float_frames_are_shown_in_their_range(tmp_path):
    folder = make_run(tmp_path / "run", steps=0)
    frames = np.linspace(-1, 1, 48 * 64, dtype=np.float32).reshape(1, 48, 64, 1)
    workdir.write_atomically(folder / workdir.FRAMES, lambda file: np.savez_compressed(file, frames=frames))
    page.RunPage(folder)
    drawn = np.asarray(Image.open(folder / page.PICTURE))
    assert drawn.shape == (48, 64, 3) and drawn[0, 0, 0] == 0 and drawn[-1, -1, 2] == 255


# ml_collections loads config files in a way that Python 3.11 deprecates.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize(
    "changes", [{}, {"data__path": "my photo's.jpg", "data__background": (0, 10, 0), "loss__low_level": False}]
)
def test_equivalent_command_gives_the_same_config(changes, tmp_path):
    config = tiny.config(**changes) if changes else Config()
    words = shlex.split(command_text.equivalent(config, tmp_path / "a b"))
    assert words[:3] == ["python", "-m", "siv_jax.main"]
    given = arguments.parse(words[3:])
    assert given.config == config and given.workdir == tmp_path / "a b"


def test_training_writes_the_page_with_its_own_command(tmp_path):
    flags = tiny.arguments(Path("runs") / "x", log_every=20)
    done = tiny.command("siv_jax.main", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "runs" / "x" / page.PAGE).read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["state"] == "finished" and data["scalars"]["step"] == [20, 40]
    assert [grid["file"] for grid in data["grids"]] == ["grids/step_00000020.png", "grids/step_00000040.png"]
    assert data["commands"][0][1] == shlex.join(["python", "-m", "siv_jax.main", *flags])
