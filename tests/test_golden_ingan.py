"""Parity with the original InGAN on its own weights, with every draw given."""

import functools

import golden as golden_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.config import DataConfig
from siv_jax.models.ingan import canvas, crop_swap, discriminator, generator, geometry, original_weights
from siv_jax.models.ingan.config import Config, LossConfig, ModelConfig, TransformConfig
from siv_jax.models.ingan.objectives import Players
from siv_jax.models.ingan.plan import make_plan, scales_seen
from siv_jax.models.ingan.step import learning_rate_factor
from siv_jax.nn import adam, flat, original_tensors
from siv_jax.nn.compilation import compiler_options
from siv_jax.nn.original_tensors import put

# A convolution's number, that of its batch normalization, and its name here.
DISCRIMINATOR = {"0": "first", "1": "first", "3": "halve", "4": "halve", "6": "third", "7": "third", "9": "logit"}
# Numbers of the discriminator's batch normalizations.
NORMS = "147"
jit = functools.partial(jax.jit, compiler_options=compiler_options())


def belongs(name: str, about: dict) -> bool:
    return name.startswith("ingan") or about.get("system") == "InGAN"


class Golden(golden_files.Arrays):
    """Arrays, settings and weights of one file."""

    def __init__(self, name: str):
        super().__init__(name)
        self.about = golden_files.about(name)
        self.settings = settings = self.about["config"]
        self.config = Config(
            model=ModelConfig(
                ch_g=settings["G_base_channels"],
                ch_d=settings["D_base_channels"],
                num_downscales_g=settings["G_num_downscales"],
                num_blocks_g=settings["G_num_resblocks"],
            ),
            data=DataConfig(max_size=1792),  # the picture is not scaled
            transform=TransformConfig(crop=settings["crop_size"]),
            loss=LossConfig(inverse="as_run"),
        )
        self.picture = nhwc(self["input/image"])
        _, *size, channels = self.picture.shape
        self.plan = make_plan(*size, channels, self.config)
        self.players = Players(self.plan, self.config)
        self.extent = tuple(map(int, self["draw/size_hw"]))
        self.shifts = jnp.asarray(self["draw/shifts"], jnp.float32)
        self.crops = nhwc(self["real/crop"])
        self.no_gradient = set(self.about["zero_gradients_in_float64"])
        self.weights = discriminator.scale_weights(
            settings["iteration"],
            scales_seen(min(self.extent), self.config.model.scale_factor_d),
            self.plan.num_nets_d,
            self.config.loss.even_scales_step,
        )

    def network(self, which: str):
        return {"G": self.players.generator, "D": self.players.discriminator}[which]

    @functools.cached_property
    def flat_weights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """ "G" and "D" -> parameters, and spectral-norm vectors before any pass."""
        found = {}
        for which in "GD":
            params, vectors = self.discriminator() if which == "D" else original_weights.trees(self.under("G_state/"))
            assert jax.tree.map(lambda leaf: leaf.shape, self.network(which).shapes) == jax.tree.map(np.shape, params)
            found[which] = flat.joined(params), flat.joined(vectors)
        return found

    def discriminator(self) -> tuple[dict, dict]:
        tensors, params, vectors = self.under("D_state/"), {}, {}
        for name, tensor in tensors.items():
            path, layer = path_of("D", name), name.rpartition(".")[0]
            if name.endswith("weight_u"):
                pair = tensor, tensors[f"{layer}.weight_v"]
                put(vectors, path[:-1], original_tensors.vectors(*pair, tensors[f"{layer}.weight_orig"], layer))
            elif path is not None and path[-1] != "v":
                put(params, path, original_tensors.kernel(tensor))
        return params, vectors

    def iterated(self, which: str, count: int) -> list[jax.Array]:
        """Spectral-norm vectors after 1 to `count` passes."""
        params, vectors = self.flat_weights[which]
        found = []
        for _ in range(count):
            vectors = jit(self.network(which).power_step)(params, vectors)
            found.append(vectors)
        return found


