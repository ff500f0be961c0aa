"""The command on folders of samples and on runs, its files, and what it refuses."""

import contextlib
import html.parser
import io
import json
import re
import shutil
import subprocess
import sys

import cached_weights
import numpy as np
import pytest
import scipy.ndimage
import tiny
from PIL import Image

from siv_jax import api, evaluate
from siv_jax.data import Source
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PICTURE
from siv_jax.errors import UserError
from siv_jax.metrics import cases, measure, nearest, record, run_cases, sample_folders
from siv_jax.metrics.cases import Case
from siv_jax.report.charts import histogram
from siv_jax.train import single as training
from siv_jax.workdir import kept_input

SIZE = (48, 64)  # of the tiny run too, so that all tests share compiled programs


def pictures(count: int, seed: int, size=SIZE) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((count, *size, 3))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 3, 3, 0))
    return np.clip(np.rint(128 + smooth / smooth.std() * 45), 0, 255).astype(np.uint8)


def save(folder, images, names=None, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{names[i] if names else i}{suffix}")
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_views():
    """Most of an evaluation's time at this size goes into the augmented training images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "VIEWS", 12)
        yield


@pytest.fixture(scope="module")
def networks() -> measure.Networks:
    for network in ("alex", "inception"):
        cached_weights.load(network)
    return measure.load_networks("alex")


@pytest.fixture
def real(tmp_path):
    return save(tmp_path / "real", pictures(1, 0), ["rock"]) / "rock.png"


def run(real, fake, out, *more: str) -> dict:
    evaluate.main(["--real", str(real), "--fake", str(fake), "--out", str(out), *more])
    return json.loads((out / "metrics.json").read_text())


class Page(html.parser.HTMLParser):
    """Collects what a report is made of."""

    def __init__(self, text: str):
        super().__init__()
        self.images, self.links, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.images += [value for name, value in attributes if name == "src"]
        self.links += [value for name, value in attributes if name == "href"]


@pytest.fixture(scope="module")
def evaluated(networks, tmp_path_factory):
    """Folder, record and printed text of the evaluation of six samples, the fourth of them a copy."""
    folder = tmp_path_factory.mktemp("evaluated")
    fakes, real = pictures(6, 1), pictures(1, 0)
    fakes[3] = real[0]
    save(folder, real, ["rock"])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        found = run(folder / "rock.png", save(folder / "a<b>", fakes), folder / "out")
    return folder, found, printed.getvalue()


def test_one_image(evaluated):
    _, found, printed = evaluated
    metrics, samples = found["mean"], found["images"][0]["per_sample"]
    assert [sample["name"] for sample in samples] == [f"{i}.png" for i in range(6)]
    copy = samples[3]
    assert copy["sifid_64"] == pytest.approx(0, abs=1e-6) and copy["sifid_768"] == pytest.approx(0, abs=1e-6)
    assert copy["distance_to_train"] == 0 and copy["near_copy"] and not copy["nearest_is_augmented"]
    assert [sample["near_copy"] for sample in samples].count(True) == 1
    assert metrics["near_copies"]["value"] == pytest.approx(1 / 6, abs=1e-5)
    assert metrics["sifid_64_best"]["value"] == pytest.approx(0, abs=1e-6)
    assert metrics["sifid_64"]["value"] == pytest.approx(np.mean([s["sifid_64"] for s in samples]), abs=1e-4)
    assert metrics["sifid_64"]["low"] < metrics["sifid_64"]["value"] < metrics["sifid_64"]["high"]
    others = np.mean([sample["lpips_to_others"] for sample in samples])
    assert metrics["lpips_diversity"]["value"] == pytest.approx(others, abs=1e-5)
    assert "sifid_2048" not in metrics and "set_fid_64" not in metrics
    assert found["protocol"]["id"] in printed and "6 samples of 64x48" in printed


def test_report_stands_alone(evaluated):
    text = (evaluated[0] / "out" / "report.html").read_text()
    page = Page(text)
    # One training image, six samples, six pairs of sample and nearest image, two maps.
    assert len(page.images) == 1 + 6 + 2 * 6 + 2
    assert all(source.startswith("data:image/") for source in page.images)
    assert not page.links and not {"script", "link"} & set(page.tags)
    assert "url(" not in text and "<h1>a&lt;b&gt;</h1>" in text
    assert page.tags.count("svg") == 4
    assert text.count('class="copy"') == 1 and "1 of 6 samples is a near copy." in text
    assert "SIV-GAN, Places (paper)" in text and "not comparable in absolute value" in text


def test_the_same_again_is_the_same(evaluated, tmp_path):
    folder, found, _ = evaluated
    assert run(folder / "rock.png", folder / "a<b>", tmp_path) == found


def test_protocol_holds_what_was_chosen(evaluated):
    _, found, _ = evaluated

    def of(lpips="alex", **changes) -> str:
        return record.protocol([found["images"][0] | changes], lpips)["id"]

    assert of() == found["protocol"]["id"]
    others = {of(lpips="alex01"), of(lpips="vgg"), of(samples=7), of(size=[64, 80]), of(training_images=2)}
    assert len(others) == 5 and of() not in others
    assert of(name="another", training_digest="other") == of()


def test_one_sample_has_no_diversity(networks, real, tmp_path):
    found = run(real, save(tmp_path / "one", pictures(1, 3)), tmp_path / "out")["mean"]
    for name in ("lpips_diversity", "pixel_diversity", "ms_ssim", "sifid_64_sd"):
        assert found[name] is None
    assert found["sifid_64"]["value"] > 0 and found["sifid_64"]["low"] is None
    assert (tmp_path / "out" / "report.html").exists()


def test_several_images_have_rows_and_a_mean(networks, tmp_path, capsys):
    save(tmp_path / "real", pictures(2, 0), ["a", "b"])
    for seed, name in enumerate("ab"):
        # Below, as SinGAN writes its samples.
        save(tmp_path / "fake" / name / "gen_start_scale=0", pictures(3, seed + 5))
    found = run(tmp_path / "real", tmp_path / "fake", tmp_path / "out")
    assert [image["name"] for image in found["images"]] == ["a", "b"]
    single = [image["metrics"]["lpips_diversity"]["value"] for image in found["images"]]
    assert found["mean"]["lpips_diversity"]["value"] == pytest.approx(np.mean(single), abs=1e-6)
    assert found["mean"]["sifid_64"]["low"] is None  # two images are too few for an interval over images
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("a ", "b ", "mean "))] == ["a", "b", "mean"]
    assert "#a" in Page((tmp_path / "out" / "report.html").read_text()).links


def test_a_clip_has_set_fid(networks, tmp_path):
    reals, fakes = pictures(4, 0), pictures(3, 1)
    found = run(save(tmp_path / "frames", reals), save(tmp_path / "fake", fakes, ["x", "y", "z"]), tmp_path / "out")
    assert found["images"][0]["training_images"] == 4
    metrics = found["mean"]
    rows = [np.concatenate([features(networks, image) for image in images]) for images in (reals, fakes)]
    means, covariances = [r.mean(0) for r in rows], [np.cov(r, rowvar=False) for r in rows]
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances))
    expected -= 2 * np.trace(scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real)
    assert metrics["set_fid_64"]["value"] == pytest.approx(expected, rel=1e-3)
    assert metrics["sifid_64_sd"]["value"] > 0


def features(networks, image: np.ndarray) -> np.ndarray:
    from siv_jax.metrics import inception

    return np.asarray(inception.features(networks.inception, image[None])[64], np.float64).reshape(-1, 64)


def test_real_and_samples_of_other_sizes(tmp_path):
    real = save(tmp_path / "real", pictures(1, 0, (96, 128))) / "0.png"
    fake = save(tmp_path / "fake", pictures(2, 1))

    def load(size=None) -> Case:
        (pending,) = sample_folders.pending_cases(real, fake, size, None)
        return pending()

    case = load()
    assert case.fakes.shape == (2, *SIZE, 3)
    full = Image.open(real).resize((64, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(case.reals, np.asarray(full)[None])
    assert case.notes == ("0.png: brought from 128x96 to the samples' 64x48",)
    case = load((60, 80))
    assert case.reals.shape == (1, 60, 80, 3) and case.fakes.shape == (2, 60, 80, 3)
    assert "fake: samples are brought from 64x48 to 80x60" in case.notes


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A tiny run, and a copy of it, in one folder."""
    folder = tmp_path_factory.mktemp("fleet")
    config = tiny.config(num_steps=2, checkpoint_every=2, sample_every=2, log_every=2)
    training.train(config, folder / "run1", 1, False, say=lambda line: None)
    shutil.copytree(folder / "run1", folder / "run2")
    return folder


def test_workdir(networks, fleet, capsys):
    lines = []
    found = evaluate(fleet / "run1", num=3, say=lines.append)
    assert found == json.loads((fleet / "run1" / "evaluation" / "metrics.json").read_text())
    assert lines[-1] == str(fleet / "run1" / "evaluation" / "report.html") and not capsys.readouterr().out
    assert not any("steps" in line for line in lines)
    assert "<h2>Evaluation</h2>" in (fleet / "run1" / "index.html").read_text(), "the page of the run has the numbers"
    image = found["images"][0]
    assert found["name"] == image["name"] == "run1" and image["samples"] == 3
    assert image["source"]["step"] == 2 and image["source"]["seed"] == 0
    (pending,) = run_cases.pending_cases(fleet / "run1", None, 3, 0, None)
    case = pending()
    assert case.fakes.shape[1:] == case.reals.shape[1:] and list(case.fakes.shape[1:3]) == image["size"]
    (other,) = run_cases.pending_cases(fleet / "run1", None, 3, 1, None)
    assert (other().fakes != case.fakes).any()


def test_rendered_samples_are_measured_at_the_size_of_the_photo(fleet):
    run = fleet / "run1"
    (pending,) = run_cases.pending_cases(run, None, 2, 5, None, rendered=True)
    case, model = pending(), api.load(run)
    assert case.fakes.shape[1:3] == case.reals.shape[1:3] == model.record.source_size
    np.testing.assert_array_equal(case.fakes, model.render(2, seed=5))
    assert case.source["rendered"] == "yes"
    (pending,) = run_cases.pending_cases(run, None, 2, 5, (64, 96), rendered=True)
    assert pending().fakes.shape[1:3] == (64, 96)


def test_small_samples_are_refused_with_what_to_do(fleet, tmp_path):
    shutil.copytree(fleet / "run1", tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    plan["plan"]["height"], plan["source_size"] = 24, [0, 0]
    (tmp_path / "run" / "plan.json").write_text(json.dumps(plan))
    match = "too small to measure; 31 pixels a side are the least; --rendered measures samples of the photo's size"
    with pytest.raises(UserError, match=match):
        run_cases.pending_cases(tmp_path / "run", None, 2, 0, None)


def test_folder_of_workdirs(networks, fleet, tmp_path):
    evaluate.main(["--workdir", str(fleet), "--num", "2", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert [image["name"] for image in found["images"]] == ["run1", "run2"]
    assert found["protocol"]["samples"] == [2, 2]


def test_missing_weights(real, tmp_path):
    """One line with the command to run, exit code 2, nothing downloaded and nothing written."""
    fake = save(tmp_path / "fake", pictures(1, 1))
    arguments = ["--real", real, "--fake", fake, "--out", tmp_path / "out", "--cache", tmp_path / "nowhere"]
    found = subprocess.run(
        [sys.executable, "-m", "siv_jax.evaluate", *map(str, arguments)], capture_output=True, text=True
    )
    assert found.returncode == 2 and found.stdout == ""
    assert re.fullmatch(
        r"error: the weights of alex, inception are not in .*nowhere: run `python -m .* fetch.*\n", found.stderr
    )
    assert not (tmp_path / "out").exists() and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "either --workdir, or --real and --fake"),
        (["--workdir", "a", "--fake", "b"], "either --workdir, or --real and --fake"),
        (["--fake", "b", "--out", "c"], "--fake needs --real"),
        (["--real", "a", "--fake", "b"], "and --out"),
        (["--workdir", "a", "--size", "250"], "is not a size such as 250x188"),
        (["--workdir", "a", "--size", "0x5"], "a side of --size is 0; it must be a whole number from 1"),
        (["--workdir", "a", "--num", "0"], "whole number from 1"),
        (["--workdir", "a", "--seed", "-1"], "whole number from 0"),
        (["--real", "a", "--fake", "b", "--out", "c", "--seed", "0"], "how --workdir draws"),
        (["--workdir", "a", "--pairing", "set"], "--pairing goes with --fake"),
        (["--real", "a", "--fake", "b", "--out", "c", "--rendered"], "--rendered says how --workdir draws"),
    ],
)
def test_arguments_that_do_not_go_together(arguments, match):
    with pytest.raises(UserError, match=match):
        evaluate.main(arguments)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"workdir": "a", "num": 2.0}, "num is 2.0; it must be a whole number"),
        ({"workdir": "a", "num": True}, "num is True; it must be a whole number"),
        ({"workdir": "a", "size": (5,)}, "must be a height and a width"),
        ({"real": "a", "fake": "b", "out": "c", "pairing": "both"}, "pairing is 'both'; it can be names or set"),
        ({"workdir": "a", "lpips": "squeeze"}, "lpips is 'squeeze'; it can be alex, vgg, alex01"),
    ],
)
def test_arguments_from_python_that_cannot_be(options, match):
    with pytest.raises(UserError, match=match):
        evaluate(**options)


