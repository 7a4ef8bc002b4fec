# SPDX-License-Identifier: Apache-2.0
"""The WKV recurrence in C++ (wkv_cpu.cc) as a PyTorch operator with a gradient, for a CPU with g++.

wkv(r, k, v, log_w, u) is model.wkv_loop for float32 and head sizes 32 and 64. On one core of a
Cascade Lake a training step is 2.3 times as fast as with wkv_chunked. available() says whether it
can be used; model.fastest_wkv() chooses.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("wkv_cpu.cc")
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-std=c++20",
         "-fPIC", "-shared"]
HEAD_SIZES = (32, 64)


def compiled(source):
    """The compiled source, from runs/ where it was compiled before for the same processor; None
    where there is no compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    processor = next((line for line in lines if line.startswith("flags")), "")
    key = hashlib.sha256((source.read_text() + processor + " ".join(FLAGS)).encode()).hexdigest()
    folder = source.parent / "runs"
    path = folder / f"{source.stem}.{key[:16]}.so"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".so")
        os.close(handle)
        made = subprocess.run([compiler, *FLAGS, str(source), "-o", temporary],
                              stderr=subprocess.PIPE, text=True)
        if made.returncode != 0:
            os.unlink(temporary)
            print(f"{source.name}: not compiled, the slower form is used:\n{made.stderr}",
                  file=sys.stderr)
            return None
        os.replace(temporary, path)
    return ctypes.CDLL(str(path))


@functools.cache
def library():
    return compiled(SOURCE)


def available(head_size):
    return head_size in HEAD_SIZES and library() is not None


def call(function, shape, inputs, starts, outputs):
    pointers = [ctypes.c_void_p(None if x is None else x.data_ptr())
                for x in (*inputs[:5], starts, *inputs[5:], *outputs)]
    if function(*(ctypes.c_int64(n) for n in shape), *pointers) != 0:
        raise ValueError(f"head size {shape[3]}: expected one of {HEAD_SIZES}")


def checked(tensors):
    for x in tensors:
        if x.dtype != torch.float32 or x.device.type != "cpu":
            raise TypeError(f"wkv_cpu: expected float32 on the CPU, got {x.dtype} on {x.device}")
    return [x.contiguous() for x in tensors]


def checked_starts(starts, like):
    if starts is None:
        return None
    if starts.dtype != torch.bool or starts.shape != like.shape[:2]:
        raise TypeError(f"wkv_cpu: starts: expected bool {tuple(like.shape[:2])}, got "
                        f"{starts.dtype} {tuple(starts.shape)}")
    return starts.contiguous()


@torch.library.custom_op("fathom::wkv", mutates_args=())
def wkv(r: Tensor, k: Tensor, v: Tensor, log_w: Tensor, u: Tensor,
        starts: Tensor | None = None) -> Tensor:
    """As model.wkv_loop. starts, if given, (B, T) bool: where a new sequence begins."""
    inputs = checked((r, k, v, log_w, u))
    y = torch.empty_like(inputs[0])
    call(library().wkv_forward, r.shape, inputs, checked_starts(starts, r), [y])
    return y


@torch.library.custom_op("fathom::wkv_gradient", mutates_args=())
def wkv_gradient(r: Tensor, k: Tensor, v: Tensor, log_w: Tensor, u: Tensor,
                 starts: Tensor | None, dy: Tensor) -> list[Tensor]:
    inputs = checked((r, k, v, log_w, u, dy))
    results = [torch.empty_like(inputs[0]) for _ in range(4)] + [torch.zeros_like(inputs[4])]
    call(library().wkv_backward, r.shape, inputs, checked_starts(starts, r), results)
    return results


@wkv.register_fake
def _(r, k, v, log_w, u, starts=None):
    return torch.empty_like(r, memory_format=torch.contiguous_format)


@wkv_gradient.register_fake
def _(r, k, v, log_w, u, starts, dy):
    return [torch.empty_like(r, memory_format=torch.contiguous_format) for _ in range(4)] + [
        torch.empty_like(u, memory_format=torch.contiguous_format)]


def setup_context(ctx, inputs, output):
    *tensors, ctx.starts = inputs
    ctx.save_for_backward(*tensors)


def backward(ctx, dy):
    gradients = torch.ops.fathom.wkv_gradient(*ctx.saved_tensors, ctx.starts, dy)
    return *gradients, None


wkv.register_autograd(backward, setup_context=setup_context)
