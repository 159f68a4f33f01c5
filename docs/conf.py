"""How Sphinx builds these pages: ``make docs``."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# Importing Airflow writes its configuration: not into the home of whoever builds the pages.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="apimart-docs-")
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"

# Sphinx runs this file without its folder on the path.
sys.path.append(str(Path(__file__).parent))

import llms_txt

from airflow_provider_apimart import __version__

atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

project = "airflow-provider-apimart"
author = "The airflow-provider-apimart developers"
copyright = author
version = release = __version__

exclude_patterns = ["_build"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
# Error messages are looked for as they were logged.
smartquotes = False
html_theme = "furo"
html_title = f"Airflow provider for APIMart {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}

# Every reference must lead somewhere, except to what other projects document: their inventories are on the internet,
# and these pages are built without it.
nitpicky = True
nitpick_ignore = [("py:exc", "AirflowSensorTimeout")]
nitpick_ignore_regex = [("py:.*", r"(airflow|requests)\..*")]


class MakeTargets(SphinxDirective):
    """The targets of the Makefile with what it says of them."""

    def run(self) -> list[nodes.Node]:
        """Return them as a list of definitions."""
        makefile = Path(self.env.srcdir).parent / "Makefile"
        self.env.note_dependency(makefile)
        targets = re.findall(r"^([a-z-]+):.*?## (.*)$", makefile.read_text(), re.MULTILINE)
        entries = [
            nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", f"make {name}")),
                nodes.definition("", nodes.paragraph("", said)),
            )
            for name, said in targets
        ]
        return [nodes.definition_list("", *entries)]


def write_llms_txt(app: Sphinx, exception: Exception | None) -> None:
    """Write the index for language models beside the pages."""
    if exception is None:
        (Path(app.outdir) / "llms.txt").write_text(llms_txt.text(Path(app.srcdir)))


def setup(app: Sphinx) -> None:
    """Make the directive known, and the index for language models part of the build."""
    app.add_directive("make-targets", MakeTargets)
    app.connect("build-finished", write_llms_txt)
