"""Scopes that users name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from graphc.ir.arguments.given import shown
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.scope import Scope, current_scope, inside


def scope(name: str) -> AbstractContextManager[None]:
    """Names begin with `name` and a dot inside: those of layers, parameters, variables and streams.

        with gc.scope("block1"):
            hidden = gc.nn.dense(x, 64, "relu")  # its parameters: block1.dense.kernel and .bias

    Scopes nest, and hold for every graph. A name that comes again goes on where it was: layers are
    numbered inside as outside. A layer takes its name at its first call, so the scope around that
    one counts. Names of inputs stay as given. Nodes made inside carry the scope in their location,
    and drawings group by it. Raises TypeError for what is no text, ValueError for an empty one.
    """
    check_name("scope", name)
    return _inside(name)


@contextmanager
def _inside(name: str) -> Iterator[None]:
    around = current_scope()
    with inside(Scope(f"{around.prefix}{name}.", (*around.path, name))):
        yield


def check_name(what: str, name: object) -> None:
    """Raises TypeError for a name that is no text, ValueError for an empty one."""
    if not isinstance(name, str):
        problem = f"{what}: a name expected, not {shown(name)}"
        raise TypeError(located(problem, callers_location()))
    if not name:
        raise ValueError(located(f"{what}: a name that is not empty expected", callers_location()))
