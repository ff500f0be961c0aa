"""Charts as SVG that stands inside a page and takes its colours from the page's style sheet."""

import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

# Matplotlib draws in these colours, which no other part of a chart has; the page's variables take their place.
_COLOURS = {
    "#0000a0": "var(--soft)",
    "#0000a1": "var(--line)",
    "#0000a2": "var(--accent)",
    "#0000a3": "var(--alarm)",
    **{f"#0000b{i}": f"var(--curve-{i + 1})" for i in range(6)},
}
_TEXT, _RULE, _BAR, _MARK, *CURVES = _COLOURS
_DASHES = ("-", (0, (4, 3)), (0, (1, 2)))
_WIDTH, _HEIGHT = 350, 170  # units of the drawing, of which text is 11 high
# Where in the drawing the curves are, as shares of its width and height.
AREA = {"left": 0.125, "right": 0.045, "top": 0.05, "bottom": 0.13}
_BINS = 20
# The share of values at each end that may lie outside of a chart: a spike at the start would flatten everything else.
_OUTLIERS = 0.005


def look(index: int) -> tuple[int, int]:
    """(number of the colour, number of the dashes) of a chart's curve number `index`."""
    return index % len(CURVES), index // len(CURVES) % len(_DASHES)


def curves(title: str, steps: Sequence[int], lines: Sequence[Sequence[float | None]]) -> Markup:
    """Lines over `steps` [N >= 1], each with a value or None for each step, drawn in the order of their `look`s."""
    values = [np.array([np.nan if value is None else value for value in line], float) for line in lines]
    figure, axes = _figure(AREA)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g}k" if step >= 10_000 else f"{step:g}")
    for index, line in enumerate(values):
        colour, dashes = look(index)
        # A value with no neighbour is no line: it is shown as a dot.
        alone = ~np.isnan(line) & np.isnan(np.r_[np.nan, line[:-1]]) & np.isnan(np.r_[line[1:], np.nan])
        axes.plot(steps, line, color=CURVES[colour], linestyle=_DASHES[dashes], linewidth=1.5)
        for at in np.flatnonzero(alone):
            axes.plot([steps[at]] * 2, [line[at]] * 2, color=CURVES[colour], linewidth=4, solid_capstyle="round")
    if steps[-1] > steps[0]:
        axes.set_xlim(steps[0], steps[-1])
    finite = np.concatenate(values)
    low, high = np.nanquantile(finite, (_OUTLIERS, 1 - _OUTLIERS))
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1
    axes.set_ylim(low - margin, high + margin)
    axes.grid(axis="y", color=_RULE, linewidth=1)
    return Markup(_svg(figure, axes, title))


def histogram(
    values: np.ndarray, title: str, decimals: int, marks: Mapping[str, float] | None = None
) -> dict[str, str | Markup]:
    """Counts of `values` [N >= 1] as bars, with a named vertical line for each of `marks`.

    Returns:
      title, summary (a line of text with the range and the median), and svg.
    """
    edges = np.histogram_bin_edges(values, bins=min(_BINS, max(5, len(values) // 3)))
    counts, _ = np.histogram(values, edges)
    figure, axes = _figure({"left": 0.05, "right": 0.05, "top": 0.12, "bottom": 0.13})
    for i, (count, start, end) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True)):
        axes.bar(start, count, 0.96 * (end - start), align="edge", color=_BAR, clip_on=False, gid=f"bar-{i}")
    axes.set_yticks([])
    axes.set_ylim(0, counts.max())
    middle = np.mean([*axes.get_xlim(), *(marks or {}).values()])
    for name, position in (marks or {}).items():
        axes.axvline(position, color=_MARK, linewidth=1.2, linestyle=_DASHES[1], ymax=1.04, clip_on=False)
        side, shift = ("right", -4) if position > middle else ("left", 4)
        text = f"{name} {position:.{decimals}f}"
        place = {"xy": (position, 1.02), "xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(text, xytext=(shift, 2), ha=side, color=_MARK, fontsize=11, **place)
    low, median, high = np.quantile(values, (0, 0.5, 1))
    numbers = (f"{word} {value:.{decimals}f}" for word, value in (("min", low), ("median", median), ("max", high)))
    summary = " · ".join([*numbers, f"n {len(values)}"])
    svg = _svg(figure, axes, f"{title}: {summary}")
    for i, (count, start, end) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True)):
        said = f"<title>{count} from {start:.{decimals}f} to {end:.{decimals}f}</title>"
        svg = svg.replace(f'<g id="bar-{i}">', f"<g>{said}")
    return {"title": title, "summary": summary, "svg": Markup(svg)}


def _figure(area: Mapping[str, float]):
    """A figure with bare axes; AREA says what `area` is."""
    # Imported when the first chart is drawn: half a second, which commands that draw none need not wait for.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72, frameon=False)
    width, height = 1 - area["left"] - area["right"], 1 - area["top"] - area["bottom"]
    axes = figure.add_axes((area["left"], area["bottom"], width, height), frameon=False)
    axes.tick_params(length=0, labelsize=11, labelcolor=_TEXT, pad=5)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_label_coords(0, 0)  # there is no label: finding its place would take a quarter of the time
    return figure, axes


def _svg(figure, axes, title: str) -> str:
    """The figure as one SVG element: the same for the same data, its ids for this title alone."""
    import matplotlib

    buffer = io.StringIO()
    # Text stays text, which the page's font draws.
    with matplotlib.rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        axes.axhline(axes.get_ylim()[0], color=_TEXT, linewidth=1, clip_on=False)
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    head = f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    text = head + text[text.index(">", text.index("<svg")) + 1 :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[^"]*_\d+"', "", text)
    text = re.sub(r" font-family: [^;\"]*;|<g ?/>| transform=\"rotate\(-0 [^\"]*\"", "", text)
    for drawn, shown in _COLOURS.items():
        text = text.replace(drawn, shown)
    return re.sub(r"\s*\n\s*", "\n", text).strip()
