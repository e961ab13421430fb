"""Running and loading scripts: what is run, and what is said when it goes wrong."""

import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import SCRIPT


def test_train_runs_the_script_with_its_arguments(graphc, script):
    result = graphc("train", script, "--epochs", "3", "--help")
    assert result.exit_code == 0, result.output
    assert result.stdout == "trained with --epochs 3 --help\n"


def test_train_keeps_the_scripts_exit_status(graphc, write):
    result = graphc("train", write("import sys\nsys.exit(5)\n"))
    assert result.exit_code == 5


INTERRUPTED_TEXT = """\
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


def test_ctrl_c_ends_with_the_status_of_shells(graphc, write):
    path = write(INTERRUPTED_TEXT)
    before = signal.getsignal(signal.SIGINT)
    try:
        for command in (["train", path], ["inspect", path, "--stage", "plan"], ["profile", path]):
            result = graphc(*command)
            assert (result.exit_code, result.stderr) == (130, "Interrupted\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_script_may_end_an_interrupt_itself(graphc, write):
    path = write(
        "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    raise SystemExit(7)\n"
    )
    assert graphc("train", path).exit_code == 7


def test_modules_beside_the_script_are_found(graphc, write, tmp_path):
    (tmp_path / "beside.py").write_text("WORD = 'found'\n")
    before = list(sys.path)
    result = graphc("train", write("import beside\nprint(beside.WORD)\n"))
    assert result.stdout == "found\n"
    assert sys.path == before


def test_inspecting_does_not_train(graphc, script):
    result = graphc("inspect", script, "--stage", "declared")
    assert "trained" not in result.output


def test_the_users_traceback_without_ours(graphc, write):
    path = write("def broken():\n    return 1 / 0\n\nbroken()\n")
    for command in (["train", path], ["inspect", path, "--stage", "plan"], ["profile", path]):
        result = graphc(*command)
        assert result.exit_code == 1
        lines = result.stderr.splitlines()
        assert lines[0].startswith("Traceback")
        assert lines[1] == f'  File "{path}", line 4, in <module>'
        assert lines[-1] == "ZeroDivisionError: division by zero"
        assert "runpy" not in result.stderr and "graphc/" not in result.stderr


def test_an_error_of_graphc_ends_at_the_users_line(graphc, write):
    path = write(
        "import graphc as gc\n"
        "graph = gc.Graph()\n"
        "x = graph.input('x', ('batch', 2))\n"
        "y = gc.matmul(x, x)\n"
    )
    result = graphc("inspect", path, "--stage", "declared")
    assert result.exit_code == 1
    files = [line for line in result.stderr.splitlines() if line.startswith("  File")]
    assert files == [f'  File "{path}", line 4, in <module>']
    assert "ShapeError: matmul(f32[batch,2], f32[batch,2])" in result.stderr


def test_a_syntax_error_is_shown(graphc, write):
    result = graphc("train", write("x = = 1\n"))
    assert result.exit_code == 1
    assert "x = = 1" in result.stderr and "SyntaxError" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "defines no `model`"),
        ("model = 3\n", "is of type int; a gc.Model is expected, or what gc.function returns"),
        ("raise SystemExit(2)\n", "exits while it is loaded"),
    ],
)
def test_scripts_without_a_model(graphc, write, text, message):
    for command in (["inspect", write(text), "--stage", "declared"], ["profile", write(text)]):
        result = graphc(*command)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ") and message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_wrong_usage(graphc, script):
    for command, message in [
        (["train", "absent.py"], "does not exist"),
        (["inspect", script], "--stage"),
        (["inspect", script, "--stage", "middle"], "'middle'"),
        (["inspect", script, "--stage", "plan", "--kernel", "exp"], "--kernel is for the stages"),
        (["profile", script, "--batch-size", "0"], "batch-size"),
    ]:
        result = graphc(*command)
        assert result.exit_code == 2
        assert message in result.stderr


def test_as_a_command(script):
    result = subprocess.run(
        [sys.executable, "-c", "from graphc_command import main; main()", "train", script, "now"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "trained with now\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("GRAPHC_THREADS", "expected a whole number of threads, at least 1"),
        ("GRAPHC_MEMORY_LIMIT", "expected a number of bytes, or one with a unit such as 500MB"),
        ("GRAPHC_PERF", "expected '0' or '1'"),
    ],
)
def test_a_wrong_setting_is_one_line(graphc, write, monkeypatch, variable, expected):
    """It is no fault of the script, whose traceback would only hide what to mend."""
    monkeypatch.setenv(variable, "all")
    path = write(SCRIPT + "model.train_function.loaded({'batch': 1})\n")
    for command in (["train", path], ["explain", path], ["profile", path]):
        result = graphc(*command)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {variable}='all': {expected}")
        assert len(result.stderr.splitlines()) == 1


def test_an_interrupt_while_python_ends_leaves_the_status(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "import os, signal, sys\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, own=os.getpid(), signum=signal.SIGINT):\n"
        "        kill(own, signum)\n"
        "sys.late = Late()\n"
        "raise KeyboardInterrupt\n"
    )
    command = [sys.executable, "-c", "from graphc.cli import main; main()", "train", str(path)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 130


# Of the modules that `graphc` imports at its start the first, one in the middle and the last.
@pytest.mark.parametrize("module", ["graphc", "graphc.ir.graph", "graphc.commands.train"])
@pytest.mark.parametrize("is_heard", [True, False])
def test_an_interrupt_while_graphc_is_imported(script, module, is_heard):
    """Which is not heard where it is ignored when the program starts."""
    start = (
        "import os, signal, sys\n"
        f"if not {is_heard}: signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from graphc_command import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", start, "train", script, "now"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    told = (result.returncode, result.stdout, result.stderr)
    assert told == ((130, "", "Interrupted\n") if is_heard else (0, "trained with now\n", ""))
