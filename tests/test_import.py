"""Weights of the original implementations become workdirs that give the originals' pictures."""

import functools
from pathlib import Path

import consingan_arrays
import golden as golden_files
import jax
import numpy as np
import pytest
import singan_arrays
import test_golden_fastgan
import test_golden_ingan
import test_golden_osmis
import test_golden_siv_gan
from PIL import Image

import siv_jax
from siv_jax import api, import_reference
from siv_jax.errors import UserError
from siv_jax.models.ingan import generator, geometry
from siv_jax.nn.compilation import compiler_options
from siv_jax.workdir import layout

jit = functools.partial(jax.jit, compiler_options=compiler_options())
FASTGAN, INGAN, SIV_GAN, OSMIS = (
    golden_files.names(module.belongs)
    for module in (test_golden_fastgan, test_golden_ingan, test_golden_siv_gan, test_golden_osmis)
)


CONSINGAN = golden_files.names(consingan_arrays.belongs)
TRAININGS = [(name, key) for name in CONSINGAN for key in consingan_arrays.trainings(name)]
SINGAN = golden_files.names(lambda name, about: name == "singan")


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def imported(folder, tensors: dict, family: str, **options) -> siv_jax.api.Model:
    """The model of a file of these tensors."""
    np.savez(folder / "weights.npz", **tensors)
    api.import_weights(folder / "weights.npz", folder / "run", family, **options)
    return siv_jax.load(folder / "run")


def refused(folder, tensors: dict, family: str, match: str, **options) -> None:
    np.savez(folder / "bad.npz", **tensors)
    with pytest.raises(UserError, match=match) as caught:
        api.import_weights(folder / "bad.npz", folder / "refused", family, **options)
    assert "\n" not in str(caught.value)
    assert not (folder / "refused").exists()


def changed(tensors: dict, name: str, tensor: np.ndarray | None) -> dict:
    """`tensors` with another one under `name`, or without it."""
    return {key: value for key, value in (tensors | {name: tensor}).items() if value is not None}


def picture_file(folder, picture: np.ndarray) -> Path:
    """A file of the picture [1, H, W, C] in [-1, 1]."""
    Image.fromarray(np.round((picture[0] + 1) * 127.5).astype(np.uint8)).save(folder / "photo.png")
    return folder / "photo.png"


def drawn(model, folder) -> np.ndarray:
    """What `siv_jax.sample` draws from the workdir, which it writes, too."""
    list(api.write_samples(folder / "run", num=2))
    written = layout.load_record(folder / "run")
    images = model.sample(2)
    images = getattr(images, "images", images)
    assert images.shape == (2, *model.size, written.plan.channels) and (images[0] != images[1]).any()
    assert (folder / "run" / "samples_seed0" / "sample_00001.png").exists()
    return images


@pytest.mark.parametrize("name", FASTGAN)
def test_fastgan(name, tmp_path):
    golden = test_golden_fastgan.load(name)
    model = imported(tmp_path, {f"module.{key}": value for key, value in golden.under("G_state/").items()}, "fastgan")
    assert model.record.plan == golden.plan and model.config.model.ch_g == golden.config.model.ch_g
    weights, generator = model._weights, golden.players.generator
    found = jit(lambda z, noises: generator.apply(weights["ema"], weights["vectors_g"], z, noises))(
        golden.draws.z, golden.noises
    )
    for image, which in zip(found, ("big", "small"), strict=True):
        theirs = golden[f"G_out/{which}"]
        test_golden_fastgan.close_to(test_golden_fastgan.thinned(image, theirs), theirs, 1e-4)
    drawn(model, tmp_path)


@pytest.mark.parametrize("name", FASTGAN)
def test_fastgan_checkpoint_with_averaged_parameters(name):
    from siv_jax.models.fastgan.original_weights import _chosen

    own = test_golden_fastgan.load(name).under("G_state/")
    parameters = [value for key, value in own.items() if not key.endswith(("weight_u", "weight_v"))]
    listed = {f"g_ema.{i}": 2 * value for i, value in enumerate(parameters)}
    running = {"g.init.init.1.running_mean": np.zeros(4), "g.init.init.1.num_batches_tracked": np.int64(1)}
    beside = {"d.rf_big.0.weight_orig": parameters[0], "opt_g.state.0.step": np.float64(3)}
    checkpoint = {f"g.{key}": value for key, value in own.items()} | listed | running | beside
    found = _chosen(checkpoint)
    assert list(found) == list(own)
    for key, value in own.items():
        expected = value if key.endswith(("weight_u", "weight_v")) else 2 * value
        np.testing.assert_array_equal(found[key], expected, key)
    whole = {f"g_ema.{key}": 2 * value for key, value in own.items()}
    found = _chosen({f"g.{key}": value for key, value in own.items()} | whole | beside)
    np.testing.assert_array_equal(found["to_big.weight_orig"], 2 * own["to_big.weight_orig"])
    with pytest.raises(UserError, match="do not fit"):
        _chosen(checkpoint | {"g_ema.0": parameters[1]})


