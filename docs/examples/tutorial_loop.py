import mandelbrot

for line in range(mandelbrot.HEIGHT):
    print(mandelbrot.row(line))
