"""
Time and memory for importing the operators, compared with other providers.

Each import runs in a fresh interpreter, in turn with the others, and the medians of several rounds count. The
baseline is the SDK with the classes that every DAG file uses; the difference to it is the cost of the operators.
``python -m benchmarks.import_cost [--short]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

ROUNDS, SHORT_ROUNDS = 11, 1

BASELINE = "import airflow.sdk as sdk; sdk.DAG; sdk.BaseOperator; sdk.BaseSensorOperator; sdk.BaseHook; sdk.Param"
STATEMENTS: Mapping[str, str] = {
    "airflow.sdk (baseline)": BASELINE,
    "this provider: all operators, sensor, transfer": (
        f"{BASELINE}\n"
        "import airflow_provider_apimart.operators.generation, airflow_provider_apimart.operators.upload\n"
        "import airflow_provider_apimart.sensors.generation\n"
        "import airflow_provider_apimart.transfers.apimart_to_object_storage"
    ),
    "Airflow's plugins manager": f"{BASELINE}\nimport airflow.plugins_manager",
    "Airflow's plugins manager, this provider's plugin": (
        f"{BASELINE}\nimport airflow.plugins_manager, airflow_provider_apimart.plugin.plugin"
    ),
    "HTTP provider: operator and sensor": (
        f"{BASELINE}\nimport airflow.providers.http.operators.http, airflow.providers.http.sensors.http"
    ),
    "OpenAI provider: operators": f"{BASELINE}\nimport airflow.providers.openai.operators.openai",
}

_PROBE = """
import json, resource, sys, time
began = time.process_time()
{statement}
took = time.process_time() - began
heavy = sorted({{"requests", "aiohttp", "PIL", "av", "fastapi", "openai", "httpx"}} & set(sys.modules))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("\\n" + json.dumps({{"seconds": took, "modules": len(sys.modules), "megabytes": peak / 1024, "heavy": heavy}}))
"""


@dataclass(frozen=True)
class Import:
    """
    One import in a fresh interpreter.

    :param seconds: Of processor time.
    :param heavy: Libraries it loaded that merely defining a DAG shouldn't need.
    """

    seconds: float
    modules: int
    megabytes: float
    heavy: list[str]


def measure(statement: str, home: str) -> Import:
    """Run a statement in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(statement=statement)],
        env=os.environ | {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        check=True,
    )
    return Import(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="one round")
    number = SHORT_ROUNDS if parser.parse_args().short else ROUNDS
    with tempfile.TemporaryDirectory() as home:
        for statement in STATEMENTS.values():
            measure(statement, home)
        rounds = [{name: measure(statement, home) for name, statement in STATEMENTS.items()} for _ in range(number)]
    baseline = next(iter(STATEMENTS))
    print(f"Importing operators, processor time, medians of {number} rounds in turn\n")
    print(f"{'':<50}{'ms':>8}{'above':>8}{'ratio':>7}{'modules':>9}{'MB':>6}  heavy libraries it loads")
    for name in STATEMENTS:
        seconds = statistics.median(each[name].seconds for each in rounds)
        # Pairwise, so that a machine whose speed drifts doesn't drift into the figure.
        above = statistics.median(each[name].seconds - each[baseline].seconds for each in rounds)
        ratio = statistics.median(each[name].seconds / each[baseline].seconds for each in rounds)
        last = rounds[-1][name]
        print(
            f"{name:<50}{seconds * 1000:>8.0f}{above * 1000:>8.0f}{ratio:>7.2f}"
            f"{last.modules:>9}{last.megabytes:>6.0f}  {', '.join(last.heavy) or 'none'}"
        )


if __name__ == "__main__":
    main()
