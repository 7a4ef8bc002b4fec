// SPDX-License-Identifier: Apache-2.0
// Structs as JSON and back by one list of fields; what cannot be read is named.
#include "base/json_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fathom::test::json_fields_test {
namespace {

enum class Colour { kRed, kBlue };
constexpr Colour kColours[] = {Colour::kRed, Colour::kBlue};
const char* name_of(Colour c) { return c == Colour::kRed ? "red" : "blue"; }

struct Leaf {
  double size = 0;
  uint32_t age = 0;
  bool operator==(const Leaf&) const = default;
};
struct Tree {
  std::string name;
  bool alive = false;
  Colour colour = Colour::kRed;
  std::vector<Leaf> leaves;
  NamedValues<double> heights;
  std::optional<Leaf> crown, root;
  std::vector<double> rings;
  OrderedJson notes;
  bool operator==(const Tree&) const = default;
};

template <class Io>
void list_fields(Io& io, Of<Io, Leaf>& x) {
  io("size", x.size);
  io("age", x.age);
}
template <class Io>
void list_fields(Io& io, Of<Io, Tree>& x) {
  io("name", x.name);
  io("alive", x.alive);
  io.one_of("colour", x.colour, kColours);
  io("leaves", x.leaves);
  io("heights", x.heights);
  io.nullable("crown", x.crown);
  io.optional("root", x.root);
  io.optional("rings", x.rings);
  io.derived("n_leaf", static_cast<double>(x.leaves.size()));
  io("notes", x.notes);
}

Tree tree() {
  return {.name = "oak",
          .alive = true,
          .colour = Colour::kBlue,
          .leaves = {{0.1, 7}, {-0.0, 0}},
          .heights = {{"summer", 3.5}, {"an autumn", 1e-300}},
          .crown = {},
          .root = {},
          .rings = {},
          .notes = {{"z", 1}, {"a", nullptr}}};
}

constexpr std::string_view kText =
    R"({"name":"oak","alive":true,"colour":"blue","leaves":[{"size":0.1,"age":7},{"size":-0.0,"age":0}],)"
    R"("heights":{"summer":3.5,"an autumn":1e-300},"crown":null,"n_leaf":2.0,"notes":{"z":1,"a":null}})";

TEST(JsonFields, WritesInTheOrderOfTheList) { EXPECT_EQ(dump_json(json_of(tree())), kText); }

TEST(JsonFields, ReadsWhatItWrote) {
  EXPECT_EQ(value_of_json<Tree>(parse_ordered_json(kText), "t"), tree());
  Tree full = tree();
  full.crown = {.size = 2, .age = 1};
  full.root = {.size = 3, .age = std::numeric_limits<uint32_t>::max()};
  full.rings = {1, 2.5};
  EXPECT_EQ(value_of_json<Tree>(json_of(full), "t"), full);
}

TEST(JsonFields, NumbersThatAreNotFiniteAreNull) {
  EXPECT_EQ(dump_json(json_of(Leaf{std::nan(""), 1})), R"({"size":null,"age":1})");
  EXPECT_EQ(dump_json(json_of(Leaf{-INFINITY, 1})), R"({"size":null,"age":1})");
  EXPECT_TRUE(std::isnan(value_of_json<Leaf>(json_of(Leaf{INFINITY, 1}), "t").size));
}

TEST(JsonFields, PassesOverFieldsItDoesNotKnow) {
  OrderedJson j = json_of(Leaf{1, 2});
  j["colour"] = "green";
  EXPECT_EQ(value_of_json<Leaf>(j, "t"), (Leaf{1, 2}));
}

TEST(JsonFields, NamesTheFieldThatIsMissingOrWrong) {
  const auto refused = [](const char* pointer, std::optional<OrderedJson> value,
                          const std::string& message) {
    OrderedJson j = json_of(tree());
    const OrderedJson::json_pointer at(pointer);
    if (value)
      j[at] = *value;
    else
      j[at.parent_pointer()].erase(at.back());
    try {
      value_of_json<Tree>(j, "trees.json");
      ADD_FAILURE() << pointer << " is read";
    } catch (const Error& e) {
      EXPECT_EQ(e.what(), message);
    }
  };
  refused("/name", {}, "trees.json: name: is missing");
  refused("/name", 3, "trees.json: name: expected a string, got 3");
  refused("/alive", "yes", "trees.json: alive: expected true or false, got \"yes\"");
  refused("/colour", "green", "trees.json: colour: expected one of red, blue, got \"green\"");
  refused("/leaves", OrderedJson::object(), "trees.json: leaves: expected an array, got an object");
  refused("/leaves/1", 4, "trees.json: leaves[1]: expected an object, got 4");
  refused("/leaves/1/size", {}, "trees.json: leaves[1].size: is missing");
  refused("/leaves/1/size", "many",
          "trees.json: leaves[1].size: expected a number or null, got \"many\"");
  const std::string whole =
      "trees.json: leaves[0].age: expected a whole number from 0 to 4294967295, got ";
  refused("/leaves/0/age", -1, whole + "-1");
  refused("/leaves/0/age", 1.5, whole + "1.5");
  refused("/leaves/0/age", uint64_t{1} << 32, whole + "4294967296");
  refused("/heights/summer", false,
          "trees.json: heights.summer: expected a number or null, got false");
  refused("/crown", {}, "trees.json: crown: is missing");
  refused("/crown", OrderedJson{{"size", 1}}, "trees.json: crown.age: is missing");
  refused("/root", nullptr, "trees.json: root: expected an object, got null");
  refused("/n_leaf", {}, "trees.json: n_leaf: is missing");
  refused("/name", OrderedJson::array(), "trees.json: name: expected a string, got an array");
  try {
    value_of_json<Tree>(OrderedJson::array(), "trees.json");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "trees.json: expected an object, got an array");
  }
}

}  // namespace
}  // namespace fathom::test::json_fields_test