def path_of(which: str, name: str) -> tuple[str, ...] | None:
    """Where a tensor of the original stands in our trees; None where it has no place here."""
    *layer, tensor = name.split(".")
    if tensor in ("running_mean", "running_var", "num_batches_tracked"):
        return None
    if which == "G" and layer == ["final_block", "1"]:
        return generator.LAST, {"weight": "kernel", "bias": "bias"}[tensor]
    if which == "G":
        at, norm = original_weights.place(".".join(layer))
    else:
        at, norm = ("net_" + layer[1], DISCRIMINATOR[layer[2]]), layer[2] in NORMS
    if norm:
        return (*at, {"weight": "scale", "bias": "bias"}[tensor])
    if tensor == "bias":
        return (*at, "bias") if which == "D" and layer[2] == "9" else None
    return (*at, {"weight_orig": "kernel", "weight_u": "u", "weight_v": "v"}[tensor])


def nhwc(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1)


load = functools.cache(Golden)
transformed = jit(geometry.transformed, static_argnums=(1, 2, 3))


def normalized(golden: Golden, which: str, passes: int) -> dict:
    """Parameters with spectral norm applied, as in a network's pass number `passes`."""
    return jit(golden.network(which).normalized)(golden.flat_weights[which][0], golden.iterated(which, passes)[-1])


@pytest.fixture(params=golden_files.names(belongs))
def golden(request) -> Golden:
    return load(request.param)


def test_golden_ingan_plan_and_parameters(golden):
    settings = golden.settings
    assert list(golden.picture.shape[1:3]) == [golden.plan.height, golden.plan.width]
    assert golden.crops.shape[1:3] == (golden.plan.crop_height, golden.plan.crop_width)
    assert golden.plan.num_nets_d == settings["n_D_nets"]
    for which in "GD":
        # Biases in front of a batch normalization are there and not here.
        unused = [
            tensor.size
            for name, tensor in golden.under(f"{which}_state/").items()
            if name.endswith(".bias") and path_of(which, name) is None
        ]
        assert flat.size(golden.network(which).shapes) + sum(unused) == settings[f"params_{which}"]


def test_golden_ingan_crop_is_part_of_the_picture(golden):
    height, width = golden.crops.shape[1:3]
    windows = np.lib.stride_tricks.sliding_window_view(golden.picture[0], (height, width), axis=(0, 1))
    differences = np.abs(windows[:, :, :, ::16, ::16] - golden.crops[0].transpose(2, 0, 1)[:, ::16, ::16])
    assert differences.max(axis=(2, 3, 4)).min() <= 1e-6


def test_golden_ingan_scale_weights(golden):
    iteration, factor = golden.settings["iteration"], golden.config.model.scale_factor_d
    even = golden.config.loss.even_scales_step
    cases = [(golden["draw/scale_weights"], iteration, golden.extent)]
    for name, text in golden.about["descriptions"].items():
        if name.startswith("schedule/weights_"):
            words = text.split()
            at, size = int(words[1].rstrip(",")), tuple(map(int, words[3].split("x")))
            cases.append((golden[name], at, size))
    assert len(cases) > 3
    for expected, at, size in cases:
        there = scales_seen(min(size), factor)
        ours = discriminator.scale_weights(at, there, len(expected), even)
        # The golden array has a weight for each scale of the picture, or for each network where they are fewer.
        assert there >= len(expected)
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_golden_ingan_learning_rate(golden):
    words = golden.about["descriptions"]["schedule/lr_factor"].split("iterations ")[1].split(", ")
    ours = [learning_rate_factor(int(step), golden.config) for step in words]
    np.testing.assert_allclose(ours, golden["schedule/lr_factor"], rtol=1e-5, atol=1e-7)


