"""The work of the page on parallel chains: how long Collatz sequences are."""


def length(number: int) -> int:
    """Return how many steps the sequence takes from a number to 1."""
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps
