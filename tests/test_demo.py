"""The latent browser: its server, and its page in a real browser."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_workdir
from chromium import Browser
from PIL import Image

from siv_jax import api, demo
from siv_jax.errors import UserError
from siv_jax.sampling import pictures
from siv_jax.sampling.latents_file import read_latents
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.sampling.walk import walk
from siv_jax.web import server
from siv_jax.web.favourites import STEPS, Favourites, Place


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, workdir, model) of a running demo."""
    folder = tiny_workdir.trained(tmp_path_factory.mktemp("demo") / "a & <b>")
    command = [sys.executable, "-m", "siv_jax.demo", "--workdir", str(folder), "--port", "0"]
    process = subprocess.Popen(command, env=tiny.environment(), stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    address = re.match(r"(http://127\.0\.0\.1:\d+)/ shows ", line)
    assert address, line
    yield address[1], folder, api.load(folder)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def ask(address: str, path: str, method: str = "GET", **headers) -> tuple[int, bytes]:
    request = urllib.request.Request(address + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def shown(model: TrainedModel, z: np.ndarray) -> np.ndarray:
    return pictures.to_uint8(model.generate(z)).astype(int)


def test_names_of_places():
    assert Place.parse("seed0_3") == Place((0, 3), (0, 3), 0)
    assert Place.parse(f"seed4294967295_3-seed1_70-10of{STEPS}") == Place((2**32 - 1, 3), (1, 70), 10)
    for name in (
        *("", "seed0", "seed-1_0", "seed0_3-seed1_2", "../config", "seed4294967296_0"),
        *(f"seed0_3-seed0_4-25of{STEPS}", "seed0_3-seed0_4-1of23", "seed0_9999999999"),
        *(f"seed0_3-seed4294967296_4-1of{STEPS}", "seed0_3\n"),
    ):
        with pytest.raises(UserError, match="is no place between samples"):
            Place.parse(name)


def test_strips_hold_the_samples_and_the_way(served, tmp_path):
    address, _, model = served
    for path, z in (
        ("/samples/5/24.png", model.latents(server.SHOWN, 5, 24)),
        (f"/way/seed0_3-seed1_7-0of{STEPS}.png", None),
    ):
        status, png = ask(address, path)
        assert status == 200
        (tmp_path / "strip.png").write_bytes(png)
        strip = np.asarray(Image.open(tmp_path / "strip.png")).reshape(-1, 48, 64, 3).astype(int)
        if z is None:
            anchors = np.concatenate([model.latents(1, 0, 3), model.latents(1, 1, 7)])
            z = np.concatenate([walk(anchors, STEPS)[:STEPS], anchors[1:]])
        assert len(strip) == len(z) and np.abs(strip - shown(model, z)).max() <= 1
        assert len(np.unique(strip.reshape(len(strip), -1), axis=0)) == len(strip)


def test_only_this_machine_and_this_page_are_answered(served):
    address, folder, _ = served
    port = address.rsplit(":", 1)[1]
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.2:{port}/", timeout=10)
    assert ask(address, "/")[0] == 200
    assert ask(address, "/", Host=f"localhost:{port}")[0] == 200
    assert ask(address, "/", Host=f"evil.example:{port}")[0] == 403
    assert ask(address, "/favourites/seed0_1", "PUT", Origin="http://evil.example")[0] == 403
    assert not (folder / "favourites").exists()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/samples/x/0.png", 400),
        ("GET", "/samples/4294967296/0.png", 400),
        ("GET", "/way/seed0_1-seed0_2.png", 400),
        ("GET", "/favourites/seed0_99.png", 404),
        ("GET", "/favourites/..%2ftraining.png", 404),
        ("PUT", "/favourites/..%2f..%2fx", 400),
        ("PUT", "/favourites/seed0_1-x", 400),
        ("DELETE", "/favourites/seed0_99", 400),
        ("GET", "/config.json", 404),
    ],
)
def test_what_the_server_refuses(served, method, path, status):
    code, text = ask(served[0], path, method)
    assert code == status and b"Traceback" not in text


