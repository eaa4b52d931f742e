"""A recursion in two forms: plain, and with a fork at every call."""

from runtime.lowlevel import join

__all__ = ("fib", "fib_by_join", "fib_by_join_of_lambdas", "fork_count")


def fib(number: int) -> int:
    """Compute a Fibonacci number by two calls of itself."""
    if number < 2:
        return number
    return fib(number - 1) + fib(number - 2)


def fib_by_join(number: int) -> int:
    """Do the same with `join`, in a job."""
    if number < 2:
        return number
    first, second = join(fib_by_join, number - 1, fib_by_join, number - 2)
    return first + second


def fib_by_join_of_lambdas(number: int) -> int:
    """Do the same with two closures a fork, as one writes it without thinking."""
    if number < 2:
        return number
    first, second = join(
        lambda: fib_by_join_of_lambdas(number - 1),
        lambda: fib_by_join_of_lambdas(number - 2),
    )
    return first + second


def fork_count(number: int) -> int:
    """Return how many forks `fib_by_join` makes."""
    return 0 if number < 2 else fib(number + 1) - 1
