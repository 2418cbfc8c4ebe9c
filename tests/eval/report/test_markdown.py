"""Tables are Markdown, aligned for a terminal."""

from eval.report.markdown import table


def test_a_table_is_aligned_markdown():
    assert table(["subnet", "dB"], [["smallest", 6.1], ["largest", 6.75]]).splitlines() == [
        "| subnet   | dB   |",
        "|----------|------|",
        "| smallest | 6.1  |",
        "| largest  | 6.75 |",
    ]


def test_a_table_without_rows_is_its_headers():
    assert table(["subnet", "dB"], []) == "| subnet | dB |\n|--------|----|"
