"""
Run the tests on several versions of Airflow, each in an environment of its own, and print one table.

``python -m tests.matrix 2.11 3.0 3.1 3.2 3.3 lowest``. An environment is under ``.venvs`` and has the versions that
its file under ``constraints`` names; those of ``lowest`` are the lowest that ``pyproject.toml`` admits.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.packaging.environment import PROJECT, VERSIONS, constraints, make

# What touches Airflow; the rest imports at most the base of an exception from it, and its paths. That its commands list
# the provider on each version is what `make wheel` checks.
TOUCHES_AIRFLOW = (
    "tests/batch/test_in_airflow.py",
    "tests/cli",
    "tests/compat",
    "tests/durable/test_crash_every_version.py",
    "tests/durable/test_crash_points.py",
    "tests/events",
    "tests/hooks",
    "tests/library",
    "tests/lineage",
    "tests/operators",
    "tests/packaging/test_provider_info.py",
    "tests/page",
    "tests/real_airflow",
    "tests/results/storage/test_destination.py",
    "tests/results/storage/test_s3.py",
    "tests/sensors",
    "tests/transfers",
    "tests/triggers",
)
STARTS_NO_AIRFLOW = ("-m", "not starts_airflow and not long")
_BROKEN = ("failure", "error")


@dataclass(frozen=True)
class Outcome:
    """
    What became of the tests on one version.

    :param skipped: How many tests were skipped for each reason.
    :param failed: The names of those that failed.
    """

    version: str
    passed: int
    skipped: Counter[str]
    failed: Sequence[str]
    seconds: float

    def __str__(self) -> str:
        skipped = self.skipped.total()
        return f"{self.version:<16}{self.passed:>8}{skipped:>9}{len(self.failed):>8}{self.seconds:>9.0f}"


HEADER = f"{'Airflow':<16}{'passed':>8}{'skipped':>9}{'failed':>8}{'seconds':>9}"


@dataclass(frozen=True)
class Environment:
    """
    An environment with one version of Airflow.

    :param version: One of ``VERSIONS``.
    :param python: The interpreter that it is made from.
    :param extras: Extras of the provider that are installed into it.
    """

    version: str
    python: str
    extras: tuple[str, ...] = ("test",)

    @property
    def name(self) -> str:
        """The version, the interpreter where it isn't the one that runs this, and further extras."""
        interpreter = [] if self.python == sys.executable else [Path(self.python).name]
        return "-".join((self.version, *interpreter, *self.extras[1:]))

    @property
    def folder(self) -> Path:
        """Where it is."""
        return PROJECT / ".venvs" / self.name

    @property
    def interpreter(self) -> str:
        """Its own interpreter."""
        return str(self.folder / "bin" / "python")

    def build(self) -> None:
        """Make it, unless it is newer than what it is made from."""
        done = self.folder / "installed"
        pins = constraints(self.version)
        sources = (pins, PROJECT / "pyproject.toml")
        if done.exists() and all(done.stat().st_mtime > source.stat().st_mtime for source in sources):
            return
        print(f"Installing the environment {self.name} ...", flush=True)
        make(self.folder, self.version, "--editable", f".[{','.join(self.extras)}]", python=self.python)
        if unnamed := self._installed() - _pins(pins.read_text()):
            raise SystemExit(f"{pins} doesn't name {', '.join(sorted(unnamed))}")
        done.touch()

    def _installed(self) -> set[str]:
        command = [self.interpreter, "-m", "pip", "freeze", "--exclude-editable"]
        return _pins(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def test(self, tests: Iterable[str]) -> Outcome:
        """
        Run tests in it.

        :param tests: Paths or options of pytest; none for all tests.
        """
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [
            self.interpreter,
            "-m",
            "pytest",
            "-q",
            "-r",
            "f",
            # More than there are processors: tests that start Airflow mostly wait.
            "-n",
            "4",
            "--dist",
            "worksteal",
        ]
        command += ["--ignore", "tests/browser"]
        began = time.monotonic()
        subprocess.run([*command, f"--junitxml={report}", *tests], cwd=PROJECT, check=False)
        return outcome_from(self.name, report, time.monotonic() - began)


def _pins(text: str) -> set[str]:
    """Return the lines of a list of versions, with names as registries compare them."""
    lines = (line.partition("==") for line in text.splitlines())
    return {f"{re.sub('[-_.]+', '-', name).lower()}=={pinned}" for name, _, pinned in lines}


def outcome_from(version: str, report: Path, seconds: float) -> Outcome:
    """Read what pytest has reported; a report that isn't there is a failure."""
    if not report.exists():
        return Outcome(version, 0, Counter(), ["pytest ended without a report"], seconds)
    cases = list(ElementTree.parse(report).iter("testcase"))
    skipped = Counter(str(case[0].get("message")) for case in cases if [child.tag for child in case][:1] == ["skipped"])
    failed = [_name(case) for case in cases if any(child.tag in _BROKEN for child in case)]
    return Outcome(version, len(cases) - skipped.total() - len(failed), skipped, failed, seconds)


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def main(arguments: Sequence[str]) -> int:
    """Run the matrix; return how many versions didn't pass."""
    parser = argparse.ArgumentParser(description="Run the tests on several versions of Airflow.")
    parser.add_argument("versions", nargs="*", help=f"some of {', '.join(VERSIONS)}; otherwise all")
    parser.add_argument("--short", action="store_true", help="what touches Airflow, shared among the versions")
    parser.add_argument("--python", default=sys.executable, help="another interpreter to make environments from")
    chosen = parser.parse_args(arguments)
    versions = chosen.versions or VERSIONS
    outcomes = [
        _run(Environment(version, chosen.python), _short_form(version, versions) if chosen.short else ())
        for version in versions
    ]
    print("", HEADER, *outcomes, *_details(outcomes), sep="\n")
    return sum(1 for outcome in outcomes if outcome.failed)


def _short_form(version: str, versions: Sequence[str]) -> Sequence[str]:
    """
    Return the tests of a version in the short form, as arguments of pytest.

    Each version runs a part of the cases. The oldest version differs most, so it runs each test; those between share
    the tests.
    """
    cases = ("--cases", f"{versions.index(version) + 1}/{len(versions)}")
    if version == "lowest":
        # Its version of Airflow is the oldest too.
        return (*STARTS_NO_AIRFLOW, *cases)
    if version == VERSIONS[0]:
        return (*TOUCHES_AIRFLOW, *cases)
    between = [each for each in versions if each not in (VERSIONS[0], "lowest")]
    return (*TOUCHES_AIRFLOW, *cases, "--tests", f"{between.index(version) + 1}/{len(between)}")


def _run(environment: Environment, tests: Sequence[str]) -> Outcome:
    environment.build()
    print(f"Testing on {environment.name} ...", flush=True)
    return environment.test(tests)


def _details(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for outcome in outcomes:
        yield from (f"{outcome.version}: {count} skipped: {reason}" for reason, count in outcome.skipped.most_common())
        yield from (f"{outcome.version}: FAILED {name}" for name in outcome.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
