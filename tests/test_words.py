"""The vocabulary's lint sees a retired word, and passes the field's."""

import pytest

from tools.check_words import retired_words


@pytest.mark.parametrize(
    "text", ["the house rules", "on the way back", "Nobody reads it", "x = if_greater(a, b)", "ctx.keeping"]
)
def test_a_retired_word_is_seen(text):
    ((line, _, instead),) = retired_words(f"a first line\n{text}")
    assert line == 2
    assert instead


@pytest.mark.parametrize("text", ["the backward pass", "warehouse", "a bedroom's", "select_gt(a, b)", "slippery"])
def test_other_words_pass(text):
    assert not list(retired_words(text))
