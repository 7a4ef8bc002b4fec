// SPDX-License-Identifier: Apache-2.0
// What stands between the matrix products of an RWKV-6 block, forward and backward, each in one
// pass over the tokens (block_cpu.py compiles and calls this; docs/rwkv.md has the formulas).
//
// Arrays are float32, row by row: (T, C), with n mixes (n, T, C). starts (T): where it is not 0, and
// at token 0, a new sequence begins and the shifted token is zero. "add" marks results that are added
// to: they must be zero at the start.

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr float kLayerNormEps = 1e-5f;

struct Moments {
  float mean, rstd;
};

Moments moments(int64_t n, const float* x, float eps) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(n);
  float square = 0;
  for (int64_t i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / std::sqrt(square / static_cast<float>(n) + eps)};
}

// g: the gradient of the normed row times its weight.
void norm_backward(int64_t n, const float* x, Moments m, const float* g, float* dx) {
  float sum = 0, dot = 0;
  for (int64_t i = 0; i < n; ++i) {
    sum += g[i];
    dot += g[i] * (x[i] - m.mean) * m.rstd;
  }
  sum /= static_cast<float>(n);
  dot /= static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) {
    dx[i] = m.rstd * (g[i] - sum - (x[i] - m.mean) * m.rstd * dot);
  }
}

bool begins(const uint8_t* starts, int64_t t) { return t == 0 || starts[t]; }

}  // namespace

extern "C" {

// h = layer norm of x, s = h of the token before - h, out[i] = h + s maa[i].
void shift_forward(int64_t T, int64_t C, int64_t n, const float* x, const uint8_t* starts,
                   const float* weight, const float* bias, const float* maa, float* h, float* s,
                   float* stats, float* out) {
  for (int64_t t = 0; t < T; ++t) {
    const float* row = x + t * C;
    const Moments m = moments(C, row, kLayerNormEps);
    stats[2 * t] = m.mean;
    stats[2 * t + 1] = m.rstd;
    float *own = h + t * C, *shifted = s + t * C;
    for (int64_t c = 0; c < C; ++c) own[c] = (row[c] - m.mean) * m.rstd * weight[c] + bias[c];
    if (begins(starts, t)) {
      for (int64_t c = 0; c < C; ++c) shifted[c] = -own[c];
    } else {
      for (int64_t c = 0; c < C; ++c) shifted[c] = own[c - C] - own[c];
    }
    for (int64_t i = 0; i < n; ++i) {
      float* to = out + (i * T + t) * C;
      for (int64_t c = 0; c < C; ++c) to[c] = own[c] + shifted[c] * maa[i * C + c];
    }
  }
}

// Of shift_forward. dout: of out; dh, ds (may be null): what h and s got elsewhere; dy: what reaches
// x past the block. dx: all of x. add: dweight, dbias, dmaa.
void shift_backward(int64_t T, int64_t C, int64_t n, const float* x, const uint8_t* starts,
                    const float* weight, const float* maa, const float* s, const float* stats,
                    const float* dout, const float* dh, const float* ds, const float* dy, float* dx,
                    float* dweight, float* dbias, float* dmaa) {
  std::vector<float> of_h(C), of_s(C), later(C), g(C);
  for (int64_t t = T - 1; t >= 0; --t) {
    const int64_t at = t * C;
    for (int64_t c = 0; c < C; ++c) {
      of_h[c] = later[c] + (dh ? dh[at + c] : 0);
      of_s[c] = ds ? ds[at + c] : 0;
    }
    for (int64_t i = 0; i < n; ++i) {
      const float *d = dout + (i * T + t) * C, *mix = maa + i * C;
      float* of_mix = dmaa + i * C;
      for (int64_t c = 0; c < C; ++c) {
        of_h[c] += d[c];
        of_s[c] += d[c] * mix[c];
        of_mix[c] += d[c] * s[at + c];
      }
    }
    const Moments m = {stats[2 * t], stats[2 * t + 1]};
    const float passes = begins(starts, t) ? 0 : 1;
    for (int64_t c = 0; c < C; ++c) {
      const float d = of_h[c] - of_s[c];
      later[c] = passes * of_s[c];
      dbias[c] += d;
      dweight[c] += d * (x[at + c] - m.mean) * m.rstd;
      g[c] = d * weight[c];
    }
    norm_backward(C, x + at, m, g.data(), dx + at);
    for (int64_t c = 0; c < C; ++c) dx[at + c] += dy[at + c];
  }
}

// out[i] = h + s mix[i]; here every token has mixes of its own.
void mix_forward(int64_t T, int64_t C, int64_t n, const float* h, const float* s, const float* mix,
                 float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const float* m = mix + i * T * C;
    float* to = out + i * T * C;
    for (int64_t j = 0; j < T * C; ++j) to[j] = h[j] + s[j] * m[j];
  }
}

