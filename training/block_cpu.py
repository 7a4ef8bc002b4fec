# SPDX-License-Identifier: Apache-2.0
"""The sublayers of an RWKV-6 block on a CPU with g++: the formulas of model.py with a gradient written
out, so that what stands between the matrix products is one pass each (block_cpu.cc).

time_mix(block, x, starts) and channel_mix(block, x, starts) are x plus that half of the block, for
float32 x (1, T, C), several sequences behind each other. Results are those of model.Block up to
rounding: of float32, and of product_cpu's tiles while block.training is set and the processor has
them. available() says whether they can be used.
"""

import ctypes
import functools
import math
from pathlib import Path

import torch

import product_cpu
import wkv_cpu

SOURCE = Path(__file__).with_name("block_cpu.cc")
MIXES = "wkvrg"  # order of the five mixes


@functools.cache
def library():
    return wkv_cpu.compiled(SOURCE)


def available(head_size):
    return wkv_cpu.available(head_size) and library() is not None


class Scratch:
    """Memory by name for what a gradient needs only until it is done: taken again by the next block,
    which finds it in the cache. Contents are whatever was there."""

    def __init__(self):
        self.memory = {}

    def __call__(self, name, *shape):
        size = math.prod(shape)
        if name not in self.memory or len(self.memory[name]) < size:
            self.memory[name] = torch.empty(size + size // 4)
        return self.memory[name][:size].view(shape)


scratch = Scratch()


def run(name, sizes, *tensors, eps=None):
    """One function of block_cpu.cc. Tensors are contiguous, or None."""
    numbers = [ctypes.c_int64(n) for n in sizes]
    if eps is not None:
        numbers.append(ctypes.c_float(eps))
    for x in tensors:
        if x is not None and not x.is_contiguous():
            raise ValueError(f"{name}: expected contiguous tensors")
    getattr(library(), name)(*numbers, *(
        ctypes.c_void_p(None if x is None else x.data_ptr()) for x in tensors))


def shifted(x, starts, weight, bias, maa):
    """(h, s, stats, the mixes of maa (n, C)); see shift_forward."""
    (T, C), n = x.shape, len(maa)
    h, s, stats, out = scratch("h", T, C), torch.empty_like(x), x.new_empty(T, 2), x.new_empty(
        n, T, C)
    run("shift_forward", (T, C, n), x, starts, weight, bias, maa, h, s, stats, out)
    return h, s, stats, out


def shifted_gradient(x, starts, weight, maa, s, stats, dout, dh, ds, dy):
    """(dx, dweight, dbias, dmaa)."""
    (T, C), n = x.shape, len(maa)
    dx, dweight, dbias, dmaa = torch.empty_like(x), x.new_zeros(C), x.new_zeros(C), x.new_zeros(
        n, C)
    run("shift_backward", (T, C, n), x, starts, weight, maa, s, stats, dout, dh, ds, dy, dx,
        dweight, dbias, dmaa)
    return dx, dweight, dbias, dmaa


class TimeMix(torch.autograd.Function):
    @staticmethod
    def forward(ctx, mm, x, starts, eps, ln_weight, ln_bias, maa, base, w1, w2, decay, decay_w1,
                decay_w2, u, receptance, key, value, gate, output, norm_weight, norm_bias):
        """x (T, C), maa (1, C), base (5, 1, C); the others as they are in the model."""
        ctx.mm = mm
        T, C = x.shape
        heads = (1, T, *u.shape)
        h, s, stats, x_0 = shifted(x, starts, ln_weight, ln_bias, maa)
        z = mm(x_0[0], w1).tanh_()
        mix = x.new_empty(5, T, C)
        for own, part, matrix, to in zip(base, z.view(T, 5, -1).unbind(1), w2, mix):
            mm(part, matrix, own, to)
        mixed = torch.empty_like(mix)
        run("mix_forward", (T, C, 5), h, s, mix, mixed)
        x_w, x_k, x_v, x_r, x_g = mixed
        r, k, v, g = (mm(a, b.t()) for a, b in
                      ((x_r, receptance), (x_k, key), (x_v, value), (x_g, gate)))
        inner = mm(x_w, decay_w1).tanh_()
        log_w = mm(inner, decay_w2, decay)
        run("decay_forward", (log_w.numel(),), log_w)
        y, gated, of_norm = torch.empty_like(r), torch.empty_like(r), x.new_empty(T, len(u), 2)
        wkv_cpu.call(wkv_cpu.library().wkv_forward, heads, (r, k, v, log_w, u), starts, [y])
        run("gate_forward", (T, *u.shape), y, g, norm_weight, norm_bias, of_norm, gated, eps=eps)
        ctx.save_for_backward(
            x, starts, s, stats, x_0, z, mix, mixed, r, k, v, g, inner, log_w, y, of_norm, gated,
            ln_weight, maa, w1, w2, decay_w1, decay_w2, u, receptance, key, value, gate, output,
            norm_weight, norm_bias)
        return mm(gated, output.t(), x)

    @staticmethod
    def backward(ctx, dout):
        (x, starts, s, stats, x_0, z, mix, mixed, r, k, v, g, inner, log_w, y, of_norm, gated,
         ln_weight, maa, w1, w2, decay_w1, decay_w2, u, receptance, key, value, gate, output,
         norm_weight, norm_bias) = ctx.saved_tensors
        mm, (T, C) = ctx.mm, x.shape
        dout = dout.contiguous()
        d_output = mm(dout.t(), gated)
        d_gated = mm(dout, output, out=scratch("d_gated", T, C))
        dy, dg = scratch("dy", *y.shape), scratch("dg", T, C)
        d_norm_weight, d_norm_bias = torch.zeros_like(norm_weight), torch.zeros_like(norm_bias)
        run("gate_backward", (T, *u.shape), y, g, norm_weight, norm_bias, of_norm, d_gated, dy, dg,
            d_norm_weight, d_norm_bias)
        dr, dk, dv, d_decays = (scratch(name, T, C) for name in ("dr", "dk", "dv", "d_decays"))
        du = torch.zeros_like(u)
        wkv_cpu.call(wkv_cpu.library().wkv_backward, (1, T, *u.shape), (r, k, v, log_w, u, dy),
                     starts, [dr, dk, dv, d_decays, du])
        d_decays.mul_(log_w)  # -exp is its own derivative
        d_inner = torch.ops.aten.tanh_backward(mm(d_decays, decay_w2.t()), inner)
        x_w, x_k, x_v, x_r, x_g = mixed
        d = scratch("d", 5, T, C)
        mm(d_inner, decay_w1.t(), out=d[0])
        for i, (gradient, matrix) in enumerate(((dk, key), (dv, value), (dr, receptance),
                                                (dg, gate))):
            mm(gradient, matrix, out=d[i + 1])
        dh, ds, d_base = scratch("dh", T, C), scratch("ds", T, C), x.new_zeros(5, 1, C)
        run("mix_backward", (T, C, 5), s, mix, d, dh, ds, d_base)
        d_w2, dz = torch.empty_like(w2), scratch("dz", *z.shape)
        parts = z.view(T, 5, -1).unbind(1), d, w2, d_w2, dz.view(T, 5, -1).unbind(1)
        for part, of_mix, matrix, of_matrix, of_part in zip(*parts):
            mm(part.t(), of_mix, out=of_matrix)
            mm(of_mix, matrix.t(), out=of_part)
        dz = torch.ops.aten.tanh_backward(dz, z)
        d_x_0 = mm(dz, w1.t(), out=scratch("d_x_0", T, C))
        dx, d_ln_weight, d_ln_bias, d_maa = shifted_gradient(
            x, starts, ln_weight, maa, s, stats, d_x_0, dh, ds, dout)
        return (None, dx, None, None, d_ln_weight, d_ln_bias, d_maa, d_base, mm(x_0[0].t(), dz),
                d_w2, d_decays.sum(0), mm(x_w.t(), d_inner), mm(inner.t(), d_decays),
                du, mm(dr.t(), x_r), mm(dk.t(), x_k), mm(dv.t(), x_v),
                mm(dg.t(), x_g), d_output, d_norm_weight, d_norm_bias)


class ChannelMix(torch.autograd.Function):
    @staticmethod
    def forward(ctx, mm, x, starts, ln_weight, ln_bias, maa, key, receptance, value):
        """x (T, C), maa (2, C): of key and receptance."""
        ctx.mm = mm
        _, s, stats, mixed = shifted(x, starts, ln_weight, ln_bias, maa)
        k, r = mm(mixed[0], key.t()), mm(mixed[1], receptance.t())
        square = torch.empty_like(k)
        run("square_forward", (k.numel(),), k, square)
        v, out = mm(square, value.t()), torch.empty_like(x)
        run("open_forward", (x.numel(),), x, r, v, out)
        ctx.save_for_backward(x, starts, s, stats, mixed, k, square, r, v, ln_weight, maa, key,
                              receptance, value)
        return out

    @staticmethod
    def backward(ctx, dout):
        (x, starts, s, stats, mixed, k, square, r, v, ln_weight, maa, key, receptance,
         value) = ctx.saved_tensors
        mm = ctx.mm
        dout = dout.contiguous()
        dr, dv, d = scratch("dr", *x.shape), scratch("dv", *x.shape), scratch("d", *mixed.shape)
        run("open_backward", (r.numel(),), r, v, dout, dr, dv)
        dk = mm(dv, value, out=scratch("wide", *k.shape))
        run("square_backward", (k.numel(),), k, dk)
        mm(dk, key, out=d[0])
        mm(dr, receptance, out=d[1])
        dx, d_weight, d_bias, d_maa = shifted_gradient(x, starts, ln_weight, maa, s, stats, d, None,
                                                       None, dout)
        return (None, dx, None, d_weight, d_bias, d_maa, mm(dk.t(), mixed[0]),
                mm(dr.t(), mixed[1]), mm(dv.t(), square))


def products(block):
    return product_cpu.quickest() if block.training else product_cpu.exact


def time_mix(block, x, starts):
    a, C = block.attention, x.shape[-1]
    base = torch.cat([getattr(a, f"time_maa_{name}") for name in MIXES])
    return TimeMix.apply(
        products(block), x[0], starts[0], a.ln_x.eps, block.ln1.weight, block.ln1.bias, a.time_maa_x.view(1, C),
        base, a.time_maa_w1, a.time_maa_w2, a.time_decay.view(C), a.time_decay_w1,
        a.time_decay_w2, a.time_faaaa, a.receptance.weight, a.key.weight, a.value.weight,
        a.gate.weight, a.output.weight, a.ln_x.weight, a.ln_x.bias)[None]


def channel_mix(block, x, starts):
    f, C = block.feed_forward, x.shape[-1]
    maa = torch.cat([f.time_maa_k.view(1, C), f.time_maa_r.view(1, C)])
    return ChannelMix.apply(products(block), x[0], starts[0], block.ln2.weight, block.ln2.bias, maa, f.key.weight,
                            f.receptance.weight, f.value.weight)[None]
