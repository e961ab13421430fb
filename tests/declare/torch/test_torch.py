"""Optimizers and schedules against PyTorch's, 100 steps in f64, where the peers are installed."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from benchmarks.peer_process import PEERS_PYTHON
from graphc import schedules
from tests.declare.optim.optim_cases import (
    CASES,
    IDS,
    STARTS,
    TARGETS,
    assert_each_element,
    declare,
    run_all,
)

STEPS = 100
TOLERANCE = 1e-10
SCRIPT = Path(__file__).parent / "torch_steps.py"

# By the name of the published algorithm, where torch has it.
CLASSES = {
    "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW",
    "adadelta": "Adadelta", "adamax": "Adamax", "nadam": "NAdam", "radam": "RAdam",
    "adafactor": "Adafactor", "muon_and_adamw": "Muon",
}  # fmt: skip


def parts_of(kind, arguments):
    """Torch's optimizers with the names of their parameters."""
    renamed = {"initial": "initial_accumulator_value"}
    given = {renamed.get(name, name): value for name, value in arguments.items()}
    if kind != "Muon":
        return [{"optimizer": kind, "names": ["a", "b"], "arguments": given}]
    rate = {"lr": given["lr"] / 2}
    return [
        {"optimizer": "Muon", "names": ["a"], "arguments": given},
        {"optimizer": "AdamW", "names": ["b"], "arguments": rate},
    ]


