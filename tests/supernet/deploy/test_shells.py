"""`ofa-avse enhance` among folders, pipes, signals, full disks and closed streams."""

import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from controller.cli import main
from supernet.storage.files import write_atomically
from tests.supernet.media.making import put, speech, wav

COMMAND = [sys.executable, "-m", "controller", "enhance"]
ENV = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}


def enhanced(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *map(str, arguments)], env=ENV, capture_output=True, **options)


def test_several_sources_and_folders_within_folders(tmp_path, capsys):
    (tmp_path / "in/deeper").mkdir(parents=True)
    for name in ("in/a.wav", "in/deeper/b.flac", "c.wav"):
        put(tmp_path / name, wav(speech(0.5), form=name[-3:].upper().replace("LAC", "FLAC")))
    (tmp_path / "in/broken.wav").symlink_to(tmp_path / "gone.wav")
    put(tmp_path / "in/text.mp3", b"no sound")
    arguments = [str(tmp_path / "in"), str(tmp_path / "c.wav"), "--output", str(tmp_path / "out"), "--recursive"]
    assert main(["enhance", *arguments]) == 2
    said = capsys.readouterr()
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.wav"))
    assert made == ["a.enhanced.wav", "c.enhanced.wav", "deeper/b.enhanced.wav"]
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("ofa-avse: 2 of 5 files failed: ") and "is a link to nothing" in last and "text.mp3" in last


def test_a_folder_of_folders_says_how_they_are_taken(tmp_path, capsys):
    (tmp_path / "deeper").mkdir()
    assert main(["enhance", str(tmp_path)]) == 2
    assert "add --recursive" in capsys.readouterr().err


def test_sound_comes_through_pipes(tmp_path, monkeypatch, capsys):
    content = wav(speech(0.5))

    def through(data: bytes, *options: str) -> int:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        return main(["enhance", "-", *options])

    assert through(content, "--output", str(tmp_path / "a.wav")) == 0
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(content))
    writer.start()
    assert main(["enhance", str(tmp_path / "pipe"), "--output", str(tmp_path / "b.wav")]) == 0
    writer.join()
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert "standard input: without lips" in capsys.readouterr().err
    assert through(b"no sound", "--output", str(tmp_path / "c.wav")) == 2
    assert "ofa-avse: standard input: cannot be read" in capsys.readouterr().err
    assert through(content) == 2
    assert "give --output FILE.wav" in capsys.readouterr().err


def heard() -> None:
    """A shell's background jobs are told to ignore Ctrl-C, those of `nohup` a hangup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(tmp_path: Path, *arguments: str) -> subprocess.Popen:
    """A long job, once it has begun to write."""
    put(tmp_path / "long.wav", wav(np.tile(speech(10), 60)))
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path / "long.wav"), *arguments],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heard,
    )
    while process.poll() is None and not list(tmp_path.glob(".*.partial")):
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(tmp_path, number):
    process = started(tmp_path)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]
    assert b"Traceback" not in said and b"goes on from here" not in said


def test_a_second_run_with_the_same_output_is_refused(tmp_path):
    process = started(tmp_path)
    second = enhanced(tmp_path / "long.wav")
    assert second.returncode == 2 and b"long.enhanced.wav: is being written by another run" in second.stderr
    assert list(tmp_path.glob(".*.partial")) and process.poll() is None
    process.terminate()
    process.communicate()


def test_a_file_that_may_not_grow_is_one_line(tmp_path):
    source = put(tmp_path / "a.wav", wav(speech(4)))
    limits = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    refused = enhanced(source, preexec_fn=limits)
    assert refused.returncode == 2 and b"Traceback" not in refused.stderr
    assert b"a.enhanced.wav: File too large" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_stream_for_messages_is_no_reason_to_fail(tmp_path):
    source = put(tmp_path / "a.wav", wav(speech(0.5)))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, str(source)], env=ENV, stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 0 and (tmp_path / "a.enhanced.wav").is_file()


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "2>&- >&-"])
def test_closed_streams_are_no_reason_to_fail(tmp_path, closed):
    source = put(tmp_path / "a.wav", wav(speech(0.5)))
    command = " ".join([*COMMAND, str(source), closed])
    assert subprocess.run(["sh", "-c", command], env=ENV, stdin=subprocess.DEVNULL).returncode == 0
    assert (tmp_path / "a.enhanced.wav").is_file()


def test_a_terminal_that_knows_few_characters_gets_others(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xe2\x82\xac"))
    folder.mkdir()
    source = put(folder / "naïve.wav", wav(speech(0.5)))
    plain = ENV | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*COMMAND, source], env=plain, capture_output=True)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert len(list(folder.glob("*.enhanced.wav"))) == 1


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mount]).returncode:
        pytest.skip("no file system of its own may be mounted here")
    try:
        source = put(tmp_path / "a.wav", wav(speech(8)))
        refused = enhanced(source, "--output", mount / "out.wav")
        assert refused.returncode == 2 and b"No space left on device" in refused.stderr
        assert b"Traceback" not in refused.stderr and not list(mount.iterdir())
    finally:
        subprocess.run(["umount", mount], check=True)


def test_what_is_being_written_is_refused_to_others(tmp_path):
    from supernet.errors import UserError

    def write(temporary: Path) -> None:
        temporary.write_text("first")
        with pytest.raises(UserError, match="is being written by another run"):
            write_atomically(tmp_path / "a", lambda other: other.write_text("second"))

    write_atomically(tmp_path / "a", write)
    assert (tmp_path / "a").read_text() == "first"
    write_atomically(tmp_path / "a", lambda other: other.write_text("third"))
    assert (tmp_path / "a").read_text() == "third" and [p.name for p in tmp_path.iterdir()] == ["a"]
    shutil.rmtree(tmp_path)
