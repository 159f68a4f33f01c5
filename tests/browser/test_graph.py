"""The graph of a DAG with tasks of this provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.sandbox import Sandbox
from demo.reference import draw_reference
from tests.browser.screenshots import keep
from tests.lab.airflow_server import AirflowServer

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

DAG_ID = "example_apimart_image_to_image"
OPERATORS = {
    "upload": "ApimartUploadImageOperator",
    "generate": "ApimartImageGenerationOperator",
    "wait": "ApimartGenerationSensor",
    "save": "ApimartToObjectStorageOperator",
}


def is_whole(text: Locator) -> bool:
    """Whether nothing of a text is cut off."""
    return bool(text.evaluate("text => text.scrollWidth <= text.clientWidth"))


def test_the_graph_names_every_task_its_operator_and_its_state(
    airflow: AirflowServer, sandbox: Sandbox, page: Page, tmp_path: Path
) -> None:
    reference = draw_reference(tmp_path / "reference.png")
    run_id = airflow.trigger(DAG_ID, {"reference": str(reference), "destination": (tmp_path / "made").as_uri()})
    airflow.wait_for(DAG_ID, run_id, save="success")
    page.set_viewport_size({"width": 1280, "height": 640})
    page.goto(f"{airflow.base_url}/dags/{DAG_ID}/runs/{run_id}")
    page.get_by_role("button", name="Show Graph").click()

    nodes = {task_id: page.get_by_test_id(f"rf__node-{task_id}") for task_id in OPERATORS}
    for task_id, node in nodes.items():
        node.get_by_text(OPERATORS[task_id], exact=True).wait_for()
        node.get_by_text("success", exact=True).wait_for()
        assert is_whole(node.get_by_role("link").get_by_text(task_id, exact=True))
    keep("graph", *nodes.values(), margin=16)
