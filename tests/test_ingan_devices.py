"""InGAN on several devices: they train as one does with equal draws, and stay alike."""

import functools

import jax
import numpy as np

from siv_jax import config as config_lib
from siv_jax.data import open_source
from siv_jax.models.ingan import family
from siv_jax.models.ingan.config import Config
from siv_jax.models.interface import AXIS
from siv_jax.train import devices
from siv_jax.train.step_shapes import StepShapes

DEVICES, STEPS = 2, 3
KEY = np.array([0, 7], np.uint32)
CONFIG = config_lib.with_overrides(
    Config(),
    {
        "batch_size": DEVICES,
        "data.path": "example:balloons",
        "data.max_size": 48,
        "model.ch_g": 4,
        "model.ch_d": 4,
        "model.num_blocks_g": 1,
        "model.num_downscales_g": 1,
        "model.max_nets_d": 1,
        "transform.crop": 24,
        "transform.min_scale": 0.7,
        "transform.max_scale": 1.5,
        "transform.growth_steps": 0,
        "transform.canvases": 1,
        "transform.swap_probability": 0.5,
        "transform.swap_min_side": 8,
        "transform.swap_max_side": 12,
        "loss.inverse_start": 0,
    },
)
SOURCE = open_source(CONFIG.data)


def test_devices_train_as_one_with_equal_draws():
    """A size of its own on each device, all on one canvas; gradients are averaged, batch statistics are not."""
    [stage] = family.stages(CONFIG, family.plan(CONFIG, SOURCE), DEVICES)
    data = stage.data(SOURCE)
    start = stage.init(KEY, data)
    program = devices.Program(stage, devices.use(DEVICES))
    program.compile(start, data, KEY)
    found, totals, _ = program.advance(program.put(start), program.zero_totals(), program.put(data), KEY, 0, STEPS)
    states = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf.addressable_data(i))[0], found) for i in range(DEVICES)]
    for other in states[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, states[0])

    (shape,) = {StepShapes(stage, DEVICES).at(KEY, step) for step in range(STEPS)}
    expected, sums = on_one_device(functools.partial(stage.step, shape=shape), start, data)
    for name in ("params_g", "params_d"):
        first, ours, theirs = (getattr(state, name) for state in (start, states[0], expected))
        moved = np.mean(np.abs(theirs - first))
        assert moved > 0
        # Where a gradient is all rounding, Adam's step of one learning rate may go either way.
        assert np.mean(np.abs(ours - theirs)) < 0.02 * moved, name
    for name, total in sums.items():
        np.testing.assert_allclose(program.fetch(totals)[name], total, rtol=1e-3, err_msg=name)
        assert np.isfinite(total)


def on_one_device(step, start, data):
    """The same steps with the shards side by side on one device: the state, and sums of the metrics."""

    def one(state, index, at):
        key = jax.random.fold_in(jax.random.wrap_key_data(KEY, impl="threefry2x32"), at)
        return step(state, data, jax.random.fold_in(key, index), at)

    state, order = jax.tree.map(lambda leaf: np.stack([leaf] * DEVICES), start), np.arange(DEVICES)
    together = jax.jit(jax.vmap(one, in_axes=(0, 0, None), axis_name=AXIS))
    compiled = together.lower(state, order, np.int32(0)).compile(compiler_options=devices.compiler_options())
    sums = {}
    for at in range(STEPS):
        state, metrics = compiled(state, order, np.int32(at))
        sums = {name: sums.get(name, 0.0) + float(values[0]) for name, values in metrics.items()}
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], state), sums
