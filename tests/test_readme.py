"""The README's code, run as written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab.airflow_lab import PROJECT

DAG_BLOCK, TEST_BLOCK = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)


def test_the_dag_can_be_pasted() -> None:
    pasted: dict[str, Any] = {}
    exec(compile(DAG_BLOCK, "README.md", "exec"), pasted)
    assert pasted["wait"].dag.task_ids == ["upload", "generate", "wait", "save"]


def test_the_test_can_be_pasted(tmp_path: Path) -> None:
    plugins, test = TEST_BLOCK.split("\n", 1)
    (tmp_path / "conftest.py").write_text(plugins)
    (tmp_path / "test_pasted.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
