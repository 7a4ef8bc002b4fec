// SPDX-License-Identifier: Apache-2.0
#include "text/bpe.h"

#include <array>
#include <bit>
#include <functional>
#include <queue>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "text/bpe_definition.h"
#include "text/byte_trie.h"
#include "text/gpt2_words.h"
#include "text/unicode.h"

namespace fathom {
namespace {

// From a pair of neighbours to their merge: a hash table with linear probing, at most half full.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank = UINT32_MAX;  // the smaller, the earlier; UINT32_MAX: no such merge
    Token result = kNoToken;
  };

  explicit MergeTable(std::span<const BpeMerge> merges)
      : entries_(std::bit_ceil(2 * merges.size() + 2)),
        shift_(64 - std::countr_zero(entries_.size())) {
    for (uint32_t rank = 0; rank < merges.size(); ++rank) {
      Entry& entry = entries_[slot(merges[rank].left, merges[rank].right)];
      entry = {merges[rank].left, merges[rank].right, {rank, merges[rank].result}};
    }
  }

  Merge find(Token left, Token right) const { return entries_[slot(left, right)].merge; }

 private:
  struct Entry {
    Token left = kNoToken, right = kNoToken;
    Merge merge;
  };

  // Where the pair is, or the free entry where it would go.
  size_t slot(Token left, Token right) const {
    const uint64_t key = (uint64_t{left} << 32) | right;
    size_t i = static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> shift_);
    while (entries_[i].left != kNoToken && (entries_[i].left != left || entries_[i].right != right))
      i = (i + 1) & (entries_.size() - 1);
    return i;
  }

  std::vector<Entry> entries_;
  int shift_;
};

// Tokens that are cut out of the text before it is split into words.
class AddedTokens {
 public:
  AddedTokens(std::span<const std::pair<std::string, Token>> tokens, const std::string& name)
      : trie_(contents(tokens), name) {
    for (const auto& token : tokens) ids_.push_back(token.second);
  }

  // Appends the ids of the tokens to `out` and gives what lies between to `rest`, in order.
  template <class F>
  void cut(std::string_view text, std::vector<Token>& out, F&& rest) const {
    size_t begin = 0, at = 0;
    while (at < text.size()) {
      const ByteTrie::Match match = trie_.longest_match(text.substr(at));
      if (match.length == 0) {
        ++at;
        continue;
      }
      if (begin < at) rest(text.substr(begin, at - begin));
      out.push_back(ids_[match.key]);
      begin = at += match.length;
    }
    if (begin < at) rest(text.substr(begin));
  }

 private:
  static std::vector<std::string_view> contents(
      std::span<const std::pair<std::string, Token>> tokens) {
    std::vector<std::string_view> out;
    for (const auto& token : tokens) out.push_back(token.first);
    return out;
  }

  ByteTrie trie_;
  std::vector<Token> ids_;
};

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(BpeDefinition definition, const std::string& name)
      : pieces_(std::move(definition.pieces)),
        byte_tokens_(definition.byte_tokens),
        merges_(definition.merges),
        raw_added_(added(definition, false), name),
        normalized_added_(added(definition, true), name),
        nfc_(definition.nfc),
        add_prefix_space_(definition.add_prefix_space) {}

  std::string_view name() const override { return "bpe"; }
  size_t n_vocab() const override { return pieces_.size(); }

  void encode(std::string_view bytes, std::vector<Token>& out) const override {
    std::string repaired;
    if (!is_utf8(bytes)) {
      repaired = replace_ill_formed(bytes);
      bytes = repaired;
    }
    Work work;
    raw_added_.cut(bytes, out, [&](std::string_view raw) {
      std::string text(raw);
      if (nfc_) normalize_nfc(text);
      normalized_added_.cut(text, out,
                            [&](std::string_view part) { encode_part(part, work, out); });
    });
  }

  std::string piece(Token id) const override {
    FATHOM_REQUIRE(id < n_vocab(), "token id ", id, ": expected less than ", n_vocab());
    return pieces_[id];
  }

 private:
  struct Symbol {
    Token token;
    uint32_t previous, next;  // indices in Work::symbols; kEnd beyond the word
    MergeTable::Merge merge;  // with the next symbol
  };
  static constexpr uint32_t kEnd = UINT32_MAX;

  // Kept from word to word, for its memory.
  struct Work {
    std::vector<Symbol> symbols;
    // rank << 32 | index of the left symbol: smallest rank first, then leftmost. An entry is out of
    // date if the symbol's merge has another rank by now.
    std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue;
  };

  static std::vector<std::pair<std::string, Token>> added(const BpeDefinition& definition,
                                                          bool normalized) {
    std::vector<std::pair<std::string, Token>> out;
    for (AddedToken token : definition.added) {
      if (token.normalized != normalized) continue;
      if (normalized && definition.nfc) normalize_nfc(token.content);
      out.emplace_back(std::move(token.content), token.id);
    }
    return out;
  }

  void encode_part(std::string_view part, Work& work, std::vector<Token>& out) const {
    std::string prefixed;
    if (add_prefix_space_ && !part.starts_with(' ')) {
      prefixed.append(" ").append(part);
      part = prefixed;
    }
    while (!part.empty()) {
      const size_t size = gpt2_word(part);
      encode_word(part.substr(0, size), work, out);
      part.remove_prefix(size);
    }
  }

  // Looks up the merge of the symbol with the next one, and puts it in the queue if there is one.
  void update(Work& work, uint32_t at) const {
    Symbol& left = work.symbols[at];
    left.merge = {};
    if (left.next == kEnd) return;
    left.merge = merges_.find(left.token, work.symbols[left.next].token);
    if (left.merge.result != kNoToken) work.queue.push((uint64_t{left.merge.rank} << 32) | at);
  }

  void encode_word(std::string_view word, Work& work, std::vector<Token>& out) const {
    FATHOM_REQUIRE(word.size() < kEnd, "a word of ", word.size(), " bytes is too long");
    const auto n = static_cast<uint32_t>(word.size());
    std::vector<Symbol>& symbols = work.symbols;
    symbols.clear();
    for (uint32_t i = 0; i < n; ++i)
      symbols.push_back({byte_tokens_[static_cast<unsigned char>(word[i])], i - 1, i + 1, {}});
    symbols.back().next = kEnd;  // and the first one's previous has wrapped around to kEnd
    for (uint32_t i = 0; i < n; ++i) update(work, i);

    while (!work.queue.empty()) {
      const uint64_t top = work.queue.top();
      work.queue.pop();
      const auto at = static_cast<uint32_t>(top);
      Symbol& left = symbols[at];
      if (left.merge.rank != top >> 32) continue;
      Symbol& right = symbols[left.next];
      left.token = left.merge.result;
      left.next = right.next;
      right.merge = {};
      if (left.next != kEnd) symbols[left.next].previous = at;
      update(work, at);
      if (left.previous != kEnd) update(work, left.previous);
    }
    for (uint32_t i = 0; i != kEnd; i = symbols[i].next) out.push_back(symbols[i].token);
  }

  std::vector<std::string> pieces_;  // (n_vocab)
  std::array<Token, 256> byte_tokens_;
  MergeTable merges_;
  AddedTokens raw_added_, normalized_added_;
  bool nfc_, add_prefix_space_;
};

}  // namespace

std::unique_ptr<Tokenizer> bpe_tokenizer(const Json& root, const std::string& name) {
  return std::make_unique<BpeTokenizer>(parse_bpe_definition(root, name), name);
}

}  // namespace fathom
