"""Tables of experiments: made once, gone on with after kills, with holes where something failed."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cached_weights
import numpy as np
import pytest
import tiny
import toy_tables
from PIL import Image
from toy_tables import make_here, write_picture, write_protocol

from siv_jax import tables
from siv_jax.errors import UserError
from siv_jax.experiments import asked, cells, inputs, make, probe, protocol, run, summary
from siv_jax.metrics import nearest, published, record
from siv_jax.train import estimate
from siv_jax.train.stop_signal import StopSignal

# ml_collections loads config files in a way that Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

DEADLINE = 600.0  # seconds; only there so that what hangs fails the test


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Two pictures, one that is too narrow to be measured, and a damaged one."""
    folder = tmp_path_factory.mktemp("pictures")
    write_picture(folder / "a.png", 0)
    write_picture(folder / "b.jpg", 1)
    write_picture(folder / "narrow.png", 2, (20, 64))
    (folder / "damaged.png").write_bytes((folder / "a.png").read_bytes()[:200])
    return folder


@pytest.fixture(scope="module", autouse=True)
def weights():
    """Few views: most of an evaluation's time at this size goes into the augmented training images."""
    for network in ("alex", "inception"):
        cached_weights.load(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "VIEWS", 8)
        yield patch


@pytest.fixture(scope="module")
def made(weights, pictures, tmp_path_factory):
    """(folder, protocol, exit code, what was said, cells done) of a table made undisturbed."""
    folder = tmp_path_factory.mktemp("made")
    path = write_protocol(folder / "protocol")
    return folder / "out", path, *make_here(weights, path, pictures, folder / "out")


def results(out: Path) -> dict[str, dict]:
    """ "row, picture" -> what metrics.json holds."""
    found = [json.loads(path.read_text()) for path in out.glob(f"small-*/*/*/{record.FILE}")]
    return {f"{one[cells.EXPERIMENT]['row']}, {one['images'][0]['name']}": one for one in found}


def test_every_cell_is_done_and_each_failure_leaves_a_named_hole(made):
    out, _, code, said, done = made
    rows = [row["title"] for row in toy_tables.ROWS]
    assert done == [f"{row}, {name}" for row in rows for name in ("a", "b", "narrow")]
    found = results(out)
    assert sorted(found) == sorted(f"{row}, {name}" for row in rows for name in ("a", "b"))
    assert code == 2
    holes = [line for line in said if line.startswith("hole ")]
    assert len(holes) == 2 * len(rows)
    for row in rows:
        assert any(re.match(rf"hole +{row}, narrow: .*64x20 are too small", line) for line in holes)
        assert any(re.match(rf"hole +{row}, damaged: .*damaged\.png", line) for line in holes)
    for one in found.values():
        experiment = one[cells.EXPERIMENT]
        assert experiment["protocol"].startswith("small-") and experiment["budget"]["samples"] == 3
        assert one["images"][0]["samples"] == 3 and one["images"][0]["size"] == [48, 64]
        trained = experiment["training"]
        if experiment["row"] == "patches":
            assert trained is None and experiment["drawing_seconds"] > 0
        else:
            assert trained["steps"] == (20 if experiment["row"] == "Tiny SIV-GAN" else 40)
            assert trained["seconds"] > 0 and trained["peak_bytes"] > 10**8 and trained["cpu_seconds"] > 0


def test_rows_of_one_model_share_its_runs(made):
    runs = sorted(path.parent.relative_to(made[0] / "runs") for path in made[0].glob(f"runs/*/*/{cells.COST}"))
    kinds = {run.parts[0].rpartition("-")[0]: sum(run.parts[0] == other.parts[0] for other in runs) for run in runs}
    assert kinds == {"toy": 2, "single-image": 2}


def test_an_estimate_comes_before_the_work(made):
    # Two models, three usable pictures each, 60 seconds a run.
    (number,) = [i for i, line in enumerate(made[3]) if line.startswith("time ")]
    assert "about 6.0 minutes of training for 6 runs on 1 cpu device" in made[3][number]
    assert number < min(i for i, line in enumerate(made[3]) if line.startswith("done "))


