"""The commands on a tiny project: a whole clone's life, runs that fail or are killed, and bad input."""

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from tiny_project import README, Project, check_outputs, reparameterised

from companion import instructions
from companion.evidence import tables
from companion.workflow import commands, notebooks

SLOW = """
from joblib import Parallel, delayed
import time
def work(name):
    open(name, "w").close()
    time.sleep(3000)
Parallel(n_jobs=2)(delayed(work)(name) for name in ("one works", "the other works"))
"""


def git(project: Project, *arguments: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=project.root,
        env=project.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def copy_of(project: Project, root: Path) -> Project:
    copy = object.__new__(Project)
    copy.root, copy.names = root, project.names
    return copy


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with committed results, which tests copy but do not change."""
    project = Project(tmp_path_factory.mktemp("committed") / "a {b} c")
    git(project, "init", "-q")
    for command in (("dvc", "repro"), ("companion", "readme")):
        done = project.call(*command)
        assert done.returncode == 0, done.stderr
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "results")
    return project


@pytest.fixture
def clone(committed: Project, tmp_path: Path) -> Project:
    git(committed, "clone", "-q", str(committed.root), str(tmp_path / "clone"))
    return copy_of(committed, tmp_path / "clone")


def test_a_run_leaves_these_results(committed: Project) -> None:
    written = {path for path in committed.contents() if "/01-tiny/" in path}
    names = ("figures/tiny.svg", "metrics.json", "notebook.ipynb")
    assert written == {f"results/01-tiny/{name}" for name in names}
    assert not (committed.root / "scratch").exists()
    notebook = nbformat.read(committed.root / "results/01-tiny/notebook.ipynb", as_version=4)
    assert [cell.id for cell in notebook.cells[:2]] == ["cell-0", "injected-parameters"]
    assert "papermill" not in notebook.metadata
    assert [output.text for cell in notebook.cells for output in cell.outputs] == ["doubled: 4\n"]
    rows = json.loads((committed.root / "results/claims.json").read_text())
    assert [(row["claim"], row["notebook"]) for row in rows] == [("C1", "01-tiny"), ("C1", "02-small")]


def test_measurements_name_no_host_or_user(committed: Project) -> None:
    text = (committed.root / "results/01-tiny/machine.json").read_text()
    record = json.loads(text)
    assert list(record) == [
        *("seconds_per_epoch", "profile", "wall_seconds", "peak_memory_mib", "hardware", "versions", "commit")
    ]
    assert record["peak_memory_mib"] > 50
    keys = ["cpu", "family", "instructions", "settings", "cores", "memory_gib", "gpu", "system"]
    assert list(record["hardware"]) == keys
    assert os.uname().nodename not in text
    assert str(committed.root) not in text


def test_a_fresh_clone_is_up_to_date_and_reruns_what_changed(clone: Project) -> None:
    assert clone.call("dvc", "status", "-q").returncode == 0
    clone.write("cclib/tiny.py", '"""Words."""\n\n\ndef double(value):\n    # more words\n    return 2 * value\n')
    done = clone.call("dvc", "repro")
    assert "Running stage 'fingerprints'" in done.stdout
    assert "Running stage 'notebook" not in done.stdout
    assert clone.call("dvc", "status", "-q").returncode == 0
    clone.write("cclib/tiny.py", "def double(value):\n    return value + value\n")
    assert clone.call("dvc", "repro", "fingerprints").returncode == 0
    assert "notebook@01-tiny" in clone.call("dvc", "status").stdout


def test_repro_of_an_archive_gives_the_same_bytes_and_says_so(committed: Project, tmp_path: Path) -> None:
    shutil.copytree(committed.root, tmp_path / "archive", ignore=shutil.ignore_patterns(".git", "tmp"))
    archive = copy_of(committed, tmp_path / "archive")
    done = archive.call("companion", "repro")
    assert done.returncode == 0, done.stderr
    assert archive.contents() == committed.contents()
    lines = done.stdout.splitlines()[-2:]
    assert [line.split()[:2] for line in lines] == [["C1", "01"], ["C1", "02"]]
    assert all(line.split()[-6:] == ["px", "inconclusive", "yes", "double", "of", "tiny"] for line in lines)
    assert archive.call("companion", "readme", "--check").returncode == 0
    assert archive.call("dvc", "status", "-q").returncode == 0


def test_repro_compares_with_what_git_has_committed(clone: Project) -> None:
    committed = (clone.root / "results/claims.json").read_text()
    clone.write("results/claims.json", committed.replace('"value": 4.0', '"value": 5.0'))
    code = "from companion.workflow import commands; print([row['value'] for row in commands.committed_claims()])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=clone.root, capture_output=True, text=True)
    assert shown.stdout == "[4.0, 4.0]\n", shown.stderr


def test_a_tweak_is_compared_and_overwrites_nothing_unless_asked(clone: Project) -> None:
    before = clone.contents()
    change = "profiles/default.yaml:nb-01-tiny.values=[2.0,4.0,6.0]"
    done = clone.call("dvc", "exp", "run", "--temp", "-n", "doubled", "-S", change, "notebook@01-tiny")
    assert done.returncode == 0, done.stderr
    assert clone.contents() == before
    assert git(clone, "status", "--porcelain") == ""
    table = clone.call("dvc", "exp", "diff", "HEAD", "doubled").stdout
    (value,) = [line.split() for line in table.splitlines() if ".value " in line]
    assert [float(number) for number in value[-3:]] == [4, 8, 4]  # before, after, change
    assert "nb-01-tiny.values" in table
    assert clone.call("dvc", "exp", "apply", "doubled").returncode == 0
    assert {path for path, content in clone.contents().items() if content != before[path]} == {
        f"results/01-tiny/{name}" for name in ("metrics.json", "notebook.ipynb")
    }
    git(clone, "checkout", "--", "results", "dvc.lock", "profiles")
    assert clone.contents() == before


def test_nbval_compares_marked_outputs(committed: Project, tmp_path: Path) -> None:
    executed = committed.root / "results/01-tiny/notebook.ipynb"
    smoke = {"values": [1.0, 2.0], "threshold": 0.5, "label": "c", "seeds": 1}
    copy = reparameterised(executed, tmp_path / "copy.ipynb", smoke)
    tampered = tmp_path / "tampered" / "copy.ipynb"
    tampered.parent.mkdir()
    tampered.write_text(copy.read_text().replace("doubled: 4", "doubled: 5"))
    passed, failed = (check_outputs(path, committed.root) for path in (copy, tampered))
    assert passed.returncode == 0, passed.stdout
    assert failed.returncode == 1
    assert "doubled: 5" in failed.stdout


def test_a_failing_notebook_fails_repro_and_keeps_the_earlier_result(clone: Project, committed: Project) -> None:
    clone.notebook("01-tiny", 'raise RuntimeError("no luck")')
    done = clone.call("companion", "repro")
    assert done.returncode == 1
    for words in (
        *("cell 5 failed with RuntimeError: no luck", "Traceback", "scratch/failed/01-tiny.ipynb"),
        *("failed to reproduce 'notebook@01-tiny'", "Stopped: the stage that DVC names above failed"),
    ):
        assert words in done.stderr
    assert "same verdict" not in done.stdout
    assert clone.contents() == committed.contents()
    kept = nbformat.read(clone.root / "scratch/failed/01-tiny.ipynb", as_version=4)
    assert "no luck" in str(kept.cells)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_starter(end: signal.Signals, project: Project) -> None:
    """kill -9 of what started the run through a shell, as DVC does; and Ctrl-C, which all processes get."""
    project.notebook("01-tiny", SLOW)
    start = "import subprocess, sys; subprocess.run(sys.argv[1], shell=True)"
    command = f"{shlex.quote(sys.executable)} -m companion run 01-tiny; true"
    starter = subprocess.Popen(
        [sys.executable, "-c", start, command],
        cwd=project.root,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell's background jobs, these tests maybe, ignore Ctrl-C, and so would all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while len(list(project.root.glob("* works"))) < 2:
            assert starter.poll() is None
            time.sleep(0.1)
        tree = psutil.Process(starter.pid).children(recursive=True)
        assert len(tree) >= 5  # Shell, `companion run`, kernel and two workers.
        os.kill(starter.pid, end) if end == signal.SIGKILL else os.killpg(starter.pid, end)
        # No measurement: ten minutes, rather than for ever.
        assert psutil.wait_procs(tree, timeout=600)[1] == []
    finally:
        starter.kill()
        starter.wait()
    assert not (project.root / "results/01-tiny/notebook.ipynb").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("01-tiny", "--profile", "smok"),
            "profile 'smok' does not exist; did you mean 'smoke'.; there are default, smoke",
        ),
        (("01-tinny",), "notebook '01-tinny' does not exist; did you mean '01-tiny'.; there are 01-tiny, 02-small"),
        (
            ("01-tiny", "--profile", "smoke", "--output", "results/01-tiny"),
            "'smoke' .* never writes to results/",
        ),
        (("01-tiny", "--output", "params.yaml/x"), "Not a directory: .*params.yaml"),
    ],
)
def test_a_bad_run_is_refused_in_one_line(
    arguments: tuple[str, ...],
    words: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "ROOT", project.root)
    monkeypatch.chdir(project.root)
    before = sorted(project.root.rglob("*"))
    assert commands.main(["run", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(f"^error: .*{words}", said)
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        ((), "results/01-tiny"),
        (("--profile", "default"), "results/01-tiny"),
        (("--profile", "smoke"), "scratch/smoke/01-tiny"),
        (("--profile", "smoke", "--output", "here"), "here"),
    ],
)
def test_where_results_go(
    arguments: tuple[str, ...], target: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(commands, "ROOT", project.root)
    monkeypatch.setattr(notebooks, "run", lambda *call: seen.append(call[-1]))
    assert commands.main(["run", "01-tiny", *arguments]) == 0
    assert seen == [Path(target) if target == "here" else project.root / target]


def fake_execution(monkeypatch: pytest.MonkeyPatch, committed: Project, spoil) -> None:
    """Instead of executing, copy an executed notebook's files, then spoil them."""

    def execute(root: Path, name: str, source: Path, partial: Path, given: dict) -> nbformat.NotebookNode:
        shutil.copytree(committed.root / "results" / name, partial.parent, dirs_exist_ok=True)
        (partial.parent / "machine.json").unlink()
        spoil(partial.parent)
        return nbformat.read(partial, as_version=4)

    monkeypatch.setattr(notebooks, "_execute", execute)
    for name in ("CCLIB_OUTPUT", "IPYTHONDIR", "PYTHONHASHSEED", "JUPYTER_PREFER_ENV_PATH"):
        monkeypatch.setenv(name, "")  # So that what a run sets is undone.


def spoil_rows(partial: Path) -> None:
    text = (partial / "metrics.json").read_text()
    (partial / "metrics.json").write_text(text.replace("01-tiny", "02-small"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda partial: (partial / "metrics.json").unlink(), "did not write metrics.json"),
        (lambda partial: (partial / "figures/tiny.svg").unlink(), "did not write a file in figures"),
        (lambda partial: (partial / "stray.txt").touch(), "wrote stray.txt"),
        (lambda partial: (partial / "metrics.json").write_text("{}"), "holds no row"),
        (spoil_rows, "names the notebook '02-small'"),
    ],
)
def test_results_that_break_the_rules_replace_nothing(
    spoil, words: str, project: Project, committed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_execution(monkeypatch, committed, spoil)
    target = project.root / "results/01-tiny"
    project.write("results/01-tiny/metrics.json", "earlier")
    with pytest.raises(ValueError, match=words):
        notebooks.run(project.root, "01-tiny", "default", target)
    assert project.contents() == {"results/01-tiny/metrics.json": b"earlier"}


def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    project: Project,
    committed: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fake_execution(monkeypatch, committed, lambda partial: None)
    monkeypatch.setattr(commands, "ROOT", project.root)
    monkeypatch.setattr(nbformat, "write", full)
    assert commands.main(["run", "01-tiny"]) == 1
    said = f"error: [Errno 28] No space left on device: '{project.root / 'results/01-tiny'}'\n"
    assert capsys.readouterr().err == said
    assert not (project.root / "results/01-tiny").exists()


def test_new_results_replace_old_ones(project: Project, committed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_execution(monkeypatch, committed, lambda partial: None)
    project.write("results/01-tiny/figures/old.svg", "old")
    project.write("results/01-tiny/.partial/left-by-a-kill", "")
    notebooks.run(project.root, "01-tiny", "default", project.root / "results/01-tiny")
    written = {path: data for path, data in committed.contents().items() if "/01-tiny/" in path}
    assert project.contents() == written


def test_what_readers_see_comes_from_the_results(clone: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ROOT", clone.root)
    monkeypatch.setattr(commands, "CLAIMS", clone.root / "results/claims.json")
    readme, page = clone.root / "README.md", clone.root / "results/CLAIMS.md"
    readme.write_text(README.replace(":begin -->", ":begin -->old"))
    assert commands.main(["readme", "--check"]) == 1
    assert "old" in readme.read_text()
    page.unlink()
    assert commands.main(["readme", "--check"]) == 1
    assert commands.main(["readme"]) == 0
    assert readme.read_text().startswith("# Tiny\n<!-- findings:begin -->\n\n|")
    assert readme.read_text().endswith("<!-- findings:end -->\nThe end.\n")
    row = "| C1 | Tiny things double. | double of tiny | 4.0 [-1.0, 9.0] px | 3 | single: 2 px |"
    assert row in page.read_text()
    assert "| double of tiny | at least 0.5 px | it should | 3 | 4.0 [" in page.read_text()
    assert "seconds per epoch: 0.25" in page.read_text()
    assert commands.main(["readme", "--check"]) == 0
    page.write_text("old")
    assert commands.main(["readme", "--check"]) == 1


def test_larger_profiles_are_computed_in_sittings(clone: Project) -> None:
    kept = clone.contents()
    raising = """import os
from companion.train import records

class Unfinished(Exception):
    "As that of companion.train.runs, which would load torch."

print("records in", os.path.relpath(os.environ[records.FOLDER]))
if os.environ.get(records.FINISHED):
    raise Unfinished("2 runs are not finished")
"""
    source = clone.root / "notebooks/01-tiny.ipynb"
    whole = source.read_text()
    clone.notebook("01-tiny", raising)
    clone.profile("paper", {"nb-01-tiny": {}, "nb-02-small": {}})
    clone.profile("long", {"nb-01-tiny": {"values": [7.0, 7.1, 7.2]}, "nb-02-small": {}})
    done = clone.call("companion", "sitting", "long", "--finished")
    assert done.returncode == 0, done.stderr
    assert "01-tiny: 2 runs are not finished" in done.stderr
    assert "Traceback" not in done.stderr
    assert "02-small" not in done.stderr  # the profile changes nothing of it
    assert not (clone.root / "results/long/01-tiny").exists()
    assert "profile `long`" not in (clone.root / "results/CLAIMS.md").read_text()

    assert clone.call("companion", "sitting", "long").returncode == 0
    executed = (clone.root / "results/long/01-tiny/notebook.ipynb").read_text()
    assert "records in results/records" in executed
    assert json.loads((clone.root / "results/larger.json").read_text()).keys() == {"long"}
    shutil.rmtree(clone.root / "results/long")
    source.write_text(whole)
    assert clone.call("companion", "sitting", "long").returncode == 0
    assert "profile `long` |" in (clone.root / "results/CLAIMS.md").read_text()
    assert "profile `paper`" not in (clone.root / "results/CLAIMS.md").read_text()
    (measured,) = json.loads((clone.root / "results/long/01-tiny/metrics.json").read_text()).values()
    assert measured["value"] == pytest.approx(14.2)
    again = clone.call("companion", "sitting", "long")
    assert "cells" not in again.stderr  # nothing was run
    assert {path: clone.contents()[path] for path in kept if "CLAIMS" not in path} == {
        path: content for path, content in kept.items() if "CLAIMS" not in path
    }

    clone.notebook("01-tiny", 'raise RuntimeError("no luck")')
    shutil.rmtree(clone.root / "results/long")
    clone.profile("paper", {"nb-01-tiny": {}, "nb-02-small": {"values": [2.0, 2.1, 2.2]}})
    failed = clone.call("companion", "sitting", "long", "paper", "--finished")
    assert failed.returncode == 1
    assert "no luck" in failed.stderr
    assert (clone.root / "results/paper/02-small/metrics.json").exists()  # the others are collected all the same


def test_other_seeds_stand_beside_the_claims_and_are_computed_in_sittings(clone: Project) -> None:
    def replicate() -> subprocess.CompletedProcess[str]:
        return clone.call("companion", "repro", "--seeds", "other")

    clone.profile("other-seeds", {"nb-01-tiny": {"values": [3.0, 3.1, 3.2]}, "nb-02-small": {}})
    done = replicate()
    assert done.returncode == 0, done.stderr
    assert "01-tiny: 1 of 1 rows differ" in done.stdout
    assert "02-small" not in done.stdout
    replicated = json.loads((clone.root / "results/replication.json").read_text())
    assert [row["value"] for row in replicated] == pytest.approx([6.2, 4.0])
    page = (clone.root / "results/CLAIMS.md").read_text()
    assert "0 of 1 verdicts are the same with other seeds." in page
    assert "| inconclusive | 6.20 [" in page
    assert not (clone.root / "scratch/other-seeds/02-small").exists()

    kept = clone.contents()
    again = replicate()
    assert again.returncode == 0, again.stderr
    assert "cells" not in again.stderr  # nothing was run
    assert clone.contents() == kept

    own = clone.root / "results/02-small/metrics.json"
    own.write_text(own.read_text().replace('"value": 4.0', '"value": 5.0'))
    assert clone.call("companion", "claims").returncode == 0
    replicated = json.loads((clone.root / "results/replication.json").read_text())
    assert [row["value"] for row in replicated] == pytest.approx([6.2, 5.0])  # judged with the own rows of today
    kept = clone.contents()

    clone.notebook("01-tiny", 'raise RuntimeError("no luck")')
    failed = replicate()  # again, since the notebook is another
    assert failed.returncode == 1
    assert "no luck" in failed.stderr
    assert clone.contents() == kept
    assert clone.call("companion", "readme").returncode == 0
    page = (clone.root / "results/CLAIMS.md").read_text()
    assert "0 of 1 verdicts are the same with other seeds and earlier code or parameters." in page


@pytest.mark.skipif(not instructions.can_share(), reason="an x86 processor with AVX2")
def test_the_lab_computes_as_the_commands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def start(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        started.append((command, dict(os.environ)))
        return subprocess.CompletedProcess(command, 3)

    for name in instructions.SETTINGS:
        monkeypatch.setenv(name, "")  # put back at the end
    monkeypatch.setattr(subprocess, "run", start)
    assert commands.main(["lab"]) == 3
    ((command, environment),) = started
    assert command[1:4] == ["-m", "jupyter", "lab"]
    assert {name: environment[name] for name in instructions.SETTINGS} == instructions.SETTINGS


def test_comparison_shows_changes(committed: Project) -> None:
    old, other = json.loads((committed.root / "results/claims.json").read_text())
    new = old | {"verdict": "reproduced", "value": 4.5, "adjusted_low": 1.0, "adjusted_high": 7.0}
    first, second, empty, head, *lines = tables.comparison([old], [new, other]).splitlines()
    assert first == "01-tiny: 1 of 1 rows differ; by at most 0.05 of a 95 % interval's length"
    assert (second, empty) == ("02-small: 1 are new or gone", "")
    assert head.split()[:2] == ["claim", "in"]
    quantity = ["double", "of", "tiny"]
    assert lines[0].split()[-9:] == ["7.0]", "px", "reproduced", "NO,", "was", "inconclusive", *quantity]
    assert lines[1].split()[-4:] == ["new", *quantity]
    assert tables.comparison([old], []).splitlines()[-1].split()[-4:] == ["gone", *quantity]
    assert tables.comparison([old], [old]).startswith("01-tiny: identical (1 rows)\n\n")
