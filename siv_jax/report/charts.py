"""Distributions as inline SVG, coloured by the page's style."""

import html
import math

import numpy as np

_WIDTH, _HEIGHT = 500, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 10, 34, 34
_BINS = 20


def histogram(values: np.ndarray, title: str, decimals: int, marks: tuple[tuple[float, str], ...] = ()) -> str:
    """Counts of `values` [N >= 1], with named vertical lines at `marks`."""
    edges = np.histogram_bin_edges(values, bins=min(_BINS, max(5, len(values) // 3)))
    counts, _ = np.histogram(values, edges)
    everything = [edges[0], edges[-1], *(position for position, _ in marks)]
    low, high = min(everything), max(everything)

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    floor = _HEIGHT - _BOTTOM
    parts = [f'<text class="title" x="{_LEFT}" y="13">{html.escape(title)}</text>']
    for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True):
        tall = count / counts.max() * (floor - _TOP)
        parts.append(
            f'<rect x="{across(start) + 0.5:.1f}" y="{floor - tall:.1f}" width="{across(end) - across(start) - 1:.1f}" '
            f'height="{tall:.1f}"><title>{count} from {start:.{decimals}f} to {end:.{decimals}f}</title></rect>'
        )
    parts.append(f'<path class="axis" d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>')
    for tick in _ticks(low, high):
        parts.append(f'<text class="tick" x="{across(tick):.1f}" y="{floor + 15}">{tick:g}</text>')
    for position, label in marks:
        x = across(position)
        anchor = "end" if x > _WIDTH / 2 else "start"
        parts.append(f'<path class="mark" d="M{x:.1f} {_TOP - 8}V{floor}"/>')
        parts.append(
            f'<text class="mark" x="{x + (4 if anchor == "start" else -4):.1f}" y="{_TOP - 2}" '
            f'text-anchor="{anchor}">{html.escape(label)} {position:.{decimals}f}</text>'
        )
    parts.append(f'<text class="note" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}">{_summary(values, decimals)}</text>')
    label = html.escape(f"{title}: {_summary(values, decimals)}")
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'


def _summary(values: np.ndarray, decimals: int) -> str:
    low, middle, high = np.quantile(values, (0, 0.5, 1))
    return f"min {low:.{decimals}f} · median {middle:.{decimals}f} · max {high:.{decimals}f} · n {len(values)}"


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers within the range."""
    step = 10 ** math.floor(math.log10((high - low) / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]
