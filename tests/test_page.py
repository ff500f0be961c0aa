"""The page of a run and the index of a fleet, in Python and in a real browser."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tiny
from chromium import Browser
from markupsafe import escape
from PIL import Image

from siv_jax import config as config_lib
from siv_jax.cli import command_text
from siv_jax.cli import training_flags as arguments
from siv_jax.data import PixelFormat, Source
from siv_jax.data.pixel_format import PICTURE
from siv_jax.models.siv_gan import family
from siv_jax.models.siv_gan.config import Config
from siv_jax.report import fleet_page, run_page
from siv_jax.sampling import pictures, sample_files
from siv_jax.workdir import layout as workdir
from siv_jax.workdir import start

pytestmark = pytest.mark.posix

NASTY = '<script>alert(1)</script> & "c"'
HEADLINE = {"generator": "loss_g", "discriminator": "loss_d", "absent": "absent"}


@pytest.fixture(autouse=True)
def a_model(monkeypatch):
    """The page knows of a family what this says, and no more."""
    monkeypatch.setattr(family, "title", "A model")
    monkeypatch.setattr(family, "headline", HEADLINE)


def source_of(pixels: np.ndarray, pixel_format: PixelFormat = PICTURE) -> Source:
    size, channels = pixels.shape[1:3], pixels.shape[3]
    return Source(NASTY, len(pixels), len(pixels), size, channels, pixel_format, lambda: iter(pixels))


def make_run(folder: Path, steps: int, num_steps: int = 1000, frames: int = 1) -> Path:
    """A workdir as training leaves it after `steps` of `num_steps`, with an entry and a grid every 100 steps."""
    config = tiny.config(num_steps=num_steps, log_every=50, sample_every=100, data__path=NASTY + ".png")
    pixels = np.random.default_rng(0).integers(0, 256, (frames, 48, 64, 3), np.uint8)
    begin(folder, config, source_of(pixels))
    (folder / workdir.GRIDS).mkdir()
    lines = []
    for step in range(50, steps + 1, 50):
        losses = {"loss_g": 2.0 - step / 1000, "loss_d": 1.0 + step / 1000, "diversity": 0.5}
        logits = {f"logit_{of}/{part}": 0.1 for of in ("real", "fake") for part in ("content", "<b>")}
        # Interrupted at step 500: the clock begins again.
        seconds = step / 10 if step <= 500 else (step - 500) / 10
        lines.append({"step": step, "seconds": seconds, "steps_per_second": 10.0} | losses | logits)
        if step % 100 == 0:
            shade = np.full((4, 48, 64, 3), step * 255 // 1000, np.uint8)
            pictures.save_png(folder / workdir.GRIDS / f"step_{step:08d}.png", pictures.grid(shade))
    (folder / workdir.SCALARS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def begin(folder: Path, config: Config, source: Source) -> None:
    lock = workdir.lock(folder)
    start.begin(folder, config, family.plan(config, source), config.num_steps, source, source.digest())
    lock.release()


def written(folder: Path, step: int, **options) -> Path:
    return run_page.RunPage(folder).write(step, **options)


def data_of(path: Path) -> dict:
    return json.loads(path.read_text().split('id="data">')[1].split("</script>")[0])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def text_of(browser, selector: str = "main") -> str:
    return browser.value(f"document.querySelector({json.dumps(selector)}).innerText")


def test_page_shows_the_run_and_asks_for_nothing_else(browser, tmp_path):
    folder = make_run(tmp_path / NASTY.replace("/", ""), steps=800)
    browser.open(written(folder, 800).as_uri())
    text = text_of(browser)
    expected = ("A model run", "800 of 1,000", "10 steps/s", "1 min 20 s", "20 s", "training", "updated", NASTY)
    for words in (*expected, folder.name, f"{shlex.quote(str(folder))} --num 100"):
        assert words in text
    assert browser.value("document.title") == folder.name
    assert f"--config {shlex.quote(str(folder / workdir.CONFIG))} --workdir" in " ".join(text.split())
    assert all(request.startswith(folder.as_uri() + "/") for request in browser.requests), browser.requests
    assert len(browser.requests) == 3 and not browser.complaints
    for image in ("picture", "grid"):
        browser.wait_for(f"document.getElementById('{image}').naturalWidth > 0")
    titles = browser.value("[...document.querySelectorAll('.chart h3')].map((h) => h.textContent)")
    assert titles == ["Main metrics", "logit real", "logit fake", "Other metrics", "Speed"]
    lines = browser.value("[...document.querySelectorAll('[data-metric]')].map((line) => line.dataset.metric)")
    parts = [f"logit_{of}/{part}" for of in ("real", "fake") for part in ("content", "<b>")]
    assert lines == ["loss_g", "loss_d", *parts, "diversity", "steps_per_second"]


def test_slider_and_curves_go_through_the_steps(browser, tmp_path):
    folder = make_run(tmp_path / "run", steps=800)
    browser.open(written(folder, 800, ended=True).as_uri())
    label, shown = "document.getElementById('step-label').textContent", "document.getElementById('grid').src"
    assert browser.value(label) == "step 800"
    assert text_of(browser, ".pill") == "stopped"
    browser.drag("#slider", 0.99, 0.01)
    assert browser.value(label) == "step 100"
    assert browser.value(shown).endswith("/grids/step_00000100.png")
    assert browser.value("location.hash") == "#step=100"
    browser.click("#newest")
    assert browser.value(label) == "step 800"
    # Half way between the entries' first step, 50, and last, 800, is 425: the nearest entry is that of 400.
    browser.hover(".area", across=0.49)
    assert text_of(browser, ".legend").split() == ["generator", "1.6", "discriminator", "1.4"]
    browser.click(".area", across=0.49)
    assert browser.value(label) == "step 400"
    assert browser.value("parseFloat(document.querySelector('.shown').style.left)") == pytest.approx(100 * 350 / 750)
    browser.hover("h1")
    assert text_of(browser, ".legend").split() == ["generator", "1.2", "discriminator", "1.8"]
    assert not browser.complaints


def test_a_step_in_the_address_is_shown(browser, tmp_path):
    path = written(make_run(tmp_path / "run", steps=800), 800)
    browser.open(path.as_uri() + "#step=290")
    assert browser.value("document.getElementById('step-label').textContent") == "step 300"


def test_playing_ends_at_the_newest_grid(browser, tmp_path):
    browser.open(written(make_run(tmp_path / "run", steps=300), 300).as_uri())
    browser.click("#play")
    assert browser.value("document.getElementById('step-label').textContent") == "step 100"
    browser.wait_for("document.getElementById('step-label').textContent === 'step 300' && viewer.timer === null")


def test_before_the_first_entry(browser, tmp_path):
    browser.open(written(make_run(tmp_path / "run", steps=0, frames=9), 0).as_uri())
    text = text_of(browser)
    assert "first samples are drawn after step 100" in text and "Curves come after step 50" in text
    assert "6 of the 9 frames" in text and "trained for\n0 s" in text
    assert not browser.complaints


def test_steps_that_a_resumed_run_repeats_are_left_out(tmp_path):
    folder = make_run(tmp_path / "run", steps=1000)
    path = written(folder, 450)
    data = data_of(path)
    assert data["curves"]["step"] == list(range(50, 451, 50))
    assert [grid["step"] for grid in data["grids"]] == [100, 200, 300, 400]
    assert '<span class="pill training">' in path.read_text()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".i")] == []


def test_a_stopped_run_says_its_real_step_and_time(browser, tmp_path):
    folder = make_run(tmp_path / "run", steps=0)
    (folder / workdir.CHECKPOINTS / "25").mkdir(parents=True)
    # Who ends the run knows of no entry.
    browser.open(written(folder, 0, ended=True).as_uri())
    assert "25 of 1,000" in text_of(browser) and "trained for\n\N{EN DASH}" in text_of(browser)
    # Steps after the last entry: at its speed of 10 a second. The clock began anew at step 500.
    folder = make_run(tmp_path / "other", steps=800)
    assert "trained for\n1 min 23 s" in read(browser, written(folder, 830, ended=True))


def read(browser, path: Path) -> str:
    browser.open(path.as_uri())
    return text_of(browser)


def test_a_page_of_a_killed_run_says_how_old_its_news_is(browser, tmp_path):
    folder = make_run(tmp_path / "run", steps=800)
    fresh = written(folder, 800).read_text()
    updated, due = (float(re.search(rf'data-{name}="([^"]*)"', fresh)[1]) for name in ("updated", "due"))
    assert due == 300  # a grid comes every 10 seconds
    old = folder / "old.html"
    old.write_text(fresh.replace(f'data-updated="{updated}"', f'data-updated="{updated - 3 * 3600}"'))
    text = read(browser, old)
    assert "No news for 3 h: the run was probably interrupted" in text and text_of(browser, ".pill") == "no news"
    old.write_text(fresh.replace(f'data-updated="{updated}"', f'data-updated="{updated - 200}"'))
    text = read(browser, old)
    assert "No news" not in text and "updated 3 min ago" in text and text_of(browser, ".pill") == "training"
    # A run that was stopped says nothing more, and need not.
    stopped = written(folder, 800, ended=True).read_text()
    old.write_text(re.sub('data-updated="[^"]*"', 'data-updated="1000000000"', stopped))
    assert "No news" not in read(browser, old)


def test_rendered_samples_evaluation_and_next_steps(browser, tmp_path):
    folder = make_run(tmp_path / "run", steps=1000)
    assert "New scenes" not in read(browser, written(folder, 1000)) and "Evaluation" not in text_of(browser)
    for name in ("sample_00000", "sample_00001", sample_files.SHEET.removesuffix(".png")):
        (folder / workdir.RENDERED).mkdir(exist_ok=True)
        pictures.save_png(folder / workdir.RENDERED / f"{name}.png", np.zeros((192, 250, 3), np.uint8))
    (folder / run_page.EVALUATION).mkdir()
    value = {"value": 0.25, "low": None, "high": None}
    image = {"name": "run", "size": [48, 64], "samples": 2, "training_images": 1, "training_digest": "d", "metrics": {}}
    image["per_sample"] = [{"near_copy": True}, {"near_copy": False}]
    record = {"name": "run", "protocol": {"id": "x"}, "mean": {"sifid_64": value}, "images": [image]}
    (folder / run_page.EVALUATION / "metrics.json").write_text(json.dumps(record))
    (folder / run_page.EVALUATION / "report.html").write_text("")
    text = read(browser, written(folder, 1000))
    assert "the photo's own patches at 250x192" in text and "network draws them, 64x48" in text
    order = ("New scenes", "what it saw", "All 2 on one sheet", "What next", "How it was learned", "network draws them")
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert f"siv_jax.app --folder {folder.parent}" in text and "--size photo" in text and "siv_jax.evaluate" in text
    assert browser.value("document.querySelectorAll('.large img').length") == 2
    assert "1 of 2 samples is a near copy" in text and "SIFID 64\n0.250" in text
    links = browser.value("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
    assert {"rendered/contact_sheet.png", "evaluation/report.html"} <= set(links)
    # What cannot be read is left out; it must not end a training.
    (folder / run_page.EVALUATION / "metrics.json").write_text(
        '{"name": 1, "protocol": {"id": 1}, "mean": 1, "images": 1}'
    )
    assert "Evaluation" not in read(browser, written(folder, 1000))


def test_refresh_leaves_a_run_in_training_alone(tmp_path):
    folder = make_run(tmp_path / "run", steps=800)
    (folder / workdir.CHECKPOINTS / "800").mkdir(parents=True)
    path = written(folder, 800)
    lock = workdir.lock(folder)
    run_page.refresh(folder)
    assert "pill training" in path.read_text()
    lock.release()
    run_page.refresh(folder)
    assert "pill stopped" in path.read_text() and "800 of 1,000" in path.read_text()
    path.unlink()
    run_page.refresh(folder)
    run_page.refresh(tmp_path)
    assert not path.exists() and list(tmp_path.iterdir()) == [folder], "there was no page"


def test_fleet_page_shows_its_members(browser, tmp_path):
    fleet, nasty = tmp_path / "fleet", NASTY.replace("/", "")
    for name, steps in (("one", 1000), (nasty, 250), ("three", 0)):
        written(make_run(fleet / name, steps), steps)
    (fleet / "notes").mkdir()
    notes = {"three": "the loss is not finite", "<i>.jpg": "damaged"}
    browser.open(fleet_page.write(fleet, notes=notes).as_uri())
    cards = browser.value("[...document.querySelectorAll('.member')].map((card) => card.innerText)")
    assert [card.split("\n")[0] for card in cards] == sorted(["one", nasty, "three"])
    assert "25% done: step 250 of 1,000" in cards[0] and "finished" in cards[1]
    assert "waits" in cards[2] and "finite" in cards[2]
    assert "3 pictures: 1 finished, 1 in training, 1 wait" in text_of(browser)
    assert text_of(browser, ".notes") == "<i>.jpg: damaged"
    assert not browser.complaints and len(browser.requests) == 6
    names = "[...document.querySelectorAll('.member:not([hidden])')].map((card) => card.dataset.name)"
    for tool, value, expected in (
        ("order", "most", ["one", nasty, "three"]),
        ("order", "least", ["three", nasty, "one"]),
        ("only", "unfinished", ["three", nasty]),
        ("filter", "THR", ["three"]),
    ):
        browser.fill(f"#{tool}", value)
        assert browser.value(names) == expected
    for tool, value in (("order", "name"), ("only", ""), ("filter", "")):
        browser.fill(f"#{tool}", value)
    assert browser.value(names) == sorted(["one", nasty, "three"])
    browser.click(".member")
    browser.wait_for("document.title === " + json.dumps(nasty))
    # One more has not begun, which the share of all steps counts.
    path = fleet_page.write(fleet, planned=4)
    assert "4 pictures: 1 finished, 1 in training, 2 wait" in read(browser, path)
    path.write_text(re.sub('data-updated="[^"]*"', 'data-updated="1000000000"', path.read_text()))
    assert "the fleet was probably interrupted" in read(browser, path)
    assert "data-going" not in fleet_page.write(fleet, planned=4, ended=True).read_text()


@pytest.mark.parametrize("width, dark", [(1200, False), (400, True)])
def test_pages_fit_their_window(browser, tmp_path, width, dark):
    fleet = tmp_path / ("a long name without any space " * 3).replace(" ", "-")
    path = written(make_run(fleet / ("n" * 100), 800), 800)
    for page in (path, fleet_page.write(fleet)):
        browser.open(page.as_uri(), width=width, dark=dark)
        browser.value("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert browser.value("document.documentElement.scrollWidth") <= width
    # The curve has the colour that the page has in this light.
    colour = browser.value("getComputedStyle(document.querySelector('.bar i')).backgroundColor")
    assert colour == ("rgb(122, 168, 255)" if dark else "rgb(47, 111, 222)")


def test_curves_of_long_runs_are_means_of_neighbours(monkeypatch):
    monkeypatch.setattr(run_page, "POINTS", 3)
    entries = [{"step": i, "seconds": 0.0, "loss": float(i)} | ({"late": 1.0} if i > 5 else {}) for i in range(1, 8)]
    columns, size = run_page.thinned(entries)
    assert size == 3
    assert columns == {"step": [3, 6, 7], "loss": [2.0, 5.0, 7.0], "late": [None, 1.0, 1.0]}
    assert run_page.thinned([]) == ({"step": []}, 1)


def test_float_frames_are_shown_in_their_range(tmp_path):
    folder = tmp_path / "run"
    frames = np.linspace(-1, 1, 48 * 64, dtype=np.float32).reshape(1, 48, 64, 1)
    begin(folder, tiny.config(), source_of(frames, PixelFormat("npy", "float32", 0.0, 5.0)))
    run_page.RunPage(folder)
    drawn = np.asarray(Image.open(folder / run_page.PICTURE))
    assert drawn.shape == (48, 64, 3) and drawn[0, 0, 0] == 0 and drawn[-1, -1, 2] == 255


@pytest.mark.parametrize("family", ["siv_gan", "osmis", "fastgan", "ingan", "singan", "consingan"])
def test_the_command_that_resumes_gives_the_same_config_of_every_model(family, tmp_path):
    changes = {"data.path": "my photo's.jpg", "data.background": (0, 10, 0), "num_samples": 3}
    config = config_lib.with_overrides(config_lib.from_config_dict(config_lib.default(family)), changes)
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / workdir.CONFIG).write_text(config_lib.to_json(config))
    words = shlex.split(command_text.training(folder))
    assert words[:3] == ["python", "-m", "siv_jax.main"]
    given = arguments.parse(words[3:])
    assert given.config == config and given.workdir == folder


def test_training_writes_the_page_with_its_own_command(tmp_path):
    flags = tiny.arguments(Path("runs") / "x", log_every=20)
    done = tiny.command("siv_jax.main", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "runs" / "x" / run_page.PAGE
    data = data_of(path)
    assert data["curves"]["step"] == [20, 40] and '<span class="pill finished">' in path.read_text()
    assert [grid["step"] for grid in data["grids"]] == [0, 20, 40]
    assert str(escape(shlex.join(["python", "-m", "siv_jax.main", *flags]).split(" --")[0])) in path.read_text()
