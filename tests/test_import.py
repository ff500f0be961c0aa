"""Weights of the original implementations become workdirs that give the originals' pictures."""

import functools

import golden as golden_files
import jax
import numpy as np
import pytest
import test_golden_fastgan
import test_golden_ingan
import test_golden_osmis
import test_golden_siv_gan
from imports import changed, drawn, imported, nhwc, picture_file, refused

import siv_jax
from siv_jax.errors import UserError
from siv_jax.models.ingan import generator, geometry
from siv_jax.nn.compilation import compiler_options
from siv_jax.workdir import layout

jit = functools.partial(jax.jit, compiler_options=compiler_options())
FASTGAN, INGAN, SIV_GAN, OSMIS = (
    golden_files.names(module.belongs)
    for module in (test_golden_fastgan, test_golden_ingan, test_golden_siv_gan, test_golden_osmis)
)


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
    refused(tmp_path, {key: value for key, value in own.items() if "to_big" not in key}, "fastgan", r"no to_big\.\*")
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


@pytest.mark.parametrize("name", SIV_GAN[:1])
def test_siv_gan(name, tmp_path):
    golden = test_golden_siv_gan.load(name)
    model = imported(tmp_path, {f"G_state/{key}": value for key, value in golden.under("G_state/").items()}, "siv_gan")
    params, vectors, _, _ = golden.flat_weights()
    np.testing.assert_array_equal(model._weights["ema"], params)
    np.testing.assert_array_equal(model._weights["vectors_g"], vectors)
    drawn(model, tmp_path)
    own = golden.under("G_state/")
    refused(tmp_path, own, "osmis", "mask_converter.weight is missing")
    name = next(key for key, tensor in own.items() if tensor.ndim == 4)
    for values in (np.full(own[name].shape, 1e300), own[name] * np.float32(np.nan), own[name].astype(int)):
        refused(tmp_path, changed(own, name, values), "siv_gan", "finite numbers in 4 dimensions belong there")


@pytest.mark.parametrize("name", SIV_GAN[:1])
def test_an_import_that_fails_leaves_nothing_and_may_be_tried_again(name, tmp_path, monkeypatch):
    own = test_golden_siv_gan.load(name).under("G_state/")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(layout, "save", full)
        imported(tmp_path, own, "siv_gan")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]
    (tmp_path / "run").mkdir()
    (tmp_path / ".run.partial" / layout.CHECKPOINTS).mkdir(parents=True)  # of an import that was killed
    drawn(imported(tmp_path, own, "siv_gan"), tmp_path)
    assert not (tmp_path / ".run.partial").exists()


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
    photo = picture_file(tmp_path, np.zeros((1, 64, 112, 3), np.float32))
    (tmp_path / "with_photo").mkdir()
    kept = imported(tmp_path / "with_photo", own, "osmis", image=photo)
    assert kept.source().masks is None and kept.source().size == (64, 112)
    refused(tmp_path, own, "siv_gan", "mask_converter.* has no place")
    refused(tmp_path, changed(own, "mask_converter.bias", np.ones(7)), "osmis", "to_mask/")
