"""The app: its page in a real browser from a dropped photo to a download, and its parts."""

import importlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_workdir
import toy_runs
from chromium import Browser
from PIL import Image

from siv_jax import api, app
from siv_jax.errors import UserError
from siv_jax.report import html
from siv_jax.sampling import pictures, sample_files
from siv_jax.sampling.latents_file import read_latents
from siv_jax.sampling.walk import walk
from siv_jax.train import fleet
from siv_jax.workdir import layout

pytest.importorskip("gradio", reason="the app needs Gradio: pip install 'siv_jax[app]'")

import gradio as gr

from siv_jax.web import canvas, edit_tab, places, runs, samples_tab, trainer
from siv_jax.web import labels as web_labels
from siv_jax.web.favourites import Favourites
from siv_jax.web.places import STEPS, Place
from siv_jax.web.studio import Studio

pytestmark = pytest.mark.posix

NASTY = "<img src=x onerror=alert(1)> & 'q'"
PATIENCE = 120.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "a <b> photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """A config file of the tiny run that goes on for as long as nobody stops it."""
    settings = tiny.OVERRIDES | {"num_steps": 10**7, "sample_every": 10**6, "checkpoint_every": 200}
    values: dict = {}
    for key, value in settings.items():
        group, dot, name = key.partition(".")
        (values.setdefault(group, {}) if dot else values)[name or group] = value
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with one trained run."""
    folder = tmp_path_factory.mktemp("runs")
    workdir = tiny_workdir.trained(folder / "photo")
    (workdir / layout.SAMPLES).mkdir()
    (workdir / layout.SAMPLES / sample_files.SHEET).touch()
    return folder


@pytest.fixture(scope="module")
def model(trained) -> api.Model:
    return api.load(trained / "photo")


