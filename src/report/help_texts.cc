// SPDX-License-Identifier: Apache-2.0
#include "report/help_texts.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace fathom {
namespace {

constexpr CommandText kCommands[] = {
    {"info", "Use it first: it tells whether a file can be read and how much memory it needs.",
     "  fathom info models/finch-embed --dtype bf16", "fathom help formats, fathom embed"},
    {"tokenize", "Use it to see what the model sees, or to check a vocabulary.", "",
     "fathom trace, fathom help formats"},
    {"trace", "Use it to compare another engine with this one, number by number.",
     "  fathom trace model/ --ids-file ids.json --all-logits -o t.safetensors",
     "fathom tokenize, fathom help layers"},
    {"embed", "Use it to get vectors for search, clustering or a classifier of your own.", "",
     "fathom eval (which layer?), fathom help layers, fathom help depth"},
    {"rerank", "Use it on the best hits of a search: it reads query and document together.",
     "  fathom rerank model.pth reranker.pth -q 'who wrote it?' -i docs.jsonl --field body --top 5",
     "fathom search"},
    {"search", "Use it to try a model on your own texts, or to search a small collection.", "",
     "fathom embed, fathom rerank"},
    {"classify", "Use it to label new texts at a fraction of full depth's cost.", "",
     "fathom fit, fathom policy show, fathom help depth"},
    {"eval", "Use it to find the best layer, and the shallowest that is not worse.", "",
     "fathom fit, fathom compare, fathom help layers"},
    {"compare", "Use it to decide between two models or settings, with an interval.", "",
     "fathom eval"},
    {"fit", "Use it when easy texts should stop early: it writes the policy that decides.", "",
     "fathom classify, fathom advise, fathom sweep, fathom help depth"},
    {"bench", "Use it to learn how fast a model is here, and what bounds it.", "",
     "fathom info, fathom eval (time by layer)"},
    {"policy", "Use it to see what a policy decides, and what it was fitted on.",
     "  fathom policy show sst2.policy --json\n  fathom policy show mask.policy",
     "fathom fit, fathom help depth"},
    {"show", "Use it to see what a policy decides, and what it was fitted on.",
     "  fathom policy show topics.policy", "fathom fit, fathom help depth"},
    {"sweep", "Use it to learn whether early exit beats a fixed depth on your tasks.", "",
     "fathom advise, fathom fit, fathom help depth"},
    {"advise", "Use it when you must state a bound on the quality you lose.", "",
     "fathom fit --guarantee, fathom sweep, fathom help depth"},
    {"prune", "Use it to make a model cheaper for all texts alike.", "",
     "fathom route, fathom embed --depth, fathom help depth"},
    {"route", "Use it when kinds of texts need different parts of a model.", "",
     "fathom prune, fathom help depth"},
    {"metrics", "Use it to score predictions of another program with the same definitions.",
     "  fathom metrics cases.json\n  fathom metrics cases.json.xz -o out.json", "fathom eval"},
    {"convert", "Use it to run a model in llama.cpp, Ollama or Hugging Face's classes.",
     "  fathom convert models/finch-embed finch.safetensors --dtype f32",
     "fathom info, fathom help formats"},
    {"serve", "Use it to give other programs embeddings, each request at its own depth.", "",
     "fathom embed, fathom fit, fathom help depth"},
    {"help", "Use it to read on without a browser.", "", "fathom COMMAND --help"},
};

struct FlagGroup {
  std::string_view title, flags;  // flags between blanks
};

constexpr FlagGroup kGroups[] = {
    {"Model",
     " --vocab --backend --dtype --small-as-asked --threads --ln-x-eps --ln-eps --cache "
     "--cache-verify --exceed-memory --adapter --adapter-alpha --ignore-tensors --layers-b "
     "--pool-b --norm-b --scan-b --dtype-b "},
    {"Reading",
     " --layers --layer --pool --pooling --norm --head --bos --eos --scan --post --normalize "
     "--batch-tokens --prompt "},
    {"Depth",
     " --depth --depth-log --policy --policies --measure --streak --alpha --exits --loss "
     "--tolerance --target-speed --max-loss --risk-control --guarantee --confidence --optimistic "
     "--calibration --calibrate-on --match-lengths --match-shift --head-input --keep --remove "
     "--unit --method "
     "--objective --reference --protect --clusters --router --mask --heal --healed --rows "},
    {"Input",
     " --input --shard --field --id-field --label-field --empty --skip-empty --texts --queries "
     "--query "
     "--query-field --ids --ids-file --text --text1 --text2 --label --score --task --tasks "
     "--task-file --test-file --positive --metric --folds --data --split --sample --train-sample "
     "--max-train --held-out --preset --seed --seeds --compare-to --glove --glove-keep-case "
     "--glove-split-punctuation --bag "},
    {"Output",
     " --output --out --output-dtype --resume --save-seconds --progress --json --jsonl --table "
     "--with-text --allow-nonfinite --top --heads --submit "
     "--save-task --write-recommendation --features --feature-dtype --global --bootstrap "
     "--repeats --no-timing --time-points --points "},
    {"Limits",
     " --max-wait-ms --max-connections --max-queued-tokens --max-request-bytes "
     "--max-buffered-bytes --max-client-batch --max-reply-values --header-seconds --body-seconds "
     "--idle-seconds --write-seconds --drain-seconds "},
    {"Network", " --host --port --unix-socket --api-key-file --cors --workers "},
};

struct Topic {
  std::string_view name, text;
};

constexpr Topic kTopics[] = {
    {"layers",
     R"(Layers

  0       the token embeddings after ln0; no block has run
  i       the residual stream after block i, from 1 to the number of blocks
  final   ln_out applied to the last layer

--layers takes a list such as 1,3,5-8,final, or all. One pass of the model gives all of them, and
blocks after the deepest one do not run.

Hugging Face counts otherwise: its hidden_states[i] of RWKV-4 to 6 is layer i + 1 here, and its last
entry is final. Results carry hf_index. For RWKV-7 of fla both count alike.

The last layer is rarely the best for comparing texts. Without --layers a command uses the layer that
the model's folder recommends (fathom.json, modules.json), else final, and says so.

Find the best layer for your texts:
  fathom eval model/ --task-file reviews.csv --text text --label stars -o results/
Get vectors of several layers:
  fathom embed model/ -i sentences.txt -o e.npy --layers 1,3,final

See also: fathom help depth, fathom eval --help
)"},
    {"depth",
     R"(Depth: how far each text runs

  full          as deep as --layers asks; the default
  fixed:L       the first L blocks, for every text
  mask:FILE     the sublayers (time mix, channel mix) that a mask keeps, for every text
  route:FILE    one of a few masks, chosen for each text at one layer
  exit:FILE     block after block, until a confidence measure reaches its threshold

FILE is a policy file; `fathom policy show FILE` says what it decides. A policy belongs to one model
and brings its own pooling. A text's depth never depends on its neighbours in the batch.

Make an exit policy for a task, then use it:
  fathom fit model/ --task-file reviews.csv --text text --label stars -o stars.policy
  fathom classify model/ --policy stars.policy -i new.csv --text text -o out.csv
  fathom embed model/ -i sentences.txt -o e.npy --depth exit:stars.policy
Make a mask:
  fathom prune model/ --texts sentences.txt --keep 0.75 -o mask.policy
Ask for the cheapest policy that loses at most 1 %, with a stated probability:
  fathom advise model/ --task mrpc --max-loss 1% -o mrpc.policy

A well-chosen fixed depth is hard to beat; `fathom sweep` compares on your tasks.

See also: fathom help layers, fathom fit --help, fathom sweep --help
)"},
    {"formats",
     R"(Formats

Models    Hugging Face folders, .safetensors, .pth and .bin of PyTorch, .gguf, rwkv.cpp files, or
          ORG/NAME in the hub's cache. The format is detected from the tensors, not from the name.
          RWKV-4, 5.0 to 5.2, 6, 7 and 7a. Quantised weights are dequantised when they are packed.
Vocab     --vocab FILE, else GGUF metadata, else bytes for models of 256 tokens, else tokenizer.json
          or *vocab*.txt beside the model, else $FATHOM_VOCAB.
Texts     one a line; JSON lines (--field); .csv and .tsv with a header (--field COLUMN). gzip, xz and
          zstd are detected. UTF-16 and parquet are refused with the command that converts them.
Tasks     a name such as mrpc or stsb with --data DIR, or your own table: --task-file FILE with
          --text and --label, or --text1, --text2 and --score.
Vectors   .npy, .safetensors, .jsonl or .csv, in --output-dtype f32, f16, bf16, int8 or ubinary; how
          they were made is in NAME.json beside.
Policies  JSON, or safetensors if there are arrays: fathom policy show FILE.
Reports   results.json, results.csv, and report.html, which opens from disk.

Look at a model, then embed a table:
  fathom info model/
  fathom embed model/ -i reviews.csv --field text -o e.npy

See also: fathom help layers, fathom info --help, fathom convert --help
)"},
};

}  // namespace