def test_walking_and_keeping_in_a_browser(served, tmp_path_factory):
    address, folder, model = served
    browser = Browser(tmp_path_factory.mktemp("profile"))
    try:
        browser.open(address + "/")
        browser.wait_for(f"document.querySelectorAll('button.tile').length === {server.SHOWN}")
        assert browser.value("document.querySelector('h1').textContent") == folder.name
        browser.click("button.tile:nth-child(3)")
        browser.wait_for("!by('keep').disabled")
        browser.click("button.tile:nth-child(8)")
        browser.wait_for("!by('slider').disabled && !by('keep').disabled")
        browser.drag("#slider", 0.97, 0.25)
        step = browser.value("chosen.step")
        name = f"seed0_2-seed0_7-{step}of{STEPS}"
        assert 3 <= step <= 9 and browser.value("by('note').textContent") == name
        position = browser.value("by('picture').style.backgroundPosition")
        assert float(re.search(r" ([\d.]+)%", position)[1]) == pytest.approx(100 * step / STEPS, abs=0.01)
        browser.click("#keep")
        browser.wait_for("document.querySelectorAll('.favourite img').length === 1")
        browser.click("#next")
        browser.wait_for(f"document.querySelector('button.tile').dataset.name === 'seed0_{server.SHOWN}'")
        browser.click("button.tile:nth-child(1)")
        browser.wait_for("!by('keep').disabled")
        browser.click("#keep")
        browser.wait_for("document.querySelectorAll('.favourite img').length === 2")
        browser.wait_for("[...document.images].every((image) => image.naturalWidth > 0)")
        assert not browser.complaints
        assert all(request.startswith((address, "data:")) for request in browser.requests)
    finally:
        browser.close()
    names = [name, f"seed0_{server.SHOWN}"]
    check_kept(folder, model, names, [walk(model.latents(8)[[2, 7]], STEPS)[step], model.latents(25)[24]])
    status, answer = ask(address, f"/favourites/{name}", "DELETE")
    assert status == 200 and json.loads(answer) == names[1:]
    check_kept(folder, model, names[1:], [model.latents(25)[24]])
    # A demo that is started again knows them.
    assert Favourites(model).names() == names[1:]


def check_kept(folder: Path, model: TrainedModel, names: list[str], latents: list[np.ndarray]) -> None:
    kept = folder / "favourites"
    assert sorted(path.name for path in kept.iterdir()) == sorted(
        [*(f"{name}.png" for name in names), "favourites.npz"]
    )
    with np.load(kept / "favourites.npz") as file:
        assert file["names"].tolist() == names and file["steps"].tolist() == [40] * len(names)
        np.testing.assert_allclose(file["latents"], latents, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(read_latents(kept / "favourites.npz"), np.float32(latents))
    for name, image in zip(names, shown(model, np.stack(latents)), strict=True):
        assert np.abs(np.asarray(Image.open(kept / f"{name}.png")).astype(int) - image).max() <= 1


def test_damaged_favourites_and_taken_ports_are_refused(served, tmp_path):
    address, folder, _ = served
    kept = shutil.copytree(folder, tmp_path / "copy") / "favourites"
    kept.mkdir(exist_ok=True)
    (kept / "favourites.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"favourites\.npz cannot be read"):
        server.make_app(TrainedModel(kept.parent))
    with pytest.raises(UserError, match=r"nor an \.npz with latents"):
        read_latents(kept / "favourites.npz")
    with pytest.raises(UserError, match="cannot listen on port"):
        demo.main(["--workdir", str(folder), "--port", address.rsplit(":", 1)[1]])
    with pytest.raises(UserError, match="does not exist"):
        demo.main(["--workdir", str(tmp_path / "none")])
