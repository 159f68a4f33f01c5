"""Ranges as RFC 9110 defines them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.plugin.ranges import Part, UnsatisfiableRangeError, part_of


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,25}-\d{0,25}", fullmatch=True), st.integers(0, 10**12))
def test_a_part_always_lies_within_the_file(header: str, size: int) -> None:
    try:
        part = part_of(header, size)
    except UnsatisfiableRangeError:
        return
    if part:
        assert part.length >= 1
        assert 0 <= part.start <= part.start + part.length - 1 < size


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_first_and_last_byte_are_those_that_were_asked_for(size: int, first: int, last: int) -> None:
    if first >= size and last >= first:
        with pytest.raises(UnsatisfiableRangeError):
            part_of(f"bytes={first}-{last}", size)
    elif last < first:
        assert part_of(f"bytes={first}-{last}", size) is None
    else:
        assert part_of(f"bytes={first}-{last}", size) == Part(first, min(last, size - 1) - first + 1, size)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_last_bytes(size: int, length: int) -> None:
    part = part_of(f"bytes=-{length}", size)
    assert part
    assert (part.start + part.length, part.length) == (size, min(length, size))


@pytest.mark.parametrize("header", [None, "", "bytes", "bytes=", "bytes=-", "bytes=0-1,3-4", "bytes=٣-٤", "items=0-1"])
def test_what_is_not_understood_means_the_whole_file(header: str | None) -> None:
    assert part_of(header, 100) is None