def test_golden_ingan_geometric_layer(golden):
    x, number = nhwc(golden["geo/in"]), 0
    while f"geo/out_{number}" in golden.arrays:
        text = golden.about["descriptions"][f"geo/out_{number}"]
        s0, s1 = map(float, text.split("shifts (")[1].split(")")[0].split(", "))
        expected, shifts = nhwc(golden[f"geo/out_{number}"]), jnp.array([s0, s1], jnp.float32)
        size = expected.shape[1:3]
        np.testing.assert_allclose(geometry.matrix(shifts), golden[f"geo/theta_{number}"], atol=1e-6)
        ours = transformed(x, x.shape[1:3], size, size, shifts)
        np.testing.assert_allclose(ours, expected, atol=2e-5)
        if s0 == s1 == 0:
            plain = transformed(x, x.shape[1:3], size, size, None)
            np.testing.assert_allclose(plain, expected, atol=2e-5)
        number += 1
    assert number > 2
    expected = nhwc(golden["geo/interpolate_none"])
    size = expected.shape[1:3]
    ours = jit(lambda x: canvas.resized(x, x.shape[1:3], size, size, corners=False))(x)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_golden_ingan_crop_swap(golden):
    """The draws of its sizes say nothing of their range; what changed and what is left out tells the sizes."""
    _, *draws = golden.about["swap_draws_in_order"]
    corners, crop = np.array(draws, np.int32).reshape(2, 2), golden.crops[0, :, :, :1]
    expected, mask = (golden[f"swap/{name}"][0].transpose(1, 2, 0) for name in ("out", "mask"))
    rows, columns, _ = np.nonzero(mask == 0)
    # Bands reach 5 pixels beyond the last edges, of rows those of both rectangles, which stand side by side here.
    sizes = np.array([rows.max() - 4 - corners[0, 0], columns.max() - 4 - corners[1, 1]], np.int32)
    np.testing.assert_array_equal(jit(crop_swap.exchanged)(crop, corners, sizes), expected)
    ours = jit(crop_swap.away_from_edges, static_argnums=0)(crop.shape[:2], corners, sizes)
    np.testing.assert_array_equal(ours, mask)


def test_golden_ingan_features_before_and_after_the_geometric_layer(golden):
    tree = normalized(golden, "G", 1)
    seen = golden.crops + nhwc(golden["draw/noise_G_input"])
    entry = jit(lambda x: generator.entry(tree, x, x.shape[1:3]))(seen)
    shown = nhwc(golden["G_mid/entry"])
    np.testing.assert_allclose(entry[..., : shown.shape[-1]], shown, atol=2e-5)
    moved = transformed(entry, entry.shape[1:3], golden.extent, golden.extent, golden.shifts)
    shown = nhwc(golden["G_mid/transformed"])
    np.testing.assert_allclose(moved[..., : shown.shape[-1]], shown, atol=5e-5)


def test_golden_ingan_generator_turn(golden):
    params_g, params_d = golden.flat_weights["G"][0], golden.flat_weights["D"][0]
    there, back, _ = golden.iterated("G", 3)
    noise = nhwc(golden["draw/noise_G_input"])
    objective = jax.value_and_grad(golden.players.generator_objective, has_aux=True)
    given = (there, back), golden.iterated("D", 1)[0], golden.crops, noise
    (total, (fakes, metrics)), grads = jit(
        lambda params_g, *given: objective(
            params_g, params_d, *given, golden.extent, golden.extent, golden.shifts, golden.weights
        )
    )(params_g, *given)
    np.testing.assert_allclose(fakes, nhwc(golden["G_out/pred"]), atol=2e-5)
    close(metrics["loss_g/adversarial"], golden["loss/G_gan"])
    close(metrics["loss_g/reconstruction"], golden.config.loss.reconstruction_weight * golden["loss/G_rec"])
    close(total, golden["loss/G_total"])
    check_gradients(golden, "G", grads, params_g)

    returned, _ = jit(lambda p, v, x: golden.players.way_back(p, v, x, golden.extent, golden.shifts))(
        params_g, back, nhwc(golden["G_out/pred"])
    )
    np.testing.assert_allclose(returned, nhwc(golden["G_out/reconstruct"]), atol=2e-5)


def test_golden_ingan_extra_inverse_step(golden):
    params, _ = golden.flat_weights["G"]
    fakes = nhwc(golden["G_out/pred"])
    objective = jit(
        jax.value_and_grad(
            lambda params, vectors: golden.players.reconstruction(
                params, vectors, fakes, golden.extent, golden.shifts, golden.crops
            )
        )
    )
    wanted, found = golden.under("grad_G_inverse/"), []
    for vectors in golden.iterated("G", 3):
        value, grads = objective(params, vectors)
        found.append(abs(float(value) / float(golden["loss/G_inverse"]) - 1))
        if found[-1] <= 1e-5:
            break
    assert found[-1] <= 1e-5, found
    tree = flat.unraveller(golden.network("G").shapes)(grads)
    for name, theirs in wanted.items():
        ours = in_original_order(leaf_of(tree, path_of("G", name)))
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max(), name
    assert wanted


