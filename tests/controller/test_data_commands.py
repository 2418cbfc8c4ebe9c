"""`data inspect` as a user meets it."""

from controller.cli import main


def test_inspect_draws_a_prepared_corpus(small_corpus, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    options = ["--data.folder", str(small_corpus.folder), "--run", str(tmp_path / "run"), "--clips", "3"]
    assert main(["data", "inspect", *options, "--output", str(sheet)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert f"{sheet}: 3 of 40 talking clips" in capsys.readouterr().out


def test_inspect_says_what_is_wrong(small_corpus, tmp_path, capsys):
    assert main(["data", "inspect", "--run", str(tmp_path / "run")]) == 2
    assert "manifest.jsonl: not found" in capsys.readouterr().err
    options = ["--data.folder", str(small_corpus.folder), "--output", str(tmp_path / "sheet.jpg")]
    assert main(["data", "inspect", *options]) == 2
    assert "--output: " in capsys.readouterr().err
