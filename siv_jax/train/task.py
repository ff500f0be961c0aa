"""What is trained."""

import dataclasses

from siv_jax.config import Config
from siv_jax.data import Source
from siv_jax.models.interface import Family, Plan, Stage


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained: a family's model of one source, shared out over so many devices.

    digest: of the source, which has therefore been decoded once.
    """

    config: Config
    family: Family
    plan: Plan
    source: Source
    digest: str
    stages: list[Stage]

    @property
    def num_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.num_steps for stage in self.stages)