// Of mix_forward. d: of out at the start, of mix at the end. add: dbase, sums of that over tokens.
void mix_backward(int64_t T, int64_t C, int64_t n, const float* s, const float* mix, float* d,
                  float* dh, float* ds, float* dbase) {
  for (int64_t t = 0; t < T; ++t) {
    const int64_t at = t * C;
    for (int64_t c = 0; c < C; ++c) dh[at + c] = ds[at + c] = 0;
    for (int64_t i = 0; i < n; ++i) {
      float *own = d + i * T * C + at, *sum = dbase + i * C;
      const float* m = mix + i * T * C + at;
      for (int64_t c = 0; c < C; ++c) {
        dh[at + c] += own[c];
        ds[at + c] += own[c] * m[c];
        own[c] *= s[at + c];
        sum[c] += own[c];
      }
    }
  }
}

// log_w = -exp(d), in place.
void decay_forward(int64_t n, float* d) {
  for (int64_t i = 0; i < n; ++i) d[i] = -std::exp(d[i]);
}

// out = group norm of y, a group a head of N, times silu(g).
void gate_forward(int64_t T, int64_t H, int64_t N, float eps, const float* y, const float* g,
                  const float* weight, const float* bias, float* stats, float* out) {
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t head = 0; head < H; ++head) {
      const int64_t at = (t * H + head) * N;
      const Moments m = moments(N, y + at, eps);
      stats[2 * (t * H + head)] = m.mean;
      stats[2 * (t * H + head) + 1] = m.rstd;
      const float *w = weight + head * N, *b = bias + head * N;
      for (int64_t i = 0; i < N; ++i) {
        const float silu = g[at + i] / (1 + std::exp(-g[at + i]));
        out[at + i] = ((y[at + i] - m.mean) * m.rstd * w[i] + b[i]) * silu;
      }
    }
  }
}

// add: dweight, dbias.
void gate_backward(int64_t T, int64_t H, int64_t N, const float* y, const float* g,
                   const float* weight, const float* bias, const float* stats, const float* dout,
                   float* dy, float* dg, float* dweight, float* dbias) {
  std::vector<float> of_norm(N);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t head = 0; head < H; ++head) {
      const int64_t at = (t * H + head) * N;
      const Moments m = {stats[2 * (t * H + head)], stats[2 * (t * H + head) + 1]};
      const float *w = weight + head * N, *b = bias + head * N;
      float *of_w = dweight + head * N, *of_b = dbias + head * N;
      for (int64_t i = 0; i < N; ++i) {
        const float open = 1 / (1 + std::exp(-g[at + i]));
        const float hat = (y[at + i] - m.mean) * m.rstd, d = dout[at + i];
        const float of_row = d * g[at + i] * open;
        dg[at + i] = d * (hat * w[i] + b[i]) * open * (1 + g[at + i] * (1 - open));
        of_w[i] += of_row * hat;
        of_b[i] += of_row;
        of_norm[i] = of_row * w[i];
      }
      norm_backward(N, y + at, m, of_norm.data(), dy + at);
    }
  }
}

// k = relu(k) in place, out = k k.
void square_forward(int64_t n, float* k, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const float x = k[i] > 0 ? k[i] : 0;
    k[i] = x;
    out[i] = x * x;
  }
}

// d: of out at the start, of k at the end.
void square_backward(int64_t n, const float* k, float* d) {
  for (int64_t i = 0; i < n; ++i) d[i] *= 2 * k[i];
}

// out = x + sigmoid(r) v.
void open_forward(int64_t n, const float* x, const float* r, const float* v, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] + v[i] / (1 + std::exp(-r[i]));
}

void open_backward(int64_t n, const float* r, const float* v, const float* d, float* dr,
                   float* dv) {
  for (int64_t i = 0; i < n; ++i) {
    const float open = 1 / (1 + std::exp(-r[i]));
    dv[i] = d[i] * open;
    dr[i] = d[i] * v[i] * open * (1 - open);
  }
}
}
