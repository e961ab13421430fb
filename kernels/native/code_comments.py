"""LLVM IR and assembly with the lines of kernel source, and the user's lines, as comments.

The code must have been compiled with line directives: `KernelCompiler.compile_kernel(lines=True)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_USER_LINE = re.compile(r"#\s*(?P<line>[^\s:]+\.\w+:\d+)(?:: .*)?$|#\s*(?P<other><[^>]*>:\d+)")
_LOCATION = re.compile(r"^!(\d+) = (?:distinct )?!DILocation\(line: (\d+)")
_DEBUG_METADATA = re.compile(r"^!(?:llvm\.dbg\.cu\b|\d+ = (?:distinct )?!DI)")
_DEBUG_MARK = re.compile(r",? !dbg !(\d+)")
_FILE = re.compile(r'^\s*\.file\s+(\d+) .*"(<graphc [^"]*>)"')
_LINE_DIRECTIVE = re.compile(r"^\s*\.loc\s+(\d+) (\d+)")
_FUNCTION_LABEL = re.compile(r'^"?([\w.<>]+)"?:')
_DEFINITION = re.compile(r'^define .*@"?([\w.<>]+)"?\(')
# Labels and directives that only debuggers read.
_NOISE = (".Ltmp", ".file", ".cfi_")


def user_lines(source: str) -> list[str]:
    """The comments of a kernel's source that name lines of the user, each once, in order."""
    found = [line[line.index("#") :] for line in source.splitlines() if _USER_LINE.search(line)]
    return [comment.removeprefix("#").strip() for comment in dict.fromkeys(found)]


def commented_lines(source: str) -> list[str]:
    """The source's lines, each with the user's line that it comes from, where that is known.

    In source the user's line stands beside the first of the lines that come from it.
    """
    result: list[str] = []
    by_indent: dict[int, str] = {}
    whole = ""
    for line in source.splitlines():
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        by_indent = {depth: where for depth, where in by_indent.items() if depth <= indent}
        found = _USER_LINE.search(line)
        if found is not None:
            by_indent[indent] = found["line"] or found["other"]
            if text.startswith("#"):
                whole = by_indent[indent]
        elif not text.startswith(("def ", "for ", "if ", "else:", "return ", "#")):
            where = by_indent.get(indent, whole)
            text = f"{text}  # {where}" if where and "buffer(" not in text else text
        result.append(text)
    return result


def commented_llvm(llvm: str, source: str, callees: Sequence[str] = ()) -> str:
    """The LLVM IR with source lines above what they became, without its debug metadata.

    callees: functions called by name in the source, which get the line of the call.
    """
    shown = commented_lines(source)
    lines = llvm.splitlines()
    locations = {m[1]: int(m[2]) for m in map(_LOCATION.match, lines) if m}
    return "\n".join(_commented_llvm_lines(lines, shown, locations, callees)) + "\n"


def _commented_llvm_lines(
    lines: Sequence[str], shown: Sequence[str], locations: Mapping[str, int], callees: Sequence[str]
) -> Iterator[str]:
    current = 0
    for line in lines:
        if _DEBUG_METADATA.match(line) or line.lstrip().startswith("#dbg_"):
            continue
        defined = _DEFINITION.match(line)
        if defined is not None:
            current = 0
            yield from _call_comment(";", defined[1], shown, callees)
        mark = None if defined is not None else _DEBUG_MARK.search(line)
        number = locations.get(mark[1], 0) if mark is not None else 0
        if number > 1 and number != current:
            current = number
            yield f"  ; {number}: {shown[number - 1]}"
        yield _DEBUG_MARK.sub("", line)


def commented_assembly(assembly: str, source: str, callees: Sequence[str] = ()) -> str:
    """The assembly with source lines in the place of its line directives; `callees` as above."""
    shown = commented_lines(source)
    return "\n".join(_commented_assembly_lines(assembly.splitlines(), shown, callees)) + "\n"


def _commented_assembly_lines(
    lines: Sequence[str], shown: Sequence[str], callees: Sequence[str]
) -> Iterator[str]:
    numbers = {m[1] for m in map(_FILE.match, lines) if m}
    current = 0
    for line in lines:
        directive = _LINE_DIRECTIVE.match(line)
        if directive is not None:
            file, number = directive[1], int(directive[2])
            if file in numbers and number > 1 and number != current:
                current = number
                yield f"\t# {number}: {shown[number - 1]}"
            continue
        if line.lstrip().startswith(_NOISE):
            continue
        label = _FUNCTION_LABEL.match(line)
        if label is not None:
            current = 0
            yield from _call_comment("#", label[1], shown, callees)
        yield line


def _call_comment(
    sign: str, name: str, shown: Sequence[str], callees: Sequence[str]
) -> Iterator[str]:
    """Above a function that the kernel calls: the first line of source that does so."""
    if name in callees:
        number, line = next((n, text) for n, text in enumerate(shown, 1) if f"{name}(" in text)
        yield f"{sign} called at {number}: {line}"
