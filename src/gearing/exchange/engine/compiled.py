"""What compiled code needs besides the marked functions: their compiler, views of arrays, copies of rows.

Functions marked with ``rule`` and ``hot`` (:mod:`gearing.exchange.marking`) are handed to numba here.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from gearing.exchange.marking import compile_with, hot, index, part_of
from gearing.storage.compiling import njit

INTERPRETED = bool(config.DISABLE_JIT)

# Parts are not called from outside and only borrow their arrays: without wrappers and reference counts they compile
# faster.
_PART = {"no_cfunc_wrapper": True, "_nrt": False}


def _compile(function: Any, is_hot: bool) -> None:
    """Let compiled code call a marked function."""
    found = part_of(function)
    if found is None:
        register_jitable(forceinline=is_hot, **_PART)(function)
        return
    name, absent = found

    def nothing(*arguments: Any) -> Any:
        return absent

    @overload(function, jit_options={"forceinline": False, **_PART}, strict=False)
    def chosen(*arguments: Any) -> Any:
        records = [kind for kind in arguments if isinstance(kind, types.Record)]
        return function if any(name in record.fields for record in records) else nothing


compile_with(_compile)
_NOT_NEGATIVE = 0x7FFF_FFFF_FFFF_FFFF
# Division as in NumPy: no branch for zero denominators. The GIL is released, so that threads can share the accounts.
# Without the runtime's reference counts: the loop only borrows its arrays, and counting them cost more than the rest.
# For the loop's only callee, whose source is copied into it: one function less to optimise.
copied = njit(inline="always")
loop = njit(cache=True, error_model="numpy", nogil=True, _nrt=False)


@intrinsic
def array_at(typingctx: Any, address: Any, shape: Any, dtype: Any) -> Any:
    """C-contiguous array of a shape (a tuple) and dtype at an address; the owner of the memory keeps it alive."""
    kind = types.Array(dtype.dtype, len(shape), "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = context.get_value_type(types.intp)
        size = word(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        lengths = cgutils.unpack_tuple(builder, args[1])
        strides = [size]
        for length in lengths[:0:-1]:
            strides.insert(0, builder.mul(strides[0], length))
        view = context.make_array(kind)(context, builder)
        data = builder.inttoptr(args[0], view.data.type)
        context.populate_array(view, data=data, shape=lengths, strides=strides, itemsize=size, meminfo=None)
        return view._getvalue()

    return kind(address, shape, dtype), generate


@overload(index, jit_options={"forceinline": True, **_PART}, strict=False)
def _index(k: Any) -> Any:
    return lambda k: k & _NOT_NEGATIVE


@intrinsic
def _prefetch(typingctx: Any, array: Any, index: Any, line: Any) -> Any:
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
        at = builder.gep(address, [builder.mul(args[2], ir.IntType(64)(64))])
        builder.call(call, [at, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


def _row_address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    view = context.make_array(kind)(context, builder, array)
    offset = builder.mul(index, builder.extract_value(view.strides, 0))
    return builder.gep(builder.bitcast(view.data, ir.IntType(8).as_pointer()), [offset])


@intrinsic
def row_copy(typingctx: Any, array: Any, index: Any) -> Any:
    """Copy of row ``index`` of a record array, which has one record a row, as an array of one row.

    Its fields become registers: arrays might overlap, so that each write to one would force all others to be read
    again.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, word = signature.args[0], context.get_value_type(types.intp)
        size = word(kind.dtype.size)
        copy = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(8), kind.dtype.size))
        copy.align = 16
        data = builder.bitcast(copy, ir.IntType(8).as_pointer())
        cgutils.raw_memcpy(builder, data, _row_address(context, builder, kind, *args), size, 1)
        own = context.make_array(kind)(context, builder)
        context.populate_array(
            own, data=builder.bitcast(copy, own.data.type), shape=[word(1)] * kind.ndim,
            strides=[size] * kind.ndim, itemsize=size, meminfo=None,
        )  # fmt: skip
        return own._getvalue()

    return array(array, types.int64), generate


@intrinsic
def put_row(typingctx: Any, array: Any, index: Any, row: Any, size: Any) -> Any:
    """Write the first ``size`` bytes of a ``row_copy`` back to row ``index``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        own = context.make_array(kind)(context, builder, args[2])
        data = builder.bitcast(own.data, ir.IntType(8).as_pointer())
        cgutils.raw_memcpy(builder, _row_address(context, builder, kind, *args[:2]), data, args[3], 1)
        return context.get_dummy_value()

    return types.void(array, types.int64, row, types.int64), generate


@intrinsic
def row_view(typingctx: Any, array: Any, index: Any) -> Any:
    """Row ``index`` of a record array, which has one record a row, as an array of one row."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, word = signature.args[0], context.get_value_type(types.intp)
        size = word(kind.dtype.size)
        own = context.make_array(kind)(context, builder)
        context.populate_array(
            own, data=builder.bitcast(_row_address(context, builder, kind, *args), own.data.type),
            shape=[word(1)] * kind.ndim, strides=[size] * kind.ndim, itemsize=size, meminfo=None,
        )  # fmt: skip
        return own._getvalue()

    return array(array, types.int64), generate


if INTERPRETED:

    def row_view(array: np.ndarray, index: int) -> np.ndarray:
        """The same for interpreted code."""
        return array[index : index + 1]

    def row_copy(array: np.ndarray, index: int) -> np.ndarray:
        """The same for interpreted code."""
        return array[index : index + 1].copy()

    def put_row(array: np.ndarray, index: int, row: np.ndarray, size: int) -> None:
        """The same for interpreted code."""
        bytes_of = [rows.view(np.ndarray).view(np.uint8) for rows in (array[index : index + 1], row)]
        bytes_of[0][..., :size] = bytes_of[1][..., :size]


if INTERPRETED:

    def prefetch(array: np.ndarray, index: int, line: int = 0) -> None:
        """Nothing to do without compiled code."""

else:

    @hot
    def prefetch(array: np.ndarray, index: int, line: int = 0) -> None:
        """Prefetch a cache line, counted from that of ``array[index]``, before it is needed."""
        _prefetch(array, index, line)
