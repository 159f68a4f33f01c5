from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api import arguments
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.exceptions import ApimartArgumentError, ApimartInvalidRequestError


class Scalar:
    """A stand-in for a scalar of numpy: it holds a Python value and is none."""

    def __init__(self, value: Any, written: str) -> None:
        self._value = value
        self._written = written

    def tolist(self) -> Any:
        return self._value

    def __str__(self) -> str:
        return self._written


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30.0),
        (0.5, 0.5),
        ("30", 30.0),
        (" 3600 ", 3600.0),
        ("1.5", 1.5),
        (timedelta(seconds=30), 30.0),
        (timedelta(milliseconds=500), 0.5),
        (Decimal("2.5"), 2.5),
        (Scalar(30, "30"), 30.0),
        (0, 0.0),
    ],
)
def test_a_duration_is_a_number_text_or_timedelta(written: object, seconds: float) -> None:
    found = arguments.seconds(written, "timeout")
    assert found == seconds
    assert type(found) is float


@pytest.mark.parametrize(
    "written", ["1h", "", " ", "nan", "inf", True, None, [5], -1, timedelta(seconds=-1), float("nan"), 10**400, "1e99"]
)
def test_what_is_no_duration_is_refused_by_name(written: object) -> None:
    with pytest.raises(
        ApimartArgumentError, match=r"^Invalid argument: timeout must be .*\. Nothing was sent$"
    ) as error:
        arguments.seconds(written, "timeout")
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, ApimartInvalidRequestError)
    assert error.value.reason.startswith("timeout must be")


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="poll_interval must be a number of seconds above 0 or a timedelta, not 0"):
        arguments.seconds(0, "poll_interval", exclusive=True)


@pytest.mark.parametrize("written", [2, 2.0, "2", "2.0", Decimal(2), Scalar(2, "2"), Scalar(2.0, "2.0")])
def test_a_count_is_a_whole_number_however_it_is_written(written: object) -> None:
    found = arguments.count(written, "n")
    assert (found, type(found)) == (2, int)


@pytest.mark.parametrize("written", [0, -1, 1.5, "two", "", True, None, float("inf"), [2]])
def test_what_is_no_count_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="n must be a whole number of 1 or more"):
        arguments.count(written, "n")


@pytest.mark.parametrize(
    ("written", "is_on"),
    [(True, True), (False, False), ("True", True), (" false\n", False), (Scalar(False, "False"), False)],
)
def test_a_switch_is_on_or_off_however_it_is_written(written: object, is_on: bool) -> None:
    assert arguments.switch(written, "deferrable") is is_on


@pytest.mark.parametrize("written", [None, 0, 1, "", "no", "{{ params.deferrable }}", [False], 0.0])
def test_what_is_no_switch_is_refused(written: object) -> None:
    """Nearly all of these count as on."""
    with pytest.raises(ApimartArgumentError, match="deferrable must be True or False, not"):
        arguments.switch(written, "deferrable")


@given(st.integers(0, 100), st.integers(0, 10_000))
def test_a_share_is_exact(percent: int, total: int) -> None:
    """0.29 of 100 is 29, although the float is a little less."""
    share = percent / 100
    for written in (share, f"{percent / 100:.2f}", Decimal(percent) / Decimal("100.0") + Decimal("0.00")):
        assert arguments.share_of(arguments.count_or_share(written, "max_failures"), total) == percent * total // 100


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        (0, 0),
        (1, 1),
        (29, 29),
        ("29", 29),
        (2.0, 2),
        (1.0, 100),
        ("1.0", 100),
        (Scalar(0.28999999165534973, "0.29"), 29),
    ],
)
def test_a_count_and_a_share_are_distinguished(written: object, allowed: int) -> None:
    assert arguments.share_of(arguments.count_or_share(written, "max_failures"), 100) == allowed


@pytest.mark.parametrize("written", [-1, 1.5, -0.1, True, "all", None, ""])
def test_what_is_neither_count_nor_share_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="max_failures must be a count, or a share"):
        arguments.count_or_share(written, "max_failures")


@pytest.mark.parametrize("written", ["", " ", "None", "nan", -1, "-0.01", True, "$5", "five", float("inf")])
def test_what_is_no_amount_is_refused_and_is_no_missing_limit(written: object) -> None:
    with pytest.raises(ValueError, match="max_cost must be an amount in US dollars"):
        arguments.optional_dollars(written, "max_cost")


@given(st.decimals(0, 10**6, places=4))
def test_an_amount_is_taken_as_it_was_written(amount: Decimal) -> None:
    assert arguments.dollars(str(amount), "max_cost") == arguments.dollars(amount, "max_cost") == amount


@pytest.mark.parametrize(
    ("written", "size"),
    [(5, 5), (5e9, 5 * 10**9), ("1024", 1024), ("5GB", 5 * 10**9), ("5 GiB", 5 * 2**30), ("1.5 kb", 1500), ("7b", 7)],
)
def test_a_size_is_a_number_or_has_a_unit(written: object, size: int) -> None:
    assert arguments.byte_size(written, "max_file_bytes") == size


@pytest.mark.parametrize("written", [-1, 0, "0", "5 apples", "GB", "", True, "-5GB", 1.5, None, "1e40"])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="max_file_bytes must be a whole number of bytes above 0"):
        arguments.byte_size(written, "max_file_bytes")


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.timedeltas(), st.lists(st.integers())
)


@given(JUNK)
def test_any_value_is_taken_or_refused_as_an_argument(value: object) -> None:
    for read in (
        arguments.seconds,
        arguments.count,
        arguments.count_or_share,
        arguments.dollars,
        arguments.byte_size,
    ):
        with suppress(ApimartArgumentError):
            assert read(value, "x") >= 0


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0.1", "$0.10"),
        ("95.1", "$95.10"),
        ("12", "$12.00"),
        ("0.015", "$0.015"),
        ("1E+2", "$100.00"),
        ("1095.5", "$1,095.50"),
    ],
)
def test_money_has_one_form(amount: str, written: str) -> None:
    assert written_dollars(Decimal(amount)) == written
