"""SinGAN against the arrays of the published code, every file of them there is: see tests/golden.py."""

import functools

import golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import singan_arrays as arrays

from siv_jax.models.singan.objectives import Players, StepFrame
from siv_jax.models.singan.sampler import FIRST_STEP, Sampler
from siv_jax.models.singan.step import Draws, ScaleTraining, TrainState
from siv_jax.nn import adam, pyramid_resize
from siv_jax.nn.gradient_penalty import gradient_penalty
from siv_jax.nn.walk import walk

# Compiling takes nearly all of these tests' time.
QUICKLY = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):
    QUICKLY["xla_cpu_use_fusion_emitters"] = False

NAMES = golden.names(
    lambda name, about: about.get("system") == "SinGAN" and "picture/input" in golden.Arrays(name).arrays
)
REPLAYS = [
    (name, variant, source)
    for source in NAMES
    for name, variant in ((source, "stale"), (source.replace("singan", "replay_singan_fresh", 1), "recomputed"))
    if (golden.FOLDER / f"{name}.npz").exists()
]


def num_scales(name):
    return len(golden.about(name)["sizes_HxW"])


SCALES = [(name, scale) for name in NAMES for scale in range(num_scales(name))]
PROBED = [(name, scale) for name, scale in SCALES if scale in (0, num_scales(name) - 1)]


def compiled(function, *args):
    return jax.jit(function).lower(*args).compile(compiler_options=QUICKLY)(*args)


