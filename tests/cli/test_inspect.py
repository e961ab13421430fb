"""`graphc inspect`: what each stage shows."""

import re

import pytest
from click.testing import CliRunner

from graphc.cli import main
from graphc.inspect.stage_text import columns
from graphc.ir.text.parsing import parse_program


@pytest.fixture
def inspect(graphc, script):
    """The text of a stage of the small classifier."""

    def inspect(stage, *options):
        result = graphc("inspect", script, "--stage", stage, *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return inspect


def kernels_of(text):
    return re.findall(r"^(?:def|kernel|[;#] kernel) (\w+)", text, re.M)


def test_declared_is_the_forward_graph_with_the_users_lines(inspect):
    text = inspect("declared")
    program = parse_program(text)
    assert [name for name, _ in program.outputs] == ["loss"]
    assert program.updates == ()
    assert "points: f32[batch,4]" in text
    assert re.search(r"= tanh\(%\d+\) : f32\[batch,5\]  # net.py:8$", text, re.M)


def test_backward_has_the_updates(inspect):
    program = parse_program(inspect("backward"))
    updated = {state.name for state, _ in program.updates}
    assert updated == {"dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias"}
    assert inspect("declared") != inspect("backward")


def test_simplified_is_a_program_of_fixed_shapes_and_lists_its_rewrites(inspect):
    text = inspect("simplified", "--batch-size", "6")
    program = parse_program(text)
    assert program.inputs[0].shape == (6, 4)
    # The backward of softmax with its loss is p - t: nothing else multiplies by p any more.
    assert "log_softmax_backward" in text
    assert re.search(r"^# \d+ rewrites$", text, re.M)


def test_batch_size_of_the_model_is_the_default(inspect):
    assert parse_program(inspect("simplified")).inputs[0].shape == (32, 4)


def test_fused_names_nodes_and_reasons(inspect):
    text = inspect("fused")
    assert "kernel matmul_tanh_multiply  # contraction" in text
    assert re.search(r"^  reads points: f32\[32,4\], dense_kernel: f32\[4,5\]", text, re.M)
    assert re.search(r"^  tanh = tanh\(add\) : f32\[32,5\]  # net.py:8$", text, re.M)
    assert re.search(
        r"^  # add \(net.py:8\) \+ tanh \(net.py:8\): .*; saves [\d,]+ bytes$", text, re.M
    )
    assert "# not fused" in text


def test_unfused_has_a_kernel_an_op(inspect):
    fused, unfused = kernels_of(inspect("fused")), kernels_of(inspect("fused", "--unfused"))
    assert len(unfused) > 2 * len(fused)
    assert "matmul_tanh_multiply" in fused and "matmul_tanh_multiply" not in unfused


def test_plan_lists_instructions_memory_and_arena(inspect):
    text = inspect("plan")
    instructions = int(re.search(r"^(\d+) instructions$", text, re.M)[1])
    assert len(kernels_of(inspect("source"))) == instructions
    assert re.search(r"^points +input +f32 +128 +512$", text, re.M)
    assert re.search(r"^dense_kernel +state +f32 +20 +80$", text, re.M)
    size, total = re.search(r"^arena: ([\d,]+) bytes for ([\d,]+) bytes", text, re.M).groups()
    rows = re.findall(r"^\w+ +\w+ +[\d,]+ +([\d,]+) +([\d,]+) +\d+\.\.(?:\d+|end)$", text, re.M)
    number = lambda cell: int(cell.replace(",", ""))  # noqa: E731
    assert sum(number(nbytes) for nbytes, _ in rows) == number(total)
    assert max(number(offset) + number(nbytes) for nbytes, offset in rows) <= number(size)


@pytest.mark.parametrize(
    ("stage", "sign"),
    [
        ("source", "arguments, thread, threads"),
        ("llvm", " i32 @matmul_tanh_multiply("),
        ("asm", "matmul_tanh_multiply:"),
    ],
)
def test_code_of_one_kernel(inspect, stage, sign):
    text = inspect(stage, "--kernel", "matmul_tanh_multiply")
    assert kernels_of(text) == ["matmul_tanh_multiply"]
    assert sign in text


def test_machine_code_has_the_lines_of_source_and_user_as_comments(inspect):
    source = inspect("source", "--kernel", "matmul_tanh_multiply").splitlines()
    (number,) = (n for n, line in enumerate(source, 1) if " = acc + " in line)
    for stage, sign in (("llvm", ";"), ("asm", "#")):
        text = inspect(stage, "--kernel", "matmul_tanh_multiply")
        assert f"{sign}   net.py:8: hidden = gc.nn.dense(points, 5, activation=gc.tanh)" in text
        (comment,) = re.findall(rf"^\s+{sign} {number}: .*$", text, re.M)[:1]
        assert comment.endswith("# net.py:8")
        assert re.search(rf"^{sign} called at \d+: microkernel_.*net.py:8$", text, re.M)
        assert not re.search(r"!dbg|#dbg|DILocation|\.loc\b|\.cfi", text)


def test_machine_code_of_equal_kernels_is_shown_once(graphc, write):
    path = write(
        "import graphc as gc\n"
        "x = gc.Graph().input('x', (4, 4))\n"
        "y = gc.matmul(gc.matmul(x, x), x)\n"
        "square = gc.function([x], gc.matmul(y, y))\n"
    )
    result = graphc("inspect", path, "--stage", "asm")
    assert result.exit_code == 0, result.output
    first, *others = kernels_of(result.stdout)
    assert first == "matmul" and len(others) == 2
    alone = graphc("inspect", path, "--stage", "asm", "--kernel", "matmul").stdout
    assert result.stdout.startswith(alone)
    assert result.stdout.count("# the code of kernel matmul, but for names") == 1


def test_predict_needs_no_optimizer(graphc, write):
    path = write(
        "import graphc as gc\n"
        "x = gc.Graph().input('x', ('batch', 2))\n"
        "model = gc.Model(x, gc.exp(x))\n"
    )
    result = graphc("inspect", path, "--stage", "source", "--function", "predict")
    assert result.exit_code == 0, result.output
    (kernel,) = kernels_of(result.stdout)
    assert kernel.startswith("exp")
    result = graphc("inspect", path, "--stage", "backward")
    assert result.exit_code == 1
    assert result.stderr == "Error: compile the model with an optimizer first\n"


def test_unknown_kernel_lists_those_that_there_are(graphc, script):
    for stage in ("fused", "source", "llvm"):
        result = graphc("inspect", script, "--stage", stage, "--kernel", "conv")
        assert result.exit_code == 1
        assert re.match(
            r"Error: no kernel is named 'conv'; there are: .*matmul_tanh_multiply", result.stderr
        )


def test_open_dimensions_need_an_extent(graphc, write):
    path = write(
        "import graphc as gc\n"
        "x = gc.Graph().input('x', ('batch', 'time'))\n"
        "model = gc.Model(x, gc.exp(x))\n"
    )
    arguments = ("inspect", path, "--stage", "plan", "--function", "predict")
    result = graphc(*arguments)
    assert result.exit_code == 1
    assert "the dimensions ['time'] are missing" in result.stderr
    result = graphc(*arguments, "--dim", "time=7", "--batch-size", "2")
    assert result.exit_code == 0, result.output
    assert re.search(r"^x +input +f32 +14 +56$", result.stdout, re.M)
    result = graphc(*arguments, "--dim", "time")
    assert result.exit_code == 2 and "NAME=EXTENT expected" in result.stderr


def test_a_terminal_gets_the_same_text_in_colours(inspect, script):
    runner = CliRunner(env={"FORCE_COLOR": "1", "COLUMNS": "40"})
    result = runner.invoke(main, ["inspect", script, "--stage", "declared"])
    assert "\x1b[" in result.stdout
    lines = re.sub(r"\x1b\[[\d;]*m", "", result.stdout).splitlines()
    assert [line.rstrip() for line in lines] == inspect("declared").splitlines()


def test_columns_align():
    assert columns([("name", "bytes"), ("a", "1,024"), ("long", "8")]) == [
        "name  bytes",
        "a     1,024",
        "long      8",
    ]
