"""Templates filled and written as files. Every text is escaped; style, scripts and data stand inside the page."""

import functools
import os
import urllib.parse
from pathlib import Path

import jinja2
from markupsafe import Markup

from siv_jax.workdir.layout import write_atomically

_REPORT = Path(__file__).parent
_WEB = _REPORT.parent / "web"


def render(template: str, **values) -> str:
    """The HTML of a template in report/templates/ or web/; what is no Markup among `values` is shown as text."""
    return _environment().get_template(template).render(values)


def write(path: Path, text: str) -> Path:
    """Writes a page; the file is complete or as it was. Returns its path."""
    # A file name that is no UTF-8 has characters that cannot be encoded.
    write_atomically(path, lambda file: file.write(text.encode(errors="replace")))
    return path


def link(*parts: str | Path) -> str:
    """A relative address of a file, quoted: link("a b", "c.png") is "a%20b/c.png"."""
    return "/".join(urllib.parse.quote(os.fsencode(part)) for part in parts)


def duration(seconds: float | None) -> str:
    """A time for people: "50 s", "3 min 20 s", "2 h 5 min", "3.1 days"."""
    if seconds is None:
        return "\N{EN DASH}"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def asset(name: str) -> Markup:
    """A style sheet or script of web/ as it is."""
    return Markup((_WEB / name).read_text(encoding="utf-8"))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_REPORT / "templates", _WEB]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # JSON inside a script element, where < would end it: Jinja's tojson escapes it.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    environment.filters |= {"duration": duration}
    environment.globals |= {"asset": asset}
    return environment
