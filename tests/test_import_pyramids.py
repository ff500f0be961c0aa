"""Weights of ConSinGAN and SinGAN become workdirs that give the originals' pictures; see test_import.py."""

import functools
from pathlib import Path

import consingan_arrays
import golden as golden_files
import jax
import numpy as np
import pytest
import singan_arrays
from imports import changed, drawn, imported, nhwc, picture_file, refused

import siv_jax
from siv_jax import import_reference

CONSINGAN = golden_files.names(consingan_arrays.belongs)
TRAININGS = [(name, key) for name in CONSINGAN for key in consingan_arrays.trainings(name)]
SINGAN = golden_files.names(lambda name, about: name == "singan")


def consingan_file(name: str, key: str) -> dict:
    """The tensors of a whole training as a file to import has them."""
    training = consingan_arrays.trainings(name)[key]
    last = training.plan.num_stages - 1
    tensors = {f"generator.module.{part}": tensor for part, tensor in training.under(last, "final/G/").items()}
    tensors |= {f"discriminator.{part}": tensor for part, tensor in training.under(last, "final/D/").items()}
    for stage in range(last + 1):
        tensors[f"fixed.{stage}"] = training.arrays[training.name(stage, "fixed_noise")]
    return tensors | {"amplitudes": training.amplitudes(last)}


def consingan_settings(training) -> dict:
    model = training.config.model
    settings = {f"model.{name}": getattr(model, name) for name in ("mode", "min_size", "slope", "activation")}
    return settings | {"data.max_size": training.plan.width}


def consingan_photo(name: str, key: str, folder) -> Path:
    training = consingan_arrays.trainings(name)[key]
    about = training.about["config"]
    picture = consingan_arrays.read_picture(training.arrays, training.about, about.get(key[:-1], about))
    return picture_file(folder, picture)


@pytest.mark.parametrize(("name", "key"), TRAININGS)
def test_consingan(name, key, tmp_path):
    training = consingan_arrays.trainings(name)[key]
    photo, settings = consingan_photo(name, key, tmp_path), consingan_settings(training)
    model = imported(tmp_path, consingan_file(name, key), "consingan", image=photo, settings=settings)
    assert model.record.plan == training.plan and model.config.model.batch_norm == training.config.model.batch_norm
    for noises, expected in training.samples().values():
        if expected.shape[1:3] == model.size:
            noise = np.concatenate([one.reshape(1, -1) for one in noises], axis=1)
            np.testing.assert_allclose(model.generate(noise), expected, rtol=0, atol=1e-5)
    images = drawn(model, tmp_path)
    assert images.shape[1:3] == (training.plan.height, training.plan.width)


@pytest.mark.parametrize(("name", "key"), TRAININGS[:1])
def test_consingan_refusals(name, key, tmp_path):
    training = consingan_arrays.trainings(name)[key]
    photo, settings = consingan_photo(name, key, tmp_path), consingan_settings(training)
    own = consingan_file(name, key)
    wrong = functools.partial(refused, tmp_path, family="consingan", image=photo, settings=settings)
    wrong(changed(own, "generator.module.tail.0.bias", None), match="tail/conv/bias is missing")
    wrong(changed(own, "generator.module.head.conv.bias", np.ones(99)), match="head/block/conv/bias is of shape .99.")
    wrong(changed(own, "generator.module.head.other", np.ones(9)), match="head.other has no place")
    wrong(changed(own, "fixed.1", None), match="fixed.0, fixed.1, ... are missing or not complete")
    wrong(changed(own, "amplitudes", np.ones(2)), match="amplitudes should be . numbers")
    wrong({"w": np.ones(3)}, match="there are none")
    refused(tmp_path, own, "consingan", "--image")
    smaller = settings | {"model.min_size": training.config.model.min_size - 2}
    refused(tmp_path, own, "consingan", "--set model.mode", image=photo, settings=smaller)


