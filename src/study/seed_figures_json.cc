// SPDX-License-Identifier: Apache-2.0
// The JSON of a seed's figures: a part of a sweep that outlives a kill.
#include "base/error.h"
#include "study/over_seeds_json.h"
#include "study/seed_figures.h"

namespace fathom {

template <class Io>
void list_fields(Io& io, Of<Io, Sampled>& x) {
  io("value", x.value);
  io("replicates", x.replicates);
}

template <class Io>
void list_fields(Io& io, Of<Io, FixedCurve>& x) {
  io("system", x.system);
  io("all_rows", x.all_rows);
  io("envelope", x.envelope);
  io("quality", x.quality);
}

template <class Io>
void list_fields(Io& io, Of<Io, ExitCurve>& x) {
  io("system", x.system);
  io("measure", x.measure);
  io("on_calibration", x.on_calibration);
  io("quality", x.quality);
}

template <class Io>
void list_fields(Io& io, Of<Io, KeptPoint>& x) {
  io("share", x.share);
  io("by", x.by);
  io("setting", x.setting);
  io("log_factor", x.log_factor);
  io("loss", x.loss);
  io("loss_all_rows", x.loss_all_rows);
}

template <class Io>
void list_fields(Io& io, Of<Io, ThresholdCurve>& x) {
  io("measure", x.measure);
  io("chosen", x.chosen);
  io("full", x.full);
  io("threshold", x.threshold);
  io("share", x.share);
  io("score", x.score);
}

template <class Io>
void list_fields(Io& io, Of<Io, SeedFigures>& x) {
  io("seed", x.seed);
  io("fixed", x.fixed);
  io("exits", x.exits);
  io("kept", x.kept);
  io("calibration_error", x.calibration_error);
  io("depth", x.depth);
  io("thresholds", x.thresholds);
}

OrderedJson to_json(const SeedFigures& figures) { return json_of(figures); }

SeedFigures seed_figures_from_json(const OrderedJson& json, std::string_view where) {
  auto figures = value_of_json<SeedFigures>(json, where);
  for (const ThresholdCurve& t : figures.thresholds)
    FATHOM_REQUIRE(!t.threshold.empty() && t.threshold.size() == t.share.size() &&
                       t.threshold.size() == t.score.size(),
                   where, ": thresholds: ", t.measure, ": expected as many shares and scores");
  return figures;
}

}  // namespace fathom
