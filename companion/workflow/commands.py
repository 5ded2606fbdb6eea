"""The commands behind dvc.yaml and the Makefile: `python -m companion --help`.

It decides what is run and where results go; ``notebooks`` runs one, ``companion.evidence`` makes tables and pages.
Every error that a user can mend ends in one line and exit status 1.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from companion import files, fingerprint, instructions
from companion.evidence import claims, families, replicated, tables
from companion.train import records
from companion.workflow import notebooks, profiles

ROOT = files.project_root()
CLAIMS = ROOT / "results" / "claims.json"
LARGER = ("long", "paper")  # the profiles that take hours: results/ has a folder for each, and records of their runs
RECORDS = ROOT / "results" / "records"
LARGER_ROWS = ROOT / "results" / "larger.json"  # what they measured, gathered
REPLICATION = ROOT / "results" / "replication.json"
OTHER_SEEDS = "other-seeds"  # the profile behind it
SITTINGS = ROOT / "results" / OTHER_SEEDS  # the rows of each notebook, with what they depend on

_UNFINISHED = 3  # the exit status of a notebook that needs runs, where only finished ones are wanted

# The packages whose version can change a number or a picture; others rerun nothing.
_PINS = (
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "matplotlib",
    "seaborn",
    "pandas",
    "pillow",
    "safetensors",
    "ziglang",  # compiles the kernels
)
# It decides where runs are computed, and the tests hold their bits to those computed here: it reruns nothing.
_APART = ("companion.train.cluster",)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except notebooks.NotebookUnfinished as error:
        print(error, file=sys.stderr)
        return _UNFINISHED
    except (ValueError, OSError, SyntaxError, subprocess.SubprocessError, notebooks.NotebookFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m companion", description="Run and gather the experiments.")
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="run one notebook")
    run.add_argument("name", metavar="NN-name")
    run.add_argument("--profile", help="a file in profiles/ (default: the one in params.yaml)")
    run.add_argument(
        "--output",
        type=Path,
        help="where results go (default: results/, results/long/, results/paper/ or, for other profiles, scratch/)",
    )
    run.set_defaults(command=run_notebook)
    for name, command, purpose in (
        ("fingerprints", fingerprints, "write results/code/: what code each notebook depends on"),
        ("claims", gather_claims, "judge all rows: results/claims.json and, of other seeds, results/replication.json"),
        ("playground", ship_network, "write the trained networks of notebook 00 and of the index to data/"),
        ("page", write_pages, "write results/index.html and results/pages/: the results to read in a browser"),
        ("lab", open_lab, "open JupyterLab on the playground"),
    ):
        commands.add_parser(name, help=purpose).set_defaults(command=command)
    again = commands.add_parser("repro", help="rerun everything and compare the claims with the committed ones")
    again.add_argument(
        "--seeds", choices=["own", "other"], default="own", help="other: those of profiles/other-seeds.yaml"
    )
    again.set_defaults(command=repro)
    sitting = commands.add_parser(
        "sitting", help="run the notebooks that larger profiles change, and that have no results yet"
    )
    sitting.add_argument("profiles", nargs="+", choices=LARGER)
    sitting.add_argument(
        "--finished", action="store_true", help="train nothing: only what the cache and results/records/ hold"
    )
    sitting.set_defaults(command=run_larger)
    worker = commands.add_parser("worker", help="compute runs for the scheduler of a cluster")
    worker.add_argument("address", metavar="tcp://host:8786")
    worker.add_argument("--workers", type=int, help="processes (default: one for each GPU, or else for each core)")
    worker.set_defaults(command=serve_cluster)
    readme = commands.add_parser("readme", help="regenerate results/CLAIMS.md and the findings in README.md")
    readme.add_argument("--check", action="store_true", help="write nothing; exit 1 if they are not up to date")
    readme.set_defaults(command=update_readme)
    return parser


def run_notebook(options: argparse.Namespace) -> int:
    """Run a notebook; only the project's own profile goes to results/ unasked."""
    settings = profiles.read_yaml(ROOT / "params.yaml")
    if not isinstance(settings, dict) or set(settings) != {"profile"}:
        raise ValueError(f"params.yaml: must hold `profile: name` and nothing else, got {settings!r}")
    default = settings["profile"]
    profile = options.profile or default
    if profile in LARGER and profile != default:  # DVC computes everything anew
        os.environ[records.FOLDER] = str(RECORDS)
    notebooks.run(ROOT, options.name, profile, options.output or target_folder(options.name, profile, default))
    return 0


