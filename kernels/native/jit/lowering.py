"""How typed kernel source becomes LLVM IR: numba's lowering, with little in the place of much.

numba types an operator again where it is lowered, and writes some sixty instructions for a loop
over a range, whose step might be zero, and thirty for a quotient, all of which LLVM then undoes.
Steps of kernels' loops are above zero.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import Registry as LoweringRegistry
from numba.core.lowering import Lower
from numba.core.typing.templates import Signature

registry = LoweringRegistry()

# Of what a range is, and of what goes along it: pointers to the next value and to how many are left
# around its end and step.
START, STOP, STEP = range(3)
NEXT, LEFT = 0, 3


class KernelLower(Lower):
    """Lowers operators by the signatures that they were typed with, and loops over ranges."""

    def lower_expr(self, resty: types.Type, expr: Any) -> Any:
        match expr.op:
            case "call" if resty == types.range_state64_type:
                return self._range(resty, expr.args)
            case "getiter" if resty == types.range_iter64_type:
                return self._begin_range(resty, self.loadvar(expr.value.name))
            case "iternext" if self.typeof(expr.value.name) == types.range_iter64_type:
                return self._next_of_range(resty, self.loadvar(expr.value.name))
            case "pair_first":
                return self.builder.extract_value(self.loadvar(expr.value.name), 0)
            case "pair_second":
                return self.builder.extract_value(self.loadvar(expr.value.name), 1)
        return super().lower_expr(resty, expr)

    def lower_binop(self, resty: types.Type, expr: Any, op: Any) -> Any:
        return self._applied(resty, op, self.fndesc.calltypes[expr], (expr.lhs, expr.rhs))

    def lower_getitem(
        self, resty: types.Type, expr: Any, value: Any, index: Any, signature: Signature
    ) -> Any:
        return self._applied(resty, operator.getitem, signature, (value, index))

    def lower_setitem(
        self, target_var: Any, index_var: Any, value_var: Any, signature: Signature
    ) -> Any:
        operands = (target_var, index_var, value_var)
        return self._applied(types.none, operator.setitem, signature, operands)

    def _applied(
        self, resty: types.Type, op: Any, signature: Signature, operands: Sequence[Any]
    ) -> Any:
        """The result of an operator on variables, as `resty`."""
        typing = self.context.typing_context
        function = typing.resolve_value_type(op)
        try:
            function.get_impl_key(signature)
        except KeyError:
            # The kernel was typed before a registry added to what the operator takes.
            function.get_call_type(typing, signature.args, {})
        pairs = zip(operands, signature.args, strict=True)
        values = [self._converted(variable, kind) for variable, kind in pairs]
        result = self.context.get_function(function, signature)(self.builder, values)
        return self.context.cast(self.builder, result, signature.return_type, resty)

    def _converted(self, variable: Any, kind: types.Type) -> Any:
        value, own = self.loadvar(variable.name), self.typeof(variable.name)
        return self.context.cast(self.builder, value, own, kind)

    # --- loops -----------------------------------------------------------------------------------

    def _range(self, resty: types.Type, limits: Sequence[Any]) -> Any:
        """`range(stop)`, `range(start, stop)`, `range(start, stop, step)`"""
        given = [self._converted(each, types.int64) for each in limits]
        size = given[0].type
        if len(given) == 1:
            given = [size(0), *given]
        start, stop, step = given if len(given) == 3 else (*given, size(1))
        return self._packed(resty, {START: start, STOP: stop, STEP: step})

    def _begin_range(self, resty: types.Type, limits: Any) -> Any:
        builder = self.builder
        start, stop, step = (builder.extract_value(limits, k) for k in (START, STOP, STEP))
        zero = start.type(0)
        span = builder.sub(stop, start)
        has_rest = builder.icmp_signed(">", builder.srem(span, step), zero)
        steps = builder.add(builder.sdiv(span, step), builder.zext(has_rest, start.type))
        count = builder.select(builder.icmp_signed(">", span, zero), steps, zero)
        following, left = self._variable(start.type), self._variable(start.type)
        builder.store(start, following)
        builder.store(count, left)
        return self._packed(resty, {NEXT: following, STOP: stop, STEP: step, LEFT: left})

    def _next_of_range(self, resty: types.Type, loop: Any) -> Any:
        """The next value, and whether there is one."""
        builder = self.builder
        following, left = builder.extract_value(loop, NEXT), builder.extract_value(loop, LEFT)
        value, count = builder.load(following), builder.load(left)
        is_valid = builder.icmp_signed(">", count, count.type(0))
        with builder.if_then(is_valid):
            builder.store(builder.sub(count, count.type(1), flags=("nsw",)), left)
            builder.store(builder.add(value, builder.extract_value(loop, STEP)), following)
        return self._packed(resty, {0: value, 1: is_valid})

    def _variable(self, kind: ir.Type) -> Any:
        """Memory in the stack frame that LLVM makes a register of."""
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind)

    def _packed(self, kind: types.Type, fields: dict[int, Any]) -> Any:
        """A record of some fields."""
        packed = ir.Constant(self.context.get_value_type(kind), ir.Undefined)
        for number, value in fields.items():
            packed = self.builder.insert_value(packed, value, number)
        return packed


@registry.lower(operator.floordiv, types.int64, types.int64)
def _lower_quotient(context: Any, builder: Any, sig: Signature, args: Sequence[Any]) -> Any:
    """x // y, rounded down; 0 where there is none."""
    x, (y, has_none) = args[0], _divisor(builder, *args)
    below = builder.zext(_rounds_down(builder, x, y), x.type)
    return builder.select(has_none, x.type(0), builder.sub(builder.sdiv(x, y), below))


@registry.lower(operator.mod, types.int64, types.int64)
def _lower_rest(context: Any, builder: Any, sig: Signature, args: Sequence[Any]) -> Any:
    """x % y, which has the sign of y; 0 where there is none."""
    x, (y, has_none) = args[0], _divisor(builder, *args)
    rest = builder.srem(x, y)
    found = builder.select(_rounds_down(builder, x, y), builder.add(rest, y), rest)
    return builder.select(has_none, x.type(0), found)


def _divisor(builder: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """y, or 1 where the processor would not divide x by it, and whether that is so."""
    is_least = builder.icmp_signed("==", x, x.type(-(2**63)))
    overflows = builder.and_(is_least, builder.icmp_signed("==", y, y.type(-1)))
    has_none = builder.or_(overflows, builder.icmp_signed("==", y, y.type(0)))
    return builder.select(has_none, y.type(1), y), has_none


def _rounds_down(builder: Any, x: Any, y: Any) -> Any:
    """Whether x / y lies below what LLVM's division makes of it, which rounds towards zero."""
    rest = builder.srem(x, y)
    zero = rest.type(0)
    has_other_sign = builder.icmp_signed("<", builder.xor(y, rest), zero)
    return builder.and_(builder.icmp_signed("!=", rest, zero), has_other_sign)
