"""Bytes and FLOPs of a two-layer net's training step against counts by hand, fused and unfused."""

import pytest

from graphc.profiling.results import Profile, StepProfile

B, I, H, O = 8, 4, 5, 3  # noqa: E741 - rows of a batch; inputs, hidden units and outputs
F32 = 4

# Elements of what the step reads and writes. s is the learning rate, a scalar.
X, T = B * I, B * O
W1, B1, W2, B2, S = I * H, H, H * O, O, 1
HIDDEN, OUT = B * H, B * O

# By op, or ops of a fused kernel: elements read and written, then operations: two for each
# multiply-add of a product, one for each element that another op computes or adds up.
UNFUSED = [
    # the first layer
    ("matmul", X + W1 + HIDDEN, 2 * B * H * I),
    ("add", HIDDEN + B1 + HIDDEN, HIDDEN),
    ("tanh", HIDDEN + HIDDEN, HIDDEN),
    # the second layer
    ("matmul", HIDDEN + W2 + OUT, 2 * B * O * H),
    ("add", OUT + B2 + OUT, OUT),
    # the loss: the mean of (y - t)^2
    ("subtract", OUT + T + OUT, OUT),
    ("square", OUT + OUT, OUT),
    ("sum", OUT + 1, OUT),
    ("divide", 1 + 1, 1),
    # its derivative: 2 (y - t) / n, the two factors one after the other
    ("multiply", OUT + OUT, OUT),
    ("multiply", OUT + OUT, OUT),
    # through the second layer and tanh: (d w2^T) u (2 - u) with u = 1 - tanh|x|
    ("matmul", OUT + W2 + HIDDEN, 2 * B * H * O),
    ("tanh_tail", HIDDEN + HIDDEN, HIDDEN),
    ("subtract", HIDDEN + HIDDEN, HIDDEN),
    ("multiply", HIDDEN + HIDDEN + HIDDEN, HIDDEN),
    ("multiply", HIDDEN + HIDDEN + HIDDEN, HIDDEN),
    # gradients of weights and biases
    ("matmul", X + HIDDEN + W1, 2 * I * H * B),
    ("sum", HIDDEN + B1, HIDDEN),
    ("matmul", HIDDEN + OUT + W2, 2 * H * O * B),
    ("sum", OUT + B2, OUT),
    # the updates: rate times gradient, and the difference written over the parameter
    ("multiply", S + W1 + W1, W1),
    ("multiply", S + B1 + B1, B1),
    ("multiply", S + W2 + W2, W2),
    ("multiply", S + B2 + B2, B2),
    ("subtract", W1 + W1 + W1, W1),
    ("subtract", B1 + B1 + B1, B1),
    ("subtract", W2 + W2 + W2, W2),
    ("subtract", B2 + B2 + B2, B2),
]
FUSED = [
    # tanh(x w1 + b1) and its slope: their sum never reaches memory
    (
        "matmul add tanh tanh_tail subtract multiply",
        X + W1 + B1 + HIDDEN + HIDDEN,
        2 * B * H * I + 5 * HIDDEN,
    ),
    # h w2 + b2 - t
    ("matmul add subtract", HIDDEN + W2 + B2 + T + OUT, 2 * B * O * H + 2 * OUT),
    # the mean of its square
    ("square sum divide", OUT + 1, 2 * OUT + 1),
    # its cotangent, which later kernels read, and with it the update of b2
    ("multiply multiply sum multiply subtract", OUT + OUT + S + B2 + B2, 3 * OUT + 2 * B2),
    # back through w2 and tanh
    ("matmul multiply", OUT + W2 + HIDDEN + HIDDEN, 2 * B * H * O + HIDDEN),
    # updates: the gradients never reach memory
    ("matmul multiply subtract", X + HIDDEN + S + W1 + W1, 2 * I * H * B + 2 * W1),
    ("sum multiply subtract", HIDDEN + S + B1 + B1, HIDDEN + 2 * B1),
    ("matmul multiply subtract", HIDDEN + OUT + S + W2 + W2, 2 * H * O * B + 2 * W2),
]


def counted(step: StepProfile) -> list[tuple[str, int, int]]:
    return sorted((" ".join(k.ops), k.bytes, k.flops) for k in step.kernels)


def by_hand(counts: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    return sorted((ops, F32 * elements, flops) for ops, elements, flops in counts)


def test_fused_counts(net: Profile) -> None:
    assert counted(net.fused) == by_hand(FUSED)


def test_unfused_counts(net: Profile) -> None:
    assert counted(net.unfused) == by_hand(UNFUSED)


def test_what_fusions_save_is_the_difference(net: Profile) -> None:
    savings = [kernel.saving for kernel in net.fused.kernels]
    unfused, fused = (sum(F32 * n for _, n, _ in counts) for counts in (UNFUSED, FUSED))
    assert sum(s.unfused_kernels for s in savings) == len(UNFUSED)
    assert sum(s.unfused_bytes for s in savings) == unfused
    assert sum(s.bytes for s in savings) == unfused - fused
    for kernel in net.fused.kernels:
        expected = kernel.saving.unfused_nanoseconds - kernel.nanoseconds
        assert abs(kernel.saving.nanoseconds - expected) < 1e-6


def test_values_that_never_reach_memory(net: Profile) -> None:
    (first,) = [k for k in net.fused.kernels if k.ops[:3] == ("matmul", "add", "tanh")]
    values = [(value.name, value.type, value.bytes) for value in first.saving.intermediates]
    assert values == [
        ("matmul", "f32[8,5]", F32 * HIDDEN),
        ("add", "f32[8,5]", F32 * HIDDEN),
        ("tanh_tail", "f32[8,5]", F32 * HIDDEN),
        ("subtract", "f32[8,5]", F32 * HIDDEN),
    ]


def test_shares_and_rates(net: Profile) -> None:
    for step in (net.fused, net.unfused):
        assert abs(sum(kernel.share for kernel in step.kernels) - 1) < 1e-9
        total = sum(kernel.nanoseconds for kernel in step.kernels)
        assert abs(step.kernels_nanoseconds - total) < 1e-6
        for kernel in step.kernels:
            if kernel.nanoseconds:
                moved = kernel.gigabytes_per_second * kernel.nanoseconds
                computed = kernel.gigaflops_per_second * kernel.nanoseconds
                assert (moved, computed) == pytest.approx((kernel.bytes, kernel.flops), rel=1e-9)