def cells_of(text: str, form: str) -> dict[str, list[str]]:
    """Row -> texts of its cells, of a table as Markdown or LaTeX."""
    if form == "md":
        lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    else:
        lines = [line.rstrip("\\ ").split("&") for line in text.splitlines() if "&" in line]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in lines}


@pytest.mark.parametrize("form", ["md", "tex"])
def test_written_tables_say_what_the_records_say(made, form):
    out = made[0]
    rows = cells_of((out / f"mine_small.{form}").read_text(), form)
    heading = rows["Table 1"]
    found = results(out)
    for title in ("Toy", "Toy rendered", "Tiny SIV-GAN", "patches"):
        both = [found[f"{title}, {name}"]["mean"] for name in "ab"]
        shown = dict(zip(heading, rows[title], strict=True))
        for key, column, decimals in (
            ("sifid_64", "SIFID 64", 3),
            ("sifid_64_best", "SIFID 64 best", 3),
            ("sifid_768", "SIFID 768", 2),
            ("lpips_diversity", "LPIPS", 3),
            ("distance_to_train", "dist. to train", 3),
            ("near_copies", "near copies", 2),
        ):
            mean = np.mean([one[key]["value"] for one in both])
            assert float(shown[column].split()[0]) == pytest.approx(mean, abs=0.51 * 10**-decimals), (title, key)
        assert shown["n"] == "2"
        assert (shown["GB"] == "-") == (title == "patches")
    # The paper's rows stand below.
    assert rows["SIV-GAN, Places (paper)"][:6] == ["0.05", "0.06", "12.12", "0.28", "0.57", "0.31"]


def test_json_and_page_hold_the_same(made):
    out = made[0]
    found = json.loads((out / "mine_small.json").read_text())
    assert found["protocol"].startswith("small-") and found["budget"]["samples"] == 3
    for row in found["rows"]:
        assert set(row["inputs"]) == {"a", "b"} and set(row["holes"]) == {"narrow", "damaged"}
        for name, one in row["inputs"].items():
            assert one["metrics"] == results(out)[f"{row['title']}, {name}"]["mean"]
    page = html.unescape((out / "mine_small.html").read_text())
    assert page.count('alt="samples of') == 8 and page.count('class="trained"') == 2
    assert found["protocol"] in page and "not comparable in absolute value" in page
    assert "Toy rendered, narrow: " in page and "href=" not in page and "<script" not in page
    text = (out / "mine_small.txt").read_text().splitlines()
    assert all(line in made[3] for line in text if line)


def test_nothing_that_is_done_is_done_again(made, pictures, monkeypatch):
    out, path = made[:2]
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.name in (record.FILE, cells.COST)}
    _, said, done = make_here(monkeypatch, path, pictures, out)
    assert {one.split(", ")[1] for one in done} == {"narrow"}, "only what failed is tried again"
    assert any("of training for 2 runs" in line for line in said)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    _, said, done = make_here(monkeypatch, path, pictures, out, only=("a", "b"))
    assert done == [] and not any(line.startswith("time ") for line in said)


def test_another_budget_is_another_protocol_and_shares_the_runs(made, pictures, monkeypatch):
    path = write_protocol(made[1].parent / "other", samples=2)
    where = {"rows": ("Toy",), "only": ("a",)}
    code, _, done = make_here(monkeypatch, path, pictures, made[0], **where)
    assert code == 0 and done == ["Toy, a"]
    assert len(list(made[0].glob("small-*"))) == 2
    assert len(list(made[0].glob("runs/toy-*"))) == 1, "nothing is trained again"