class Served:
    """The app as a process of its own."""

    def __init__(self, folder: Path, config: Path, port: int = 0):
        command = [sys.executable, str(Path(__file__).parent / "app_server.py"), str(folder), str(port), str(config)]
        self.process = subprocess.Popen(command, env=tiny.environment(), stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ shows ", line)
        assert found, line
        self.port = int(found[1])
        self.address = f"http://127.0.0.1:{self.port}"

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()
        return code


def open_page(browser: Browser, address: str, **options) -> None:
    browser.open(address + "/", **options)
    # The server has answered: the page is alive.
    browser.wait_for("document.querySelector('.status') !== null")


def press(browser: Browser, selector: str) -> None:
    """Clicks on a button, wherever a page that still grows has it by now."""
    browser.wait_for(f"document.querySelector('{selector}')?.disabled === false")
    browser.value(f"document.querySelector('{selector}').click()")


def text_of(browser: Browser, selector: str) -> str:
    return browser.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")


def tab(browser: Browser, name: str) -> None:
    find = f"[...document.querySelectorAll('button[role=tab]')].find((tab) => tab.innerText.includes('{name}'))"
    browser.value(f"{find}.click()")


def has_state(state: str) -> str:
    return f"document.querySelector('.status')?.dataset.state === '{state}'"


def has_picture(selector: str) -> str:
    return f"document.querySelector('{selector} img')?.naturalWidth > 0"


def fetched(url: str, method: str = "GET", data: bytes | None = None, **headers) -> tuple[int, bytes, dict]:
    request = urllib.request.Request(url, method=method, headers=headers, data=data)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def wait_until(true) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_from_a_dropped_photo_to_a_download_with_the_server_killed_in_between(tmp_path, photo, config):
    folder, run = tmp_path / "runs", NASTY
    served = Served(folder, config)
    first = served.address
    browser = Browser(tmp_path / "profile")
    try:
        open_page(browser, served.address)
        press(browser, "#start")
        browser.wait_for("document.querySelector('.toast-body')?.innerText.includes('drop a photo or a clip first')")
        browser.upload("#drop input[type=file]", photo)
        browser.wait_for("document.querySelector('#drop').innerText.includes('.png')")
        browser.fill("#name textarea, #name input", run)
        press(browser, "#start")
        # Grids of steps 0 and 50 come at once, and the first sample rendered.
        browser.wait_for(has_state("training"))
        for part in ("#photo", "#grid", "#preview"):
            browser.wait_for(has_picture(part))
        assert run in text_of(browser, ".status")
        assert browser.value("document.querySelectorAll('[onerror]').length") == 0
        workdir, pid = folder / run, trainer.current(folder).pid
        wait_until(lambda: layout.completed_steps(workdir) > 0)

        # The server is killed: the training goes on, and the page comes back to it.
        served.end(signal.SIGKILL)
        assert trainer.current(folder) == trainer.Training(run, pid)
        served = Served(folder, config)
        open_page(browser, served.address)
        browser.wait_for(has_state("training"))
        before = int(browser.value("document.querySelector('.status').dataset.step"))
        browser.wait_for(f"Number(document.querySelector('.status').dataset.step) > {before}")

        # Another browser cannot start a second training into its way.
        other = Browser(tmp_path / "profile2")
        try:
            open_page(other, served.address)
            other.upload("#drop input[type=file]", photo)
            other.wait_for("document.querySelector('#drop').innerText.includes('.png')")
            press(other, "#start")
            other.wait_for("document.querySelector('.toast-body')?.innerText.includes('is in training: stop it first')")
            assert run in text_of(other, ".toast-body")
            assert other.value("document.querySelectorAll('[onerror]').length") == 0
        finally:
            other.close()
        assert runs.names(folder) == [run]

        press(browser, "#stop")
        browser.wait_for(has_state("stopped"))
        done = layout.completed_steps(workdir)
        assert f"{done:,} of 10,000,000" in text_of(browser, ".status") and trainer.current(folder) is None

        # Samples: choose, walk, keep, take home.
        tab(browser, "Samples")
        browser.wait_for(f"document.querySelectorAll('#shown img').length === {samples_tab.SHOWN}")
        choose(browser, 3)
        press(browser, "#begin")
        toasts = "[...document.querySelectorAll('.toast-body')]"
        browser.wait_for(f"{toasts}.some(toast => toast.innerText.includes('where the walk ends'))")
        choose(browser, 8)
        browser.wait_for("document.querySelector('#way').innerText.includes('from seed0_2 to seed0_7')")
        press(browser, "#keep")
        browser.wait_for("document.querySelectorAll('#favourites img').length === 1")
        browser.fill("#size textarea, #size input", "")
        press(browser, "#zip")
        browser.wait_for("document.querySelector('#file a[href]') !== null")
        check_zip(fetched(browser.value("document.querySelector('#file a[href]').href"))[1], workdir)
        assert all(request.startswith((first, served.address, "data:", "blob:")) for request in browser.requests)
        assert not [text for text in browser.complaints if "onerror" in text or "Content Security" in text]

        # On with the training.
        tab(browser, "Train")
        press(browser, "#resume")
        browser.wait_for(has_state("training"))
        browser.wait_for(f"Number(document.querySelector('.status').dataset.step) > {done}")
        trainer.stop(folder)
        browser.wait_for(has_state("stopped"))
        assert served.end(signal.SIGINT) == 0
    finally:
        browser.close()
        if served.process.poll() is None:
            served.end(signal.SIGKILL)
        if training := trainer.current(folder):
            os.kill(training.pid, signal.SIGKILL)


def choose(browser: Browser, number: int) -> None:
    """Clicks on a sample of the gallery until it is shown large."""
    browser.wait_for(
        f"document.querySelector('#shown .gallery-item:nth-child({number}) img').complete && "
        f"(document.querySelector('#shown .gallery-item:nth-child({number}) button').click(), "
        f"document.querySelector('#large').innerText.includes('seed0_{number - 1}'))"
    )


def check_zip(data: bytes, workdir: Path) -> None:
    model = api.load(workdir)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        told = json.loads(archive.read("how_they_were_made.json"))
        with np.load(io.BytesIO(archive.read("favourites.npz"))) as file:
            assert file["names"].tolist() == told["samples"] == [f"seed0_{i}" for i in range(samples_tab.SHOWN)]
            np.testing.assert_array_equal(file["latents"], model.latents(samples_tab.SHOWN))
            assert set(file["steps"]) == {model.step}
        images = [np.asarray(Image.open(archive.open(f"samples/sample_{i:05d}.png"))) for i in range(samples_tab.SHOWN)]
    assert np.abs(np.stack(images).astype(int) - model.sample(samples_tab.SHOWN)).max() <= 1


@pytest.fixture(scope="module")
def address(trained, config):
    """Of the app for a folder with one run and a fleet."""
    shutil.copytree(trained / "photo", trained / "fleet" / "one")
    served = Served(trained, config)
    yield served.address
    served.end(signal.SIGTERM)


def test_only_this_machine_and_this_page_are_answered(address, trained):
    port = address.rsplit(":", 1)[1]
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.2:{port}/", timeout=10)
    assert fetched(address + "/")[0] == 200
    assert fetched(address + "/", Host=f"localhost:{port}")[0] == 200
    assert fetched(address + "/", Origin=address)[0] == 200
    for headers in ({"Host": f"evil.example:{port}"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert fetched(address + "/", **headers)[0] == 403
        assert fetched(address + "/gradio_api/upload", "POST", b"x", **headers)[0] == 403


def test_the_page_asks_nobody_else_and_tells_nobody(address):
    _, page, headers = fetched(address + "/")
    assert not re.search(rb"""(?:src|href)\s*=\s*["'](?:https?:)?//""", page)
    assert headers["content-security-policy"].startswith("default-src 'self' ")
    assert b"fonts.g" not in fetched(address + "/theme.css")[1]
    assert b'"analytics_enabled": false' in page or b'"analytics_enabled":false' in page


def test_pages_and_files_of_runs_are_served_and_no_others(address, trained):
    (trained / "photo" / "index.html").write_text("its own page")
    assert fetched(address + "/runs/photo/index.html")[1] == b"its own page"
    assert fetched(address + "/runs/photo/../../secret")[0] == 404
    assert fetched(f"{address}/gradio_api/file=/etc/passwd")[0] in (403, 404)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_the_page_fits_its_window(address, tmp_path, width, dark):
    browser = Browser(tmp_path / "profile")
    try:
        open_page(browser, address, width=width, dark=dark)
        for name in ("Samples", "Train"):
            tab(browser, name)
            time.sleep(0.5)
            assert browser.value("document.documentElement.scrollWidth") <= width
        light = browser.value("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", light)[:3])) < 60) == dark
    finally:
        browser.close()


