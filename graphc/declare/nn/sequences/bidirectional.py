"""A recurrent layer in both directions."""

from __future__ import annotations

from typing import Any

from graphc.declare.nn.layer import Layer, short_form
from graphc.declare.nn.sequences.recurrent import Recurrent
from graphc.errors import GraphError
from graphc.ir.arguments.given import shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located

MERGES = ("concat", "sum", "mul", "ave")


class Bidirectional(Layer):
    """A recurrent layer and one like it that reads the steps backwards, merged.

    `merge` is "concat" of the last axis, "sum", "mul", "ave", or None for a tuple of both. With
    `return_sequences` the outputs of both stand at the steps that they have read, and are 0 in
    steps that do not count, as in Keras and in torch's packed sequences. Calls take what those of
    the layer take but `initial_state`. Source: Schuster and Paliwal, 1997.

        both = gc.nn.Bidirectional(gc.nn.LSTM(64))(x)  # [batch, 128]

    Raises TypeError for a layer that is not recurrent, ValueError for another merge, GraphError for
    a layer that returns its state, goes backwards or was called before.
    """

    def __init__(
        self, layer: Recurrent, merge: str | None = "concat", name: str | None = None
    ) -> None:
        super().__init__(name)
        if not isinstance(layer, Recurrent):
            problem = f"a recurrent layer expected, not {shown(layer)}"
            raise TypeError(located(f"{self.kind}: {problem}", callers_location()))
        if merge is not None and merge not in MERGES:
            problem = f"merge: {', '.join(MERGES)} or None expected, not {merge!r}"
            raise ValueError(located(f"{self.kind}: {problem}", callers_location()))
        if layer.return_state or layer.go_backwards or layer._calls:
            problem = "a layer expected that goes forward, returns no state and was not called"
            raise GraphError(located(f"{self.kind}: {problem}", callers_location()))
        self.merge = merge
        layer.zero_output_for_mask = layer.return_sequences
        self.forward = layer
        self.backward = layer._backwards()

    def call(self, x: Node, mask: Any = None, lengths: Any = None) -> Any:
        first = self.forward(x, mask=mask, lengths=lengths)
        second = self.backward(x, mask=mask, lengths=lengths)
        match self.merge:
            case None:
                return first, second
            case "concat":
                return build.concatenate([first, second], -1)
            case "sum":
                return first + second
            case "mul":
                return first * second
            case _:
                return (first + second) * 0.5


bidirectional = short_form(Bidirectional, "bidirectional")
