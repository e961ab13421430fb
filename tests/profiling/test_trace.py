"""Timelines, and the trace written from them."""

import itertools
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from graphc.kernels.run.instruction_table import Timing
from graphc.profiling.measuring.timeline import timeline
from graphc.profiling.results import Profile, Slice
from graphc.profiling.shown.trace import chrome_trace

SCHEMA = Path(__file__).with_name("trace_schema.json")


@pytest.fixture(params=["net", "shared"])
def measured(request: pytest.FixtureRequest) -> Profile:
    return request.getfixturevalue(request.param)


def tracks(trace: dict) -> dict[tuple[int, int], list[dict]]:
    """The slices of each process and thread."""
    found: dict[tuple[int, int], list[dict]] = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            found.setdefault((event["pid"], event["tid"]), []).append(event)
    return found


def test_the_trace_keeps_to_the_format(measured: Profile) -> None:
    trace = json.loads(json.dumps(chrome_trace(measured), allow_nan=False))
    jsonschema.validate(trace, json.loads(SCHEMA.read_text()))


def test_no_slices_overlap(measured: Profile) -> None:
    """Each begins where the one before it on the track ends: what a thread does is all there."""
    for events in tracks(chrome_trace(measured)).values():
        assert events[0]["ts"] == pytest.approx(0, abs=1e-6)
        for before, after in itertools.pairwise(events):
            assert after["ts"] == pytest.approx(before["ts"] + before["dur"], abs=1e-6)


def test_one_track_a_thread(net: Profile, shared: Profile) -> None:
    assert set(tracks(chrome_trace(net))) == {(1, 0), (2, 0)}
    trace = chrome_trace(shared)
    assert set(tracks(trace)) == {(1, 0), (1, 1), (2, 0), (2, 1)}
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name"
    }
    assert names == {track: f"thread {track[1]}" for track in tracks(trace)}


def test_slices_are_the_kernels_in_order(net: Profile, shared: Profile) -> None:
    for measured in (net, shared):
        found = tracks(chrome_trace(measured))
        for process, step in ((1, measured.fused), (2, measured.unfused)):
            for thread in range(measured.threads):
                called = [k for k in step.kernels if thread == 0 or k.threads > 1]
                events = [e for e in found[process, thread] if e["name"] != "wait"]
                assert [e["name"] for e in events] == [kernel.name for kernel in called]
                assert [e["args"]["flops"] for e in events] == [k.flops for k in called]
                assert all("conftest.py:" in e["args"]["lines"] for e in events)


def test_threads_wait_for_a_kernel_of_one_thread(shared: Profile) -> None:
    alone = [kernel for kernel in shared.fused.kernels if kernel.threads == 1]
    assert alone, "this test is for a step in which a kernel runs on one thread"
    waits = [e for e in tracks(chrome_trace(shared))[1, 1] if e["name"] == "wait"]
    assert waits


def test_a_timeline_from_stamps() -> None:
    """Thread 0 runs kernels 0 and 1, thread 1 kernel 0 alone; they meet before kernel 1."""
    spans = np.array([[[100, 130], [150, 170]], [[110, 148], [0, 0]]])
    busy, waits = np.zeros((2, 2), np.int64), np.zeros((2, 2), np.int64)
    calls = np.ones(2, np.int64)
    timing = Timing(busy, waits, spans, calls, end=180, nanoseconds=1, repeats=1)
    assert timeline(timing, 0.5) == (
        Slice(0, 0, 0, 15),
        Slice(0, None, 15, 25),
        Slice(0, 1, 25, 35),
        Slice(0, None, 35, 40),
        Slice(1, None, 0, 5),
        Slice(1, 0, 5, 24),
        Slice(1, None, 24, 40),
    )
