"""Spelling suggestions for parameters and ids of models."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

# Known names by the length that they need for so many edits. In shorter ones, an edit makes another word.
_SHORTEST_FOR_ONE_EDIT = 4
_SHORTEST_FOR_TWO_EDITS = 8
_MOST_SUGGESTIONS = 3
_ALIKE = 0.6
# Parts of a model's id that come and go while older ids stay accepted.
_DRIFT = re.compile(r"^doubao-|-(ext|apimart)$")


# Batches have thousands of items with the same mistake.
_once = lru_cache(maxsize=1_000)


@_once
def nearest_parameter(name: str, known: tuple[str, ...]) -> str | None:
    """
    Return the known name that another one nearly spells, ``None`` if it spells none.

    Capitals and separators don't count. One inserted, missing, wrong or transposed letter is near for a name of four
    letters or more, two are for a name of eight or more.
    """
    letters = _letters(name)
    distances = [(_edits(letters, _letters(each)), each) for each in known if _is_as_long(letters, _letters(each))]
    near = [(edits, each) for edits, each in distances if edits <= _allowed_edits(_letters(each))]
    return min(near)[1] if near else None


@_once
def nearest_models(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the most similar ids of models, the best one first."""
    by_letters = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_letters, n=_MOST_SUGGESTIONS, cutoff=_ALIKE)
    return tuple(by_letters[each] for each in found)


@_once
def older_id_of(name: str, known: tuple[str, ...]) -> str | None:
    """Return the listed model of which a name may be an older id, or the same id written differently."""
    return next((each for each in known if _lasting(each) == _lasting(name)), None)


def _lasting(model: str) -> str:
    return _letters(_DRIFT.sub("", model.strip().lower()))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _allowed_edits(known: str) -> int:
    return (len(known) >= _SHORTEST_FOR_ONE_EDIT) + (len(known) >= _SHORTEST_FOR_TWO_EDITS)


def _is_as_long(name: str, known: str) -> bool:
    return bool(name) and abs(len(name) - len(known)) <= _allowed_edits(known)


def _edits(one: str, other: str) -> int:
    """Return how many insertions, deletions, substitutions and transpositions of neighbours lead to another word."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            edits = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                edits = min(edits, before[column - 2] + 1)
            now.append(edits)
        before, last = last, now
    return last[-1]