def test_a_mask_is_painted_on_the_photo_and_learnt_with_it(address, trained, tmp_path, photo):
    browser = Browser(tmp_path / "profile")
    try:
        open_page(browser, address)
        browser.upload("#drop input[type=file]", photo)
        browser.wait_for("document.querySelector('#drop').innerText.includes('.png')")
        browser.value("document.querySelector('#labels button').click()")
        press(browser, "#paint")
        browser.wait_for("document.querySelector('#classes canvas') !== null")
        browser.wait_for("document.querySelector('#classes').innerText.includes('%')")
        for _ in range(8):  # strokes count once the editor has loaded the photo, of which the page shows nothing
            browser.drag("#classes canvas", 0.4, 0.6)
            time.sleep(1)
        browser.fill("#name textarea, #name input", "with mask")
        press(browser, "#start")
        wait_until(lambda: (trained / "with mask" / trainer.LOG).exists() and trainer.current(trained))
        with Image.open(trained / "with mask" / ".upload" / "mask" / "painted.png") as mask:
            labels = np.asarray(mask)
            assert mask.mode == "P" and labels.shape == (48, 64) and set(labels.flat) == {0, 1}
            assert tuple(mask.getpalette()[3:6]) in web_labels.COLOURS
        browser.wait_for("document.querySelector('#classes canvas') === null")  # emptied for the next run
    finally:
        browser.close()
        if training := trainer.current(trained):
            os.kill(training.pid, signal.SIGKILL)
            wait_until(lambda: trainer.current(trained) is None)
        shutil.rmtree(trained / "with mask", ignore_errors=True)


