"""What a browser shows of a run while it trains: index.html in its workdir, and an index of a fleet's members.

The pages stand alone: style, script and data are inside, pictures beside them, so that they work from file://
and, copied with their folder, anywhere else.
"""

import html
import itertools
import json
import time
import urllib.parse
from pathlib import Path

import numpy as np

import siv_jax
from siv_jax import config as config_lib
from siv_jax.cli import command_text
from siv_jax.config import Config
from siv_jax.data.folders import natural_key
from siv_jax.sampling import pictures
from siv_jax.workdir import layout as workdir
from siv_jax.workdir import logs

PAGE, PICTURE = "index.html", "training.png"
_WEB = Path(__file__).parent.parent / "web"
_SCRIPTS = {"run": ("charts.js", "run.js"), "fleet": (), "demo": ("demo.js",)}
# Points in a curve at most, so that the page of a long run stays small.
_POINTS = 600
# Frames shown of a clip.
_FRAMES = 6


class RunPage:
    """The page of one workdir, made anew by each `write`."""

    def __init__(self, folder: Path):
        """Reads what stays the same all along, and writes training.png, the picture or some frames of the clip.

        Raises:
          UserError: `folder` is no workdir with frames.
        """
        self._folder = folder
        self._config = workdir.load_config(folder)
        self._model = workdir.load_record(folder)
        frames = workdir.load_source(folder).resized(self._model.plan.height, self._model.plan.width)
        self._caption = _caption(self._model.source, len(frames))
        pictures.save_png(folder / PICTURE, _sheet(frames))

    def write(self, step: int, ended: bool = False) -> Path:
        """Writes the page as things stand after `step`; `ended`: nothing more will come.

        Grids and log entries of later steps, which a resumed run will make again, are left out.
        """
        data = self._data(step, "finished" if step >= self._config.num_steps else "stopped" if ended else "training")
        return _write(self._folder, fill("run", data))

    def _data(self, step: int, state: str) -> dict:
        config, plan = self._config, self._model.plan
        entries = [entry for entry in scalars(self._folder) if entry["step"] <= step]
        curves, entries_per_point = thinned(entries)
        return {
            "name": self._folder.resolve().name,
            "state": state,
            "step": step,
            "num_steps": config.num_steps,
            "speed": entries[-1]["steps_per_second"] if entries else None,
            "seconds": seconds_trained(entries),
            "updated": time.time(),
            "facts": f"{self._model.source} at {plan.width}x{plan.height}, batch {config.batch_size}",
            "caption": self._caption,
            "picture": PICTURE,
            "grids": [{"step": at, "file": file} for at, file in grids(self._folder) if at <= step],
            "first_grid": min(config.sample_every, config.num_steps),
            "first_log": min(config.log_every, config.num_steps),
            "scalars": curves,
            "entries_per_point": entries_per_point,
            "commands": _commands(config, self._folder),
            "settings": _settings(config),
            "version": siv_jax.__version__,
        }


def write_fleet_index(folder: Path, ended: bool = False, planned: int = 0) -> Path:
    """Writes folder/index.html: a card for each subfolder that is a workdir, with its newest grid and its page.

    Args:
      folder: of the members' workdirs; those without a config.json yet are left out.
      ended: nothing more will come; else the page loads itself anew until all members have finished.
      planned: members in all, where some have not begun.
    """
    found = [path.parent for path in folder.glob(f"*/{workdir.CONFIG}")]
    members = sorted(found, key=lambda path: natural_key(path.name))
    shares, cards = [], []
    for member in members:
        num_steps = config_lib.load(member / workdir.CONFIG).num_steps
        last = next(reversed(scalars(member)), {"step": 0})
        shares.append(min(1.0, last["step"] / num_steps))
        cards.append(_card(member, last, num_steps))
    shares += [0.0] * (planned - len(members))
    unfinished = any(share < 1 for share in shares) and not ended
    text = fill(
        "fleet",
        {"name": folder.resolve().name},
        count=str(len(shares)),
        share=f"{100 * sum(shares) / max(1, len(shares)):.1f}",
        updated=time.strftime("%Y-%m-%d %H:%M:%S"),
        unfinished="true" if unfinished else "false",
        cards="\n".join(cards),
    )
    return _write(folder, text)


