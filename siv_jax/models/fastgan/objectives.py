"""What both players minimise, as functions of their parameters."""

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.models.fastgan import network
from siv_jax.models.fastgan.config import Config
from siv_jax.models.fastgan.discriminator import Decoded, quarter
from siv_jax.models.fastgan.plan import Plan
from siv_jax.nn import lpips
from siv_jax.nn.diff_augment import augment

Images = tuple[jax.Array, jax.Array]  # float32 [B, h, w, C]: of the plan's size and of its small size


@struct.dataclass
class Draws:
    """All that is random in one step with a batch of B."""

    z: jax.Array  # normal float32 [B, noise_dim]
    noises: list[jax.Array]  # normal float32 [B, h, w, 1] for each of the plan's noise_shapes
    augment_real: jax.Array  # uniform float32 [B, diff_augment.UNIFORMS]
    augment_fake: jax.Array  # of the fakes
    augment_small: jax.Array  # of the small fakes: as run their views are other ones
    margin_real: jax.Array  # uniform float32 [B, plan.num_logits]
    margin_fake: jax.Array
    quadrant: jax.Array  # int32 []: 0 to 3, see `quarter`
    flip: jax.Array  # uniform float32 [B]
    frames: jax.Array  # uniform float32 [N], the order in which frames are chosen


class Players:
    """The generator and the discriminator with what each of them minimises.

    Attributes:
      generator, discriminator: networks.
    """

    def __init__(self, plan: Plan, config: Config, dtype: jnp.dtype, axis_name: str | None = None):
        """`config.batch_size` is the whole batch, of which each call sees a shard where there is an axis."""
        self._plan, self._config = plan, config
        self.generator = network.generator(plan, config.model, dtype, axis_name)
        self.discriminator = network.discriminator(plan, config.model, dtype, axis_name)

    def reals(self, frames: jax.Array, draws: Draws) -> Images:
        """Frames float32 [B, H, W, C] in [-1, 1] as the discriminator sees them; the small ones by nearest resizing."""
        if self._config.augment.flip:
            frames = jnp.where((draws.flip < 0.5)[:, None, None, None], frames[:, :, ::-1], frames)
        frames = augment(draws.augment_real, frames, self._config.augment.policy)
        return frames, nearest(frames, self._plan.shape(self._plan.small_size))

    def fakes(self, params_g, vectors_g, draws: Draws) -> Images:
        """What the generator makes, as the discriminator sees it."""
        image, small = self.generator.apply(params_g, vectors_g, draws.z, draws.noises)
        policy = self._config.augment.policy
        return augment(draws.augment_fake, image, policy), augment(draws.augment_small, small, policy)

    def generator_objective(self, fakes: Images, params_d, vectors_d) -> jax.Array:
        """Loss of the generator that made `fakes`: minus the mean of their logits."""
        logits, _ = self.discriminator.apply(params_d, vectors_d, *fakes)
        return -jnp.mean(logits)

    def discriminator_objective(
        self, params_d, vectors_real, vectors_fake, reals: Images, fakes: Images, draws: Draws, vgg: dict | None
    ):
        """Loss of the discriminator and its metrics.

        Reals and fakes pass one after another, as batch norm sees each by itself. Hinge losses with margins between
        loss.margin and 1 are averaged over the batch, reconstructions of the reals are summed over it (as run).

        Args:
          vectors_real, vectors_fake: of spectral norm in the two passes.
          vgg: weights for LPIPS, or None.
        """
        lowest = self._config.loss.margin
        margins = [lowest + (1.0 - lowest) * uniform for uniform in (draws.margin_real, draws.margin_fake)]
        real, decoded = self.discriminator.apply(params_d, vectors_real, *reals, draws.quadrant)
        fake, _ = self.discriminator.apply(params_d, vectors_fake, *fakes)
        loss_real = jnp.mean(jax.nn.relu(margins[0] - real))
        loss_fake = jnp.mean(jax.nn.relu(margins[1] + fake))
        reconstruction = self._reconstruction(decoded, reals[0], draws.quadrant, vgg)
        total = loss_real + loss_fake + sum(reconstruction.values())
        metrics = {"loss_d": total, "loss_d/real": loss_real, "loss_d/fake": loss_fake}
        metrics |= {"logit/real": jnp.mean(real), "logit/fake": jnp.mean(fake)}
        metrics["reconstruction"] = sum(reconstruction.values())
        return total, metrics | {f"reconstruction/{name}": value for name, value in reconstruction.items()}

    def _reconstruction(self, decoded: Decoded, image: jax.Array, quadrant: jax.Array, vgg) -> dict[str, jax.Array]:
        """Differences between the real images and what was decoded of them, by decoder."""
        shape = self._plan.shape(self._plan.decoded_size)
        whole, part = nearest(image, shape), nearest(quarter(image, quadrant), shape)
        made = jnp.concatenate([decoded.whole, decoded.small, decoded.part])
        if vgg is None:
            distances = jnp.mean(jnp.square(made - jnp.concatenate([whole, whole, part])), axis=(1, 2, 3))
        else:
            features = [jnp.split(x, 2) for x in lpips.vgg_features(vgg, jnp.concatenate([whole, part]))]
            wanted = [jnp.concatenate([first, first, second]) for first, second in features]
            distances = lpips.distance(vgg, lpips.vgg_features(vgg, made), wanted)
        means = jnp.mean(distances.reshape(3, -1), axis=1) * self._config.batch_size
        return dict(zip(Decoded._fields, means, strict=True))


def nearest(images: jax.Array, size: tuple[int, int]) -> jax.Array:
    """`images` [B, H, W, C] by nearest resizing: every n-th pixel, or every pixel n times, for a power of two n."""
    height, width = images.shape[1:3]
    if size[0] <= height:
        return images[:, :: height // size[0], :: width // size[1]]
    return images.repeat(size[0] // height, axis=1).repeat(size[1] // width, axis=2)
