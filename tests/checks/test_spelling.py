from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.checks.spelling import nearest_models, nearest_parameter, older_id_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = st.text(LETTERS, min_size=4, max_size=20)


@st.composite
def edited(draw: st.DrawFn, words: st.SearchStrategy[str] = WORDS) -> tuple[str, str]:
    """Draw a word and the same word with one mistake."""
    word = draw(words)
    place = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from(LETTERS))
    mistakes = [
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place:],
        word[:place] + letter + word[place + 1 :],
        word[:place] + word[place + 1 : place + 2] + word[place : place + 1] + word[place + 2 :],
        word[:place] + word[place:].upper(),
        f"{word[:place]}-{word[place:]}",
    ]
    return word, draw(st.sampled_from(mistakes))


@given(edited())
def test_a_word_with_one_mistake_is_near(words: tuple[str, str]) -> None:
    word, mistake = words
    assert nearest_parameter(mistake, (word,)) == word


@given(WORDS, st.lists(WORDS, max_size=5))
def test_the_word_itself_is_nearest(word: str, others: list[str]) -> None:
    assert nearest_parameter(word, (*others, word)) == word


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_judged(name: str, known: str) -> None:
    assert nearest_parameter(name, (known,)) in (None, known)
    assert set(nearest_models(name, (known,))) <= {known}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("sizzle", "size"),
        ("title", "style"),
        ("audio_urls", "video_urls"),
        ("mask_url", "image_urls"),
        ("k", "n"),
        ("bps", "bpm"),
        ("quantity", "quality"),
        ("", "size"),
        ("_", "n"),
    ],
)
def test_other_words_are_not_near(name: str, known: str) -> None:
    assert nearest_parameter(name, (known,)) is None


def test_a_very_long_name_takes_no_time() -> None:
    assert nearest_parameter("x" * 1_000_000, ("prompt", "aspect_ratio")) is None


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("doubao-seedream-4-5", "seedream-4.5"),
        ("seedream-4.5", "doubao-seedream-4-5"),
        ("gpt-image-2-apimart", "gpt-image-2-ext"),
        ("GPT-Image-2", "gpt-image-2"),
        (" gpt-image-2", "gpt-image-2"),
    ],
)
def test_ids_that_drifted(name: str, listed: str) -> None:
    assert older_id_of(name, ("other", listed)) == listed
    assert older_id_of(f"{name}0", ("other", listed)) is None
