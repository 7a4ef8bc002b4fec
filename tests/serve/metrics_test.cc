// SPDX-License-Identifier: Apache-2.0
// The metrics' text, and that the dashboard asks for nothing else.
#include "serve/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "base/json.h"
#include "formats/temp_folder.h"

namespace fathom::test::metrics_test {
namespace {

using testing::HasSubstr;

// Series that the text has: NAME of counters and gauges, NAME_bucket, _sum and _count of histograms.
std::set<std::string> series_of(const std::string& text) {
  std::set<std::string> all;
  const std::regex type("# TYPE (\\S+) (\\S+)");
  for (std::sregex_iterator at(text.begin(), text.end(), type), end; at != end; ++at) {
    if ((*at)[2] == "histogram") {
      for (const char* part : {"_bucket", "_sum", "_count"}) all.insert((*at)[1].str() + part);
    } else {
      all.insert((*at)[1]);
    }
  }
  return all;
}

TEST(Metrics, AreThoseOfTextEmbeddingsInferenceAndOurs) {
  serve::Metrics m;
  m.request_count.add("single");
  m.request_duration.add(0.003);
  m.exit_layer.add(3);
  m.rejected.add("connections", 2);
  const std::string text = m.text({5, 70});
  const auto series = series_of(text);
  for (const char* name :
       {"te_request_count", "te_request_success", "te_request_failure",
        "te_request_duration_bucket", "te_request_tokenization_duration_bucket",
        "te_request_queue_duration_bucket", "te_request_inference_duration_bucket", "te_queue_size",
        "te_batch_next_size_bucket", "te_batch_next_tokens_bucket", "fathom_exit_layer_bucket",
        "fathom_flops_saved_total", "fathom_tokens_total", "fathom_rejected_total"})
    EXPECT_TRUE(series.contains(name)) << name;
  EXPECT_THAT(text, HasSubstr("te_request_count{method=\"single\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("te_request_duration_bucket{le=\"0.002\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("te_request_duration_bucket{le=\"0.004\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("te_request_duration_bucket{le=\"+Inf\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("fathom_exit_layer_sum 3\n"));
  EXPECT_THAT(text, HasSubstr("fathom_rejected_total{reason=\"connections\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("te_queue_size 5\n"));
}

TEST(Metrics, TheDashboardAsksForWhatThereIs) {
  const std::string file = std::string(kSourceDir) + "/packaging/grafana.json";
  const Json dashboard = parse_json(read_whole(file), file);
  const auto series = series_of(serve::Metrics().text({}));
  const std::regex name("\\b(te|fathom)_[a-z_]+");
  std::set<std::string> asked, panels;
  for (const Json& panel : dashboard["panels"]) {
    EXPECT_TRUE(panels.insert(panel["id"].dump()).second) << panel["title"];
    ASSERT_FALSE(panel["targets"].empty()) << panel["title"];
    for (const Json& target : panel["targets"]) {
      const std::string expression = target["expr"];
      size_t n = 0;
      for (std::sregex_iterator at(expression.begin(), expression.end(), name), end; at != end;
           ++at, ++n) {
        EXPECT_TRUE(series.contains(at->str())) << expression;
        asked.insert(at->str());
      }
      EXPECT_GT(n, 0u) << expression;
    }
  }
  for (const char* shown :
       {"te_request_count", "te_request_duration_bucket", "te_queue_size",
        "te_batch_next_tokens_bucket", "fathom_exit_layer_bucket", "fathom_flops_saved_total",
        "fathom_tokens_total", "fathom_rejected_total"})
    EXPECT_TRUE(asked.contains(shown)) << shown;
}

}  // namespace
}  // namespace fathom::test::metrics_test
