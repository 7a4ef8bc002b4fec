// SPDX-License-Identifier: Apache-2.0
// The class behind fathom.Model.
#include "embedder.h"

#include <fathom/embedder.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <span>

#include "base/dtype.h"
#include "base/invalid_option.h"
#include "encode/task_heads.h"
#include "errors.h"
#include "interrupt.h"
#include "options.h"
#include "texts.h"

namespace fathom::python {
namespace {

using namespace nb::literals;

// Memory that numpy frees with its last array. Not initialised: all of it is written.
template <class T>
struct Owned {
  explicit Owned(size_t n) : data(new T[n]) {}

  nb::object array(std::vector<size_t> shape, nb::dlpack::dtype dtype) && {
    T* numbers = data.release();
    const nb::capsule owner(numbers, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return nb::cast(nb::ndarray<nb::numpy>(numbers, shape.size(), shape.data(), owner, nullptr,
                                           dtype, nb::device::cpu::value, 0));
  }
  std::unique_ptr<T[]> data;
};
constexpr nb::dlpack::dtype kHalf = {static_cast<uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};

template <class T>
nb::object column(std::span<const TextDepth> depth, T TextDepth::*field) {
  Owned<T> values(depth.size());
  for (size_t i = 0; i < depth.size(); ++i) values.data[i] = depth[i].*field;
  return std::move(values).array({depth.size()}, nb::dtype<T>());
}

// What fathom.Trace is made of.
nb::dict trace_of(std::span<const TextDepth> depth) {
  nb::dict d;
  d["exit_layers"] = column(depth, &TextDepth::exit_layer);
  d["confidence"] = column(depth, &TextDepth::confidence);
  d["predicted_classes"] = column(depth, &TextDepth::predicted_class);
  d["predicted_values"] = column(depth, &TextDepth::predicted_value);
  d["n_time_mix"] = column(depth, &TextDepth::n_time_mix);
  d["n_channel_mix"] = column(depth, &TextDepth::n_channel_mix);
  d["routes"] = column(depth, &TextDepth::route);
  return d;
}

struct How {
  EmbedOptions options;
  bool half = false;       // float16
  bool one_layer = false;  // asked for as a number, so that its axis goes
};

std::vector<size_t> shape_of(const EmbeddingShape& s, bool one_layer, bool one_text) {
  std::vector<size_t> shape;
  if (!one_layer) shape.push_back(s.n_layer);
  if (!one_text) shape.push_back(s.n_text);
  shape.push_back(s.dim);
  return shape;
}

std::string written(std::span<const size_t> shape) {
  std::string text;
  for (const size_t n : shape) text += (text.empty() ? "(" : ", ") + std::to_string(n);
  return text + (shape.size() == 1 ? ",)" : ")");
}

// Runs without the GIL.
void compute(const Embedder& e, const Texts& texts, const EmbedOptions& options,
             std::span<float> out, std::span<TextDepth> depth) {
  reading_texts([&] {
    if (texts.are_ids)
      e.embed_ids_into(texts.ids, options, out, depth);
    else
      e.embed_into(texts.strings, options, out, depth);
  });
}

// The same in float16, converted block by block: no float32 array of all of it exists.
void compute_half(const Embedder& e, const Texts& texts, const EmbedOptions& options, size_t n_text,
                  F16* out, std::span<TextDepth> depth) {
  const auto put = [&](const EmbeddingBlock& block) {
    const size_t n = (block.end - block.begin) * block.dim;
    for (size_t l = 0; l < block.n_layer; ++l)
      std::transform(block.values.data() + l * n, block.values.data() + (l + 1) * n,
                     out + (l * n_text + block.begin) * block.dim, to_f16);
    std::copy(block.depth.begin(), block.depth.end(),
              depth.begin() + static_cast<std::ptrdiff_t>(block.begin));
  };
  reading_texts([&] {
    if (texts.are_ids)
      e.embed_ids(texts.ids, options, put);
    else
      e.embed(texts.strings, options, put);
  });
}

using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

// The caller's array has to be what encode() would make.
void check_out(const Out& out, std::span<const size_t> shape) {
  std::vector<size_t> got;
  for (size_t i = 0; i < out.ndim(); ++i) got.push_back(out.shape(i));
  if (!std::equal(got.begin(), got.end(), shape.begin(), shape.end()))
    throw InvalidOption("out", "shape " + written(shape), written(got));
}

nb::tuple encode(const Embedder& e, nb::handle object, How how, nb::handle out,
                 nb::handle progress) {
  const Texts texts = texts_of(object);
  Watch watch(progress);
  how.options.progress = [&](size_t done) { watch(done); };
  const EmbeddingShape s = e.shape(texts.size(), how.options);
  const std::vector<size_t> shape = shape_of(s, how.one_layer, texts.one);
  std::vector<TextDepth> depth(how.options.depth.is_full() ? 0 : texts.size());
  nb::object values;
  if (how.half) {
    Owned<F16> half(s.size());
    {
      const nb::gil_scoped_release no_gil;
      compute_half(e, texts, how.options, s.n_text, half.data.get(), depth);
    }
    values = std::move(half).array(shape, kHalf);
  } else if (!out.is_none()) {
    const Out given = nb::cast<Out>(out);
    check_out(given, shape);
    {
      const nb::gil_scoped_release no_gil;
      compute(e, texts, how.options, {given.data(), s.size()}, depth);
    }
    values = nb::borrow(out);
  } else {
    Owned<float> made(s.size());
    {
      const nb::gil_scoped_release no_gil;
      compute(e, texts, how.options, {made.data.get(), s.size()}, depth);
    }
    values = std::move(made).array(shape, nb::dtype<float>());
  }
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
  const nb::object trace =
      how.options.depth.is_full() ? nb::object(nb::none()) : nb::object(trace_of(depth));
  return nb::make_tuple(values, trace);
}

std::vector<Token> sequence_of(const Embedder& e, nb::handle object) {
  if (!is_text(object)) return ids_of(object, Place{"ids"});
  return e.tokenize(utf8_of(object, Place{"text"}));
}

nb::object hidden_states(const Embedder& e, nb::handle object) {
  const std::vector<Token> ids = sequence_of(e, object);
  auto states = std::make_unique<HiddenStates>();
  {
    const nb::gil_scoped_release no_gil;
    *states = e.hidden_states(ids);
  }
  HiddenStates* s = states.release();
  const nb::capsule owner(s, [](void* p) noexcept { delete static_cast<HiddenStates*>(p); });
  const size_t shape[] = {s->n_layer + 1, s->n_token, s->d_model};
  return nb::cast(nb::ndarray<nb::numpy, float>(s->values.data(), 3, shape, owner));
}

nb::dict info_of(const Embedder& e) {
  const Info& i = e.info();
  constexpr const char* kDTypes[] = {"f32", "bf16", "int8"};
  constexpr const char* kHeads[] = {"cls", "sts", "retr"};
  nb::list heads;
  for (const HeadKind head : i.heads) heads.append(kHeads[static_cast<size_t>(head)]);
  nb::dict d;
  d["path"] = i.path;
  d["version"] = i.version;
  d["layout"] = i.layout;
  d["stored_dtype"] = i.stored_dtype;
  d["dtype"] = kDTypes[static_cast<size_t>(i.dtype)];
  d["backend"] = i.backend;
  d["n_layer"] = i.n_layer;
  d["n_block"] = i.n_block;
  d["d_model"] = i.d_model;
  d["n_vocab"] = i.n_vocab;
  d["n_parameter"] = i.n_parameter;
  d["weight_bytes"] = i.weight_bytes;
  d["vocabulary"] = i.vocabulary;
  d["heads"] = nb::tuple(heads);
  d["notes"] = nb::tuple(nb::cast(i.notes));
  d["messages"] = nb::tuple(nb::cast(i.messages));
  return d;
}

How how_of(std::vector<size_t> layers, bool one_layer, const ReadingOptions& reading,
           const std::string& head, bool normalize, const Policy& depth, const std::string& empty,
           bool allow_nonfinite, bool half) {
  How how{.options = {}, .half = half, .one_layer = one_layer || !depth.is_full()};
  EmbedOptions& o = how.options;
  o.layers = std::move(layers);
  o.pooling = reading.pooling;
  o.norm = reading.norm;
  o.scan = reading.scan;
  o.bos = reading.bos;
  o.eos = reading.eos;
  o.batch_tokens = reading.batch_tokens;
  if (!head.empty()) o.head = parse_head(head);
  o.normalize = normalize;
  o.depth = depth;
  if (empty != "error" && empty != "zero")
    throw InvalidOption("empty", "error or zero", concat("'", empty, "'"));
  o.empty = empty == "zero" ? EmptyText::kZero : EmptyText::kError;
  o.allow_nonfinite = allow_nonfinite;
  return how;
}

}  // namespace

void bind_embedder(nb::module_& m) {
  nb::class_<Policy>(m, "Policy", "How deep each text goes: see Model.policy().")
      .def_prop_ro("name", &Policy::name, "\"fixed:3\", \"exit:sst2.policy\"")
      .def_prop_ro("by_pair", &Policy::by_pair, "Whether texts 2 i and 2 i + 1 stop together.")
      .def("__repr__", [](const Policy& p) { return concat("<fathom.Policy ", p.name(), ">"); });
  nb::class_<How>(m, "How", "Options of Embedder.encode, checked as far as no model is needed.")
      .def(
          "__init__",
          [](How* self, std::vector<size_t> layers, bool one_layer, const ReadingOptions& reading,
             const std::string& head, bool normalize, const Policy& depth, const std::string& empty,
             bool allow_nonfinite, bool half) {
            new (self) How(how_of(std::move(layers), one_layer, reading, head, normalize, depth,
                                  empty, allow_nonfinite, half));
          },
          nb::kw_only(), "layers"_a, "one_layer"_a, "reading"_a, "head"_a, "normalize"_a, "depth"_a,
          "empty"_a, "allow_nonfinite"_a, "half"_a);
  nb::class_<Embedder>(m, "Embedder", "An opened model.")
      .def(
          "__init__",
          [](Embedder* self, const Source& source) {
            const nb::gil_scoped_release no_gil;
            reading_files(
                [&] { new (self) Embedder(Embedder::open(source.model, source.options)); });
          },
          "source"_a)
      .def("info", &info_of)
      .def(
          "layers", [](const Embedder& e, const std::string& text) { return e.layers(text); },
          "text"_a)
      .def(
          "policy",
          [](const Embedder& e, const std::string& depth) {
            return reading_files([&] { return e.policy(depth); });
          },
          "depth"_a)
      .def(
          "tokenize",
          [](const Embedder& e, nb::handle text) {
            return e.tokenize(utf8_of(text, Place{"text"}));
          },
          "text"_a)
      .def(
          "decode",
          [](const Embedder& e, nb::handle ids) {
            const std::string bytes = e.decode(ids_of(ids, Place{"ids"}));
            return nb::bytes(bytes.data(), bytes.size());
          },
          "ids"_a)
      .def(
          "shape",
          [](const Embedder& e, size_t n_text, const How& how) {
            const EmbeddingShape s = e.shape(n_text, how.options);
            return nb::make_tuple(s.n_layer, s.n_text, s.dim);
          },
          "n_text"_a, "how"_a)
      .def("encode", &encode, "texts"_a, "how"_a, "out"_a.none(), "progress"_a.none())
      .def("hidden_states", &hidden_states, "text_or_ids"_a);
}

}  // namespace fathom::python
