"""Where in a function an exception from outside may be raised: SAFE-4 to SAFE-6.

An exception that comes between two instructions finds the handlers that the compiler
wrote down for the second one. It writes none where it thinks that nothing can be
raised, and that is not where nothing must be lost: between ``lock.acquire()`` and the
``try``, on the way back to the head of a loop, between the end of a ``with`` block
and its ``__exit__``. This file reads the bytecode of one function and names the
instructions at which an exception would pass by a handler that the source shows:

    acquire()  POP_TOP  [ try body ... ]  JUMP  LOAD None x 3  CALL  POP_TOP
               ^^^^^^^                    ^^^^^^^^^^^^^^^^^^^^^^^^^
               leads into protection     leaves it, and __exit__ is still to be called

Source: INTERRUPT.md. Layer: core. It imports `dis`, so import it late.
"""

import dis
from collections.abc import Iterator
from types import CodeType

__all__ = ("SafePoints",)

# They call nothing and cannot fail, so the compiler may leave them without handlers.
_QUIET = frozenset(
    {
        "CACHE",
        "COPY",
        "END_FOR",
        "EXTENDED_ARG",
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
        "JUMP_FORWARD",
        "LOAD_CONST",
        "LOAD_CONST_IMMORTAL",
        "LOAD_CONST_MORTAL",
        "LOAD_FAST",
        "LOAD_FAST_AND_CLEAR",
        "LOAD_FAST_BORROW",
        "LOAD_FAST_BORROW_LOAD_FAST_BORROW",
        "LOAD_FAST_LOAD_FAST",
        "LOAD_SMALL_INT",
        "NOP",
        "NOT_TAKEN",
        "POP_ITER",
        "POP_TOP",
        "PUSH_NULL",
        "STORE_DEREF",
        "STORE_FAST",
        "STORE_FAST_LOAD_FAST",
        "STORE_FAST_STORE_FAST",
        "STORE_GLOBAL",
        "SWAP",
    }
)
_GOES_NOWHERE = frozenset({"RAISE_VARARGS", "RERAISE", "RETURN_CONST", "RETURN_VALUE"})
_ALWAYS_JUMPS = frozenset(
    {"JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_FORWARD"}
)
# What drops a reference or lets the interpreter do its own housekeeping: a function
# called from here is a finalizer, and an exception in it is printed and lost.
_CALLS_FINALIZERS_ONLY = frozenset(
    {
        "DELETE_DEREF",
        "DELETE_FAST",
        "END_FOR",
        "JUMP_BACKWARD",
        "POP_EXCEPT",
        "POP_ITER",
        "POP_TOP",
        "RESUME",
        "RETURN_CONST",
        "RETURN_VALUE",
        "STORE_DEREF",
        "STORE_FAST",
        "STORE_FAST_LOAD_FAST",
        "STORE_FAST_STORE_FAST",
        "STORE_GLOBAL",
    }
)
_EXIT_ARGUMENTS = 3  # __exit__(None, None, None)


class SafePoints:
    """What one function's bytecode says about its instructions, by their offsets.

    Attributes:
      never: An exception here would pass by a handler that the source shows.
      line_starts: The first instruction of a line.
      cleanup: In the body of a ``finally``: better not, but it may be a loop.
      uncalled: As for an outer frame: what runs above it must not be broken off. It
        enters or leaves a ``with``, or it is a finalizer.

      star_calls: Calls of the form ``fn(*args)``.

    Thread safety: immutable.
    """

    __slots__ = ("cleanup", "line_starts", "never", "star_calls", "uncalled")

    def __init__(self, code: CodeType) -> None:
        flow = _Flow(code)
        self.never: frozenset[int] = frozenset(  # immutable
            {*_leading_into_protection(flow), *_leaving_with(flow)}
        )
        self.line_starts: frozenset[int] = frozenset(  # immutable
            instruction.offset
            for instruction in flow.instructions
            if instruction.starts_line
        )
        self.star_calls: frozenset[int] = frozenset(  # immutable
            instruction.offset
            for instruction in flow.instructions
            if instruction.opname == "CALL_FUNCTION_EX"
        )
        self.cleanup: frozenset[int] = frozenset(_in_finally(flow))  # immutable
        self.uncalled: frozenset[int] = self.never | {  # immutable
            instruction.offset
            for index, instruction in enumerate(flow.instructions)
            if instruction.opname in _CALLS_FINALIZERS_ONLY or flow.enters_with(index)
        }


