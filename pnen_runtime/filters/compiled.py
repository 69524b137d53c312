"""The loops of the weighted median and of the SD filter, which numba compiles when they are first called."""

import numba
import numpy as np


@numba.njit(nogil=True)
def medians(image, radius, weights):  # one histogram of weights per pixel and channel
    height, width, channels = image.shape
    medians = np.empty_like(image)
    histogram = np.zeros((channels, 256), np.int64)
    for y in range(height):
        for x in range(width):
            histogram[:], total = 0, 0
            for j in range(max(y - radius, 0), min(y + radius + 1, height)):
                for i in range(max(x - radius, 0), min(x + radius + 1, width)):
                    square = 0
                    for c in range(channels):
                        square += (int(image[j, i, c]) - int(image[y, x, c])) ** 2
                    total += weights[square]
                    for c in range(channels):
                        histogram[c, image[j, i, c]] += weights[square]
            for c in range(channels):
                level, reached = 0, histogram[c, 0]
                while 2 * reached < total:
                    level += 1
                    reached += histogram[c, level]
                medians[y, x, c] = level
    return medians


@numba.njit(nogil=True, fastmath=True)
def solve(edges, diagonal, wanted, found, tolerance, rounds):  # (H + 2, W + 2), their borders zero; True where solved
    product, direction, share = np.zeros_like(wanted), np.zeros_like(wanted), 1 / diagonal
    _multiply(edges, diagonal, found, product)
    residual, energy = wanted - product, 1.0
    rests, shares = residual.ravel(), share.ravel()  # views
    for _ in range(rounds):
        before, energy, largest = energy, 0.0, 0.0
        for i in range(rests.size):
            energy += rests[i] ** 2 * shares[i]
            largest = max(largest, abs(rests[i]))
        if largest <= tolerance:
            return True
        direction[:] = share * residual + energy / before * direction
        length = energy / _multiply(edges, diagonal, direction, product)
        found += length * direction
        residual -= length * product
    return False


@numba.njit(nogil=True, fastmath=True)
def _multiply(edges, diagonal, values, product):  # the system's matrix times the values; returns values · product
    total = 0.0
    across, along, falling, rising = edges
    for y in range(1, values.shape[0] - 1):
        for x in range(1, values.shape[1] - 1):
            drawn = across[y, x] * values[y, x + 1] + across[y, x - 1] * values[y, x - 1]
            drawn += along[y, x] * values[y + 1, x] + along[y - 1, x] * values[y - 1, x]
            drawn += falling[y, x] * values[y + 1, x + 1] + falling[y - 1, x - 1] * values[y - 1, x - 1]
            drawn += rising[y, x] * values[y + 1, x - 1] + rising[y - 1, x + 1] * values[y - 1, x + 1]
            product[y, x] = diagonal[y, x] * values[y, x] - drawn
            total += values[y, x] * product[y, x]
    return total