def refused(real, fake, match, size=None, pairing=None):
    with pytest.raises(UserError, match=match) as caught:
        for pending in sample_folders.pending_cases(real, fake, size, pairing):
            pending()
    assert "\n" not in str(caught.value)


def test_samples_that_cannot_be_measured(real, tmp_path):
    refused(real, tmp_path / "nowhere", "nowhere does not exist")
    refused(real, real, "rock.png is a file: --fake takes a folder")
    (tmp_path / "empty").mkdir()
    refused(real, tmp_path / "empty", "empty holds no sample")
    mixed = save(tmp_path / "mixed", pictures(2, 0))
    save(mixed, pictures(1, 0, (50, 64)), ["odd"])
    refused(real, mixed, "samples differ in size: 0.png is 64x48, odd.png 64x50; .* --size")
    refused(real, save(tmp_path / "small", pictures(2, 0, (30, 64))), "64x30 are too small to measure; 31 pixels")
    broken = save(tmp_path / "broken", pictures(2, 0))
    (broken / "1.png").write_bytes((broken / "1.png").read_bytes()[:300])
    refused(real, broken, r"1\.png")
    (broken / "1.png").write_bytes(b"hello")
    refused(real, broken, r"1\.png is not a picture that can be read")
    (broken / "1.png").write_bytes(b"")
    refused(real, broken, r"1\.png is empty")