def close(found, expected, tolerance, double=None):
    """Within `tolerance` of the largest value; of an array that float32 makes inexact, within that inexactness."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    allowed = tolerance * max(1e-12, np.abs(expected).max())
    if double is not None:
        allowed += 3 * np.abs(expected - double).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)


def frame_of(name, scale, amplitude, previous):
    source = arrays.load(name)
    z_star = arrays.nhwc(source[f"s{scale}/z_opt"])[:, 5:-5, 5:-5, : 1 if scale == 0 else None]
    return StepFrame(arrays.nhwc(source[f"s{scale}/real"]), previous, z_star, np.float32(amplitude))


@pytest.mark.parametrize("name", NAMES)
def test_golden_singan_plan_and_pyramid(name):
    config = arrays.config_of(name, "stale")
    plan, about, source = arrays.plan_of(name, config), golden.about(name), arrays.load(name)
    assert [list(size) for size in plan.sizes] == about["sizes_HxW"]
    assert plan.finest == about["plan"]["stop_scale"]
    assert plan.factor == pytest.approx(about["plan"]["scale_factor"], abs=1e-12)
    assert plan.picture_factor == pytest.approx(about["plan"]["scale1"], abs=1e-12)
    picture = pyramid_resize.by_factor(arrays.nhwc(source["picture/input"]), plan.picture_factor)
    np.testing.assert_allclose(picture, arrays.nhwc(source["picture/real_at_max_size"]), atol=1e-6)
    for scale in range(len(plan.sizes)):
        real = pyramid_resize.by_factor(picture, plan.factor ** (plan.finest - scale))
        np.testing.assert_allclose(real, arrays.nhwc(source[f"s{scale}/real"]), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_golden_singan_counts_of_parameters(name):
    chain = arrays.chain(name, arrays.config_of(name, "stale"))
    counts = golden.about(name)["params_G"]
    for network, width, count in zip(chain.generators, chain.plan.widths, counts, strict=True):
        ours = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(network.shapes))
        assert ours + 4 * width == count  # the biases before a normalisation


def judged(players, params_d, images):
    return players.discriminator.in_training(params_d, images)[0]


@functools.cache
def probed(name, scale):
    """What one pass of the finished networks gives, and all gradients; with the arrays to compare."""
    source, config = arrays.load(name), arrays.config_of(name, "stale")
    probe = source.under(f"s{scale}/probe/")
    players = Players(arrays.chain(name, config), scale, config)
    params = [arrays.params(source.under(f"s{scale}/final/{player}/")) for player in "GD"]
    noise, alpha = arrays.nhwc(probe["noise"])[..., : 1 if scale == 0 else None], probe["alpha"].reshape(())
    nothing = np.zeros(source[f"s{scale}/real"].shape, np.float32)
    previous, restored = (arrays.nhwc(probe.get(key, nothing)) for key in ("prev", "rec_prev"))
    frame = frame_of(name, scale, source[f"s{scale}/noise_amp"], restored)
    weight = config.loss.gradient_penalty

    def run(params_g, params_d):
        fake, *_ = players.fake(params_g, noise, frame.amplitude, previous)
        rec, *_ = players.fake(params_g, frame.z_star, frame.amplitude, restored)
        of_d, metrics_d = jax.grad(players.discriminator_objective, has_aux=True)(params_d, frame.real, fake, alpha)
        of_g, (metrics_g, *_) = jax.grad(players.generator_objective, has_aux=True)(
            params_g, params_d, frame, noise, previous
        )
        of_penalty = jax.grad(
            lambda params_d: (
                weight * gradient_penalty(functools.partial(judged, players, params_d), frame.real, fake, alpha)
            )
        )(params_d)
        maps = [judged(players, params_d, images) for images in (frame.real, fake)]
        pictures = {"G_fake": fake, "G_rec": rec, "D_real": maps[0], "D_fake": maps[1]}
        return pictures, metrics_d | metrics_g, {"grad_D": of_d, "grad_G": of_g, "grad_gp/D": of_penalty}

    return compiled(run, *params), probe


@pytest.mark.parametrize(("name", "scale"), PROBED)
def test_golden_singan_forward(name, scale):
    (pictures, _, _), probe = probed(name, scale)
    for key, found in pictures.items():
        close(found, arrays.nhwc(probe[key]), 1e-4)


@pytest.mark.parametrize(("name", "scale"), PROBED)
def test_golden_singan_losses(name, scale):
    (_, metrics, _), probe = probed(name, scale)
    alpha = arrays.config_of(name, "stale").loss.reconstruction
    total = probe["loss/D_total"]
    parts = {
        "loss_d/real": probe["loss/D_real"],
        "loss_d/fake": probe["loss/D_fake"],
        "loss_d/penalty": probe["loss/gp"],
        "loss_d": total,
        "loss_g/adversarial": probe["loss/G_adv"],
    }
    for key, expected in parts.items():
        np.testing.assert_allclose(metrics[key], expected.reshape(()), rtol=1e-4, atol=1e-5 * abs(total).max())
    np.testing.assert_allclose(alpha * metrics["reconstruction"] ** 2, probe["loss/G_rec"].reshape(()), rtol=1e-4)


@pytest.mark.parametrize(("name", "scale"), PROBED)
def test_golden_singan_gradients_and_penalty(name, scale):
    (_, _, slopes), probe = probed(name, scale)
    doubles = arrays.load(name).double
    compared = 0
    for key, found in slopes.items():
        prefix = f"{key}/"
        expected = {path[len(prefix) :]: value for path, value in probe.items() if path.startswith(prefix)}
        if not expected:
            continue
        whole = f"s{scale}/probe/{prefix}"
        double = {path[len(whole) :]: value for path, value in doubles.items() if path.startswith(whole)}
        close(found, arrays.params(expected), 1e-3, arrays.params(double) if double else None)
        compared += 1
    assert compared >= 2


@pytest.mark.parametrize(
    ("name", "variant", "source", "scale"), [(*case, i) for case in REPLAYS for i in range(num_scales(case[2]))]
)
def test_golden_singan_replay(name, variant, source, scale):
    """All steps of a scale, from where the published code entered it. The second variant fakes are drawn anew.

    The scales below are taken as recorded: their running means hold biases that follow rounding alone.
    """
    given, results, config = arrays.load(source), arrays.load(name), arrays.config_of(source, variant)
    training = ScaleTraining(arrays.plan_of(source, config), config, scale)
    real, state = arrays.nhwc(given[f"s{scale}/real"]), begun(training, name, source, scale)
    if scale:
        np.testing.assert_allclose(state.amplitudes[-1], results[f"s{scale}/noise_amp"], atol=2e-4)
        state = state.replace(amplitudes=arrays.weights(name, scales=scale + 1)["amplitudes"])
    steps = [Draws(**draws) for draws in arrays.draws(source, scale, config.optim.turns_d)]
    update = jax.jit(training.update).lower(state, real, steps[0], jnp.int32(0)).compile(compiler_options=QUICKLY)
    for number, draws in enumerate(steps):
        state, _ = update(state, real, draws, jnp.int32(number))
        if number == 0 and variant == "stale":
            for player, params in (("G", state.params_g), ("D", state.params_d)):
                turns = given.under(f"s{scale}/it0/param_{player}/after_step3/")
                same_weights(params, arrays.params(turns), player)
    for player, params in (("G", state.params_g), ("D", state.params_d)):
        same_weights(params, arrays.params(results.under(f"s{scale}/final/{player}/")), player)
    variances = slice(len(state.stats_g) // 2, None)
    expected = arrays.scale_weights(name, scale)["stats"]
    np.testing.assert_allclose(state.stats_g[variances], expected[variances], rtol=0, atol=2e-3)
    np.testing.assert_allclose(state.stats_g, expected, atol=5e-3)


def same_weights(found, expected, player):
    """Within 2e-3, but for 2 in 1,000 weights, which are within 5e-3.

    Where a picture between scales lies within rounding of a level, it may differ by that level in a few pixels; Adam
    then moves weights of tiny gradients the other way. The last bias of a discriminator, the first number, has no
    gradient.
    """
    differences = np.abs(np.asarray(found) - expected)[1 if player == "D" else 0 :]
    assert differences.max() < 5e-3 and np.mean(differences > 2e-3) < 0.002, (differences.max(), differences.mean())


def begun(training, name, source, scale) -> TrainState:
    """The state with which a scale is entered."""
    given, previous = arrays.load(source), None
    if scale:
        below = arrays.weights(name, scales=scale)
        *older, newest = below["scales"]
        params_d = arrays.params(arrays.load(name).under(f"s{scale - 1}/final/D/"))
        networks = {"params_g": newest["params"], "stats_g": newest["stats"], "params_d": params_d}
        others = {"previous": None, "opt_g": None, "opt_d": None}
        previous = TrainState(older, below["amplitudes"], below["z_star"], **networks, **others)
    state = training.init(np.zeros(2, np.uint32), arrays.nhwc(given[f"s{scale}/real"]), previous)
    fresh = {player: given.under(f"s{scale}/init/{player}/") for player in "GD"}
    if fresh["G"]:
        params_g, params_d = (arrays.params(fresh[player]) for player in "GD")
        return state.replace(params_g=params_g, params_d=params_d, stats_g=arrays.stats(fresh["G"]))
    return state


@pytest.mark.parametrize("name", NAMES)
def test_golden_singan_gradients_of_the_first_turns(name):
    """Adam's first moments after one turn are half the gradient."""
    source, config = arrays.load(name), arrays.config_of(name, "stale")
    for player in "GD":
        before = arrays.params(arrays.start(name, 0, player))
        slopes = arrays.params(source.under(f"s0/it0/grad_{player}/step1/"))
        optimizer = adam.make_optimizer(5e-4, config.optim.beta1, config.optim.beta2, config.optim.eps)
        after, _ = adam.optimizer_step(optimizer, slopes, adam.initial(optimizer, before), before)
        np.testing.assert_allclose(after, arrays.params(source.under(f"s0/it0/param_{player}/after_step1/")), atol=1e-6)