class _Flow:
    """The instructions of a function, where each goes next, and who protects it."""

    def __init__(self, code: CodeType) -> None:
        self.instructions = list(dis.get_instructions(code))  # immutable
        offsets = [instruction.offset for instruction in self.instructions]
        self._indices = {offset: i for i, offset in enumerate(offsets)}  # immutable
        handlers = list(_exception_table(code))
        self.handlers: list[int | None] = [None] * len(offsets)  # immutable
        for start, end, target in handlers:
            for index, offset in enumerate(offsets):
                if start <= offset < end:
                    self.handlers[index] = self._indices[target]
        self.targets = sorted(  # immutable: indices of the handlers' first instructions
            {self._indices[target] for _, _, target in handlers}
        )
        self._protections = list(map(self._chain, self.handlers))  # immutable

    def _chain(self, handler: int | None) -> frozenset[int]:
        """Return the handler, the handler of that one's code, and so on."""
        chain: set[int] = set()
        while handler is not None and handler not in chain:
            chain.add(handler)
            handler = self.handlers[handler]
        return frozenset(chain)

    def protections(self, index: int) -> frozenset[int]:
        """Return all handlers that an exception at this instruction can meet."""
        return self._protections[index]

    def name(self, index: int) -> str:
        """Return the instruction's name."""
        return self.instructions[index].opname

    def is_quiet(self, index: int) -> bool:
        """Return whether the instruction calls nothing and cannot fail."""
        return self.name(index) in _QUIET

    def successors(self, index: int) -> Iterator[int]:
        """Yield what may run next if nothing is raised."""
        instruction = self.instructions[index]
        if instruction.jump_target is not None:
            yield self._indices[instruction.jump_target]
        is_last = index + 1 == len(self.instructions)
        if not is_last and instruction.opname not in _GOES_NOWHERE | _ALWAYS_JUMPS:
            yield index + 1

    def predecessors(self) -> list[list[int]]:
        """Return for each instruction what may have run before it."""
        found: list[list[int]] = [[] for _ in self.instructions]
        for index in range(len(self.instructions)):
            for successor in self.successors(index):
                found[successor].append(index)
        return found

    def is_with_handler(self, target: int) -> bool:
        """Return whether a handler is that of a ``with`` block."""
        return "WITH_EXCEPT_START" in map(
            self.name, range(target, min(target + 3, len(self.instructions)))
        )

    def enters_with(self, index: int) -> bool:
        """Return whether the instruction calls an ``__enter__``."""
        if self.name(index) in {"BEFORE_WITH", "BEFORE_ASYNC_WITH"}:
            return True
        return self.name(index) == "CALL" and self.name(index - 1) == "LOAD_SPECIAL"

    def is_exit_call(self, index: int) -> bool:
        """Return whether the instruction calls ``__exit__(None, None, None)``."""
        return self.name(index) == "CALL" and all(
            self.name(i).startswith("LOAD_CONST")
            and self.instructions[i].argval is None
            for i in range(index - _EXIT_ARGUMENTS, index)
        )


def _leading_into_protection(flow: _Flow) -> set[int]:
    """SAFE-5: quiet instructions from which the next protected one is sure to come."""
    found: set[int] = set()
    predecessors = flow.predecessors()
    for index in range(len(flow.instructions)):
        todo = predecessors[index][:]
        seen: set[int] = set()
        while todo:
            before = todo.pop()
            if (
                before in seen
                or not flow.is_quiet(before)
                or flow.protections(index) <= flow.protections(before)
            ):
                continue
            seen.add(before)
            todo += predecessors[before]
        found |= seen
    return {flow.instructions[index].offset for index in found}


def _leaving_with(flow: _Flow) -> set[int]:
    """SAFE-5: from the end of a ``with`` block to the call of its ``__exit__``."""
    found: set[int] = set()
    withs = frozenset(filter(flow.is_with_handler, flow.targets))
    for target in withs:  # left by an exception: up to WITH_EXCEPT_START
        index = target
        while flow.name(index) != "WITH_EXCEPT_START":
            found.add(index)
            index += 1
        found.add(index)
    for index in range(len(flow.instructions)):
        inside = flow.protections(index) & withs
        for successor in flow.successors(index):
            if not inside <= flow.protections(successor):
                found |= _way_to_exit(flow, successor)
        if flow.is_exit_call(index):
            found |= set(range(index - _EXIT_ARGUMENTS, index + 1))
    return {flow.instructions[index].offset for index in found}


def _way_to_exit(flow: _Flow, start: int) -> set[int]:
    """Return the way to the call of ``__exit__``, if it begins here."""
    way: set[int] = set()
    index: int | None = start
    while index is not None and index not in way:
        way.add(index)
        if flow.is_exit_call(index):
            return way
        if not flow.is_quiet(index):
            return set()
        index = next(flow.successors(index), None)
    return set()


def _in_finally(flow: _Flow) -> Iterator[int]:
    """Yield the offsets of ``finally`` bodies.

    The compiler writes such a body twice: as a handler, and where nothing was raised.
    Lines that are both inside a handler and outside of one are theirs.
    """
    inside: set[int] = set()
    for target in flow.targets:
        if flow.is_with_handler(target) or flow.name(target) != "PUSH_EXC_INFO":
            continue
        end = flow.handlers[target + 1] if target + 1 < len(flow.handlers) else None
        inside |= set(range(target, target + 1 if end is None else end))
    lines = [instruction.line_number for instruction in flow.instructions]
    in_handlers = {lines[index] for index in inside}
    elsewhere = {lines[i] for i in range(len(lines)) if i not in inside}
    both = (in_handlers & elsewhere) - {None}
    for index, instruction in enumerate(flow.instructions):
        if lines[index] in both:
            yield instruction.offset


def _exception_table(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and handler of each protected range, as offsets.

    The format is that of CPython's InternalDocs: four numbers of six-bit digits each,
    the last of them the depth of the stack, which does not matter here.
    """
    numbers = _varints(code.co_exceptiontable)
    for start in numbers:
        length, target, _depth = next(numbers), next(numbers), next(numbers)
        yield 2 * start, 2 * (start + length), 2 * target


def _varints(table: bytes) -> Iterator[int]:
    number = 0
    for byte in table:
        number = number << 6 | byte & 0x3F
        if not byte & 0x40:
            yield number
            number = 0
