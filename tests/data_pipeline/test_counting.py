from data_pipeline.counting import count_joint_tokens, count_symbols


def test_symbols_are_counted_one_by_one():
    assert count_symbols(["[C][=C].[C]", "[C]"]) == {"[C]": 3, "[=C]": 1}
    assert count_joint_tokens(["[C 1][C 2][Branch1 -1][C 1]"]) == {
        "[C 1]": 2,
        "[C 2]": 1,
        "[Branch1 -1]": 1,
    }