# Options on their own and together, beside those of `CASES`: with torch's name and arguments.
OPTIONS = [
    (gc.optim.SGD(0.05, 0.9, weight_decay=0.1, nesterov=True), "SGD",
     {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    (gc.optim.Adagrad(0.1, maximize=True), "Adagrad", {"lr": 0.1, "maximize": True}),
    (gc.optim.RMSprop(0.02, centered=True), "RMSprop", {"lr": 0.02, "centered": True}),
    (gc.optim.RMSprop(0.01, 0.8, 1e-4, momentum=0.5, maximize=True), "RMSprop",
     {"alpha": 0.8, "eps": 1e-4, "momentum": 0.5, "maximize": True}),
    (gc.optim.Adam(0.01, (0.8, 0.9), 1e-3, 0.1, True), "Adam",
     {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True}),
    (gc.optim.Adam(maximize=True), "Adam", {"maximize": True}),
    (gc.optim.AdamW(0.05, amsgrad=True), "AdamW", {"lr": 0.05, "amsgrad": True}),
    (gc.optim.Adadelta(maximize=True), "Adadelta", {"maximize": True}),
    (gc.optim.Adamax(maximize=True, weight_decay=0.1), "Adamax",
     {"maximize": True, "weight_decay": 0.1}),
    (gc.optim.NAdam(maximize=True), "NAdam", {"maximize": True}),
    (gc.optim.NAdam(momentum_decay=0), "NAdam", {"momentum_decay": 0}),
    (gc.optim.RAdam(maximize=True, weight_decay=0.1), "RAdam",
     {"maximize": True, "weight_decay": 0.1}),
    (gc.optim.RAdam(0.02, (0.9, 0.5)), "RAdam", {"lr": 0.02, "betas": (0.9, 0.5)}),
    (gc.optim.Adafactor(maximize=True), "Adafactor", {"maximize": True}),
]  # fmt: skip
# By name: each optimizer, and its parts in torch.
IN_TORCH = {
    case: (optimizer, parts_of(CLASSES[algorithm.__name__], arguments))
    for case, (optimizer, algorithm, arguments) in zip(IDS, CASES, strict=True)
    if algorithm.__name__ in CLASSES
}
IN_TORCH |= {
    "-".join(["option", kind.lower(), *arguments, str(number)]): (
        optimizer,
        parts_of(kind, arguments),
    )
    for number, (optimizer, kind, arguments) in enumerate(OPTIONS)
}
# A vector by other hyperparameters than the matrix, which torch has as groups of one optimizer.
IN_TORCH["groups"] = (
    gc.optim.AdamW(0.02, groups={"*b": {"learning_rate": 0.05, "weight_decay": 0.0}}),
    [
        {
            "optimizer": "AdamW",
            "names": [{"names": ["a"]}, {"names": ["b"], "lr": 0.05, "weight_decay": 0.0}],
            "arguments": {"lr": 0.02},
        }
    ],
)
RATE = 0.02
# What an optimizer has the rate RATE with in torch, and the schedule.
SCHEDULES = {
    "step": (("StepLR", {"step_size": 30, "gamma": 0.3}), schedules.step(RATE, 0.3, 30)),
    "multi_step": (
        ("MultiStepLR", {"milestones": [5, 40, 70], "gamma": 0.3}),
        schedules.multi_step(RATE, [5, 40, 70], 0.3),
    ),
    "exponential": (("ExponentialLR", {"gamma": 0.97}), schedules.exponential(RATE, 0.97)),
    "cosine": (
        ("CosineAnnealingLR", {"T_max": STEPS, "eta_min": 1e-3}),
        schedules.cosine(RATE, STEPS, 1e-3),
    ),
    "linear": (
        ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 60}),
        schedules.linear(RATE, 0.1 * RATE, 60),
    ),
    "polynomial": (
        ("PolynomialLR", {"total_iters": 60, "power": 2.5}),
        schedules.polynomial(RATE, 60, 2.5),
    ),
    "restarts": (
        ("CosineAnnealingWarmRestarts", {"T_0": 13, "eta_min": 1e-3}),
        schedules.cosine_restarts(RATE, 13, floor=1e-3),
    ),
    "growing restarts": (
        ("CosineAnnealingWarmRestarts", {"T_0": 13, "T_mult": 2}),
        schedules.cosine_restarts(RATE, 13, 2),
    ),
    "one_cycle": (
        ("OneCycleLR", {"max_lr": RATE, "total_steps": STEPS + 1, "cycle_momentum": False}),
        schedules.one_cycle(RATE, STEPS + 1),
    ),
    "one_cycle in three phases": (
        (
            "OneCycleLR",
            {"max_lr": RATE, "total_steps": STEPS + 1, "pct_start": 0.25, "div_factor": 5.0,
             "final_div_factor": 50.0, "anneal_strategy": "linear", "three_phase": True,
             "cycle_momentum": False},
        ),
        schedules.one_cycle(RATE, STEPS + 1, 0.25, "linear", 5.0, 50.0, three_phase=True),
    ),
    "cyclic": (
        (
            "CyclicLR",
            {"base_lr": RATE / 10, "max_lr": RATE, "step_size_up": 7, "step_size_down": 11,
             "cycle_momentum": False},
        ),
        schedules.cyclic(RATE / 10, RATE, 7, 11),
    ),
    "cyclic, halved": (
        (
            "CyclicLR",
            {"base_lr": RATE / 10, "max_lr": RATE, "step_size_up": 7, "mode": "triangular2",
             "cycle_momentum": False},
        ),
        schedules.cyclic(RATE / 10, RATE, 7, mode="triangular2"),
    ),
    "cyclic, falling": (
        (
            "CyclicLR",
            {"base_lr": RATE / 10, "max_lr": RATE, "step_size_up": 7, "mode": "exp_range",
             "gamma": 0.97, "cycle_momentum": False},
        ),
        schedules.cyclic(RATE / 10, RATE, 7, mode="exp_range", factor=0.97),
    ),
    "warm up, then a line": (
        (
            "SequentialLR",
            {
                "parts": [
                    ("LinearLR", {"start_factor": 0.1, "total_iters": 20}),
                    ("StepLR", {"step_size": 30, "gamma": 0.3}),
                ],
                "milestones": [20],
            },
        ),
        schedules.warm_up(20, schedules.step(RATE, 0.3, 30), 0.1 * RATE),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def torch_steps():
    """What torch reaches, of all optimizers and then of all schedules, in one process."""
    if not PEERS_PYTHON.exists():
        pytest.skip("`make peers` installs torch")
    common = {
        "starts": {name: start.tolist() for name, start in STARTS.items()},
        "targets": {name: target.tolist() for name, target in TARGETS.items()},
        "steps": STEPS,
    }
    cases = [{**common, "parts": parts, "schedule": None} for _, parts in IN_TORCH.values()]
    cases += [
        {**common, "parts": parts_of("SGD", {"lr": RATE, "momentum": 0.5}), "schedule": schedule}
        for schedule, _ in SCHEDULES.values()
    ]
    command = [str(PEERS_PYTHON), str(SCRIPT)]
    run = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True)
    if "No module named 'torch'" in run.stderr:
        pytest.skip("there is no torch among the peers")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_optimizers_are_those_of_torch(torch_steps):
    """Of the reference, which compiled steps follow in `test_optim`."""
    optimizers = {case: (optimizer, None, None) for case, (optimizer, _) in IN_TORCH.items()}
    found = run_all(STEPS, "reference", optimizers)
    for case, expected in zip(IN_TORCH, torch_steps, strict=False):
        assert_each_element(found[case], expected["values"], TOLERANCE)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_those_of_torch(name, torch_steps):
    """The rates, and where a training by them ends."""
    expected = torch_steps[len(IN_TORCH) + list(SCHEDULES).index(name)]
    schedule = SCHEDULES[name][1]
    graph, loss = declare()
    step = gc.function([], loss, gc.optim.SGD(0.0, 0.5).updates(loss), mode="reference")
    for time in range(STEPS):
        np.testing.assert_allclose(schedule(time), expected["rates"][time], rtol=TOLERANCE)
        graph.variables["sgd.learning_rate"] = schedule(time)
        step()
    assert_each_element(graph.variables, expected["values"], TOLERANCE)
