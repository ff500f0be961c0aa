import functools
import json
import re

import pytest

from siv_jax import compare
from siv_jax.errors import UserError
from siv_jax.metrics import table

PROTOCOL = {"id": "siv_jax-1-abc", "sizes": [[48, 64]], "samples": [100], "seed": 0}


def write(folder, name: str, value: float, protocol=PROTOCOL, digest="d"):
    metrics = {
        "sifid_64": {"value": value, "low": value - 0.1, "high": value + 0.3},
        "lpips_diversity": {"value": 0.25, "low": None, "high": None},
        "ms_ssim": None,
    }
    image = {"name": name, "size": [48, 64], "samples": 100, "training_images": 1, "training_digest": digest}
    image |= {"metrics": metrics, "per_sample": [{"name": "0.png", "sifid_64": value, "near_copy": False}]}
    record = {"name": name, "protocol": protocol, "mean": metrics, "images": [image]}
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(record))
    return folder / "metrics.json"


def run(capsys, *arguments) -> list[str]:
    compare.main([str(argument) for argument in arguments])
    return capsys.readouterr().out.splitlines()


def test_text(tmp_path, capsys):
    lines = run(capsys, write(tmp_path / "a", "first", 1.5), write(tmp_path / "b", "second_model", 0.25))
    assert lines[0].split() == ["SIFID", "64", "LPIPS", "MS-SSIM"]
    assert lines[1].split() == ["first", "1.500", "±0.200", "0.250", "-"]
    assert lines[2].split() == ["second_model", "0.250", "±0.200", "0.250", "-"]
    assert lines[4].startswith("protocol siv_jax-1-abc")
    assert len({len(line) for line in lines[:3]}) == 1


def test_markdown(tmp_path, capsys):
    lines = run(capsys, write(tmp_path / "a", "a|b", 1.5), "--format", "markdown")
    assert lines == [
        r"|      |     SIFID 64 |   LPIPS |   MS-SSIM |",
        r"|:-----|-------------:|--------:|----------:|",
        r"| a\|b | 1.500 ±0.200 |   0.250 |         - |",
    ]


def test_latex(tmp_path, capsys):
    lines = run(capsys, write(tmp_path / "a", "a_b & 50%", 1.5), "--format", "latex")
    assert [re.sub(" +", " ", line).strip() for line in lines] == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"& SIFID 64 & LPIPS & MS-SSIM \\",
        r"\midrule",
        r"a\_b \& 50\% & 1.500 $\pm$0.200 & 0.250 & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_same_names_get_their_folder(tmp_path, capsys):
    files = [write(tmp_path / folder, "samples", 1.0) for folder in "ab"]
    lines = run(capsys, *files)
    assert lines[1].startswith(f"samples ({tmp_path / 'a'})") and lines[2].startswith(f"samples ({tmp_path / 'b'})")


def test_other_training_images_are_named(tmp_path, capsys):
    files = [write(tmp_path / folder, folder, 1.0, digest=folder) for folder in "ab"]
    assert run(capsys, *files)[-1] == "note: these were measured against different training images"
    assert "note" not in run(capsys, files[0], files[0])[-1]


def test_protocols_do_not_mix(tmp_path):
    other = PROTOCOL | {"id": "siv_jax-1-xyz", "sizes": [[96, 128]]}
    files = [write(tmp_path / "a", "a", 1.0), write(tmp_path / "b", "b", 1.0, other)]
    with pytest.raises(UserError, match=r"different protocols .*: sizes: \[48, 64\] and \[96, 128\]$"):
        compare.main([str(file) for file in files])


@pytest.mark.parametrize("content", ["", "[]", "3", '{"name": "x"}', b"\xff", f'{{"x": {"9" * 5000}}}'], ids=range(6))
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "metrics.json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=rf"{file} is no record of an evaluation") as caught:
        compare.main([str(file)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("name",), None),
        (("protocol", "id"), 3),
        (("mean", "sifid_64"), 1.5),
        (("mean", "sifid_64", "value"), None),
        (("mean", "sifid_64", "value"), "1.5"),
        (("mean", "sifid_64", "high"), float("nan")),
        (("mean", "lpips_diversity", "low"), ...),
        (("images",), []),
        (("images", 0, "training_digest"), ...),
        (("images", 0, "size"), [48]),
        (("images", 0, "metrics", "sifid_64", "value"), True),
        (("images", 0, "per_sample", 0, "sifid_64"), None),
    ],
)
def test_damaged_records_are_refused_by_their_key(tmp_path, keys, value):
    """`...` stands for a key that is missing."""
    file = write(tmp_path, "a", 1.5)
    whole = json.loads(file.read_text())
    *groups, last = keys
    parent = functools.reduce(lambda node, key: node[key], groups, whole)
    if value is ...:
        del parent[last]
    else:
        parent[last] = value
    file.write_text(json.dumps(whole))
    with pytest.raises(UserError, match=re.escape(f"({'.'.join(map(str, keys))}")) as caught:
        compare.main([str(file)])
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        compare.main([str(tmp_path / "metrics.json")])
    with pytest.raises(UserError, match="cannot be read"):
        compare.main([str(tmp_path)])


def test_columns_are_metrics_that_are_measured():
    """The keys of the tables are spelt as `measure` spells them."""
    from siv_jax.metrics import published

    keys = {column.key for column in table.COLUMNS}
    assert set(table.SHORT) <= keys and set(published.IMAGE_KEYS) | set(published.VIDEO_KEYS) <= keys
    assert all(len(row) == len(published.IMAGE_KEYS) for row in published.IMAGE_ROWS.values())
    assert all(len(row) == len(published.VIDEO_KEYS) for row in published.VIDEO_ROWS.values())
