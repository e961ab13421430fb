"""Cases of the rules of batched products."""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.ops import contract
from graphc.ir.ops.reductions import reduce
from tests.ir.rewriting.cases.case import Case, by_axis, swap

CASES: tuple[Case, ...] = (
    Case(
        "merge_batch_into_rows",
        lambda x, y: x @ y,
        lambda x, y: build.reshape(build.reshape(x, (6, 4)) @ y, (2, 3, 5)),
        ((2, 3, 4), (4, 5)),
        exact=False,
    ),
    Case(
        "merge_batch_into_rows",
        lambda x, y: build.reshape(swap(x), (2, 3, 2, 4)) @ swap(y),
        lambda x, y: build.reshape(
            contract.matmul(
                build.reshape(swap(x), (12, 4)), y, transpose_x=False, transpose_y=True
            ),
            (2, 3, 2, 5),
        ),
        ((2, 8, 3), (5, 4)),
        exact=False,
    ),
    Case(
        "merge_batch_into_depth",
        lambda x, y: by_axis(reduce.sum_, swap(x) @ y, 0, 1),
        lambda x, y: build.reshape(
            contract.matmul(
                build.reshape(x, (18, 4)),
                build.reshape(y, (18, 5)),
                transpose_x=True,
                transpose_y=False,
            ),
            (1, 1, 4, 5),
        ),
        ((2, 3, 3, 4), (2, 3, 3, 5)),
        exact=False,
    ),
)
