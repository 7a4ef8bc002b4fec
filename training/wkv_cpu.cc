// SPDX-License-Identifier: Apache-2.0
// The WKV recurrence of RWKV-6 and its gradient for training on a CPU (wkv_cpu.py compiles this):
//
//   y[t] = r[t] (u k[t] v[t] + S[t]),   S[t+1] = exp(log_w[t]) S[t] + k[t] v[t],   S[0] = 0
//
// Arrays are (B, T, H, N) float32, u is (H, N). starts, if not null, is (B, T): where it is not 0 a
// new sequence begins, S[t] is 0 and nothing passes. Token by token: the state of a head (N x N)
// stays in the first cache, which is both faster than the form by chunks and exact for every decay.

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

// Small states decay into denormal numbers, which are slow and mean nothing here.
struct FlushToZero {
  unsigned saved = _mm_getcsr();
  FlushToZero() { _mm_setcsr(saved | 0x8040); }
  ~FlushToZero() { _mm_setcsr(saved); }
};

struct Shape {
  int64_t batch, tokens, heads;
};

constexpr int kLanes = 16;
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef float Loose __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// N floats in registers: arithmetic by whole rows of a head.
template <int N>
struct Row {
  static constexpr int kParts = N / kLanes;
  Lanes part[kParts] = {};

  static Row load(const float* from) {
    Row row;
    for (int p = 0; p < kParts; ++p) row.part[p] = reinterpret_cast<const Loose*>(from)[p];
    return row;
  }
  void store(float* to) const {
    for (int p = 0; p < kParts; ++p) reinterpret_cast<Loose*>(to)[p] = part[p];
  }
  Row& operator+=(const Row& other) {
    for (int p = 0; p < kParts; ++p) part[p] += other.part[p];
    return *this;
  }
  Row operator+(const Row& other) const { return Row(*this) += other; }
  Row operator-(const Row& other) const {
    Row row;
    for (int p = 0; p < kParts; ++p) row.part[p] = part[p] - other.part[p];
    return row;
  }
  Row operator*(const Row& other) const {
    Row row;
    for (int p = 0; p < kParts; ++p) row.part[p] = part[p] * other.part[p];
    return row;
  }
  Row operator*(float factor) const {
    Row row;
    for (int p = 0; p < kParts; ++p) row.part[p] = part[p] * factor;
    return row;
  }
  float sum() const {
    Lanes all = part[0];
    for (int p = 1; p < kParts; ++p) all += part[p];
    float total = 0;
    for (int i = 0; i < kLanes; ++i) total += all[i];
    return total;
  }
};

template <int N>
void exp_of(const float* log_w, float* w) {
  for (int i = 0; i < N; ++i) w[i] = std::exp(log_w[i]);
}

template <int N>
void forward_head(int64_t T, int64_t stride, const float* r, const float* k, const float* v,
                  const float* log_w, const float* u, const uint8_t* starts, float* y) {
  using R = Row<N>;
  alignas(64) float state[N][N] = {};
  alignas(64) float w[N];
  const R bonus = R::load(u);
  for (int64_t t = 0; t < T; ++t) {
    const int64_t at = t * stride;
    if (starts && starts[t]) std::memset(state, 0, sizeof state);
    exp_of<N>(log_w + at, w);
    const R value = R::load(v + at);
    R out = value * (R::load(r + at) * bonus * R::load(k + at)).sum();
    for (int i = 0; i < N; ++i) {
      const R row = R::load(state[i]);
      out += row * r[at + i];
      (row * w[i] + value * k[at + i]).store(state[i]);
    }
    out.store(y + at);
  }
}