def fill(page: str, data: dict, **parts: str) -> str:
    """The HTML of siv_jax/web/PAGE.html with its style, script and data inside.

    Args:
      page: "run", "fleet" or "demo".
      data: what its script reads; "name" is the title too.
      parts: HTML for further {{name}} places.
    """
    sources = {"style": ("style.css", f"{page}.css"), "script": _SCRIPTS[page]}
    parts |= {key: "\n".join((_WEB / name).read_text() for name in names) for key, names in sources.items()}
    parts |= {"title": html.escape(data["name"]), "data": _json(data)}
    pieces = (_WEB / f"{page}.html").read_text().split("{{")
    text = pieces[0]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        text += parts[name] + rest
    return text


scalars = logs.entries
seconds_trained = logs.seconds_trained


def grids(folder: Path) -> list[tuple[int, str]]:
    """(step, path relative to the folder) of each sample grid."""
    files = sorted((folder / workdir.GRIDS).glob("step_*.png"))
    return [(int(path.stem.removeprefix("step_")), f"{workdir.GRIDS}/{path.name}") for path in files]


def thinned(entries: list[dict], points: int = _POINTS) -> tuple[dict[str, list], int]:
    """Entries as columns of at most `points` values, and how many entries stand behind each value.

    A value is the mean of neighbouring entries, at the step of the last of them, to four digits; None where no
    entry has it.
    """
    size = max(1, -(-len(entries) // points))
    groups = [entries[i : i + size] for i in range(0, len(entries), size)]
    names = dict.fromkeys(name for entry in entries for name in entry if name not in ("step", "seconds"))
    columns = {name: [_mean([entry[name] for entry in group if name in entry]) for group in groups] for name in names}
    return {"step": [group[-1]["step"] for group in groups]} | columns, size


def _mean(values: list[float]) -> float | None:
    return float(f"{sum(values) / len(values):.4g}") if values else None


def _sheet(frames: np.ndarray) -> np.ndarray:
    shown = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES)).round().astype(int))]
    shown = shown if shown.dtype == np.uint8 else pictures.to_uint8(shown)
    return pictures.viewable(shown[0]) if len(shown) == 1 else pictures.grid(shown)


def _caption(source: str, count: int) -> str:
    return source if count == 1 else f"{source}: {min(count, _FRAMES)} of the {count} frames trained on"


def _commands(config: Config, folder: Path) -> list[list[str]]:
    of_run = command_text.command(config, folder)
    return [
        ["This run; the same line goes on with it after an interruption", of_run],
        ["Samples of it", command_text.shell("siv_jax.sample", "--workdir", folder, "--num", 100)],
        ["How good and how varied they are", command_text.shell("siv_jax.evaluate", "--workdir", folder)],
        ["Walk between samples and keep favourites", command_text.shell("siv_jax.demo", "--workdir", folder)],
    ]


def _settings(config: Config) -> list[list[str]]:
    """[key, value, usual value] as text."""
    usual = config_lib.flatten(type(config)())
    return [[key, str(value), str(usual[key])] for key, value in config_lib.flatten(config).items()]


def _card(member: Path, last: dict, num_steps: int) -> str:
    name, at, drawn = html.escape(member.name), urllib.parse.quote(member.name), grids(member)
    picture = f'<img alt="samples of {name}" loading="lazy" src="{at}/{drawn[-1][1]}">' if drawn else ""
    share = 100 * last["step"] / num_steps
    losses = [f"{label} {last[key]:.3f}" for label, key in (("G", "loss_g"), ("D", "loss_d")) if key in last]
    state = "finished" if last["step"] >= num_steps else f"step {last['step']:,} of {num_steps:,}"
    return (
        f'<a class="card member" href="{at}/{PAGE}"><div class="pair">'
        f'<img alt="what {name} trains on" loading="lazy" src="{at}/{PICTURE}">{picture}</div>'
        f'<h2>{name}</h2><p class="soft">{" · ".join([state, *losses])}</p>'
        f'<div class="bar"><i style="width: {share:.1f}%"></i></div></a>'
    )


def _json(data: dict) -> str:
    """JSON that may stand inside a script element, whatever the strings in it."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _write(folder: Path, text: str) -> Path:
    workdir.write_atomically(folder / PAGE, lambda file: file.write(text.encode()))
    return folder / PAGE
