from __future__ import annotations

import pytest

from tests.durable.fault_table import TROUBLES, Case, try_out
from tests.lab import AirflowLab

# The short form of `make faults`: the rest differs in the HTTP reply only, which the tests of the hook go through.
SHORT = ("lost answer", "no answer", "502 after accepting", "409 indeterminate", "429, Retry-After date")


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_of_the_first_submit_is_billed_once(lab: AirflowLab, name: str) -> None:
    trouble = next(trouble for trouble in TROUBLES if trouble.name == name)
    outcome = try_out(lab, Case(trouble, deferrable=name == "no answer"))
    assert outcome.holds, outcome


def test_a_fault_of_every_submit_of_every_try_is_billed_once(lab: AirflowLab) -> None:
    outcome = try_out(lab, Case(TROUBLES[0], always=True))
    assert outcome.holds, outcome
    assert outcome.posts > 1


def test_a_person_may_forbid_to_repeat_what_is_unknown(lab: AirflowLab) -> None:
    """Then not even a service that ignores the key can charge twice."""
    outcome = try_out(lab, Case(TROUBLES[0], honours_key=False, repeats=False))
    assert (outcome.posts, outcome.billed, outcome.delivered) == (1, 1, False)