def test_colours_of_a_painted_mask_become_its_classes():
    red, _, blue, *_ = web_labels.COLOURS
    below, above = np.zeros((2, 4, 6, 4), np.uint8)
    below[:, :4] = (*blue, 255)
    above[0, 0] = (*np.array(red) - 9, 200)  # the soft inside of a stroke
    above[1, 0] = (*red, 60)  # its edge
    mask = web_labels.mask({"layers": [below, above]})
    expected = np.zeros((4, 6), np.uint8)
    expected[:, :4], expected[0, 0] = 2, 1
    np.testing.assert_array_equal(np.asarray(mask), expected)
    assert mask.getpalette()[:9] == [0, 0, 0, *red, *blue]
    assert web_labels.mask(None) is None and web_labels.mask({"layers": [np.zeros_like(below)]}) is None


def test_a_photo_with_a_mask_is_trained_by_a_model_of_both(tmp_path, photo, monkeypatch):
    started = []
    monkeypatch.setattr(trainer, "_train", lambda folder, run, flags: started.append(flags))
    mask = tmp_path / "mask.png"
    Image.fromarray(np.repeat([0, 1], [20, 28]).astype(np.uint8)[:, None].repeat(64, axis=1)).save(mask)
    run = tmp_path / "runs" / trainer.start(tmp_path / "runs", [str(photo)], trainer.QUICK, "both", str(mask))
    upload = run / ".upload"
    flags = [
        "--config",
        "masks",
        f"--config.data.path={upload / photo.name}",
        f"--config.data.mask={upload}/mask/mask.png",
    ]
    assert started == [flags]
    with pytest.raises(UserError, match="masks learns from a photo and its mask: drop or paint a mask, too"):
        trainer.start(tmp_path / "runs", [str(photo)], "masks", "alone")
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(mask)
    with pytest.raises(UserError, match=r"mask\.png is 30x30; the picture that it belongs to is 64x48"):
        trainer.start(tmp_path / "runs", [str(photo)], trainer.QUICK, "alone", str(mask))
    assert not (tmp_path / "runs" / "alone").exists()


def test_runs_and_members_of_fleets_are_found(address, trained):
    (trained / "photo" / ".upload").mkdir(exist_ok=True)
    (trained / "photo" / ".upload" / "config.json").write_text("{}")
    assert runs.names(trained) == ["fleet/one", "photo"]
    assert runs.newest(trained) in ("fleet/one", "photo")
    with pytest.raises(UserError, match=r"there is no run '\.\./x'"):
        runs.require(trained, "../x")
    found = runs.status(trained, "fleet/one")
    assert (found.state, found.step, found.num_steps) == (runs.FINISHED, 40, 40)


def test_a_run_of_a_terminal_and_one_that_failed_are_told_apart(trained, tmp_path):
    copy = shutil.copytree(trained / "photo", tmp_path / "photo")
    lock = layout.lock(copy)
    assert runs.status(tmp_path, "photo").state == runs.ELSEWHERE
    lock.release()
    assert runs.status(tmp_path, "photo").state == runs.FINISHED
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / trainer.LOG).write_text("input x\nerror: no <b>space</b> left\n")
    found = runs.status(tmp_path, "broken")
    assert (found.state, found.problem) == (runs.FAILED, "error: no <b>space</b> left")
    card = html.render("status.html.j2", status=found, problem=found.problem)
    assert "&lt;b&gt;space" in card and "<b>space" not in card