@functools.cache
def sampler_of(name):
    config = arrays.config_of(name, "stale")
    return Sampler(arrays.plan_of(name, config), config.model)


def noises_of(name, prefix):
    found = arrays.load(name).under(f"{prefix}noise/")
    return [arrays.nhwc(found[key]) for key in sorted(found, key=int)]


def flat_noise(noises):
    """As the sampler takes it."""
    return np.concatenate([np.ravel(noise) for noise in noises])[None]


def same_picture(found, expected):
    """Equal, but for pixels where a value lay on the border of two of 256 levels between scales."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.mean(np.abs(found - expected) > 1e-4) < 0.01 and np.abs(found - expected).max() < 0.02


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in NAMES for kind in ("native", "wide", "tall", "start2")]
)
def test_golden_singan_samples(name, kind):
    weights, noises = arrays.weights(name), noises_of(name, f"sample/{kind}/")
    expected = arrays.nhwc(arrays.load(name)[f"sample/{kind}/out"])
    if kind in ("native", "start2"):
        sampler, start = sampler_of(name), 2 if kind == "start2" else 0
        noise = flat_noise(noises)
        assert noise.shape == sampler.noise(0, 0, 1).shape
        found = compiled(lambda weights, noise: sampler.draw(weights, noise, start_scale=start), weights, noise).images
        same_picture(found, expected.clip(-1, 1))
        return
    # Sizes of these come from two factors, whose rounding the size of the picture alone does not tell.
    chain, sizes = arrays.chain(name, arrays.config_of(name, "stale")), [noise.shape[1:3] for noise in noises]
    assert all(
        abs(a - b) <= 1
        for ours, size in zip(chain.sizes(sizes[-1]), sizes, strict=True)
        for a, b in zip(ours, size, strict=True)
    )
    found = compiled(
        lambda weights, noises: chain.climb(**weights, noises=noises, sizes=sizes),
        {key: weights[key] for key in ("scales", "amplitudes")},
        noises,
    )
    same_picture(found[-1], expected)


@pytest.mark.parametrize("name", NAMES)
def test_golden_singan_injection(name):
    source, sampler, weights = arrays.load(name), sampler_of(name), arrays.weights(name)
    start, image = int(source["inject/start_scale"]), arrays.nhwc(source["inject/ref"])
    chain, size = arrays.chain(name, arrays.config_of(name, "stale")), source["inject/out"].shape[2:]
    same_picture(chain.injected(image, start, size), arrays.nhwc(source["inject/in_s"]))
    resized = pyramid_resize.to_size(image, size)
    np.testing.assert_allclose(resized, arrays.nhwc(source["inject/ref_resized"]), atol=1e-6)
    given = source.under("inject/noise/")
    noises = [
        arrays.nhwc(given[str(i)]) if str(i) in given else np.zeros(noise.shape, np.float32)
        for i, noise in enumerate(sampler.split(jnp.asarray(sampler.noise(0, 0, 1))))
    ]
    noise = flat_noise(noises)
    found = compiled(
        lambda weights, noise: sampler.draw(weights, noise, image=image, start_scale=start), weights, noise
    )
    same_picture(found.images, arrays.nhwc(source["inject/out"]).clip(-1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_golden_singan_super_resolution(name):
    source, sampler, weights = arrays.load(name), sampler_of(name), arrays.weights(name)
    image, expected = arrays.nhwc(source[f"s{num_scales(name) - 1}/real"]), arrays.nhwc(source["sr/out"])
    noises, size = noises_of(name, "sr/"), expected.shape[1:3]
    assert [noise.shape[1:] for noise in noises] == sampler.steps_shapes(image.shape[1:3], size)
    found = compiled(
        lambda weights, image, noises: sampler.enlarged(weights, image, size, noises), weights, image, noises
    )
    same_picture(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_golden_singan_animation(name):
    source, about = arrays.load(name), golden.about(name)["plan"]["animation"]
    weights, frames = arrays.weights(name, "animation/"), source["animation/frames"]
    config = arrays.config_of(name, "stale")
    sizes = tuple(map(tuple, about["sizes"]))
    plan = type(arrays.plan_of(name, config))(
        *sizes[-1],
        weights["z_star"].shape[-1] * frames.shape[-1],
        1.0,
        about["scale_factor"],
        sizes,
        tuple(len(source[f"animation/s{i}/G/head.conv.bias"]) for i in range(len(sizes))),
    )
    sampler = Sampler(plan, type(config.model)(noise_padding=True))
    recorded = source.under("animation/noise/")
    draws = [arrays.nhwc(recorded[key]) for key in sorted(recorded)]
    turns = len(frames) + 1
    steps = np.stack(
        [np.concatenate([draws[scale * turns + turn].ravel() for scale in range(len(sizes))]) for turn in range(turns)]
    )
    still = np.zeros_like(steps[0])
    still[: weights["z_star"].size] = weights["z_star"].ravel()
    noise = walk(still, steps, weights["z_star"].size, FIRST_STEP, 0.1, 0.85)
    images = compiled(lambda weights, noise: sampler.draw(weights, noise), weights, noise).images
    levels = np.clip((np.asarray(images) + 1) / 2, 0, 1) * 255
    assert np.mean(np.abs(levels - frames) > 1.001) < 0.01
