import collatz


def is_even(steps: int) -> bool:
    return steps % 2 == 0


print(sum(filter(is_even, map(collatz.length, range(1, 20_000)))))
