// SPDX-License-Identifier: Apache-2.0
// A task of a sweep that is made here, with heads whose answers are known: the class of a sentence
// (sst2) is whether its vector's only number is above 0, the score of a pair (stsb) is that number.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "formats/temp_folder.h"
#include "study/sweep.h"

namespace fathom::test {

// The number of an example at a layer; of two classes also how sure the head is.
using ValueAt = std::function<double(size_t layer, size_t example)>;

class MadeUpSplit {
 public:
  MadeUpSplit(const Task& task, size_t n_layer, std::vector<double> gold, const ValueAt& value)
      : width_(task.is_pair() ? 2 : 1),
        cache_(folder_.file("f"), "key",
               {.n_layer = n_layer + 2, .n_text = gold.size() * width_, .dim = 1}),
        split_{cache_, std::move(gold), {}} {
    std::vector<float> values;
    for (size_t l = 0; l <= n_layer + 1; ++l)
      for (size_t i = 0; i < split_.gold.size(); ++i) {
        values.push_back(static_cast<float>(value(std::min(l, n_layer), i)));
        if (width_ == 2) values.push_back(1);
      }
    cache_.append(values, std::vector<uint32_t>(cache_.shape().n_text, 10));
    split_.n_token = cache_.n_token();
  }
  MadeUpSplit(const MadeUpSplit&) = delete;

  const SweepSplit& split() const { return split_; }

 private:
  size_t width_;
  TempFolder folder_;
  FeatureCache cache_;
  SweepSplit split_;
};

// The first half of the training rows is tune, the other calibration; heads that a test fits take all.
class MadeUpSweep {
 public:
  MadeUpSweep(std::string_view task, size_t n_layer, std::vector<double> train_gold,
              const ValueAt& train_value, std::vector<double> gold, const ValueAt& value)
      : task_(find_task(task)),
        train_(task_, n_layer, std::move(train_gold), train_value),
        evaluated_(task_, n_layer, std::move(gold), value),
        fits_(n_layer + 2) {
    const size_t n = train_.split().gold.size();
    for (size_t i = 0; i < n; ++i) (i < n / 2 ? rows_.tune : rows_.calibration).push_back(i);
    for (size_t i = 0; i < n; ++i) rows_.heads.push_back(i);
    for (LayerFit& fit : fits_) {
      LinearHead& head = fit.fitted.head;
      fit.fitted.c = 1;
      head.features = task_.features;
      head.n_class = task_.n_class();
      head.weight = task_.is_pair() ? std::vector<float>{0, 1, 0} : std::vector<float>{1};
      head.bias = {0};
      if (task_.n_class() > 1) fit.prototypes = {{-1, 1}, {1}};
    }
    cost_.version = 6;
    cost_.n_layer = n_layer;
    cost_.d_model = 1;  // as the vectors
    cost_.d_att = 64;
    cost_.d_ffn = 256;
    cost_.head_size = 8;
  }

  // Two classes; all of n rows (2 n to train) are of class 1, and every layer is sure of it.
  static MadeUpSweep all_right(size_t n_layer, size_t n) {
    const ValueAt one = [](size_t, size_t) { return 1.0; };
    return {"sst2", n_layer, std::vector<double>(2 * n, 1.0), one, std::vector<double>(n, 1.0),
            one};
  }

  SweepTask task() {
    return {task_, train_.split(), evaluated_.split(), rows_, fits_, cost_, pool_};
  }

 private:
  const Task& task_;
  MadeUpSplit train_, evaluated_;
  FitRows rows_;
  std::vector<LayerFit> fits_;
  CostModel cost_{};
  ThreadPool pool_{2};
};

}  // namespace fathom::test
