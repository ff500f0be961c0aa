"""SIV-GAN as a family (`siv_jax.models.interface.Family`)."""

from siv_jax.data import Source
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config
from siv_jax.models.siv_gan.memory import estimate
from siv_jax.models.siv_gan.original_weights import import_weights
from siv_jax.models.siv_gan.plan import Plan, make_plan, require_equal_shares, scaled_size
from siv_jax.models.siv_gan.sampler import Sampler
from siv_jax.models.siv_gan.step import Training
from siv_jax.nn import flat

title = "SIV-GAN"
inputs = frozenset({"image"})
headline = {"G": "loss_g", "D": "loss_d", "diversity": "diversity"}
memory = estimate

__all__ = ["Plan", "describe", "headline", "import_weights", "inputs", "memory", "plan", "sampler", "stages"]


def plan(config: Config, source: Source) -> Plan:
    """See `make_plan`."""
    return make_plan(*source.size, source.channels, config.data.max_size, config.model)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[Training]:
    """The one stage of training. Raises UserError where the batch cannot be shared out."""
    require_equal_shares(config, shards)
    return [Training(plan, config, shards)]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The generator."""
    return Sampler(plan, config.model)


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """Sizes of the networks, and where the plan leaves the picture's shape or data.max_size."""
    sizes = [flat.size(make(plan, config.model).shapes) for make in (network.generator, network.discriminator)]
    lines = [
        f"networks  G {plan.num_blocks_g} blocks, {sizes[0]:,} parameters; D {plan.num_blocks_d} blocks "
        f"({plan.num_blocks_low_level} low-level), {sizes[1]:,} parameters; noise "
        f"{plan.noise_width}x{plan.noise_height}"
    ]
    longer = max(scaled_size(*source.size, config.data.max_size))
    if longer > config.data.max_size:
        lines.append(
            f"note      scaled to a longer side of {longer}, not data.max_size {config.data.max_size}: the "
            f"shorter side needs {min(scaled_size(*source.size, config.data.max_size))} pixels"
        )
    return lines