def target_folder(name: str, profile: str, default: str) -> Path:
    """Where the results of a profile go: to results/ if it is the project's own, beside them if it is a larger one."""
    if profile == default and profile != "smoke":
        return ROOT / "results" / name
    return ROOT / ("results" if profile in LARGER else "scratch") / profile / name


def run_larger(options: argparse.Namespace) -> int:
    """Run the notebooks that larger profiles change, but for those whose results are there.

    Runs that were finished in earlier sittings, here or elsewhere, are taken from the cache or from their records; with
    --finished no others are computed: a notebook that needs one is left out, with a line, and so is one that fails.
    """
    if options.finished:
        os.environ[records.FINISHED] = "1"
    else:
        start_cluster()
    failed = False
    for profile, name in [(larger, name) for larger in options.profiles for name in changed_by(larger)]:
        target = target_folder(name, profile, profiles.FULL)
        if (target / "metrics.json").exists():
            continue
        # In a process of its own, as DVC runs it.
        command = [
            sys.executable,
            "-m",
            "companion",
            "run",
            name,
            "--profile",
            profile,
            "--output",
            str(target),
        ]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        failed |= status not in (0, _UNFINISHED)
        if failed and not options.finished:
            break
        gather_larger()
    return int(failed)


def gather_larger() -> None:
    """Write results/larger.json, the rows of larger profiles by profile and notebook, and what readers see of them."""
    folders = {profile: sorted((ROOT / "results" / profile).glob("*/metrics.json")) for profile in LARGER}
    rows = {
        profile: {path.parent.name: claims.read(path) for path in paths} for profile, paths in folders.items() if paths
    }
    files.write_json(LARGER_ROWS, rows)
    update_readme(argparse.Namespace(check=False))


def fingerprints(options: argparse.Namespace) -> int:
    """Write results/code/NN-name.json for every notebook; one whose content is unchanged reruns nothing."""
    folder = ROOT / "results" / "code"
    folder.mkdir(parents=True, exist_ok=True)
    names = profiles.notebook_names(ROOT)
    for stale in {path for path in folder.iterdir() if path.stem not in names}:
        stale.unlink()
    for name in names:
        files.write_json(folder / f"{name}.json", dependencies(name))
    return 0


def dependencies(name: str) -> dict[str, dict[str, str]]:
    """The hashes of the modules behind a notebook and how it is run, and the versions its numbers depend on."""
    sources = [profiles.source_path(ROOT, name), Path(notebooks.__file__)]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", _text(ROOT / "constraints.txt"), re.MULTILINE))
    return {"code": fingerprint.closure(sources, _APART), "packages": {package: pins[package] for package in _PINS}}


def gather_claims(options: argparse.Namespace) -> int:
    """Write results/claims.json, the rows of all notebooks, judged together; those of other seeds are judged anew."""
    files.write_json(CLAIMS, families.judged(all_rows()))
    if REPLICATION.exists():
        files.write_json(REPLICATION, replication())
    return 0


def ship_network(options: argparse.Namespace) -> int:
    """Write the networks that the playground and the index start from; trained, or taken from the run cache."""
    instructions.settle()
    from companion import playground  # loads torch and all that a notebook needs

    playground.ship()
    return 0


def write_pages(options: argparse.Namespace) -> int:
    """Write results/index.html and a page for every notebook."""
    instructions.settle()
    from companion.evidence import pages  # nbconvert takes a second to load
    from companion.playground import article

    asked_with = replicated.asked_with(changed_since_replicated())
    names = profiles.notebook_names(ROOT)
    pages.write(ROOT, names, replicated_rows(), asked_with, larger_rows(), article.trained())
    return 0


def all_rows() -> list[claims.Row]:
    """The rows in the notebooks' metrics.json, in the order of the claims."""
    paths = [ROOT / "results" / name / "metrics.json" for name in profiles.notebook_names(ROOT)]
    return sorted((row for path in paths for row in claims.read(path)), key=claims.sort_key)


