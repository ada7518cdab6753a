import pickle

from biomatrix_jax.errors import BadInput, some


def test_a_message_is_one_line_of_printable_text():
    error = BadInput("x.json: key a\nb\r\n  c\x1b[2J\x07 \ud800 ü 分子 'd\\n'")
    assert str(error) == "x.json: key a b c\\x1b[2J\\x07 \\ud800 ü 分子 'd\\n'"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (BadInput, str(error))


def test_long_lists_are_cut_and_counted():
    assert some(list("abcdef")) == "a, b, c, d, e, f"
    assert some(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
