"""
Threads of the pages. Airflow's own are left alone, so that a slow storage delays nothing but these pages.

Files have threads of their own: while a storage doesn't answer, the lists and galleries that name its files are shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 6

_PAGES = ThreadPoolExecutor(_AT_ONCE, "apimart-pages")
_FILES = ThreadPoolExecutor(_AT_ONCE, "apimart-files")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that blocks, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_PAGES, lambda: work(*args, **kwargs))


async def in_file_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that reads a saved file, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_FILES, lambda: work(*args, **kwargs))
