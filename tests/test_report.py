"""Charts as SVG and templates as HTML."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from siv_jax.metrics import nearest, record
from siv_jax.metrics.cases import Case
from siv_jax.metrics.measure import Measurement, Value
from siv_jax.report import charts, evaluation_page, html

NASTY = "<script>alert(1)</script>"


def numbers(path: str) -> np.ndarray:
    """The points of an SVG path, [n, 2]."""
    return np.array(re.findall(r"-?[\d.]+", path), float).reshape(-1, 2)


def lines_of(svg: str) -> list[np.ndarray]:
    """The points of each curve of a chart."""
    paths = [path.attrib for path in ElementTree.fromstring(svg).iter("path")]
    return [numbers(path["d"]) for path in paths if "var(--curve" in path["style"]]


def test_curves_are_where_their_values_are():
    steps = [100, 200, 300, 500]
    line, level = lines_of(charts.curves("x", steps, [[0.0, 1.0, 2.0, 4.0], [2.0, 2.0, 2.0, 2.0]]))
    # Both lines are straight, so that inner points on them may be left out: the ends say where they are.
    left, right = 350 * charts.AREA["left"], 350 * (1 - charts.AREA["right"])
    assert line[0, 0] == pytest.approx(left) and line[-1, 0] == pytest.approx(right)
    assert level[:, 1] == pytest.approx((line[0, 1] + line[-1, 1]) / 2)
    assert line[0, 1] > line[-1, 1]


def test_a_curve_is_open_where_it_has_no_value():
    svg = charts.curves("x", [1, 2, 3, 4, 5], [[1.0, 2.0, None, None, 3.0]])
    line, dot = (
        path.attrib["d"] for path in ElementTree.fromstring(svg).iter("path") if "curve" in path.attrib["style"]
    )
    assert re.findall("[ML]", line) == ["M", "L", "M"]
    # The value alone is a dot: a line of no length with round ends.
    assert (numbers(dot) == numbers(line)[2]).all()


def test_a_spike_does_not_flatten_the_rest():
    values = [1e6, *np.linspace(0, 1, 999)]
    (line,) = lines_of(charts.curves("x", list(range(1000)), [values]))
    assert np.ptp(line[-500:, 1]) > 50


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [None, 2.0], [1e-9, 2e-9]])
def test_few_and_alike_values_are_drawn(values):
    svg = charts.curves("x", list(range(len(values))), [values])
    assert np.isfinite(np.concatenate(lines_of(svg))).all()


def test_charts_are_the_same_again_and_have_the_colours_of_the_page():
    values = np.random.default_rng(0).normal(size=60)
    first, second = (charts.curves(NASTY, list(range(60)), [values] * 8) for _ in range(2))
    assert first == second
    third, fourth = (charts.histogram(values, NASTY, 2, {"mark": 0.5})["svg"] for _ in range(2))
    assert third == fourth
    for svg in (first, third):
        assert not re.search(r"#[0-9a-f]{6}|http|<script|<style", svg)
        ElementTree.fromstring(svg)
    assert {f"var(--curve-{i})" for i in range(1, 7)} <= set(re.findall(r"var\([^)]*\)", first))


def test_two_charts_of_a_page_share_no_id():
    ids = [set(re.findall(r'id="([^"]*)"', charts.curves(title, [1, 2], [[1, 2]]))) for title in "ab"]
    assert ids[0] and ids[1] and not ids[0] & ids[1]


def test_bars_are_as_high_as_their_counts():
    values = np.array([0.0] * 6 + [1.0] * 3 + [2.0] * 1)
    drawn = charts.histogram(values, "x", 1, {"mark": 3.0})
    assert drawn["summary"] == "min 0.0 · median 0.0 · max 2.0 · n 10"
    bars = {}
    for group in ElementTree.fromstring(drawn["svg"]).iter("g"):
        if group.find("title") is not None:
            bars[int(group.find("title").text.split()[0])] = np.ptp(numbers(group.find("path").attrib["d"])[:, 1])
    assert bars[0] == 0 and bars[3] == pytest.approx(bars[6] / 2) and bars[1] == pytest.approx(bars[6] / 6, abs=1e-3)
    assert "mark 3.0" in drawn["svg"]


def test_templates_show_names_as_text():
    assert NASTY not in html.render("fleet.html.j2", **fleet(NASTY)).split("<main>")[1].split("</main>")[0]


def fleet(name: str) -> dict:
    member = {"name": name, "page": html.link(name, "index.html"), "picture": "x", "grid": "x", "note": name}
    member |= {"step": 1, "num_steps": 2, "share": 50.0, "speed": None}
    numbers = {"told": "1 picture", "share": 50.0, "going": True, "updated": 0.0, "due": 1.0}
    return {"name": name, "members": [member], "skipped": {name: name}, **numbers}


def test_a_report_shows_names_as_text():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 40, 3), np.uint8)
    case = Case(NASTY, pictures[:2], pictures[2:], (NASTY, "b"), {}, (NASTY,))
    closest = nearest.Nearest(np.array([0.3, 0.1]), np.array([0, 0]), np.array([True, False]), pictures[:2])
    pairs, sifid = np.array([[0, 0.5], [0.5, 0]]), np.array([1.0, 2.0])
    found = Measurement({"sifid_64": Value(1.5)}, {"sifid_64": sifid}, pairs, closest, 0.2)
    per_image = record.of_case(case, found)
    whole = record.of_all(NASTY, [per_image, per_image], "alex")
    text = evaluation_page.page(whole, [evaluation_page.image(case, found, 1)] * 2)
    assert "<script" not in text and "2 of 4 samples are near copies." in text
    # Of two pairs the nearest is shown, which is the copy.
    assert text.count('class="copy"') == 2 and "0.100" in text and "0.300</b>" not in text
    assert text.count('href="#&lt;script&gt;') == 2


def test_links_are_quoted_and_pages_take_any_file_name(tmp_path):
    assert html.link("a b#", "c?.png") == "a%20b%23/c%3F.png"
    assert html.link("\udcff") == "%FF"
    assert "?" in html.write(tmp_path / "x.html", "\udcff").read_text()


def test_durations():
    shown = [html.duration(seconds) for seconds in (0.4, 59.6, 3599.7, 86_400, 260_000, None)]
    assert shown == ["0 s", "1 min 0 s", "1 h 0 min", "24 h 0 min", "3.0 days", "\N{EN DASH}"]


def test_the_verdict_is_told_first_and_against_what_a_copy_differs_by():
    def verdict(lpips: float, near: list[bool], **image) -> str:
        images = [{"samples": len(near), "per_sample": [{"near_copy": copy} for copy in near], **image}]
        return evaluation_page.verdict({"mean": {"lpips_diversity": {"value": lpips}}, "images": images})

    assert verdict(0.3, [False] * 20, near_copy_threshold=0.1).startswith("Varied, no copies. None of 20 samples is")
    assert "3.0 times as much as a copy may differ" in verdict(0.3, [False] * 20, near_copy_threshold=0.1)
    assert verdict(0.15, [True] + [False] * 19, near_copy_threshold=0.1).startswith("Hardly varied, few copies. 1 of")
    assert verdict(0.05, [True] * 20, near_copy_threshold=0.1).startswith("Nearly alike, many copies. 20 of 20")
    # Records of older versions do not say how much a copy may differ.
    assert verdict(0.3, [False]) == "None of 1 sample is a near copy. Two samples differ by 0.30 (LPIPS) on average."


def test_copies_are_told_in_plain_words():
    assert evaluation_page.copies(3, 100) == "3 of 100 samples are near copies."
    assert evaluation_page.copies(1, 100) == "1 of 100 samples is a near copy."
    assert evaluation_page.copies(0, 1) == "None of 1 sample is a near copy."


def test_a_table_of_benchmarks_tells_sizes_and_compile_times_apart(tmp_path):
    lines = [
        {
            "device": "cpu",
            "plan": {"height": height, "width": 320, "taps": [1, 2, 3]},
            "compile_seconds": {"cold": height / 4, "from_cache": 3.5},
            "steps_per_second": {"median": height * 2, "lowest": 1, "highest": 999},
            "kinds": dict.fromkeys(map(str, range(40)), 5),
        }
        for height in (64, 192)
    ]
    (tmp_path / "step.json").write_text("\n".join(map(json.dumps, lines)))
    program = Path(__file__).parent.parent / "benchmarks" / "table.py"
    command = [sys.executable, str(program), str(tmp_path / "step.json")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines() if "|" in line]
    assert "\ndevice cpu, plan width 320, compile_seconds from_cache 3.5\n" in shown
    assert cells[0] == ["plan height", "compile_seconds cold", "steps_per_second"]
    assert cells[2:] == [["64", "16", "128"], ["192", "48", "384"]]
