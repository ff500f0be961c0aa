"""The training of InGAN: one stage, whose step is the generator's turn or turns, then the discriminator's."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from siv_jax.data import Source
from siv_jax.models.ingan import crop_swap, discriminator, transform
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.network import normalized_part
from siv_jax.models.ingan.objectives import Metrics, Players
from siv_jax.models.ingan.plan import Plan
from siv_jax.models.ingan.transform import Transform
from siv_jax.nn import adam, flat, spectral_norm
from siv_jax.nn.frames import choose_frames, to_float
from siv_jax.nn.shared_batch import averaging

_NOISE = 1 / 255  # bound of the uniform noise on what both players see


@struct.dataclass
class TrainState:
    """One run between two steps. Networks are flat float32 vectors, see `Network`."""

    params_g: jax.Array  # [G]
    params_d: jax.Array  # [D]
    opt_g: optax.OptState  # Adam's count int32 [] and moments [G]
    opt_d: optax.OptState
    vectors_g: jax.Array  # spectral norm's u and v
    vectors_d: jax.Array
    pictures: jax.Array  # [N, H, W, C], what is learnt, uint8 or float32 in [-1, 1]; samples start from it


class Training:
    """The only stage of InGAN (a `siv_jax.models.interface.Stage`)."""

    def __init__(self, plan: Plan, config: Config, shards: int = 1):
        """`config.batch_size` is shared out over `shards` devices, each of which draws sizes of its own."""
        self.num_steps = config.num_steps
        self._plan, self._averaged = plan, averaging(shards)
        self._config = dataclasses.replace(config, batch_size=config.batch_size // shards)
        self._players = Players(plan, self._config)

    def data(self, source: Source) -> np.ndarray:
        """The frames [N, H, W, C] at the plan's size, uint8 or float32 in [-1, 1]."""
        return source.resized(self._plan.height, self._plan.width)

    def init(self, key: np.ndarray, data: np.ndarray, previous: None = None) -> TrainState:
        """The state before the first step, as numpy arrays; see `Network`."""
        rng = np.random.Generator(np.random.Philox(int(key[1])))
        networks = self._players.generator, self._players.discriminator
        params = [network.init_params(rng) for network in networks]
        vectors = [flat.joined(spectral_norm.init(normalized_part(tree), rng)) for tree in params]
        params = list(map(flat.joined, params))
        return TrainState(
            params_g=params[0],
            params_d=params[1],
            opt_g=adam.initial(self._optimizer(0.0), params[0]),
            opt_d=adam.initial(self._optimizer(0.0), params[1]),
            vectors_g=vectors[0],
            vectors_d=vectors[1],
            pictures=data,
        )

    def shape(self, key: jax.Array, step: jax.Array) -> jax.Array:
        """int32 [3]: height and width of the canvas of a step, and whether the generator takes its extra turn."""
        loss, transforms = self._config.loss, self._config.transform
        drawn = transform.drawn(_transform_draw(key), step, self._plan, transforms, transform.canvases(self._plan)[-1])
        extra = (step >= loss.inverse_start) & (loss.inverse_weight > 0)
        return jnp.stack([*transform.canvas_of(drawn, self._plan), extra.astype(jnp.int32)])

    def step(
        self, state: TrainState, data: jax.Array, key: jax.Array, step: jax.Array, shape: tuple[int, int, int]
    ) -> tuple[TrainState, Metrics]:
        """One update of both players, or two of the generator; metrics are losses by part. For `shape` see there."""
        players, canvas_size, noise_key = self._players, shape[:2], jax.random.fold_in(key, 1)
        drawn = transform.drawn(_transform_draw(key), step, self._plan, self._config.transform, canvas_size)
        crops = self._crops(data, jax.random.fold_in(key, 2))
        seen_crops, swap = self._swapped(crops, jax.random.fold_in(key, 3))
        weights = self._scale_weights(drawn, step)
        optim, factor = self._config.optim, learning_rate_factor(step, self._config)
        rates = optim.lr_g * factor, optim.lr_d * factor
        # Each pass iterates the spectral norm once (as run): weights start out so small that they soon change much.
        vectors_g = _iterated(players.generator, state.params_g, state.vectors_g, 2)
        vectors_d = _iterated(players.discriminator, state.params_d, state.vectors_d, 3)

        noise = _noise(jax.random.fold_in(noise_key, 0), crops.shape)
        grads_g, (fakes, metrics) = jax.grad(players.generator_objective, has_aux=True)(
            state.params_g,
            state.params_d,
            vectors_g,
            vectors_d[0],
            seen_crops,
            noise,
            canvas_size,
            drawn.extent,
            drawn.shifts,
            weights,
            swap,
        )
        generator = (*self._updated(grads_g, state.opt_g, state.params_g, rates[0]), vectors_g[-1])
        metrics["loss_inverse"] = jnp.float32(0)
        if shape[2]:
            way_back = fakes, drawn.extent, drawn.shifts, seen_crops, swap
            generator, metrics["loss_inverse"] = self._extra_turn(generator, rates[0], way_back)

        seen = crops + _noise(jax.random.fold_in(noise_key, 1), crops.shape[1:])
        score = jax.value_and_grad(players.score)
        real, grads_real = score(state.params_d, vectors_d[1], seen, crops.shape[1:3], weights, real=True)
        seen = fakes + _noise(jax.random.fold_in(noise_key, 2), fakes.shape)
        fake, grads_fake = score(state.params_d, vectors_d[2], seen, drawn.extent, weights, real=False)
        params_d, opt_d = self._updated((grads_real + grads_fake) / 2, state.opt_d, state.params_d, rates[1])
        metrics |= {"loss_d": (real + fake) / 2, "loss_d/real": real / 2, "loss_d/fake": fake / 2}
        params_g, opt_g, last_vectors_g = generator
        return TrainState(
            params_g=params_g,
            params_d=params_d,
            opt_g=opt_g,
            opt_d=opt_d,
            vectors_g=last_vectors_g,
            vectors_d=vectors_d[-1],
            pictures=state.pictures,
        ), self._averaged(metrics)

    def weights(self, state: TrainState) -> dict[str, jax.Array]:
        """The generator, its spectral-norm vectors, and the pictures that samples start from."""
        return {"params_g": state.params_g, "vectors_g": state.vectors_g, "pictures": state.pictures}

    def _extra_turn(self, generator, rate: jax.Array, way_back: tuple):
        """The generator after a step on the way back alone; and its loss.

        Args:
          generator: (params, optimizer state, spectral-norm vectors).
          way_back: further arguments of `Players.reconstruction`.
        """
        players, (params, opt, vectors) = self._players, generator
        vectors = players.generator.power_step(params, vectors)

        def objective(params):
            return self._config.loss.inverse_weight * players.reconstruction(params, vectors, *way_back)

        value, grads = jax.value_and_grad(objective)(params)
        return (*self._updated(grads, opt, params, rate), vectors), value

    def _updated(self, grads: jax.Array, opt: optax.OptState, params: jax.Array, rate: jax.Array):
        """(params, optimizer state) after a step along the gradients of all shards."""
        return adam.optimizer_step(self._optimizer(rate), self._averaged(grads), opt, params)

    def _crops(self, data: jax.Array, key: jax.Array) -> jax.Array:
        """float32 [B, h, w, C]: a part of each chosen frame, every place as likely (as run the last is left out)."""
        plan, batch = self._plan, self._config.batch_size
        uniform = jax.random.uniform(key, (2 * batch + data.shape[0],))
        frames = choose_frames(uniform[2 * batch :], data, batch)
        room = jnp.array([plan.height - plan.crop_height, plan.width - plan.crop_width], jnp.float32)
        corners = jnp.minimum(jnp.floor(uniform[: 2 * batch].reshape(batch, 2) * (room + 1)), room).astype(jnp.int32)
        size = (plan.crop_height, plan.crop_width, plan.channels)
        crops = [jax.lax.dynamic_slice(frames[i], (corners[i, 0], corners[i, 1], 0), size) for i in range(batch)]
        return to_float(jnp.stack(crops))

    def _swapped(self, crops: jax.Array, key: jax.Array) -> tuple[jax.Array, crop_swap.Swap | None]:
        """What the generator sees of the crops; the discriminator sees them as they are."""
        transforms = self._config.transform
        return crop_swap.drawn(key, crops, transforms) if transforms.swap_probability else (crops, None)

    def _scale_weights(self, drawn: Transform, step: jax.Array) -> jax.Array:
        plan, factor = self._plan, self._config.model.scale_factor_d
        largest = max(plan.canvas_heights[-1], plan.canvas_widths[-1])
        there = discriminator.num_scales(drawn.extent, factor, largest)
        return discriminator.scale_weights(step, there, plan.num_nets_d, self._config.loss.even_scales_step)

    def _optimizer(self, rate: jax.Array | float) -> optax.GradientTransformation:
        optim = self._config.optim
        return adam.make_optimizer(rate, optim.beta1, optim.beta2, optim.eps)


def learning_rate_factor(step: jax.Array | int, config: Config) -> jax.Array:
    """1 up to optim.decay_start, then in a line to 0 at optim.decay_end."""
    optim = config.optim
    left = (optim.decay_end - jnp.asarray(step, jnp.float32)) / (optim.decay_end - optim.decay_start)
    return jnp.clip(left, 0.0, 1.0)


def _iterated(network, params: jax.Array, vectors: jax.Array, count: int) -> list[jax.Array]:
    """Spectral-norm vectors after 1 to `count` more power iterations."""
    found = []
    for _ in range(count):
        vectors = network.power_step(params, vectors)
        found.append(vectors)
    return found


def _transform_draw(key: jax.Array) -> jax.Array:
    """The uniform numbers of a step's transform, float32 [4]."""
    return jax.random.uniform(jax.random.fold_in(key, 0), (4,))


def _noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(key, shape, minval=-_NOISE, maxval=_NOISE)
