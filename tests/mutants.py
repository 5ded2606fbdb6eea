"""Change the code in one place at a time, and name the changes that no test finds.

``make mutants`` does so for the modules below, or with ``OF=cache`` for one of them, side by side on the cores of this
machine. cosmic-ray makes the changes, in clones of the last commit in ``.cache/mutants``. Operators are exchanged for
one other each, numbers are one more and one less, comparisons and conditions are turned around, decorators are taken
away: those that only keep results (``lru_cache``) leave every test as it was.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".cache" / "mutants"
TOOLS = Path(sys.executable).parent  # this runs in an environment that has cosmic-ray
PYTHON = ROOT / ".venv" / "bin" / "python"

# By name: the module, and the tests that are to find the changes, the quick ones first.
MODULES = {
    "geometry": ("cclib/geometry.py", "tests/cclib/test_geometry.py tests/cclib/test_conversion.py"),
    "claims": ("companion/evidence/claims.py", "tests/companion/evidence/test_claims.py"),
    "cache": ("cclib/functional/cache.py", "tests/cclib/functional/test_cache.py"),
    "runs": ("companion/train/runs.py", "tests/companion/train/test_keys.py tests/companion/train/test_runs.py"),
}
# One exchange of the many for each operator is enough; there is none for |, which in annotations changes nothing.
EXCHANGES = {
    "Binary": ("Add_Sub", "Sub_Add", "Mul_Add", "Div_Mul", "FloorDiv_Mul", "Mod_Add", "Pow_Mul"),
    "Comparison": ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    "Unary": ("USub_UAdd", "Delete_Not"),
}
TIMEOUT = 600  # seconds, after which a change counts as found
CONFIGURATION = """\
[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
test-command = {command}
excluded-modules = []
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = {others}
"""


def mutate(name: str) -> tuple[Counter[str], list[str]]:
    """How many changes ended how, and those that survived, as diffs."""
    module, tests = MODULES[name]
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(folder)], check=True)
    for kernel in (ROOT / "cclib" / "functional").glob("kernels.avx*"):
        shutil.copy2(kernel, folder / "cclib" / "functional")
    others = [f"core/Replace{kind}Operator_(?!({'|'.join(kept)})$)" for kind, kept in EXCHANGES.items()]
    command = f"{shlex.quote(str(PYTHON))} -m pytest -x -q -p no:cacheprovider {tests}"
    written = {"command": json.dumps(command), "others": json.dumps(others)}  # strings as TOML has them, too
    configuration = CONFIGURATION.format(module=module, timeout=TIMEOUT, **written)
    (folder / "mutants.toml").write_text(configuration, encoding="utf-8")

    def tool(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(folder)}  # the clone, and not the checkout
        command = [str(TOOLS / arguments[0]), *arguments[1:]]
        done = subprocess.run(command, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE)
        return done.stdout

    tool("cosmic-ray", "baseline", "mutants.toml")  # the tests must pass before anything is changed ...
    tool("cosmic-ray", "init", "mutants.toml", "session.sqlite")
    tool("cr-filter-operators", "session.sqlite", "mutants.toml")
    tool("cosmic-ray", "exec", "mutants.toml", "session.sqlite")
    tool("cosmic-ray", "baseline", "mutants.toml")  # ... and after, or what was broken meanwhile would count as found
    ended, survived = Counter[str](), []
    for line in tool("cosmic-ray", "dump", "session.sqlite").splitlines():
        _, result = json.loads(line)
        if result["worker_outcome"] == "skipped":
            continue
        ended[result["test_outcome"] or result["worker_outcome"]] += 1
        if result["test_outcome"] == "survived":
            survived.append(result["diff"])
    return ended, survived


def main() -> None:
    names = sys.argv[1:] or list(MODULES)
    if unknown := set(names) - set(MODULES):
        sys.exit(f"OF must be one of {', '.join(MODULES)}, got {', '.join(unknown)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, (ended, survived) in zip(names, pool.map(mutate, names), strict=True):
            print("\n".join(survived))
            others = "".join(f", {count} {how}" for how, count in ended.items() if how not in ("killed", "survived"))
            found, missed = ended["killed"], ended["survived"]
            print(f"{name}: of {ended.total()} changes {found} were found, {missed} were not{others}")


if __name__ == "__main__":
    main()
