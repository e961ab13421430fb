"""Models from files, without the code that declared them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from graphc.declare.optim import Optimizer
from graphc.errors import ModelFileError, VariableError
from graphc.files.value_files import read_file, shown_path
from graphc.functions.mode import Mode, check_options
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import shown
from graphc.ir.nodes.op import Op
from graphc.train.files.model_file import read_model
from graphc.train.model import Model
from graphc.train.model_functions import HowToRun


@checks_flags
def load_model(
    path: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    *,
    mode: Mode | None = None,
    fuse: bool | None = None,
    threads: int | None = None,
    allow_nan: bool = False,
) -> Model:
    """The model that `Model.save` wrote, in a graph of its own, compiled as it was.

    It trains on, and predicts, with the same bits. Nothing of the file is executed.

        model = gc.load_model("digits.safetensors", mode="reference")

    custom_objects: ops and classes of optimizers of one's own that the model has, by their names.
    mode, fuse, threads: as `Model.compile` has them; mode and fuse are the model's unless given.
    mode="reference" needs neither numba nor llvmlite.

    Raises ModelFileError for a file that holds no model, or one that does not fit together, and for
    NaN among its values unless `allow_nan`; OSError when the file cannot be read, TypeError for
    other custom objects, ValueError for another mode.
    """
    check_options("compiled" if mode is None else mode, threads)
    ops, optimizers = _sorted(custom_objects or {})
    try:
        content = read_model(read_file(path), ops, optimizers, allow_nan)
    except (ModelFileError, VariableError) as error:
        raise ModelFileError(f"{shown_path(path)} is no model: {error}") from None
    how = HowToRun(
        content.how.mode if mode is None else mode,
        content.how.fuse if fuse is None else fuse,
        threads,
    )
    network = content.network
    model = Model(
        network.inputs,
        network.outputs,
        network.targets,
        network.loss,
        network.metrics,
        parameters=None if network.loss is None else network.trainables,
        updates=network.further or None,
    )
    model.batch_size = content.batch_size
    model._restore(content.optimization, how, content.frozen)
    return model


def _sorted(objects: Mapping[str, Any]) -> tuple[list[Op], dict[str, type[Optimizer]]]:
    """The ops and the classes of optimizers among them."""
    ops: list[Op] = []
    optimizers: dict[str, type[Optimizer]] = {}
    for name, each in objects.items():
        if isinstance(each, Op):
            ops.append(each)
        elif isinstance(each, type) and issubclass(each, Optimizer):
            optimizers[name] = each
        else:
            problem = f"custom_objects: {name!r}: an op or a class of optimizers expected"
            raise TypeError(f"{problem}, not {shown(each)}")
    return ops, optimizers