def larger_rows() -> dict[str, dict[str, list[claims.Row]]]:
    """By profile and notebook, the checked rows of those that were run with larger profiles."""
    rows: dict[str, dict[str, list[claims.Row]]] = claims.parsed(LARGER_ROWS) if LARGER_ROWS.exists() else {}
    for profile, by_notebook in rows.items():
        for name, of_notebook in by_notebook.items():
            for index, row in enumerate(of_notebook):
                claims.check_row(row, f"{LARGER_ROWS}, {profile}, {name}, row {index + 1}")
    return rows


def repro(options: argparse.Namespace) -> int:
    """Rerun every stage, then print each claim as committed and as it came out here.

    Training runs are not taken from the cache, but for those of an earlier repro that was interrupted.
    """
    start_cluster()
    if options.seeds == "other":
        return replicate()
    with_git = prepare_dvc()
    committed = committed_claims()
    unfinished = files.cache_folder() / "repro-unfinished"
    if not unfinished.exists():  # else this goes on where an earlier one stopped, with the training runs it finished
        shutil.rmtree(files.cache_folder() / "runs", ignore_errors=True)
        files.cache_folder().mkdir(parents=True, exist_ok=True)
        files.atomic_write(unfinished, "")
    status = _dvc_repro()
    if status != 0:
        print(f"\nStopped: the stage that DVC names above failed (exit status {status}).", file=sys.stderr)
        print("Once it is mended, `make repro` takes finished training runs from .cache/.", file=sys.stderr)
        return 1
    unfinished.unlink()
    update_readme(argparse.Namespace(check=False))
    print("\n" + tables.comparison(committed, families.read(CLAIMS)))
    if with_git:
        print("\nresults/, README.md and the networks in data/ are this machine's now;")
        print("the committed ones come back with: git checkout -- results dvc.lock README.md data")
    return 0


def replicate() -> int:
    """Run every notebook that has seeds with others, and compare results/replication.json with the claims.

    The rows of each are kept in results/other-seeds/ with what they depend on, and are not computed again while that
    is the same: it can be done in sittings, on several machines.
    """
    for name in changed_by(OTHER_SEEDS):
        inputs = inputs_of(name)  # now: sources may change while the notebook runs
        if is_done(name, inputs):
            continue
        # In a process of its own, as DVC runs it.
        command = [sys.executable, "-m", "companion", "run", name, "--profile", OTHER_SEEDS]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            return 1
        keep(name, inputs)
    update_readme(argparse.Namespace(check=False))
    print("\n" + tables.comparison([row for row in families.read(CLAIMS) if is_replicated(row)], replicated_rows()))
    return 0


def changed_by(profile: str) -> list[str]:
    """The notebooks for which a profile says something; that for other seeds, those whose numbers depend on them."""
    changes = profiles.load_profile(ROOT, profile)
    return [name for name in profiles.notebook_names(ROOT) if changes.get(f"nb-{name}")]


def is_done(name: str, inputs: str) -> bool:
    """Whether an earlier sitting has computed a notebook with other seeds, from the same inputs."""
    record = SITTINGS / name / "machine.json"
    return record.exists() and claims.parsed(record).get("inputs") == inputs