const CommandText* command_text(std::string_view name) {
  const auto found = std::ranges::find(kCommands, name, &CommandText::name);
  return found == std::end(kCommands) ? nullptr : found;
}

std::string_view nearest_command(std::string_view word) {
  // Letters to insert, delete or replace, row by row (Levenshtein).
  const auto distance = [word](std::string_view name) {
    std::vector<size_t> row(name.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < word.size(); ++i) {
      size_t diagonal = row[0]++;
      for (size_t j = 0; j < name.size(); ++j) {
        const size_t replaced = diagonal + (word[i] != name[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
      }
    }
    return row.back();
  };
  const auto nearest = std::ranges::min_element(kCommands, {}, [&](const CommandText& c) {
    return c.name == "show" ? word.size() + c.name.size() : distance(c.name);
  });
  return distance(nearest->name) <= 2 ? nearest->name : "";
}

bool is_flag_group(std::string_view title) {
  return std::ranges::find(kGroups, title, &FlagGroup::title) != std::end(kGroups);
}

std::string_view flag_group(std::string_view flag) {
  const std::string word = " " + std::string(flag) + " ";
  for (const FlagGroup& group : kGroups)
    if (group.flags.find(word) != std::string_view::npos) return group.title;
  return "";
}

std::string_view help_topic(std::string_view topic) {
  const auto found = std::ranges::find(kTopics, topic, &Topic::name);
  return found == std::end(kTopics) ? "" : found->text;
}

std::string help_topics() {
  std::string names;
  for (const Topic& topic : kTopics) names += (names.empty() ? "" : ", ") + std::string(topic.name);
  return names;
}

}  // namespace fathom
