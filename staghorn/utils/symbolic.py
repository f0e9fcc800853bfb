"""Questions about symbolic tensors."""

from typing import Any

from staghorn.engine.symbolic import KerasTensor, is_symbolic, node_of


def is_keras_tensor(x: Any) -> bool:
    """Say whether `x` is a symbolic tensor, made with `Input` or from such ones.

    Args:
        x: anything.

    Example:
        >>> x = staghorn.Input((3,))
        >>> staghorn.utils.is_keras_tensor(x * 2), staghorn.utils.is_keras_tensor(np.ones(3))
        (True, False)
    """
    return is_symbolic(x)


def get_source_inputs(tensor: Any) -> list[KerasTensor]:
    """Return the Inputs that a symbolic tensor depends on, each once.

    Args:
        tensor: a symbolic tensor.

    Example:
        >>> a, b = staghorn.Input((3,), name="a"), staghorn.Input((3,), name="b")
        >>> [t.name for t in staghorn.utils.get_source_inputs(a * 2 + b * a)]
        ['a', 'b']

    Notes: what is no symbolic tensor comes back as it is, as in Keras.
    """
    if not is_symbolic(tensor):
        return tensor
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    pending = [tensor]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        node = node_of(current)
        parents = [] if node is None else node.input_tensors
        if not parents:
            found[id(current)] = current
        pending.extend(reversed(parents))
    return list(found.values())
