"""The ablations' configs, the paper's tables, and the protocol that trains them."""

import re

import pytest

from siv_jax import config as config_lib
from siv_jax.cli import training_flags as arguments
from siv_jax.errors import UserError
from siv_jax.experiments import protocol
from siv_jax.metrics import published
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config
from siv_jax.nn.two_branch.plan import make_plan

NAMES = list(dict.fromkeys(row[1] for one in published.ABLATIONS for row in one.rows))

# ml_collections loads config files in a way that Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def config_of(name: str) -> Config:
    return arguments.parse(["--config", f"ablations:{name}"]).config


def test_every_ablation_changes_what_its_name_says():
    usual = config_lib.flatten(Config())
    changed = {}
    for name in NAMES:
        settings = config_lib.flatten(config_of(name))
        changed[name] = {key: value for key, value in settings.items() if value != usual[key]}
    assert changed.pop("full") == {}
    assert changed.pop("no_branches") == {"model.branches": "none"}
    assert changed.pop("no_layout") == {"model.branches": "content"}
    assert changed.pop("no_content") == {"model.branches": "layout"}
    assert changed.pop("no_low_level") == {"loss.low_level": False}
    assert changed.pop("no_fa") == {"augment.feature": 0.0}
    assert [changed.pop(name) for name in ("no_dr", "zcr", "ds", "image_dr")] == [
        {"loss.diversity": kind} for kind in ("none", "zcr", "ds", "image")
    ]
    for weight in (0.05, 0.5):
        assert changed.pop(f"lambda_{weight}") == {"loss.diversity_weight": weight}
    for count in range(1, 7):
        blocks = {"model.num_blocks_d": 7, "model.num_blocks_low_level": count}
        assert changed.pop(f"low_level_{count}") == blocks
    assert not changed


def test_every_ablation_has_a_model_of_its_size():
    """At the size of the paper's DAVIS frames, where the default is 3 of 7 low-level blocks."""
    models = {}
    for name in NAMES:
        config = config_of(name)
        plan = make_plan(480, 854, 3, 330, config.model)
        assert plan.num_blocks_d == 7
        assert plan.num_blocks_low_level == (int(name[-1]) if name.startswith("low_level") else 3)
        models[plan, config.model.branches] = config.model
    assert len(models) == 4 + 5
    for (plan, _), model in models.items():
        assert network.generator(plan, model).shapes and network.discriminator(plan, model).shapes


def test_unknown_ablation_is_refused_by_name():
    with pytest.raises(UserError, match=r"there is no ablation no_such: .*no_dr, no_fa"):
        config_of("no_such")


def test_published_numbers_are_the_papers(shared):
    text = (shared / "published.md").read_text()
    found = {
        (one.number, video): {row[0]: row[2 + video] for row in one.rows}
        for one in published.ABLATIONS
        for video in (False, True)
    }

    def numbers(cell: str) -> tuple[float, ...]:
        return tuple(map(float, cell.split()))

    rows = re.findall(r"^\| (full|no [^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert found[3, False] == {label: numbers(image) for label, image, _ in rows}
    assert found[3, True] == {label: numbers(clip) for label, _, clip in rows}
    flat = " ".join(text.split())
    four = re.search(r"Table 4, .*?: (.*?)\. Table 5", flat)[1]
    expected = dict(re.match(r"(\D+?) ([\d. ]+)$", part).groups() for part in four.split(" · "))
    assert found[4, False] == {label: numbers(values) for label, values in expected.items()}
    five = re.search(r"Table 5, lambda: (.*?)\. Table 6", flat)[1]
    assert found[5, False] == {
        label: numbers(values) for label, values in (part.split(" -> ") for part in five.split(" · "))
    }
    six = re.search(r"Table 6, .*?\): (.*?)\. ConSinGAN", flat)[1]
    parts = [re.match(r"(\d) ([^|]+) \| (.+)$", part).groups() for part in six.split(" · ")]
    assert found[6, False] == {label: numbers(image) for label, image, _ in parts}
    assert found[6, True] == {label: numbers(clip) for label, _, clip in parts}


def measured(value: float, frames: int = 1) -> dict:
    keys = ("sifid_64", "sifid_768", "lpips_diversity", "pixel_diversity", "distance_to_train")
    mean = {key: {"value": value + i, "low": None, "high": None} for i, key in enumerate(keys)}
    image = {"name": "x", "size": [48, 64], "samples": 7, "training_images": frames, "training_digest": "d"}
    image |= {"metrics": mean, "per_sample": []}
    return {"name": "x", "protocol": {"id": "p"}, "mean": mean, "images": [image]}


def test_ours_stand_beside_the_papers():
    five = next(one for one in published.ABLATIONS if one.number == 5)
    rows = published.beside_ours(five, {"full": measured(1.25)}, video=False)
    columns = ("SIFID 64", "LPIPS", "pixel div.", "dist. to train")
    assert rows[0][1:] == [title for column in columns for title in (column, "paper")]
    assert rows[1] == ["0", "-", "0.05", "-", "0.04", "-", "0.33", "-", "0.06"]
    assert rows[3] == ["0.15", "1.250", "0.08", "3.250", "0.33", "4.250", "0.66", "5.250", "0.37"]


def test_the_protocol_trains_every_ablation_and_touches_nothing_that_one_changes():
    found = protocol.load(protocol.folder() / "ablations.yaml")
    assert [row.title for row in found.rows] == NAMES
    usual = config_lib.flatten(Config())
    for name, budget in found.budgets.items():
        for row in found.rows:
            own = config_lib.flatten(config_of(row.title))
            trained = config_lib.flatten(protocol.resolved(row, name, budget, clip=False))
            changed = {key: value for key, value in own.items() if value != usual[key]}
            assert {key: trained[key] for key in changed} == changed
            others = {key for key in trained if trained[key] != usual[key]} - set(changed)
            assert others <= set(budget.settings)
    paper = found.budgets["paper"]
    assert protocol.resolved(found.rows[0], "paper", paper, clip=True).num_steps == 300_000
    assert protocol.resolved(found.rows[0], "paper", paper, clip=False).num_steps == 100_000
