# SPDX-License-Identifier: Apache-2.0
"""Matrix products of float32 without a gradient, by the bfloat16 tiles of a CPU that has them
(product_cpu.cc: three products of halves, an error of about 2^-16), else by PyTorch. For training;
$FATHOM_TILES=0 leaves the tiles out there, too.
"""

import ctypes
import functools
import os
from pathlib import Path

import torch

import wkv_cpu

SOURCE = Path(__file__).with_name("product_cpu.cc")


@functools.cache
def library():
    """None where the processor has no tiles or there is no compiler."""
    if os.environ.get("FATHOM_TILES") == "0":
        return None
    found = wkv_cpu.compiled(SOURCE)
    if found is None or not found.product_available():
        return None
    found.product.argtypes = 9 * [ctypes.c_int64] + 4 * [ctypes.c_void_p]
    found.product.restype = None
    return found


def lies(x):
    """(row stride, whether x (n, k) has k running through memory)."""
    if x.stride(1) == 1:
        return x.stride(0), True
    if x.stride(0) == 1:
        return x.stride(1), False
    raise ValueError(f"product: strides {x.stride()}, expected one of 1")


def exact(a, b, plus=None, out=None):
    """a (M, K) b (K, N), plus a matrix or a row; by PyTorch."""
    if out is not None and out.is_contiguous():
        return torch.mm(a, b, out=out) if plus is None else torch.addmm(plus, a, b, out=out)
    result = torch.mm(a, b) if plus is None else torch.addmm(plus, a, b)
    return result if out is None else out.copy_(result)


def tiled(a, b, plus=None, out=None):
    """The same by tiles."""
    (M, K), N = a.shape, b.shape[1]
    out = torch.empty(M, N) if out is None else out
    more = None if plus is None else plus.expand(M, N)
    if out.stride(1) != 1 or (more is not None and more.stride(1) != 1):
        raise ValueError("product: expected rows that run through memory")
    library().product(
        M, N, K, *lies(a), *lies(b.t()), 0 if more is None else more.stride(0), out.stride(0),
        a.data_ptr(), b.data_ptr(), None if more is None else more.data_ptr(), out.data_ptr())
    return out


def quickest():
    return exact if library() is None else tiled
