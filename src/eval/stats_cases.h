// SPDX-License-Identifier: Apache-2.0
// `fathom metrics`: the metrics of given predictions, JSON in and out.
//
// In: a list of cases, each {"name": TEXT, "kind": KIND} and the fields of its kind, all lists of
// one length but for counts. Other fields (expected values, tolerances, notes) are not read.
//
//   kind               fields                                  metrics
//   correlation        x, y                                    pearson, spearman
//   binary             truth, pred: 0 or 1                     mcc, f1 of class 1, accuracy
//   multiclass         truth, pred: integers                   mcc, macro_f1, accuracy
//   average_precision  truth: 0 or 1, score                    average_precision
//   counts             tp, tn, fp, fn: integers >= 0           mcc, f1, accuracy
//
// Numbers JSON cannot write are the texts "nan", "inf" and "-inf"; null is NaN as well.
// Out: [{"name", "kind", metric: value}...] in the order of the cases, null for NaN.
#pragma once

#include "base/json.h"

namespace fathom {

// Throws Error that names the case and the field. Pure.
OrderedJson run_stats_cases(const Json& cases);

}  // namespace fathom
