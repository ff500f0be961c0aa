"""InGAN as a family (`siv_jax.models.interface.Family`)."""

from siv_jax.data import Source
from siv_jax.models.ingan import network, transform
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.memory import estimate
from siv_jax.models.ingan.original_weights import import_weights as import_weights
from siv_jax.models.ingan.plan import Plan, make_plan
from siv_jax.models.ingan.sampler import Sampler
from siv_jax.models.ingan.step import Training
from siv_jax.nn import flat, shared_batch

title = "InGAN"
inputs = frozenset({"image"})
headline = {"G": "loss_g", "D": "loss_d", "reconstruction": "loss_g/reconstruction"}
lighter = "batch_size, transform.canvases, transform.max_scale, transform.crop, model.ch_g, model.ch_d"
memory = estimate


def plan(config: Config, source: Source) -> Plan:
    """See `make_plan`."""
    return make_plan(*source.size, source.channels, config)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[Training]:
    """The one stage of training. Raises UserError where the batch cannot be shared out."""
    shared_batch.require_equal_shares(config.batch_size, shards)
    return [Training(plan, config, shards)]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The generator, from the picture that it learnt or another one."""
    return Sampler(plan, config)


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """Sizes of the networks, what crops become, and steps that would come after the learning rates reach zero."""
    sizes = [flat.size(make(plan, config.model).shapes) for make in (network.of_generator, network.of_discriminator)]
    smallest, largest = (
        "x".join(str(size) for size in sides[::-1])
        for sides in (
            transform.smallest_output(plan, config.transform),
            (plan.canvas_heights[-1], plan.canvas_widths[-1]),
        )
    )
    shapes = f", shifts up to {config.transform.max_shift}" if config.transform.max_shift else ""
    return [
        f"networks  G {config.model.num_blocks_g} blocks, {sizes[0]:,} parameters; D {plan.num_nets_d} scales, "
        f"{sizes[1]:,} parameters",
        f"crops     {plan.crop_width}x{plan.crop_height}, brought to {smallest} up to {largest}{shapes}; computed on "
        f"up to {len(transform.canvases(plan))} canvases, each compiled when first met",
        *_idle_steps(config),
    ]


def _idle_steps(config: Config) -> list[str]:
    # No refusal: num_steps may change on resume, and optim.decay_end may not.
    end = config.optim.decay_end
    if config.num_steps <= end:
        return []
    return [
        f"note      learning rates are zero from optim.decay_end {end:,} on, and steps after it change nothing: set "
        f"num_steps {end}, or begin in a new workdir with optim.decay_end {config.num_steps}"
    ]
