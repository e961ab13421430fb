"""Running a user's script: as a program, or only so far as it declares its model."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from graphc import errors
from graphc.commands.subject import Subject
from graphc.functions.function import Function
from graphc.train.model import Model

# What `__name__` is in a script that is loaded but not run: its guarded training does not start.
LOADED_NAME = "__graphc_script__"

# What is looked at in a script that has more than one model or function.
MODEL_NAME = "model"

# What graphc says to its user; any other exception out of it is a bug that needs its traceback.
OWN_ERRORS = tuple(getattr(errors, name) for name in errors.__all__)


class ScriptError(Exception):
    """A script that is no model script; the message is for its author."""


class ScriptFailedError(Exception):
    """A script that raised: the message is its traceback from its own first line on."""


def run_script(path: Path, arguments: Sequence[str] = ()) -> None:
    """Runs the script as `python path arguments...` would.

    Raises ScriptFailedError when it raises, SettingError when a setting of the environment is
    wrong.
    """
    _run(path, "__main__", arguments)


def load_names(path: Path) -> dict[str, Any]:
    """The names that a script defines, whose `if __name__ == "__main__"` part is not run.

    Raises ScriptFailedError when it raises, ScriptError when it exits, SettingError when a setting
    of the environment is wrong.
    """
    try:
        return _run(path, LOADED_NAME, ())
    except SystemExit:
        raise ScriptError(
            f"{path} exits while it is loaded; parse arguments and train below "
            f"`if __name__ == '__main__':`"
        ) from None


def load_subject(path: Path, wanted: str | None = None) -> Subject:
    """What `chosen` finds in the script. Raises as it and `load_names` do."""
    return chosen(load_names(path), path, wanted)


def chosen(names: Mapping[str, Any], path: Path, wanted: str | None = None) -> Subject:
    """The Model or Function of that name among `names`; unless given, `model`, or the only one.

    Raises ScriptError, which lists those that there are, where the name is of none of them.
    """
    found = {name: each for name, each in names.items() if isinstance(each, Model | Function)}
    if wanted is None and MODEL_NAME not in names and len(set(map(id, found.values()))) == 1:
        return next(iter(found.values()))
    name = MODEL_NAME if wanted is None else wanted
    if name in found:
        return found[name]
    problem = (
        f"`{name}` in {path} is of type {type(names[name]).__name__}"
        if name in names
        else f"{path} defines no `{name}` at module level"
    )
    kinds = [f"{each} ({type(value).__name__})" for each, value in found.items()]
    if kinds:
        raise ScriptError(f"{problem}; --model chooses one of {', '.join(kinds)}")
    raise ScriptError(f"{problem}; a gc.Model is expected, or what gc.function returns")


def _run(path: Path, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    with _as_started(path, arguments):
        try:
            return runpy.run_path(str(path), run_name=name)
        except errors.SettingError:
            # No line of the script is to blame.
            raise
        except Exception as error:
            raise ScriptFailedError(_users_traceback(error, path)) from error


@contextmanager
def _as_started(path: Path, arguments: Sequence[str]) -> Iterator[None]:
    """`sys.argv` and `sys.path` as the interpreter sets them for a script."""
    argv, modules_path = sys.argv, sys.path
    sys.argv = [str(path), *arguments]
    sys.path = [str(path.resolve().parent), *modules_path]
    try:
        yield
    finally:
        sys.argv, sys.path = argv, modules_path


def _users_traceback(error: Exception, path: Path) -> str:
    """The traceback without what stands above the script, and without graphc's own frames below
    it where graphc meant to raise the error."""
    first = error.__traceback__
    while first is not None and first.tb_frame.f_code.co_filename != str(path):
        first = first.tb_next
    if isinstance(error, OWN_ERRORS):
        first = _without_own_frames(first)
    return "".join(traceback.format_exception(type(error), error, first)).rstrip()


def _without_own_frames(frames: TracebackType | None) -> TracebackType | None:
    kept = []
    while frames is not None:
        if frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] != "graphc":
            kept.append(frames)
        frames = frames.tb_next
    result = None
    for frame in reversed(kept):
        result = TracebackType(result, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return result