def test_golden_ingan_discriminator_turn(golden):
    params, _ = golden.flat_weights["D"]
    first, second = golden.iterated("D", 2)
    reals = golden.crops + golden["draw/noise_real"].transpose(1, 2, 0)
    fakes = nhwc(golden["G_out/pred"]) + nhwc(golden["draw/noise_fake"])
    players = golden.players

    def objective(params):
        real = players.score(params, first, reals, reals.shape[1:3], golden.weights, real=True)
        fake = players.score(params, second, fakes, golden.extent, golden.weights, real=False)
        return (real + fake) / 2, (real, fake)

    (total, (real, fake)), grads = jit(jax.value_and_grad(objective, has_aux=True))(params)
    close(real, golden["loss/D_real"])
    close(fake, golden["loss/D_fake"])
    close(total, golden["loss/D_total"])
    check_gradients(golden, "D", grads, params)


def test_golden_ingan_maps(golden):
    factor = golden.config.model.scale_factor_d
    first, second = (normalized(golden, "D", passes) for passes in (1, 2))
    reals = golden.crops + golden["draw/noise_real"].transpose(1, 2, 0)
    fakes = nhwc(golden["G_out/pred"])
    aggregated = jit(lambda tree, x: discriminator.discriminate(tree, x, x.shape[1:3], golden.weights, factor)[0])
    for kind, tree, images in (
        ("real", first, reals),
        ("fake_for_G", first, fakes),
        ("fake", second, fakes + nhwc(golden["draw/noise_fake"])),
    ):
        np.testing.assert_allclose(aggregated(tree, images), nhwc(golden[f"D_out/{kind}"]), atol=1e-5)
    maps = jit(lambda tree, x: [ours for ours, _ in discriminator.scale_maps(tree, x, x.shape[1:3], factor)])
    for ours, theirs in zip(maps(first, reals), golden.images("D_scale/map_"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for k, theirs in enumerate(golden.images("D_scale/image_")):
        shrunk = jit(lambda x, k=k: discriminator.at_scale(x, x.shape[1:3], factor, k)[0])(reals)
        np.testing.assert_allclose(shrunk, theirs, atol=1e-5)


def test_golden_ingan_whole_picture_as_run(golden):
    """The original's test resizes without the geometric layer: half-pixel centres."""
    tree = normalized(golden, "G", 1)
    expected, extent = nhwc(golden["test/out"]), golden.picture.shape[1:3]
    size = tuple(map(int, golden["test/size_hw"]))
    resize = functools.partial(canvas.resized, extent=extent, canvas=size, wanted=size, corners=False)
    ours = jit(lambda x: generator.generate(tree, x, extent, resize, size))(golden.picture)
    np.testing.assert_allclose(ours, expected, atol=5e-5)


def close(ours, theirs, tolerance=1e-5):
    assert abs(float(ours) - float(theirs)) <= tolerance * abs(float(theirs)), (float(ours), float(theirs))


def check_gradients(golden, which, grads, params):
    """Gradients, and the parameters after one Adam step from them, per tensor of the original."""
    optim = golden.config.optim
    rate = {"G": optim.lr_g, "D": optim.lr_d}[which]
    optimizer = adam.make_optimizer(rate, optim.beta1, optim.beta2, optim.eps)
    stepped, _ = jit(lambda g, p: adam.optimizer_step(optimizer, g, optimizer.init(p), p))(grads, params)
    tree, after_tree = map(flat.unraveller(golden.network(which).shapes), (grads, stepped))
    compared = 0
    for name, theirs in golden.under(f"grad_{which}/").items():
        full, path = f"grad_{which}/{name}", path_of(which, name)
        if full in golden.no_gradient:
            continue
        assert path is not None, full
        exact = golden.double.get(full, theirs)
        ours = in_original_order(leaf_of(tree, path))
        assert np.abs(ours - exact).max() <= 2e-3 * np.abs(exact).max(), full
        compared += 1
        if f"adam_{which}/{name}" not in golden.arrays:
            continue
        after = in_original_order(leaf_of(after_tree, path))
        # Adam's first step is nearly lr * sign(g): where g is rounding noise so is the sign.
        clear = np.abs(exact) > 1e-3 * np.abs(exact).max()
        assert np.abs(after - golden[f"adam_{which}/{name}"])[clear].max() <= 2e-6, full
    assert compared > 20


def leaf_of(tree: dict, path: tuple[str, ...]) -> np.ndarray:
    return np.asarray(functools.reduce(lambda part, key: part[key], path, tree))


def in_original_order(array: np.ndarray) -> np.ndarray:
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
