"""Files that commands write are replaced whole; what is no file is written to."""

import os
import threading

import pytest

FEW = ("--rounds", "1", "--repeats", "1")


@pytest.mark.parametrize(
    ("command", "option", "others"),
    [
        ("explain", "--json", ()),
        ("draw", "--svg", ()),
        ("draw", "--html", ("--stage", "declared")),
        ("profile", "--json", FEW),
        ("profile", "--trace", FEW),
        ("profile", "--html", FEW),
    ],
)
def test_who_has_the_old_file_open_keeps_it(graphc, script, tmp_path, command, option, others):
    file, link = tmp_path / "out", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    with open(file) as old:
        result = graphc(command, script, *others, option, str(link))
        assert result.exit_code == 0, result.output
        assert old.read() == "old"
    assert len(file.read_text("utf-8")) > 100 and link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert not list(tmp_path.glob(".graphc-*"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to(graphc, script, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")), daemon=True)
    reader.start()
    result = graphc("explain", script, "--json", str(pipe))
    assert result.exit_code == 0, result.output
    reader.join(timeout=30)
    assert read and read[0].startswith("{")
