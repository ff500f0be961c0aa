"""The toy family: stage 0 learns the picture at half size, stage 1 what is missing at full size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.interface import AXIS, Samples

title = "Toy"
inputs = frozenset({"image"})
headline = {"error": "error"}
lighter = "batch_size"


@dataclasses.dataclass(frozen=True)
class Plan:
    height: int
    width: int
    channels: int


def _enlarged(scale, size):
    return jax.image.resize(scale, (*size, scale.shape[-1]), "nearest")


class Stage:
    def __init__(self, config, plan, number, shards):
        self.num_steps, self._shards = config.model.steps_per_stage, shards
        self._size = plan.height >> (1 - number), plan.width >> (1 - number)

    def data(self, source):
        frames = source.resized(*self._size)
        return frames.astype(np.float32) / 127.5 - 1 if frames.dtype == np.uint8 else frames

    def init(self, key, data, previous):
        return {"scales": [*(previous["scales"] if previous else []), np.zeros(data.shape[1:], np.float32)]}

    def step(self, state, data, key, step):
        *coarse, finest = state["scales"]
        known = sum((_enlarged(scale, self._size) for scale in coarse), jnp.zeros(finest.shape, jnp.float32))
        seen = data[0] + 0.1 * jax.random.normal(key, finest.shape)
        seen = jax.lax.pmean(seen, AXIS) if self._shards > 1 else seen
        error = seen - known - finest
        return {"scales": [*coarse, finest + 0.1 * error]}, {"error": jnp.mean(jnp.square(error))}

    def weights(self, state):
        return state


class Sampler:
    num_scales = 2
    tasks = frozenset({"size", "image", "start_scale", "super_resolution", "animation"})

    def __init__(self, plan):
        self._size = plan.height, plan.width

    def noise(self, seed, start, count, size=None):
        rows = [np.random.default_rng([seed, i]).normal(size=(2,)) for i in range(start, start + count)]
        return np.array(rows, np.float32)

    def draw(self, weights, noise, size=None, image=None, start_scale=0):
        size, scales = size or self._size, weights["scales"]
        if image is not None:  # in place of what the scales below would give
            scales = [jax.image.resize(image[0], (*size, image.shape[-1]), "linear"), *scales[start_scale:]]
        learnt = sum(_enlarged(scale, size) for scale in scales)
        return Samples(jnp.clip(learnt + 0.2 * noise[:, :1, None, None], -1, 1))

    def animation(self, weights, seed, count, start_scale, strength, smoothness):
        return (1 - strength) * (1 - smoothness) * (2 - start_scale) * self.noise(seed, 0, count)


def plan(config, source):
    share = min(1, config.data.max_size / max(source.size))
    return Plan(*(max(2, int(side * share) // 2 * 2) for side in source.size), source.channels)


def stages(config, plan, shards=1):
    return [Stage(config, plan, number, shards) for number in (0, 1)]


def sampler(config, plan):
    return Sampler(plan)


def memory(config, plan, num_frames, shards=1):
    return 16 * plan.height * plan.width * plan.channels


def describe(config, plan, source):
    return []