def test_what_cannot_be_trained_on_is_refused_and_leaves_nothing(tmp_path, photo):
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff nothing")
    folder = tmp_path / "runs"
    folder.mkdir()
    for dropped, choice, name, said in (
        (None, trainer.QUICK, "", "drop a photo or a clip first"),
        (tmp_path / "x.jpg", trainer.QUICK, "", r"x\.jpg"),
        (photo, trainer.QUICK, "../x", "cannot be the name of a run"),
        (photo, trainer.QUICK, ".x", "cannot be the name of a run"),
        (photo, "/tmp/own.py", "", "there is no config"),
        (photo, "fleet", "", "there is no config"),
    ):
        with pytest.raises(UserError, match=said):
            trainer.start(folder, [str(dropped)] if dropped else [], choice, name)
    with pytest.raises(UserError, match="nothing is in training"):
        trainer.stop(folder)
    with pytest.raises(UserError, match="is not the workdir of a run"):
        trainer.resume(folder, "none")
    assert not list(folder.iterdir())


def test_several_photos_become_a_fleet_or_one_model(tmp_path, photo, config, monkeypatch):
    short = tmp_path / "short.json"
    short.write_text(json.dumps(json.loads(config.read_text()) | {"num_steps": 2, "rendered_size": 64}))
    monkeypatch.setitem(trainer.CHOICES, trainer.QUICK, str(short))
    (tmp_path / "more").mkdir()
    shutil.copy(photo, tmp_path / "more" / photo.name)  # of the same name
    folder, dropped = tmp_path / "runs", [str(photo), str(tmp_path / "more" / photo.name)]
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert trainer.start(folder, [*dropped, str(tmp_path / "x.jpg")], trainer.QUICK, "two") == "two"
    wait_until(lambda: (folder / "two" / fleet.SETTINGS).exists() or trainer.current(folder) is None)
    assert trainer.current(folder) is None or runs.status(folder, "two").state == runs.TRAINING
    wait_until(lambda: trainer.current(folder) is None)
    found = runs.status(folder, "two")
    assert (found.state, found.step, found.num_steps, found.is_fleet) == (runs.FINISHED, 2, 3, True), found
    assert found.problem.startswith("x.jpg: ")
    assert {path.parts[-4:-1] for path in found.rendered} == {("two", name, "rendered") for name in members_of(folder)}
    assert runs.names(folder) == ["two", *(f"two/{name}" for name in members_of(folder))]
    assert "2 of 3 photos learnt" in html.render("status.html.j2", status=found, problem="")

    started = []
    monkeypatch.setattr(trainer, "_train", lambda folder, run, flags: started.append(flags))
    monkeypatch.setattr(trainer.memory, "require", lambda task, devices: None)
    trainer.start(folder, dropped, trainer.QUICK, "all", each=False)
    trainer.resume(folder, "two")
    upload = folder / "all" / ".upload"
    assert started == [
        ["--config", "fastgan_small", f"--config.data.path={upload}"],
        ["--config", str(folder / "two" / fleet.SETTINGS)],
    ]
    assert len(list(upload.iterdir())) == 2
    with pytest.raises(UserError, match="a mask belongs to one photo"):
        trainer.start(folder, dropped, trainer.QUICK, "masked", str(photo))
    with pytest.raises(UserError, match="neither a picture nor a clip"):
        trainer.start(folder, [str(tmp_path / "x.jpg")] * 2, trainer.QUICK, "broken")
    assert not (folder / "masked").exists() and not (folder / "broken").exists()


def members_of(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"two/*/{layout.CONFIG}"))


def test_names_of_runs_are_never_taken_twice(tmp_path, photo, monkeypatch):
    """And a clip gets the clip's setting."""
    trained_with = []
    monkeypatch.setattr(trainer, "_train", lambda folder, run, flags: trained_with.append((run, flags)))
    monkeypatch.setattr(trainer, "_require_trainable", lambda config, dropped: None)
    clip = tmp_path / "clip.mp4"
    clip.touch()
    for dropped, choice in ((photo, trainer.QUICK), (photo, trainer.PAPER), (clip, trainer.PAPER), (clip, "quick")):
        trainer.start(tmp_path, [str(dropped)], choice)
    assert [run for run, _ in trained_with] == ["a <b> photo", "a <b> photo-2", "clip", "clip-2"]
    assert [flags[1] for _, flags in trained_with] == ["quick", "single_image", "single_video", "quick"]
    upload = tmp_path / "a <b> photo" / ".upload" / photo.name
    assert trained_with[0][1][2] == f"--config.data.path={upload}" and upload.read_bytes() == photo.read_bytes()