def test_training_images_that_cannot_be_read(real, tmp_path):
    fake = save(tmp_path / "fake", pictures(2, 1))
    refused(tmp_path / "nowhere.jpg", fake, "nowhere.jpg does not exist")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    refused(tmp_path / "bad.jpg", fake, r"bad\.jpg")


def test_pairings(tmp_path):
    reals = save(tmp_path / "reals", pictures(3, 0), ["p_1", "p_13", "q"])

    def groups(fake, pairing=None, size=None) -> list:
        found = sample_folders.pending_cases(reals, fake, size, pairing)
        return [(case.name, len(case.fakes)) for case in (pending() for pending in found)]

    names = ["p_13", "p_1-0", "p_1-1", "q_7"]
    same = save(tmp_path / "same", pictures(4, 1), names)
    refused(reals, same, "add --pairing names .* or --pairing set")
    assert groups(same, "names") == [("p_1", 2), ("p_13", 1), ("q", 1)]
    assert groups(same, "set") == [("same", 4)]
    # Samples of different sizes cannot be of one model.
    sizes = save(tmp_path / "sizes", pictures(2, 1), names[:2])
    save(sizes, pictures(1, 1, (40, 40)), ["q"])
    assert groups(sizes) == [("p_1", 1), ("p_13", 1), ("q", 1)]
    alone = save(tmp_path / "alone", pictures(1, 0), ["p_1"])
    (only,) = sample_folders.pending_cases(alone, save(tmp_path / "of_one", pictures(2, 1), names[1:3]), None, None)
    assert only().reals.shape == (1, *SIZE, 3)
    others = save(tmp_path / "others", pictures(2, 1), ["q", "p_12"])
    assert groups(others) == [("others", 2)]
    refused(reals, others, r"p_12\.png begins with the name of no training image", pairing="names")
    folders = save(tmp_path / "folders" / "r", pictures(1, 1)).parent
    refused(reals, folders, "no training image named r")
    refused(reals / "q.png", folders, "--real must then be a folder")
    save(folders, pictures(1, 1))
    refused(reals, folders, "holds both samples and folders of samples")


