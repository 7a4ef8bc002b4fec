// SPDX-License-Identifier: Apache-2.0
// Figures over seeds as JSON, by json_of() and value_of_json(), without replicates.
#pragma once

#include "study/estimate_json.h"
#include "study/over_seeds.h"

namespace fathom {

template <class Io>
void list_fields(Io& io, Of<Io, SeedMean>& x) {
  list_fields(io, x.mean);
  io("by_seed", x.by_seed);
}

template <class Io>
void list_fields(Io& io, Of<Io, FixedMean>& x) {
  io("heads", x.name);
  io("system", x.system);
  io("quality", x.quality);
}

template <class Io>
void list_fields(Io& io, Of<Io, ExitMean>& x) {
  io("exits", x.name);
  io("chosen", x.chosen);
  io("quality", x.quality);
}

template <class Io>
void list_fields(Io& io, Of<Io, Gain>& x) {
  io("exits", x.exits);
  io("over", x.baseline);
  io("gain", x.gain);
}

template <class Io>
void list_fields(Io& io, Of<Io, MeasureGain>& x) {
  io("measure", x.measure);
  io("gain", x.gain);
}

template <class Io>
void list_fields(Io& io, Of<Io, KeptMean>& x) {
  io("kept", x.share);
  io("by", x.by);
  io("settings", x.settings);
  io("factor", x.factor);
  io("loss", x.loss);
  io("loss_of_all_rows", x.loss_all_rows);
}

template <class Io>
void list_fields(Io& io, Of<Io, LayerError>& x) {
  io("layer", x.layer);
  io("error", x.mean);
  io("smallest", x.smallest);
  io("largest", x.largest);
}

template <class Io>
void list_fields(Io& io, Of<Io, DepthGroup>& x) {
  io("by", x.by);
  io("group", x.group);
  io("n", x.n);
  io("depth", x.depth);
  io("oracle_depth", x.oracle_depth);
  io("right", x.right);
}

template <class Io>
void list_fields(Io& io, Of<Io, OverSeeds>& x) {
  io("seeds", x.seeds);
  io("strongest", x.strongest);
  io("fixed", x.fixed);
  io("exits", x.exits);
  io("gains", x.gains);
  io("measures_over_plain_fixed", x.measures);
  io("quality_kept", x.kept);
  io("calibration_error", x.calibration_error);
  io("depth", x.depth);
}

template <class Io>
void list_fields(Io& io, Of<Io, MovedThreshold>& x) {
  io("measure", x.measure);
  io("from", x.from);
  io("to", x.to);
  io("flops_share", x.share);
  io("loss", x.loss);
  io("loss_smallest", x.loss_smallest);
  io("loss_largest", x.loss_largest);
}

}  // namespace fathom
