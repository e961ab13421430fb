"""Scratch memory says itself whether it keeps a row, whatever it is called."""

from dataclasses import replace

import graphc as gc
from graphc.inspect.explain import compiled_for_explaining, explain
from graphc.inspect.explain_storage import scratch_reason

NEXT_PASS = "keeps for its next pass"


def test_a_kept_row_is_known_by_what_its_memory_says() -> None:
    x = gc.Graph().input("x", (64, 5000))
    made = compiled_for_explaining(gc.function([x], gc.softmax(x)), {})
    (kept,) = (buffer for buffer in explain(made).buffers if NEXT_PASS in buffer.reason)
    (live,) = (live for live in made.plan.arena.ranges if live.storage.of is not None)
    assert kept.name == live.storage.name and live.storage.keeps_row
    renamed = replace(live, storage=replace(live.storage, name="scratch"))
    assert NEXT_PASS in scratch_reason(renamed, made.plan)


def test_sums_over_all_rows_keep_none() -> None:
    x = gc.Graph().input("x", (4096, 64))
    made = compiled_for_explaining(gc.function([x], gc.sum(gc.exp(x), 0)), {})
    (live,) = (live for live in made.plan.arena.ranges if live.storage.of is not None)
    assert not live.storage.keeps_row
    renamed = replace(live, storage=replace(live.storage, name="sum_row"))
    assert NEXT_PASS not in scratch_reason(renamed, made.plan)