def test_places_are_samples_ways_and_what_lies_around(model):
    a, b = places.samples(model, 5, 3, 2, 1.0)
    assert [a.name, b.name] == ["seed5_3", "seed5_4"]
    np.testing.assert_array_equal(a.latents, model.latents(1, 5, 3)[0])
    (weak,) = places.samples(model, 5, 3, 1, 0.5)
    assert weak.name == "seed5_3_strength0.5"
    np.testing.assert_allclose(weak.latents, a.latents / 2)
    assert places.between(a, b, 0) is a and places.between(a, b, STEPS) is b
    expected = walk(np.stack([a.latents, b.latents]), STEPS)[7]
    np.testing.assert_array_equal(places.between(a, b, 7).latents, expected)
    assert places.between(a, b, 7).name == "seed5_3-seed5_4-7of24"


def test_variations_are_as_near_as_asked_and_as_long_as_samples(model):
    (centre,) = places.samples(model, 0, 0, 1, 1.0)
    previous = 1.1
    for distance in (0.0, 0.3, 0.6, 1.0):
        found = np.stack([place.latents for place in places.around(model, centre, distance, 1, 64)])
        nearness = np.mean([np.corrcoef(z.ravel(), centre.latents.ravel())[0, 1] for z in found])
        assert nearness == pytest.approx(np.cos(distance * np.pi / 2), abs=0.12) and nearness < previous
        assert np.sqrt((found**2).mean()) == pytest.approx(1, abs=0.15)
        previous = nearness
    names = [place.name for place in places.around(model, centre, 0.3, 1, 3)]
    assert names == [f"seed0_0_near1_{i}_0.3" for i in range(3)]