def inputs_of(name: str) -> str:
    """The hash of all that other seeds' rows depend on: the notebook's text, code, packages, parameters, data."""
    texts = [_text(path) for path in (profiles.source_path(ROOT, name), ROOT / "data" / "SHA256SUMS")]
    parts = [texts, dependencies(name), profiles.parameters(ROOT, name, OTHER_SEEDS)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def keep(name: str, inputs: str) -> None:
    """Copy what was measured with other seeds from scratch/ to results/other-seeds/, and judge all of it anew."""
    new = target_folder(name, OTHER_SEEDS, profiles.FULL)
    (SITTINGS / name).mkdir(parents=True, exist_ok=True)
    files.atomic_write(SITTINGS / name / "metrics.json", (new / "metrics.json").read_bytes())
    # Last: it says that the rows are whole.
    files.write_json(SITTINGS / name / "machine.json", claims.parsed(new / "machine.json") | {"inputs": inputs})
    files.write_json(REPLICATION, replication())


def replication() -> list[claims.Row]:
    """The rows that other seeds gave, judged together with the committed ones of notebooks that they gave none of."""
    folders = [
        SITTINGS / name if (SITTINGS / name).exists() else ROOT / "results" / name
        for name in profiles.notebook_names(ROOT)
    ]
    rows = [row for folder in folders for row in claims.read(folder / "metrics.json")]
    return families.judged(sorted(rows, key=claims.sort_key))


def replicated_rows() -> list[claims.Row]:
    """The judged rows that other seeds gave; none where nobody has run them."""
    return [row for row in families.read(REPLICATION) if is_replicated(row)] if REPLICATION.exists() else []


def changed_since_replicated() -> bool:
    """Whether anything that the rows of other seeds depend on has changed since they were measured."""
    names = [name for name in profiles.notebook_names(ROOT) if (SITTINGS / name).exists()]
    return not all(is_done(name, inputs_of(name)) for name in names)


def is_replicated(row: claims.Row) -> bool:
    return (SITTINGS / row["notebook"]).exists()


def open_lab(options: argparse.Namespace) -> int:
    """JupyterLab, whose kernels compute as the commands here do."""
    instructions.settle()
    command = [sys.executable, "-m", "jupyter", "lab", f"--notebook-dir={ROOT}", "notebooks/00-playground.ipynb"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def serve_cluster(options: argparse.Namespace) -> int:
    """Workers that compute as the commands here do, for whoever asks the scheduler."""
    instructions.settle()
    from companion.train import workers  # needs Dask, which is optional

    workers.work(options.address, options.workers)
    return 0


def start_cluster() -> None:
    """Find the cluster that the environment names, if any, for all notebooks: jobs are started once, and end here."""
    if os.environ.get("CCLIB_CLUSTER"):
        from companion.train import cluster  # loads torch

        os.environ[cluster.runs.CLUSTER] = cluster.scheduler(os.environ[cluster.runs.CLUSTER])


def prepare_dvc() -> bool:
    """Let DVC work in a downloaded archive, which has no .git, too; returns whether there is one."""
    with_git = (ROOT / ".git").exists()
    if not with_git:
        command = [sys.executable, "-m", "dvc", "config", "--local", "core.no_scm", "true"]
        subprocess.run(command, cwd=ROOT, check=True)
    return with_git


def committed_claims() -> list[claims.Row]:
    """The claims as the project ships them: git's, or without git a copy made before the first rerun."""
    copy = ROOT / ".cache" / "committed-claims.json"
    if (ROOT / ".git").exists() and shutil.which("git"):
        show = ["git", "show", "HEAD:./results/claims.json"]
        shown = subprocess.run(show, cwd=ROOT, capture_output=True, check=False)
        if shown.returncode == 0:
            copy.parent.mkdir(parents=True, exist_ok=True)
            files.atomic_write(copy, shown.stdout)
    if not copy.exists():
        if not CLAIMS.exists():
            return []
        copy.parent.mkdir(parents=True, exist_ok=True)
        files.atomic_write(copy, CLAIMS.read_bytes())
    return families.read(copy)


def _dvc_repro() -> int:
    """`dvc repro --force`, whose stages find this interpreter as `python`; returns its exit status."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", "repro", "--force"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PATH": path}) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches DVC and the stage too; they clean up, so wait for them rather than kill.
            return process.wait()


def update_readme(options: argparse.Namespace) -> int:
    """Rewrite what is generated from results/ for readers, or with --check say whether it is up to date."""
    stale = {path: text for path, text in generated().items() if not path.exists() or _text(path) != text}
    if options.check and stale:
        names = " and ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"{names}: not up to date with results/; run `make readme`", file=sys.stderr)
        return 1
    for path, text in stale.items():
        files.atomic_write(path, text)
    return 0


def generated() -> dict[Path, str]:
    """README.md with its findings, and results/CLAIMS.md, as they should be."""
    rows = families.read(CLAIMS)
    measured = {
        name: json.loads(_text(ROOT / "results" / name / "machine.json")) for name in profiles.notebook_names(ROOT)
    }
    readme = ROOT / "README.md"
    others = replicated_rows()
    changed_since = changed_since_replicated()
    same = replicated.same_verdicts(rows, others)
    told = f"With {replicated.asked_with(changed_since)}, {same} verdicts came out the same."
    findings = "\n\n".join([tables.findings(rows), *([told] if others else [])])
    page = tables.claims_page(rows, larger_rows(), measured)
    page = tables.replace_section(page, "replication", replicated.verdicts_table(rows, others, changed_since))
    page = tables.replace_section(page, "apart", replicated.apart_table(rows, others))
    return {
        readme: tables.replace_section(_text(readme), "findings", findings),
        ROOT / "results" / "CLAIMS.md": page,
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
