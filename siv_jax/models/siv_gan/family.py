"""SIV-GAN as a family (`siv_jax.models.interface.Family`)."""

import functools

from siv_jax.data import Source
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config, ModelConfig
from siv_jax.models.siv_gan.original_weights import import_weights as import_weights
from siv_jax.models.siv_gan.step import Training
from siv_jax.nn import flat
from siv_jax.nn.two_branch import describe as describe_lib
from siv_jax.nn.two_branch.memory import estimate
from siv_jax.nn.two_branch.plan import Plan, make_plan, require_equal_shares
from siv_jax.nn.two_branch.sampler import Sampler

title = "SIV-GAN"
inputs = frozenset({"image"})
headline = {"G": "loss_g", "D": "loss_d", "diversity": "diversity"}
lighter = "batch_size, model.ch_g, model.ch_d, or set model.remat to True"


def plan(config: Config, source: Source) -> Plan:
    """See `make_plan`."""
    return make_plan(*source.size, source.channels, config.data.max_size, config.model)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[Training]:
    """The one stage of training. Raises UserError where the batch cannot be shared out."""
    require_equal_shares(config, shards)
    return [Training(plan, config, shards)]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The generator."""
    return Sampler(network.generator, plan, config.model)


def memory(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device, see `estimate`."""
    return estimate(config, plan, num_frames, sum(_sizes(plan, config.model)), shards)


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """Sizes of the networks, and where the plan leaves the picture's shape or data.max_size."""
    return describe_lib.lines(config, plan, source, *_sizes(plan, config.model))


@functools.cache  # many values of data.max_size have one plan, and tracing the networks takes a while
def _sizes(plan: Plan, model: ModelConfig) -> tuple[int, int]:
    """Parameters of the generator and of the discriminator."""
    networks = network.generator(plan, model), network.discriminator(plan, model)
    return tuple(flat.size(one.shapes) for one in networks)
