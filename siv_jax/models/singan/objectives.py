"""What the two players of one scale minimise."""

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.models.singan import network
from siv_jax.models.singan.chain import Chain
from siv_jax.models.singan.config import Config
from siv_jax.nn.gradient_penalty import gradient_penalty


@struct.dataclass
class StepFrame:
    """What all turns of a step share: its frame, of one picture always the same. Pictures float32 [1, H, W, C]."""

    real: jax.Array
    previous: jax.Array  # reconstruction of the scales below, as this scale gets it
    z_star: jax.Array  # noise of the reconstruction at this scale, see Chain
    amplitude: jax.Array  # [] of this scale's noise


class Players:
    """The generator and the discriminator of a scale.

    Attributes:
      generator, discriminator: networks.
    """

    def __init__(self, chain: Chain, scale: int, config: Config):
        self._chain, self._loss = chain, config.loss
        self.generator = chain.generators[scale]
        self.discriminator = network.make(chain.plan.channels, chain.plan.widths[scale], 1)

    def fake(self, params_g, noise, amplitude, previous):
        """(pictures, statistics of each, inputs of all operations) in training; see `Network.in_training`."""
        return self._generated(params_g, self._chain.input(noise, amplitude, previous), previous)

    def discriminator_objective(self, params_d, real, fake, alpha):
        """(loss, metrics): WGAN with the gradient penalty at alpha real + (1 - alpha) fake."""

        def judge(images):
            return self.discriminator.in_training(params_d, images)[0]

        maps = judge(jnp.concatenate([real, fake]))
        parts = {"real": -jnp.mean(maps[:1]), "fake": jnp.mean(maps[1:])}
        parts["penalty"] = self._loss.gradient_penalty * gradient_penalty(judge, real, fake, alpha)
        total = sum(parts.values())
        return total, {"loss_d": total} | {f"loss_d/{part}": value for part, value in parts.items()}

    def generator_objective(self, params_g, params_d, frame: StepFrame, noise, previous, stored_inputs=()):
        """(loss, (metrics, statistics of the random pictures and of the reconstruction)): WGAN plus alpha times MSE."""
        inputs = [self._chain.input(noise, frame.amplitude, previous), self.frame_input(frame)]
        below = jnp.concatenate([previous, frame.previous])
        pictures, stats, _ = self._generated(params_g, jnp.concatenate(inputs), below, stored_inputs)
        fake, restored = pictures[:-1], pictures[-1:]
        adversarial = -jnp.mean(self.discriminator.in_training(params_d, fake)[0])
        error = jnp.mean(jnp.square(restored - frame.real))
        total = adversarial + self._loss.reconstruction * error
        metrics = {"loss_g": total, "loss_g/adversarial": adversarial, "reconstruction": jnp.sqrt(error)}
        return total, (metrics, stats[:-1], stats[-1:])

    def frame_input(self, frame: StepFrame) -> jax.Array:
        """What the network gets for the reconstruction."""
        return self._chain.input(frame.z_star, frame.amplitude, frame.previous)

    def _generated(self, params_g, x, previous, stored_inputs=()):
        output, stats, inputs = self.generator.in_training(params_g, x, stored_inputs)
        return jnp.tanh(output) + previous, stats, inputs
