"""Callback after Airflow has stored a task's success."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl


def after_success(ti: Any, call: Callable[[], None]) -> None:
    """
    Call a function when Airflow has stored that a task instance, which runs in this process, has succeeded.

    It is not called if the task fails, defers, or dies before. ``on_success_callback`` would be too early: Airflow 2
    calls it before the success is stored.

    :param ti: ``context["ti"]``.
    :param call: Called once.
    """
    listeners = _listener_manager()
    # An operator that is resumed in one process, as ``dag.test()`` does, gets here once for each of its task instances.
    listeners.add_listener(_Success(_key_of(ti), call, listeners))


class _Success:
    """Listener for the success of one task instance."""

    def __init__(self, key: tuple[Any, ...], call: Callable[[], None], listeners: Any) -> None:
        self._key = key
        self._call = call
        self._listeners = listeners

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """Call the function, if it is this task instance that has succeeded."""
        if _key_of(task_instance) == self._key:
            self._listeners.pm.unregister(self)
            self._call()


def _key_of(ti: Any) -> tuple[Any, ...]:
    return ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number


def _listener_manager() -> Any:
    try:
        module = import_module("airflow.sdk.listener")
    except ImportError:  # Below Airflow 3.2
        module = import_module("airflow.listeners.listener")
    return module.get_listener_manager()
