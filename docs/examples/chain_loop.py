import collatz

total = 0
for number in range(1, 20_000):
    steps = collatz.length(number)
    if steps % 2 == 0:
        total += steps
print(total)
