"""The errors that a graph raises while it is declared, read or checked."""


class GraphError(ValueError):
    """A graph that has no meaning: the message names the op, its operands and the user's line."""


class ShapeError(GraphError):
    """Operands whose shapes do not fit the op."""


class DTypeError(GraphError):
    """Operands whose dtypes do not fit the op."""


class ForeignTensorError(GraphError):
    """Operands that belong to different graphs."""


class NotDifferentiableError(GraphError):
    """A derivative asked for with respect to an operand that has none."""
