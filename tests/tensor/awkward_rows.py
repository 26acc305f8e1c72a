"""Rows of floats that encoders of blocks meet, beside those of usual weights."""
import numpy


def bend(random, row, kind):
    """Makes a row of random weights into one as it should not be; kinds without a number here leave it alone."""
    if kind == 1:
        row[:] = 0
    elif kind == 2:
        row[:] = row[0]
    elif kind == 3:
        row[random.integers(len(row))] *= 100
    elif kind == 4:
        row[:] = random.integers(-8, 8, len(row)) / 8
    elif kind == 5:
        row[:] = -numpy.abs(row)
    elif kind == 6:
        row[:] = random.integers(-127, 128, len(row)) / 2
    elif kind == 7:
        row *= numpy.float32(1e-6)