def singan_file(name: str, prefix: str = "") -> dict:
    arrays, tensors = singan_arrays.load(name), {}
    scales = sum(f"{prefix}s{i}/noise_amp" in arrays.arrays for i in range(20))
    for scale in range(scales):
        of_scale = arrays.under(f"{prefix}s{scale}/G/" if prefix else f"s{scale}/final/G/")
        tensors |= {f"generators.{scale}.{key}": tensor for key, tensor in of_scale.items()}
        tensors[f"amplitudes.{scale}"] = arrays[f"{prefix}s{scale}/noise_amp"]
    return tensors | {"z_star": arrays[f"{prefix}s0/z_opt"]}


def singan_settings(name: str) -> dict:
    config = singan_arrays.config_of(name, "no")
    return {"data.max_size": config.data.max_size, "model.min_size": config.model.min_size}


@pytest.mark.parametrize("name", SINGAN)
def test_singan(name, tmp_path):
    arrays, settings = singan_arrays.load(name), singan_settings(name)
    photo = picture_file(tmp_path, nhwc(arrays["picture/input"]))
    model = imported(tmp_path, singan_file(name), "singan", image=photo, settings=settings)
    assert model.record.plan == singan_arrays.plan_of(name, singan_arrays.config_of(name, "no"))
    assert not model.config.model.noise_padding
    for kind, start in (("native", 0), ("start2", 2)):
        noises = arrays.under(f"sample/{kind}/noise/")
        noise = np.concatenate([nhwc(noises[key]).reshape(1, -1) for key in sorted(noises, key=int)], axis=1)
        expected = nhwc(arrays[f"sample/{kind}/out"]).clip(-1, 1)
        # Between scales pictures have 256 levels: where rounding decides on one, a few pixels differ.
        difference = np.abs(model.at(start_scale=start).generate(noise) - expected)
        assert np.mean(difference > 1e-4) < 0.01 and difference.max() < 0.05
    images = drawn(model, tmp_path)
    assert images.shape[1:3] == model.size


@pytest.mark.parametrize("name", SINGAN)
def test_singan_of_several_files(name, tmp_path):
    """A list of networks, one of numbers and one of noises, by the command."""
    own, words = singan_file(name), ["--weights"]
    own["z_star.0"] = own.pop("z_star")
    for part in ("generators", "amplitudes", "z_star"):
        inside = {key.removeprefix(f"{part}."): tensor for key, tensor in own.items() if key.startswith(part)}
        np.savez(tmp_path / f"{part}.npz", **inside)
        words.append(f"{part}={tmp_path / part}.npz")
    photo = picture_file(tmp_path, nhwc(singan_arrays.load(name)["picture/input"]))
    words += ["--image", str(photo), "--model", "singan", "--workdir", str(tmp_path / "run")]
    for key, value in singan_settings(name).items():
        words += ["--set", f"{key}={value}"]
    import_reference.main(words)
    weights = siv_jax.load(tmp_path / "run")._weights
    expected = singan_arrays.weights(name)
    jax.tree.map(np.testing.assert_array_equal, weights, expected)


@pytest.mark.parametrize("name", SINGAN)
def test_singan_refusals(name, tmp_path):
    own, settings = singan_file(name), singan_settings(name)
    photo = picture_file(tmp_path, nhwc(singan_arrays.load(name)["picture/input"]))
    wrong = functools.partial(refused, tmp_path, family="singan", image=photo, settings=settings)
    last = "generators.5.tail.0."
    wrong(changed(own, f"{last}bias", None), match="generators.5: .*tail.0.bias is missing")
    wrong(changed(own, f"{last}weight", np.ones((3, 7, 3, 3))), match="kernels/4 is of shape")
    wrong(changed(own, f"{last}other", np.ones(3)), match="tail.0.other has no place")
    wrong(changed(own, "z_star", None), match="z_star is missing")
    wrong(changed(own, "z_star", np.ones((1, 3, 9, 9))), match="z_star is of 9x9")
    wrong(changed(own, "amplitudes.5", None), match="amplitudes should be 6 numbers")
    wrong({key: tensor for key, tensor in own.items() if ".5." not in key}, match="of 5 scales")
    wrong({"w": np.ones(3)}, match="there are none")
    refused(tmp_path, own, "singan", "--image")
    refused(tmp_path, own, "consingan", "there are none", image=photo)