def test_contact_sheet_is_no_sample(real, tmp_path):
    fake = save(tmp_path / "fake", pictures(2, 1))
    save(fake, pictures(1, 1, (100, 300)), ["contact_sheet"])
    (pending,) = sample_folders.pending_cases(real, fake, None, None)
    assert pending().names == ("0.png", "1.png")


def test_gray_and_lossy_samples_are_named(real, tmp_path):
    gray = pictures(2, 1)[..., 0]
    fake = save(tmp_path / "gray", gray, suffix=".jpg")
    (pending,) = sample_folders.pending_cases(real, fake, None, None)
    case = pending()
    assert case.fakes.shape == (2, *SIZE, 3)
    assert any("2 of 2 samples are gray, the training images are not" in note for note in case.notes)
    assert any(note.startswith("0.jpg: samples in a lossy format") for note in case.notes)


def test_training_images_of_a_run_at_another_size(fleet):
    (pending,) = run_cases.pending_cases(fleet / "run1", None, 2, 0, (40, 56))
    case = pending()
    (frame,) = kept_input.load(fleet / "run1").frames()
    expected = Image.fromarray(frame).resize((56, 40), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(case.reals, np.asarray(expected)[None])
    assert case.fakes.shape == (2, 40, 56, 3)
    assert case.notes == (
        "run1: samples are brought from 64x48 to 56x40",
        "example:balloons: brought from 512x384 to the samples' 56x40",
    )


def test_training_images_come_at_the_size_of_rendered_samples():
    photo = pictures(1, 0, (96, 128))
    source = Source("photo", 1, 1, (96, 128), 3, PICTURE, lambda: iter(photo))
    for size, notes in (((48, 64), ("photo: brought from 128x96 to the samples' 64x48",)), ((96, 128), ())):
        case = cases.make_case("a", pictures(2, 1, size), ("0", "1"), source, {}, Notes())
        np.testing.assert_array_equal(case.reals, source.resized(*size))
        assert case.notes == notes


def test_an_unfinished_run_says_so(fleet, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(fleet / "run1", run)
    plan = (run / "plan.json").read_text()
    (run / "plan.json").write_text(plan.replace('"num_steps": 2', '"num_steps": 40'))
    (pending,) = run_cases.pending_cases(run, None, 2, 0, None)
    assert "run: measured after 2 of 40 steps, before training ended" in pending().notes


def test_workdirs_that_are_none(fleet, tmp_path, real):
    for folder, match in [(tmp_path / "nowhere", "does not exist"), (tmp_path, "neither the workdir of a run")]:
        with pytest.raises(UserError, match=match):
            run_cases.pending_cases(folder, None, 1, 0, None)
    with pytest.raises(UserError, match="holds several runs"):
        run_cases.pending_cases(fleet, real, 1, 0, None)


def test_imported_weights_need_the_training_image(fleet, tmp_path, real):
    run = tmp_path / "imported"
    shutil.copytree(fleet / "run1", run)
    plan = (run / "plan.json").read_text()
    (run / "plan.json").write_text(plan.replace('"num_frames": 1', '"num_frames": 0'))
    with pytest.raises(UserError, match="holds imported weights, which have no training picture"):
        run_cases.pending_cases(run, None, 2, 0, None)
    (pending,) = run_cases.pending_cases(run, real, 2, 0, None)
    case = pending()
    assert case.reals.shape[1:] == case.fakes.shape[1:]


def test_flat_pictures_have_finite_values(networks):
    flat = np.full((3, *SIZE, 3), 90, np.uint8)
    case = Case("flat", flat, flat[:1], ("a", "b", "c"), {}, ())
    found = measure.measure(case.fakes, case.reals, networks)
    json.dumps(record.of_case(case, found), allow_nan=False)
    assert found.values["pixel_diversity"] is None and found.values["lpips_diversity"].value == 0
    assert found.values["sifid_64"].value == pytest.approx(0, abs=1e-9) and found.near_copies.all()
    assert histogram(found.nearest.distance, "x", 3)["svg"].startswith("<svg")


def test_deep_and_other_channel_counts_become_rgb():
    assert cases.as_rgb(np.zeros((1, 4, 4, 1), np.float32)).tolist() == np.full((1, 4, 4, 3), 128).tolist()
    five = np.arange(5, dtype=np.uint8) * np.ones((1, 4, 4, 1), np.uint8)
    assert cases.as_rgb(five)[0, 0, 0].tolist() == [0, 1, 2]
