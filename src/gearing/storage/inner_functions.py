"""Functions that only compiled code calls: numba translates each once, and optimises all of them in their caller.

As numba compiles a function that another calls, it is optimised and made machine code by itself, together with all that
it calls, before the caller is: a function far down in the calls is so compiled many times. A function marked by
``inner`` is typed and translated to LLVM's code, once for each set of types; that code is linked into its callers. Of
numba's passes over a function only those run that this needs.

The marked function stays plain Python, for code that is not compiled.
"""

from collections.abc import Callable, Iterable
from typing import Any

from numba import typeof, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)
from numba.extending import lower_builtin

from gearing.storage.compiling import njit

_PASSES = (
    TranslateByteCode, FixupArgs, IRProcessing, GenericRewrites, ReconstructSSA, NopythonTypeInference,
    PreLowerStripPhis, IRLegalization, NativeLowering, NoPythonBackend,
)  # fmt: skip
# No functions of C's form, and no reference counts: arrays are only borrowed.
_ALONE = {"no_cfunc_wrapper": True, "_nrt": False}
entry = njit(
    cache=True, **_ALONE
)  # of a function that Python calls; the arrays that it writes are given to it


class _Draft(JITCodeLibrary):
    """LLVM's code of a function for its callers: neither optimised across functions nor made machine code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing: only functions that Python calls use Python's objects."""


class _Translator(Compiler):
    """Translates a function to LLVM's code for its callers."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.state.library = _Draft(self.state.targetctx.codegen(), "inner")

    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager("inner")
        for needed in _PASSES:
            passes.add_pass(needed, needed.__name__)
        passes.finalize()
        return [passes]


def inner(
    function: Any,
    needed: Callable[[Iterable[Any]], bool] | None = None,
    absent: Any = None,
    compiled: Any = None,
    **options: Any,
) -> Any:
    """Let compiled code call a function; returns it.

    Parameters
    ----------
    function : function
    needed : function, optional
        Says of the types of arguments whether the function is needed. Where not, it is the constant ``absent``.
    absent : None, bool, number or tuple of numbers
    compiled : function, optional
        To compile in its place.
    **options
        Of numba's ``njit``.
    """
    compiler = njit(**_ALONE, no_cpython_wrapper=True, pipeline_class=_Translator, **options)
    dispatcher = compiler(compiled or function)

    class Call(AbstractTemplate):
        key = ("inner", function)

        def generic(self, args: Any, kws: Any) -> Any:
            args = tuple(map(types.unliteral, args))  # a constant makes no other function
            if needed is not None and not needed(args):
                return signature(typeof(absent), *args)
            form, args = dispatcher.fold_argument_types(args, kws)
            dispatcher.compile(args)
            return dispatcher.overloads[args].signature.replace(pysig=form)

        def get_impl_key(self, sig: Any) -> Any:
            return dispatcher.get_overload(sig) if needed is None or needed(sig.args) else self.key

    @lower_builtin(Call.key, types.VarArg(types.Any))
    def constant(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant_generic(builder, sig.return_type, absent)

    infer_global(function, types.Function(Call))
    return function
