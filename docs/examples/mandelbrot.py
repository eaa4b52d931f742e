"""The tutorial's work: the Mandelbrot set as text, in plain Python."""

WIDTH = 60
HEIGHT = 17
SHADES = " .:-=+*%@#"
MAX_STEPS = 5000


def steps(x: float, y: float) -> int:
    """Return how many steps the point takes to escape, at most `MAX_STEPS`."""
    a = b = 0.0
    for step in range(MAX_STEPS):
        if a * a + b * b > 4:
            return step
        a, b = a * a - b * b + x, 2 * a * b + y
    return MAX_STEPS


def row(line: int) -> str:
    """Return one line of the picture."""
    if not 0 <= line < HEIGHT:
        raise ValueError(f"the picture has no line {line}")
    y = 1.2 - 2.4 * line / (HEIGHT - 1)
    text = ""
    for column in range(WIDTH):
        count = steps(3 * column / (WIDTH - 1) - 2.2, y)
        text += SHADES[min(count.bit_length(), len(SHADES) - 1)]
    return text.rstrip()