@pytest.mark.parametrize("name", FASTGAN)
def test_fastgan_refusals(name, tmp_path):
    own = test_golden_fastgan.load(name).under("G_state/")
    wide = np.zeros((3, 4, 3, 3), np.float32)
    refused(tmp_path, changed(own, "to_128.weight_v", None), "fastgan", "to_128.weight_v is missing")
    refused(tmp_path, changed(own, "to_big.weight_orig", wide), "fastgan", "to_big.*do not fit")
    refused(tmp_path, changed(own, "to_big.weight", np.ones(3)), "fastgan", "to_big.weight has no place")
    refused(tmp_path, changed(own, "feat_8.2.weight", np.ones(5)), "fastgan", "map_8/noise_0/weight")
    refused(tmp_path, {key: value for key, value in own.items() if "feat_256" not in key}, "fastgan", "128 pixels")
    refused(tmp_path, own | {f"g.{key}": value for key, value in own.items()}, "fastgan", "there should be .* one")
    refused(tmp_path, own, "siv_gan", "weights of one SIV-GAN generator, but there is none")


@pytest.mark.parametrize("name", INGAN)
def test_ingan(name, tmp_path):
    golden = test_golden_ingan.load(name)
    own, photo = golden.under("G_state/"), picture_file(tmp_path, golden.picture)
    model = imported(tmp_path, {f"module.{key}": value for key, value in own.items()}, "ingan", image=photo)
    assert (model.record.plan.height, model.record.plan.width) == golden.picture.shape[1:3]
    weights, extent, size = model._weights, golden.crops.shape[1:3], golden.extent
    seen = golden.crops + nhwc(golden["draw/noise_G_input"])

    @jit
    def predicted(params, vectors, seen):
        layer = functools.partial(
            geometry.transformed, extent=extent, canvas_size=size, wanted=size, shifts=golden.shifts
        )
        return generator.generate(golden.network("G").normalized(params, vectors), seen, extent, layer, size)

    found = predicted(weights["params_g"], weights["vectors_g"], seen)
    np.testing.assert_allclose(found, nhwc(golden["G_out/pred"]), atol=2e-5)
    images = drawn(model, tmp_path)
    # The first sample is the whole picture, and the workdir keeps the picture.
    whole = model.draw_made_of(0, 0, image=golden.picture[0])
    assert np.abs(images[0] - (whole + 1) * 127.5).max() <= 1
    assert model.source().size == golden.picture.shape[1:3]
    with pytest.raises(UserError, match="imported weights, which are not trained on"):
        siv_jax.train(model.config, workdir=tmp_path / "run", devices=1)


@pytest.mark.parametrize("name", INGAN)
def test_ingan_refusals(name, tmp_path):
    golden = test_golden_ingan.load(name)
    own, photo = golden.under("G_state/"), picture_file(tmp_path, golden.picture)
    wrong = functools.partial(refused, tmp_path, family="ingan", image=photo)
    wrong(changed(own, "final_block.1.bias", None), match="final_block.1.bias is missing")
    wrong(changed(own, "upscale_block.conv_1.1.weight_u", None), match="conv_1.1.weight_u is missing")
    wrong(changed(own, "entry_block.2.weight", np.ones(5)), match="body/entry/scale is of shape .5. and should be")
    wrong(changed(own, "entry_block.3.weight", np.ones(5)), match="entry_block.3 has no place")
    wrong({key: value for key, value in own.items() if "upscale_block.conv_1" not in key}, match="up_1.* is missing")
    wrong({"w": np.ones(3)}, match="there is none")
    refused(tmp_path, own, "ingan", "--image")
    refused(tmp_path, own, "ingan", "does not exist", image=tmp_path / "nowhere.png")
    wrong(own, match="config key model.width", settings={"model.width": 3})


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


@pytest.mark.parametrize("name", SIV_GAN[:1])
def test_siv_gan(name, tmp_path):
    golden = test_golden_siv_gan.load(name)
    model = imported(tmp_path, {f"G_state/{key}": value for key, value in golden.under("G_state/").items()}, "siv_gan")
    params, vectors, _, _ = golden.flat_weights()
    np.testing.assert_array_equal(model._weights["ema"], params)
    np.testing.assert_array_equal(model._weights["vectors_g"], vectors)
    drawn(model, tmp_path)
    refused(tmp_path, golden.under("G_state/"), "osmis", "mask_converter.weight is missing")


@pytest.mark.parametrize("name", OSMIS)
def test_osmis(name, tmp_path):
    golden = test_golden_osmis.load(name)
    own = golden.under("G_state/")
    model = imported(tmp_path, own, "osmis")
    params, vectors, _, _ = golden.flat_weights
    np.testing.assert_array_equal(model._weights["ema"], params)
    np.testing.assert_array_equal(model._weights["vectors_g"], vectors)
    assert model.record.plan.num_classes == golden.classes
    drawn(model, tmp_path)
    assert (tmp_path / "run" / "samples_seed0" / "mask_00001.png").exists()
    refused(tmp_path, own, "siv_gan", "mask_converter.* has no place")
    refused(tmp_path, changed(own, "mask_converter.bias", np.ones(7)), "osmis", "to_mask/")
