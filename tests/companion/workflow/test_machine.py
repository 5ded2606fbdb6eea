"""What is recorded of the machine and of the commit."""

import re
import subprocess
from pathlib import Path

from companion.workflow import machine


def test_the_commit_is_recorded_with_a_mark_if_sources_differ(tmp_path: Path) -> None:
    assert machine.commit(tmp_path) == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    clean = machine.commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "results").write_text("not a source")
    assert machine.commit(tmp_path) == clean
    (tmp_path / "notebooks").write_text("a source")
    assert machine.commit(tmp_path) == clean + "+"
