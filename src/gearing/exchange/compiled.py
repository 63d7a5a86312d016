"""How the functions of this room are compiled, so that the same source also runs interpreted.

``rule``    for plain functions; whether a call of it is inlined is left to LLVM.
``hot``     for the few steps that every account takes and that read whole arrays: inlined by force, because handing
            over a dozen array structures costs more than the work. The wish would be inherited by every callee,
            which multiplies the code, so ``rule`` declines it explicitly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

INTERPRETED = bool(config.DISABLE_JIT)

rule = register_jitable(forceinline=False)
hot = register_jitable(forceinline=True)
# Division as in NumPy: no branch for zero denominators. The GIL is released, so that threads can share the accounts.
# Without the runtime's reference counts: the loop only borrows its arrays, and counting them cost more than the rest.
loop = njit(cache=True, error_model="numpy", nogil=True, _nrt=False)


def plain(array: np.ndarray) -> np.ndarray:
    """View of a record array that the compiled loop takes fastest; interpreted code keeps the record view."""
    return array if INTERPRETED else array.view(np.ndarray)


def read_only(array: np.ndarray) -> np.ndarray:
    """View that cannot be written; compiled code knows it as a type of its own, so all simulations pass the same."""
    view = array.view()
    view.flags.writeable = False
    return view


@intrinsic
def _prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, args[0])
        stride = builder.extract_value(view.strides, 0)
        byte = ir.IntType(8).as_pointer()
        offset = builder.mul(stride, args[1])
        address = builder.gep(builder.bitcast(view.data, byte), [offset])
        number = ir.IntType(32)
        name = "llvm.prefetch.p0" if not hasattr(byte, "pointee") else "llvm.prefetch.p0i8"
        call = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), name
        )
        for line in (0, 64):  # a row record fills two cache lines
            at = builder.gep(address, [ir.IntType(64)(line)])
            builder.call(call, [at, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


if INTERPRETED:

    def prefetch(array: np.ndarray, index: int) -> None:
        """Nothing to do without compiled code."""

else:

    @hot
    def prefetch(array: np.ndarray, index: int) -> None:
        """Ask the processor for the two cache lines at ``array[index]`` before they are needed."""
        _prefetch(array, index)
