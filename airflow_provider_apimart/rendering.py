"""Rendering of the templates of operators that send text to APIMart."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_apimart.api.arguments import is_template
from airflow_provider_apimart.api.plain_values import is_gap
from airflow_provider_apimart.api.reference_fields import PROSE, refused
from airflow_provider_apimart.api.rendered_values import is_nothing

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

_TEMPLATE_FILES = (".txt", ".md")
# Fields whose value is text, even where a DAG renders templates as native objects.
_TEXT = PROSE | {
    "model",
    "title",
    "style",
    "audio_format",
    "size",
    "resolution",
    "quality",
    "aspect_ratio",
    "apimart_conn_id",
    "destination",
    "filename",
    "image",
    "key",
    "library",
}
# Fields in which a template must not render to nothing, because an absent value would mean something else.
_NEVER_ABSENT = PROSE | {
    "model",
    "requests",
    "max_cost",
    "destination",
    "filename",
    "image",
    "image_urls",
    "image_with_roles",
    "mask_url",
    "apimart_conn_id",
    "key",
    "library",
}


class RendersText(BaseOperator):
    """
    Base of operators whose templates render to text.

    With ``render_template_as_native_obj``, a prompt such as ``1984`` or ``{"scene": "fox"}`` stays the text that was
    written. A template that renders to nothing, such as the XCom of a task that returned ``None``, is refused before
    anything is sent.
    """

    #: Fields that may hold the path of a ``.txt`` or ``.md`` file, relative to the DAG's folder or a directory of
    #: ``template_searchpath``. Only the whole value counts, and only if the file exists; ``literal(...)`` of Airflow
    #: keeps such a value as it is.
    file_fields: ClassVar[tuple[str, ...]] = ()
    #: Fields whose templates may render to nothing: the operator itself decides about missing values in them.
    optional_fields: ClassVar[tuple[str, ...]] = ()
    # Airflow would take every text that ends so for a file, also within lists and objects.
    template_ext: Sequence[str] = ()
    _rendered_nothing: Mapping[str, str] = {}
    # Fields that hold the content of a file already: it is no path, whatever it ends with.
    _from_files: frozenset[str] = frozenset()

    def resolve_template_files(self) -> None:
        """Replace the paths of template files by the files' content, when the DAG is parsed."""
        for name in self.file_fields:
            written = getattr(self, name, None)
            source = self._with_source(written)
            if source is not written:
                setattr(self, name, source)
                self._from_files |= {name}
        self.prepare_template()

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a value as Airflow does, but text fields always as text."""
        env = jinja_env or self.get_template_env()
        if content.__class__ is dict:
            return {name: self._rendered(name, None, item, context, env, seen_oids) for name, item in content.items()}
        name = next((name for name in self.template_fields if getattr(self, name, None) is content), None)
        if name in self.file_fields and name not in self._from_files:
            content = self._with_source(content, env)
        noted = self._rendered_nothing
        rendered = self._rendered(name, name, content, context, env, seen_oids)
        if name in self.optional_fields:
            # Also what the entries of a list have rendered to.
            self._rendered_nothing = noted
        return rendered

    def check_rendered(self) -> None:
        """
        Check that no template rendered to nothing.

        :raises ApimartInvalidRequestError: If one did, with the field's name.
        """
        for label, rendered in self._rendered_nothing.items():
            raise refused(f"{label} rendered to {rendered}; the value that its template reads is missing")

    def _rendered(
        self,
        field: str | None,
        argument: str | None,
        content: Any,
        context: Context,
        env: jinja2.Environment,
        seen_oids: set[int] | None,
    ) -> Any:
        if content.__class__ is dict:
            return self.render_template(content, context, env, seen_oids)
        is_text = isinstance(content, str) and field in (_TEXT if argument else PROSE)
        missing: list[Any] = []
        rendered = (
            _rendered_text(_noting_missing(env, missing).from_string(content), context)
            if is_text
            else super().render_template(content, context, env, seen_oids)
        )
        if is_template(content):
            self._note(argument or f"{field or ''} {content!r:.100}".strip(), field, rendered, missing)
        return rendered

    def _note(self, label: str, field: str | None, rendered: Any, missing: list[Any]) -> None:
        others = {name: value for name, value in self._rendered_nothing.items() if name != label}
        is_text = isinstance(rendered, str)
        absent = is_gap(rendered) or (is_text and not rendered.strip())
        nothing = field in _NEVER_ABSENT if absent else bool(missing) or (is_text and is_nothing(rendered))
        self._rendered_nothing = {**others, label: repr(rendered)} if nothing else others

    def _with_source(self, content: Any, env: jinja2.Environment | None = None) -> Any:
        """Return the content of the template file that a value names, and any other value unchanged."""
        from jinja2 import TemplateNotFound

        if not isinstance(content, str) or not content.endswith(_TEMPLATE_FILES) or is_template(content):
            return content
        env = env or self.get_template_env()
        try:
            return env.loader.get_source(env, content)[0] if env.loader else content
        except (TemplateNotFound, OSError, ValueError):
            if not any(map(str.isspace, content)):
                self.log.warning("There is no template file %r; it is used as text", content)
            return content


def _noting_missing(env: jinja2.Environment, missing: list[Any]) -> jinja2.Environment:
    """Return an environment that adds each missing value which a template writes into its text to a list."""

    def finalize(value: Any) -> Any:
        if _holds_nothing(value):
            missing.append(value)
        return value

    # A DAG with a finalize of its own decides itself what a missing value is written as.
    return env if env.finalize else env.overlay(finalize=finalize)


def _holds_nothing(value: Any) -> bool:
    """Return whether a value is missing, or a list or mapping of nothing else."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return all(map(_holds_nothing, value))
    return is_gap(value)


def _rendered_text(template: jinja2.Template, context: Context) -> Any:
    """Return what a template renders to as text; a single object that is missing or holds others stays an object."""
    known: Any = copy.copy(context)
    known.update({name: value for name, value in template.globals.items() if name not in known})
    nodes = list(_nodes(template, known))
    if len(nodes) == 1 and (is_gap(nodes[0]) or isinstance(nodes[0], Mapping | list)):
        return nodes[0]
    return "".join(map(str, nodes))


def _nodes(template: jinja2.Template, known: Any) -> list[Any]:
    try:
        return list(template.root_render_func(template.new_context(known, shared=True)))
    except Exception:
        # Rewrites the traceback to point into the template.
        template.environment.handle_exception()