def test_the_protocols_id_is_that_of_its_settings():
    budget = protocol.Budget(samples=3, size=64)
    usual = budget.identity("cpu")
    assert re.fullmatch(r"cpu-[0-9a-f]{8}", usual) and budget.identity("cpu") == usual
    changes = {"samples": 4, "size": 65, "seed": 1, "lpips": "vgg", "settings": {"data.max_size": 32}}
    changes |= {"clip_settings": {"num_steps": 9}, "strides": [1], "frames": 9}
    assert set(changes) == set(protocol.Budget.model_fields)
    others = {budget.model_copy(update={key: value}).identity("cpu") for key, value in changes.items()}
    assert len(others) == len(changes) and usual not in others


def test_another_picture_of_the_same_name_is_no_result_of_this_one(made, tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", 7)
    code, said, done = make_here(monkeypatch, made[1], tmp_path, made[0])
    assert code == 2 and done == []
    assert any("holds the results of another picture of this name" in line for line in said)


def test_a_model_of_another_picture_of_the_same_name_is_no_model_of_this_one(made, tmp_path, monkeypatch):
    """Also for a row that comes later and needs the model alone."""
    out = tmp_path / "out"
    shutil.copytree(made[0], out)
    for folder in out.glob("small-*/toy-rendered-*"):
        shutil.rmtree(folder)
    write_picture(tmp_path / "pictures" / "a.png", 7)
    where = {"rows": ("Toy rendered",), "only": ("a",)}
    code, said, done = make_here(monkeypatch, made[1], tmp_path / "pictures", out, **where)
    assert code == 2 and done == []
    assert any("holds the model of another picture of this name: use another --out" in line for line in said)


@pytest.mark.parametrize("content", ["", "{}", '{"protocol": '])
def test_a_damaged_cell_is_not_done(content, pictures, tmp_path, monkeypatch):
    done, where = [], {"rows": ("patches",), "only": ("a",)}
    path, out = write_protocol(tmp_path / "protocol"), tmp_path / "out"
    again = {"launch": launch_made_up(done)} | where
    make_here(monkeypatch, path, pictures, out, **again)
    (cell,) = out.glob(f"*/*/*/{cells.CELL}")
    whole = cell.read_text()
    cell.write_text(content)
    _, said, _ = make_here(monkeypatch, path, pictures, out, dry_run=True, **again)
    assert any("1: 0 done, 1 to do" in line for line in said)
    with pytest.raises(UserError, match="holds no result of this table"):
        make_here(monkeypatch, path, pictures, out, tables_only=True, **again)
    with pytest.raises(UserError, match=r"cell\.json is damaged"):
        cells.read(cell.parent)
    assert len(done) == 1
    assert make_here(monkeypatch, path, pictures, out, **again)[0] == 0
    assert len(done) == 2 and cell.read_text() == whole
    # Whatever was measured is of a picture that nobody knows, until it is measured anew.
    cell.write_text(content)
    done[0].write()
    assert done[0].result() is None and cell.read_text() == whole


def test_samples_that_others_made_are_a_row(made, pictures, tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    for number in range(4):
        write_picture(theirs / f"a_{number}.png", 10 + number)
    (theirs / "b").mkdir()
    for number in range(2):
        write_picture(theirs / "b" / f"{number}.png", 20 + number, (96, 128))
    options = {"rows": ("patches",), "only": ("a", "b"), "samples": {"Theirs": theirs}}
    code, said, done = make_here(monkeypatch, made[1], pictures, made[0], **options)
    assert code == 0 and done == ["Theirs, a", "Theirs, b"]
    found = results(made[0])
    assert found["Theirs, a"]["images"][0]["samples"] == 3
    assert [one["name"] for one in found["Theirs, a"]["images"][0]["per_sample"]] == ["a_0.png", "a_1.png", "a_2.png"]
    assert found["Theirs, b"]["images"][0]["samples"] == 2
    assert any("2 samples, the other rows have 3" in note for note in found["Theirs, b"]["images"][0]["notes"])
    (row,) = [line for line in said if line.startswith("Theirs ")]
    assert row.split()[-5:] == ["-", "-", "-", "-", "2"]
    # Another folder of samples is another row; none for a picture is a hole.
    options["samples"] = {"Theirs": theirs / "b"}
    code, said, done = make_here(monkeypatch, made[1], pictures, made[0], **options)
    assert code == 2 and done == ["Theirs, a", "Theirs, b"]
    assert any(re.match("hole +Theirs, a: .*holds no sample of a", line) for line in said)


def test_killed_in_the_middle_it_goes_on_and_ends_as_undisturbed(pictures, tmp_path, monkeypatch):
    """Both processes are killed (-9) while the model of the first cell is in training."""
    slow = {"model.steps_per_stage": 500, "log_every": 50, "sample_every": 250, "checkpoint_every": 100}
    rows = [{"title": "Toy", "config": "toy.json", "budgets": {"small": slow}}]
    path = write_protocol(tmp_path / "protocol", rows)
    script = (
        "import sys; from pathlib import Path; from siv_jax.experiments import make, probe\n"
        "probe.ask = lambda configs, devices: probe.Machine('cpu', 1, [1.0] * len(configs))\n"
        "make.make(*map(Path, sys.argv[1:]), budget='small', only=('a',))\n"
    )
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    command = [sys.executable, "-W", "ignore", "-c", script, str(path), str(pictures), str(killed)]
    started = subprocess.Popen(command, env=tiny.environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE
    while not any(path.name.isdecimal() and int(path.name) for path in killed.glob("runs/*/*/checkpoints/*")):
        assert time.monotonic() < deadline and started.poll() is None
        time.sleep(0.01)
    children = subprocess.run(["pgrep", "-P", str(started.pid)], capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", "-9", str(started.pid), *children], check=True)
    started.wait()
    assert len(children) == 1 and not results(killed)
    for out in (killed, undisturbed):
        # The lock of a process that was killed is free once the system has cleared it away.
        assert make_here(monkeypatch, path, pictures, out, only=("a",))[0] == 0
    ours, expected = results(killed), results(undisturbed)
    assert list(map(toy_tables.values, ours.values())) == list(map(toy_tables.values, expected.values()))
    assert ours.keys() == expected.keys() == {"Toy, a"}
    for run_ in undisturbed.glob("runs/*/*/config.json"):
        toy_tables.assert_same_run(killed / run_.parent.relative_to(undisturbed), run_.parent)


class Asked:
    """A cell of which `run` needs no more than this."""

    def __init__(self, folder: Path, done: bool = False):
        self.folder, self.done, self.run = folder, done, None
        folder.mkdir(parents=True, exist_ok=True)

    def result(self):
        return {} if self.done else None

    def write(self):
        assert not self.done

    claim = cells.Cell.claim


def test_a_cell_that_another_process_works_on_is_passed_over_until_it_is_done(tmp_path, monkeypatch):
    mine, theirs, ended = Asked(tmp_path / "mine"), Asked(tmp_path / "theirs"), []
    held = theirs.claim()
    held.acquire()

    def launch(cell, environment):
        assert cell is mine
        theirs.done = True  # the other process ends meanwhile
        return toy_tables.Ended(0)

    monkeypatch.setattr(run, "launch", launch)
    monkeypatch.setattr(run, "_PATIENCE", 0.2)
    run.run([theirs, mine], probe.Machine("cpu", 1, []), StopSignal(), lambda *outcome: ended.append(outcome))
    assert ended == [(mine, 0, ""), (theirs, 0, "")]
    held.release()


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [
        (2, "a\nerror: no plan fits\n", (2, "no plan fits")),
        (1, "Traceback\n  line\nValueError: odd\n", (1, "ValueError: odd")),
        (-9, "training\n", (137, "killed by signal 9, as a system does that runs out of memory")),
        (3, "", (3, "exit code 3")),
    ],
)
def test_why_a_process_failed_is_one_line_and_is_kept(tmp_path, code, log, expected):
    cell = Asked(tmp_path)
    (tmp_path / cells.LOG).write_text(log)
    assert run.outcome(cell, code) == expected
    assert cells.Cell.failure(cell) == expected[1]
    assert run.outcome(cell, 0) == (0, "") and cells.Cell.failure(cell) == ""


def test_a_signal_ends_those_under_way_and_starts_no_more(tmp_path, monkeypatch):
    stop, ended, three = StopSignal(), [], [Asked(tmp_path / name) for name in "abc"]
    code = "import sys; print(flush=True); sys.stdin.read(); sys.exit(143)"
    started, pipes = [], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}

    def launch(cell, environment):
        started.append(subprocess.Popen([sys.executable, "-c", code], **pipes))
        started[-1].stdout.readline()
        if len(started) == 2:
            stop.name = "SIGINT"
        return started[-1]

    monkeypatch.setattr(run, "launch", launch)
    run.run(three, probe.Machine("cpu", 2, []), stop, lambda *outcome: ended.append(outcome))
    assert [one.returncode for one in started] == [143, 143] and ended == []
    for one in started:
        one.stdout.close()


def test_each_process_sees_one_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    four = probe.Machine("gpu", 4, [])
    assert [four.environment(i)["CUDA_VISIBLE_DEVICES"] for i in range(4)] == ["0", "1", "2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    two = probe.Machine("gpu", 2, [])
    assert [two.environment(i)["CUDA_VISIBLE_DEVICES"] for i in range(2)] == ["2", "5"]
    assert probe.Machine("gpu", 1, []).environment(0) == probe.Machine("cpu", 3, []).environment(2) == {}


def test_the_estimate_of_several_stages_goes_from_the_first_to_the_last(monkeypatch):
    class Stage:
        def __init__(self, num_steps):
            self.num_steps = num_steps

    class Task:
        stages = (Stage(10), Stage(20), Stage(5))

    monkeypatch.setattr(estimate, "seconds_per_step", lambda task, devices, number=0: {0: 0.1, 2: 0.4}[number])
    assert estimate.seconds(Task, []) == pytest.approx(10 * 0.1 + 20 * 0.2 + 5 * 0.4)


def measured(cell: cells.Cell, value: float) -> dict:
    """The record of a cell, made up."""
    keys = ("sifid_64", "sifid_768", "lpips_diversity", "pixel_diversity", "distance_to_train")
    mean = {key: {"value": value + i, "low": None, "high": None} for i, key in enumerate(keys)}
    image = {"name": cell.name, "size": [48, 64], "samples": 7, "training_images": 1, "training_digest": "d"}
    image |= {"metrics": mean, "per_sample": []}
    trained = {"size": "64x48", "steps": 9, "seconds": 30.0, "cpu_seconds": 50.0, "peak_bytes": 2 * 10**9}
    experiment = {"protocol": cell.protocol, "row": cell.row.title, "row_id": cell.row_id, "training": trained}
    experiment |= {"budget": cell.budget.model_dump(), "drawing_seconds": 0.5, "device": "cpu"}
    experiment |= {"config_name": cell.config_name, "config": cell.config}
    found = {"name": cell.row.title, "protocol": {"id": "p", "lpips": "alex"}, "mean": mean, "images": [image]}
    return found | {cells.EXPERIMENT: experiment}


def launch_made_up(done: list, failing: str = ""):
    def launch(cell: cells.Cell, environment) -> toy_tables.Ended:
        done.append(cell)
        if cell.row.title == failing:
            (cell.folder / cells.LOG).write_text("error: training diverged\n")
            return toy_tables.Ended(3)
        record.write(cell.folder, measured(cell, 0.5 + cell.row.stride))
        return toy_tables.Ended(0)

    return launch


def test_ablations_stand_beside_the_papers_and_go_past_failures(pictures, tmp_path, monkeypatch):
    done: list[cells.Cell] = []
    where = {"budget": "paper", "only": ("a",), "launch": launch_made_up(done, failing="lambda_0.05")}
    code, said, _ = make_here(monkeypatch, "5", pictures, tmp_path / "out", **where)
    assert code == 3
    assert [cell.row.config for cell in done] == [
        f"ablations:{name}" for name in ("no_dr", "lambda_0.05", "full", "lambda_0.5")
    ]
    text = "\n".join(said)
    assert re.search(r"^Table 5, lambda \(picture\) ", text, re.MULTILINE)
    assert re.search(r"^0\.05 +- +0\.07 ", text, re.MULTILINE)
    assert re.search(r"^0\.15 +0\.500 +0\.08 +2\.500 +0\.33.* 30 +50 +0\.50 +2\.00 +1$", text, re.MULTILINE)
    assert "hole      lambda_0.05, a: training diverged" in said
    # Table 4 shares two rows, which are not done again.
    done.clear()
    code, said, _ = make_here(monkeypatch, "4", pictures, tmp_path / "out", **where)
    assert code == 0 and [cell.row.title for cell in done] == ["zcr", "ds", "image_dr"]
    # Clips have rows of their own in the paper, and more steps.
    clip = {"clips": True, "tables_only": True} | where
    with pytest.raises(UserError, match="holds no result"):
        make_here(monkeypatch, "3", pictures, tmp_path / "out", **(clip | {"only": ()}))


def test_rows_made_elsewhere_stand_beside(made, pictures, tmp_path, monkeypatch):
    there, path = made[0] / "mine_small.json", made[1]
    make_here(monkeypatch, path, pictures, made[0], tables_only=True)  # which other tests have made of other pictures
    where = {"rows": ("Tiny SIV-GAN",), "add": (there,), "launch": launch_made_up([])}
    assert make_here(monkeypatch, path, pictures, tmp_path / "out", **where)[0] == 2
    ours, theirs = (cells_of((out / "mine_small.md").read_text(), "md") for out in (tmp_path / "out", made[0]))
    assert list(ours) == list(theirs)
    assert {title for title in theirs if ours[title] != theirs[title]} == {"Tiny SIV-GAN"}
    assert (tmp_path / "out" / "mine_small.html").read_text().count("<img") == 0
    # What came of it can be added in its turn.
    again = {"rows": ("patches",), "add": (tmp_path / "out" / "mine_small.json",), "tables_only": True}
    make_here(monkeypatch, path, pictures, made[0], **again)
    assert cells_of((made[0] / "mine_small.md").read_text(), "md") == ours
    make_here(monkeypatch, path, pictures, made[0], tables_only=True)
    other = write_protocol(tmp_path / "other", size=63)
    for given, complaint in (
        ({"rows": ()}, "has no row but those that are made here"),
        ({"only": ("a",)}, "the row Toy is of a, b, damaged, narrow, and this table of a: use the same"),
        ({"add": (path,)}, "is no table in JSON"),
        ({"add": (tmp_path / "none.json",)}, "cannot be read: No such file"),
        ({"chosen": other}, "made under the protocol small-.*; this table's is small-"),
    ):
        asking = where | {"chosen": path} | given
        with pytest.raises(UserError, match=complaint):
            make_here(monkeypatch, asking.pop("chosen"), pictures, tmp_path / "out", **asking)


def test_dry_run_says_rows_runs_and_time_and_writes_nothing(pictures, tmp_path, monkeypatch):
    code, said, done = make_here(monkeypatch, "3", pictures, tmp_path / "out", budget="cpu", dry_run=True)
    names = [row[1] for row in published.ABLATIONS[0].rows]
    assert code == 0 and done == [] and not (tmp_path / "out").exists()
    assert any(line.startswith("rows ") and all(name in line for name in names) for line in said)
    assert any("28: 0 done, 21 to do with 21 runs of training" in line for line in said)
    assert any("about 21 minutes of training for 21 runs" in line for line in said)


def test_frames_of_a_stride_are_as_many_for_each_and_every_nth(tmp_path):
    assert inputs.number_of_frames(1000, [1, 10], 100) == 100
    assert inputs.number_of_frames(80, list(range(1, 11)), 100) == 8
    assert inputs.number_of_frames(81, [1, 2, 4, 8], 100) == 11
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(9):
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(clip / f"{number}.png")
    for stride in (1, 4):
        folder = inputs.every_nth(clip, stride, 3, tmp_path / f"every_{stride}")
        reds = [np.asarray(Image.open(path))[0, 0, 0] for path in sorted(folder.iterdir())]
        assert reds == [20 * stride * i for i in range(3)]


def test_frames_that_a_killed_process_left_are_written_anew(tmp_path):
    for number in range(3):
        write_picture(tmp_path / "clip" / f"{number}.png", number)
    left = [tmp_path / f".every_2.{ending}" for ending in (os.getpid(), "partial")]
    for folder in left:
        folder.mkdir()
        (folder / "000000.png").write_bytes(b"half")
    (tmp_path / ".every_20.partial").mkdir()
    folder = inputs.every_nth(tmp_path / "clip", 2, 2, tmp_path / "every_2")
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000002.png"]
    assert not any(path.exists() for path in left) and (tmp_path / ".every_20.partial").exists()


def test_the_curve_over_strides(tmp_path, monkeypatch):
    clips, done = tmp_path / "clips", []
    for number in range(17):
        write_picture(clips / "ride" / f"{number}.png", number)
    out, where = tmp_path / "out", {"budget": "cpu", "launch": launch_made_up(done)}
    code, said, _ = make_here(monkeypatch, "figure_5", clips, out, **where)
    assert code == 0 and [(cell.row.stride, cell.frames) for cell in done] == [(1, 3), (2, 3), (4, 3), (8, 3)] * 2
    assert len({cell.run for cell in done}) == 8
    found = asked.Table("figure_5", "cpu", clips, out).results()
    curve = {1: 1.5, 2: 2.5, 4: 4.5, 8: 8.5}
    assert summary.series(found, "sifid_64") == {"FastGAN": curve, "SIV-GAN": curve}
    page = (out / "figure_5_cpu.html").read_text()
    assert page.count("<svg") == 3 and "SIFID 64 over the stride of frames" in page
    assert any(line.startswith("SIV-GAN, stride 8 ") for line in said)


def test_inputs_are_pictures_or_clips(pictures, tmp_path):
    assert [one.name for one in inputs.find(pictures, clip=False)] == ["a", "b", "damaged", "narrow"]
    assert [one.name for one in inputs.find(pictures / "b.jpg", clip=False)] == ["b"]
    (one,) = inputs.find(tmp_path / ".." / Path(pictures).name, clip=True)
    assert one.name == pictures.name
    write_picture(tmp_path / "clips" / "x" / "0.png", 0)
    write_picture(tmp_path / "clips" / "y" / "0.png", 0)
    assert [one.name for one in inputs.find(tmp_path / "clips", clip=True)] == ["x", "y"]
    write_picture(tmp_path / "same" / "a.png", 0)
    write_picture(tmp_path / "same" / "a.jpg", 0)
    assert [one.name for one in inputs.find(tmp_path / "same", clip=False)] == ["a_jpg", "a_png"]
    for name in ("a_jpg.png", "B.png", "b.png"):
        write_picture(tmp_path / "same" / name, 0)
    found = {one.path.name: one.name for one in inputs.find(tmp_path / "same", clip=False)}
    assert found == {
        "a.jpg": "a_jpg_2",
        "a.png": "a_png",
        "a_jpg.png": "a_jpg",
        "B.png": "B_png",
        "b.png": "b_png_2",
    }


BAD_ROWS = [
    ({"title": "x", "samples": "raw"}, "row 'x': samples raw need a config"),
    ({"title": "x", "samples": "noise", "config": "quick"}, "row 'x': samples noise need no config"),
    ({"title": "x", "config": "quik"}, "row x, budget small: there is no config quik"),
    ({"title": "x", "config": "quick"}, "row x, budget small: time_limit is set"),
    ({"title": "x", "config": "single_image", "budgets": {"small": {"num_step": 3}}}, "did you mean num_steps"),
    ({"title": "x", "config": "single_image", "budgets": {"big": {}}}, "rows name the budget 'big'; there are small"),
    ({"title": "x", "confg": "single_image"}, r"rows\.0\.confg: Extra inputs"),
    ({"title": "x", "config": "quick", "budgets": {"small": {"config": {"a": 1}}}}, "the config of budget small is .*"),
    ({"title": "x", "config": "é" * 300}, "row x, budget small: there is no config ééé"),
    ({"title": "x\ny", "config": "quick"}, r"rows\.0\.title: String should match"),
]


@pytest.mark.parametrize(("row", "complaint"), BAD_ROWS)
def test_protocols_that_cannot_be_used(row, complaint, pictures, tmp_path):
    path = write_protocol(tmp_path, [row])
    with pytest.raises(UserError, match=complaint) as caught:
        make.make(path, pictures, tmp_path / "out", budget="small")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a/b", "../x", ".", "a\\b", "a:b", "", "a" * 61])
def test_budgets_that_name_no_folder(name, tmp_path):
    path = tmp_path / "mine.yaml"
    budgets = {name: {"samples": 3, "size": 64}}
    path.write_text(json.dumps({"title": "x", "inputs": "either", "rows": [], "budgets": budgets}))
    with pytest.raises(UserError, match=r"is no protocol of a table: budgets\."):
        protocol.load(path)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "one of the arguments --table --figure --protocol is required"),
        (["--table", "7"], "invalid choice: '7'"),
        (["--figure", "4"], "'4' is not 5"),
        (["--table", "1", "--budget", "gpu"], "there is no budget gpu; this table has paper, cpu"),
        (["--table", "1", "--rows", "GAN"], "--rows: there is no GAN; it can be SinGAN, .*SIV-GAN, SIV-GAN rendered"),
        (["--table", "1", "--only", "z"], "--only: there is no z in .*; there are a, b, damaged, narrow"),
        (["--table", "1", "--samples", "x"], "'x' is not NAME=FOLDER"),
        (["--table", "1", "--samples", "x=nowhere"], "there is no such folder"),
        (["--table", "1", "--samples", f"{'x' * 201}=."], "x{57}...: the name of a row is one line of at most 200"),
        (["--table", "1", "--samples", "x\ty=."], "--samples x y: the name of a row is one line"),
        (["--figure", "5", "--samples", "x=."], '--samples does not go with "Stride of a clip\'s frames"'),
        (["--table", "1", "--clips"], "is of models that learn from pictures"),
        (["--table", "1", "--tables_only"], "holds no result of this table"),
        (["--protocol", "no.yaml"], "the protocol no.yaml cannot be read"),
    ],
)
def test_what_the_command_refuses(flags, complaint, pictures, tmp_path):
    with pytest.raises(UserError, match=complaint):
        tables.main([*flags, "--data", str(pictures), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_every_protocol_that_comes_along_is_good():
    from siv_jax import config as config_lib

    paths = sorted(protocol.folder().glob("*.yaml"))
    assert {path.stem for path in paths} >= {"table_1", "table_2", "ablations", "figure_5"}
    for path in paths:
        found = protocol.load(path)
        for name, budget in found.budgets.items():
            for row in found.rows:
                config = protocol.resolved(row, name, budget, clip=found.inputs == "clip")
                assert (config is None) == (row.samples == "noise")
                if config is not None:
                    own = row.budgets.get(name, {})
                    asked = {**budget.settings, **{key: own[key] for key in own if key != "config"}}
                    assert {key: config_lib.flatten(config)[key] for key in asked} == asked


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_costs_count_as_none(tmp_path, content):
    (tmp_path / cells.COST).write_bytes(content)
    assert cells.read_costs(tmp_path / cells.COST) is None
    assert cells.read_costs(tmp_path / "none") is None
