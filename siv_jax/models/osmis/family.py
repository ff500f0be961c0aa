"""OSMIS as a family (`siv_jax.models.interface.Family`)."""

import dataclasses
import functools

from siv_jax.data import Source
from siv_jax.models.osmis import networks
from siv_jax.models.osmis.config import Config, ModelConfig
from siv_jax.models.osmis.networks import Plan
from siv_jax.models.osmis.original_weights import import_weights as import_weights
from siv_jax.models.osmis.step import Training
from siv_jax.nn import flat
from siv_jax.nn.two_branch import describe as describe_lib
from siv_jax.nn.two_branch.memory import estimate
from siv_jax.nn.two_branch.plan import make_plan, require_equal_shares
from siv_jax.nn.two_branch.sampler import Sampler

title = "OSMIS"
inputs = frozenset({"image", "mask"})
headline = {"G": "loss_g", "D": "loss_d", "diversity": "diversity"}
lighter = "batch_size, model.ch_g, model.ch_d, or set model.remat to True"


def plan(config: Config, source: Source) -> Plan:
    """SIV-GAN's plan, see `make_plan`, and the classes of the masks."""
    made = make_plan(*source.size, source.channels, config.data.max_size, config.model)
    return Plan(**dataclasses.asdict(made), num_classes=source.masks.format.num_classes)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[Training]:
    """The one stage of training. Raises UserError where the batch cannot be shared out."""
    require_equal_shares(config, shards)
    return [Training(plan, config, shards)]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The generator."""
    return Sampler(networks.make_generator, plan, config.model)


def memory(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device, see `estimate`; masks are bytes, and float32 in the batch."""
    pixels = plan.height * plan.width * plan.num_classes
    masks = pixels * num_frames + 6 * 4 * pixels * -(-config.batch_size // shards)
    return estimate(config, plan, num_frames, sum(_sizes(plan, config.model)), shards) + masks


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """Sizes of the networks, and where the plan leaves the picture's shape or data.max_size."""
    return describe_lib.lines(config, plan, source, *_sizes(plan, config.model))


@functools.cache  # many values of data.max_size have one plan, and tracing the networks takes a while
def _sizes(plan: Plan, model: ModelConfig) -> tuple[int, int]:
    """Parameters of the generator and of the discriminator."""
    made = networks.make_generator(plan, model), networks.make_discriminator(plan, model)
    return tuple(flat.size(one.shapes) for one in made)