// The states below are transposed, [value][key], so that sums over values are sums of rows.
//
// The gradient of log_w follows from the others. Of the terms r[t] k[s] (decays of s+1 .. t-1), the
// decay of token m has those with s < m < t: sum over t > m of r[t] dr[t], less the sum over s >= m
// of k[s] dk[s], where dr and dk are without the bonus u.
template <int N>
void backward_head(int64_t T, int64_t stride, const float* r, const float* k, const float* v,
                   const float* log_w, const float* u, const uint8_t* starts, const float* dy,
                   float* dr, float* dk, float* dv, float* dlog_w, float* du,
                   std::vector<float>& scratch) {
  using R = Row<N>;
  scratch.resize(2 * T * N);
  float* decays = scratch.data();
  float* r_dr = decays + T * N;
  const R bonus = R::load(u);
  alignas(64) float state[N][N] = {};
  for (int64_t t = 0; t < T; ++t) {
    const int64_t at = t * stride;
    if (starts && starts[t]) std::memset(state, 0, sizeof state);
    exp_of<N>(log_w + at, decays + t * N);
    const R w = R::load(decays + t * N), key = R::load(k + at);
    R sum;
    for (int j = 0; j < N; ++j) {
      const R row = R::load(state[j]);
      sum += row * dy[at + j];
      (w * row + key * v[at + j]).store(state[j]);
    }
    const float dot = (R::load(dy + at) * R::load(v + at)).sum();
    (R::load(r + at) * sum).store(r_dr + t * N);
    (sum + bonus * key * dot).store(dr + at);
  }
  alignas(64) float gradient[N][N] = {};  // of S[t+1]
  R after, until, of_bonus = R::load(du);
  for (int64_t t = T - 1; t >= 0; --t) {
    const int64_t at = t * stride;
    const R w = R::load(decays + t * N), key = R::load(k + at), receptance = R::load(r + at);
    const float dot = (R::load(dy + at) * R::load(v + at)).sum();
    const float own = (receptance * bonus * key).sum();
    R sum;
    for (int j = 0; j < N; ++j) {
      const R row = R::load(gradient[j]);
      sum += row * v[at + j];
      dv[at + j] = (row * key).sum() + dy[at + j] * own;
      (w * row + receptance * dy[at + j]).store(gradient[j]);
    }
    (sum + bonus * receptance * dot).store(dk + at);
    of_bonus += receptance * key * dot;
    until += key * sum;
    (after - until).store(dlog_w + at);
    after += R::load(r_dr + t * N);
    if (starts && starts[t]) {
      std::memset(gradient, 0, sizeof gradient);
      after = until = R();
    }
  }
  of_bonus.store(du);
}

template <int N>
void forward(Shape s, const float* r, const float* k, const float* v, const float* log_w,
             const float* u, const uint8_t* starts, float* y) {
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t at = (b * s.tokens * s.heads + h) * N;
      forward_head<N>(s.tokens, s.heads * N, r + at, k + at, v + at, log_w + at, u + h * N,
                      starts ? starts + b * s.tokens : nullptr, y + at);
    }
  }
}

template <int N>
void backward(Shape s, const float* r, const float* k, const float* v, const float* log_w,
              const float* u, const uint8_t* starts, const float* dy, float* dr, float* dk,
              float* dv, float* dlog_w, float* du) {
  std::vector<float> scratch;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t at = (b * s.tokens * s.heads + h) * N;
      backward_head<N>(s.tokens, s.heads * N, r + at, k + at, v + at, log_w + at, u + h * N,
                       starts ? starts + b * s.tokens : nullptr, dy + at, dr + at, dk + at, dv + at,
                       dlog_w + at, du + h * N, scratch);
    }
  }
}

}  // namespace

extern "C" {

// Returns 0, or 1 for a head size that is not compiled in. y may hold anything at the start.
int wkv_forward(int64_t B, int64_t T, int64_t H, int64_t N, const float* r, const float* k,
                const float* v, const float* log_w, const float* u, const uint8_t* starts,
                float* y) {
  const FlushToZero flush;
  if (N == 64) return forward<64>({B, T, H}, r, k, v, log_w, u, starts, y), 0;
  if (N == 32) return forward<32>({B, T, H}, r, k, v, log_w, u, starts, y), 0;
  return 1;
}

// du must be zero at the start; the other results may hold anything.
int wkv_backward(int64_t B, int64_t T, int64_t H, int64_t N, const float* r, const float* k,
                 const float* v, const float* log_w, const float* u, const uint8_t* starts,
                 const float* dy, float* dr, float* dk, float* dv, float* dlog_w, float* du) {
  const FlushToZero flush;
  if (N == 64) {
    return backward<64>({B, T, H}, r, k, v, log_w, u, starts, dy, dr, dk, dv, dlog_w, du), 0;
  }
  if (N == 32) {
    return backward<32>({B, T, H}, r, k, v, log_w, u, starts, dy, dr, dk, dv, dlog_w, du), 0;
  }
  return 1;
}
}