def test_favourites_are_kept_in_the_form_that_sample_takes(model, trained):
    kept = Favourites(model)
    a, b = places.samples(model, 0, 2, 2, 1.0)
    middle = places.between(a, b, 10)
    for place in (a, middle, a):
        kept.add(place)
    again = Favourites(model)
    assert [place.name for place in again.places()] == [a.name, middle.name]
    latents = read_latents(kept.folder / "favourites.npz")
    np.testing.assert_array_equal(latents, np.stack([a.latents, middle.latents]))
    drawn = pictures.to_uint8(model.generate(latents)).astype(int)
    for place, image in zip((a, middle), drawn, strict=True):
        assert np.abs(np.asarray(Image.open(kept.picture(place.name))).astype(int) - image).max() <= 1
    again.remove(a)
    assert [place.name for place in Favourites(model).places()] == [middle.name] and not kept.picture(a.name).exists()
    with pytest.raises(UserError, match="there is no favourite"):
        again.remove(a)
    with pytest.raises(UserError, match="is no name of a favourite"):
        again.add(Place("../x", a.latents))
    again.remove(middle)
    assert not list(kept.folder.iterdir())
    (kept.folder / "favourites.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"favourites\.npz cannot be read"):
        Favourites(model)
    # The archive's first name is said to be 700 bytes long; zipfile's error repeats all of them.
    np.savez(kept.folder / "favourites.npz", names=np.array(["a"]), latents=a.latents[None], steps=np.zeros(1, int))
    content = bytearray((kept.folder / "favourites.npz").read_bytes())
    content[26:28] = (700).to_bytes(2, "little")
    (kept.folder / "favourites.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"favourites\.npz cannot be read") as caught:
        Favourites(model)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500 + len(str(kept.folder))
    shutil.rmtree(kept.folder)


def test_favourites_of_one_name_are_told_apart_by_their_latents(model):
    kept = Favourites(model)
    a, b = places.samples(model, 0, 2, 2, 1.0)
    same = Place(a.name, b.latents)  # names of variations of variations are cut
    for place in (a, same, a, same):
        kept.add(place)
    found = {place.name: place.latents for place in Favourites(model).places()}
    assert list(found) == [a.name, f"{a.name}-2"] and kept.picture(f"{a.name}-2").exists()
    np.testing.assert_array_equal(found[f"{a.name}-2"], b.latents)
    kept.remove(same)
    assert [place.name for place in kept.places()] == [a.name] and kept.picture(a.name).exists()
    kept.remove(a)


def test_files_to_take_home_hold_what_was_shown(model):
    studio = Studio()
    a, b = places.samples(model, 0, 0, 2, 1.0)
    (path,) = studio.picture(model, a, "")
    with Image.open(path) as png:
        assert np.abs(np.asarray(png).astype(int) - model.sample(1)[0]).max() <= 1
    (path,) = studio.picture(model, a, "2x")
    with Image.open(path) as large:
        assert large.size == tuple(2 * side for side in model.record.source_size[::-1])
    with (
        zipfile.ZipFile(studio.pack(model, [a, b], "64x48")) as archive,
        archive.open("samples/sample_00001.png") as file,
        Image.open(file) as small,
    ):
        assert small.size == (64, 48)
    assert studio.film(model, a, b).stat().st_size > 0
    with pytest.raises(UserError, match="the size 'huge' is not"):
        studio.picture(model, a, "huge")


@pytest.mark.parametrize("size", ["", "48x36"])
def test_the_command_in_a_zip_makes_the_same_pictures(tmp_path, monkeypatch, size):
    """Also of a model that draws any size itself: the zip holds what was rendered."""
    toy_runs.train(tmp_path / "run")
    model = api.load(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(Studio().pack(model, places.samples(model, 3, 0, 2, 1.0), size)) as archive:
        archive.extractall()
    told = json.loads(Path("how_they_were_made.json").read_text())
    _, _, module, *words = shlex.split(told["to_draw_them_again"])
    importlib.import_module(module).main([*words, "--out", "again"])
    for path in Path("samples").glob("sample_*.png"):
        np.testing.assert_array_equal(np.asarray(Image.open(Path("again") / path.name)), np.asarray(Image.open(path)))
    assert len(list(Path("samples").glob("sample_*.png"))) == 2


def test_a_run_that_was_made_again_is_another_one(tmp_path, photo):
    studio, folder = Studio(), tmp_path / "run"
    seen = []
    for seed in (1, 2):
        shutil.rmtree(folder, ignore_errors=True)
        toy_runs.train(folder, seed=seed, data__path=str(photo))
        model = studio.model(folder)
        assert studio.model(folder) is model
        grid = runs.status(tmp_path, "run").grid[1]
        seen.append((model, *studio.previews_of_grid(folder, grid, 1), runs.made(tmp_path, "run")))
    assert all(old != new for old, new in zip(*seen, strict=True))


def test_the_photo_under_the_brush_is_that_of_the_run(trained, tmp_path):
    shutil.copytree(trained / "photo", tmp_path / "one")
    toy_runs.train(tmp_path / "two")
    shutil.copytree(trained / "photo", tmp_path / "without")
    shutil.rmtree(tmp_path / "without" / layout.SOURCE)
    settings = json.loads((tmp_path / "without" / layout.CONFIG).read_text())
    settings["data"]["path"] = str(tmp_path / "gone.png")
    (tmp_path / "without" / layout.CONFIG).write_text(json.dumps(settings))
    handlers = edit_tab._Handlers(tmp_path, Studio())
    assert handlers.follow("one", None) == (gr.skip(), gr.skip()), "the tab was not open yet"
    drawn, loaded = handlers.fill("one", None)
    assert loaded == runs.made(tmp_path, "one") and handlers.follow("one", loaded) == (gr.skip(), gr.skip())
    drawn["layers"] = [np.full((*drawn["background"].shape[:2], 4), 255, np.uint8)]
    with pytest.raises(gr.Error, match="the photo of two is not under the brush"):
        handlers.make("two", loaded, drawn, edit_tab.PAINT, 0, 0, 1)
    drawn, loaded = handlers.follow("two", loaded)
    np.testing.assert_array_equal(drawn["background"], canvas.photo(tmp_path / "two"))
    assert loaded == runs.made(tmp_path, "two")
    drawn, loaded = handlers.follow("without", loaded)
    assert drawn is None
    with pytest.raises(gr.Error, match="the photo of without is not under the brush"):
        handlers.make("without", loaded, drawn, edit_tab.PAINT, 0, 0, 1)
    assert handlers.follow("two", loaded)[1] == runs.made(tmp_path, "two")


def test_the_pictures_of_a_grid_are_found_again():
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 9, 3), np.uint8)
    found = pictures.pictures_of_grid(pictures.grid(images), 6, 9)
    np.testing.assert_array_equal(found[:7], images)
    assert (found[7:] == 255).all()


def test_ports_and_folders_that_cannot_be_used_are_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="cannot listen on port"):
        app.main(["--port", str(taken.getsockname()[1]), "--folder", str(tmp_path / "runs")])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make"):
        app.main(["--port", "0", "--folder", str(tmp_path / "file" / "runs")])


@pytest.mark.parametrize("given", [None, "true"])
def test_the_app_takes_memory_of_a_gpu_as_needed_and_its_training_does_not_learn_of_it(tmp_path, monkeypatch, given):
    name, seen = "XLA_PYTHON_CLIENT_PREALLOCATE", []
    monkeypatch.delenv(name, raising=False) if given is None else monkeypatch.setenv(name, given)
    monkeypatch.setattr(app.process, "prepare_jax", lambda: seen.append(os.environ[name]))
    monkeypatch.setattr(app, "load_server", lambda: types.SimpleNamespace(listen=lambda *given: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        app.main(["--folder", str(tmp_path)])
    assert seen == [given or "false"] and os.environ.get(name) == given


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_an_end_leaves_no_temporary_files(trained, config, tmp_path, monkeypatch, name):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    served = Served(trained, config)
    assert list(tmp_path.glob("siv_jax_*"))
    assert served.end(getattr(signal, name)) == 0
    assert not list(tmp_path.glob("siv_jax_*"))


def test_what_was_painted_is_found_and_pieces_are_copied():
    image = np.random.default_rng(0).integers(0, 256, (10, 20, 3), np.uint8)
    layer = np.zeros((10, 20, 4), np.uint8)
    layer[2:4, 5:8] = (200, 0, 0, 255)
    composite = np.dstack([image, np.full((10, 20), 255, np.uint8)])
    composite[2:4, 5:8] = layer[2:4, 5:8]
    shown, marked = canvas.painted({"composite": composite, "layers": [np.zeros_like(layer), layer]})
    assert marked.sum() == 6 and marked[2:4, 5:8].all() and (shown[marked] == (200, 0, 0)).all()
    np.testing.assert_array_equal(shown[~marked], image[~marked])
    moved, where = canvas.copied(image, marked, 0.5, 0.3)
    np.testing.assert_array_equal(moved[5:7, 15:18], image[2:4, 5:8])
    assert where.sum() == 6 and where[5:7, 15:18].all()
    np.testing.assert_array_equal(moved[~where], image[~where])
    # What would lie outside is cut off.
    assert canvas.copied(image, marked, 0.7, 0)[1].sum() == 2
    with pytest.raises(UserError, match="outside of the picture"):
        canvas.copied(image, marked, 0.9, 0)
    with pytest.raises(UserError, match="paint on the photo first"):
        canvas.painted({"composite": composite, "layers": [np.zeros_like(layer)]})
    with pytest.raises(UserError, match="load the photo first"):
        canvas.painted(None)
