// SPDX-License-Identifier: Apache-2.0
// Tables with a header: quotes, separators, what is refused, and columns by name.
#include "text/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "formats/temp_folder.h"
#include "text/sentences.h"
#include "text/text_columns.h"

namespace fathom::test::csv_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST(Csv, QuotedFieldsHoldSeparatorsQuotesAndLineEnds) {
  const CsvTable t = read_csv(
      "\xEF\xBB\xBFid,text\r\n1,\"a, b\"\r\n2,\"two\nlines \"\"q\"\"\"\n\n3,\n", "t.csv", ',');
  EXPECT_THAT(t.columns, ElementsAre("id", "text"));
  ASSERT_THAT(t.rows, SizeIs(3));
  EXPECT_THAT(t.rows[0].fields, ElementsAre("1", "a, b"));
  EXPECT_THAT(t.rows[1].fields, ElementsAre("2", "two\nlines \"q\""));
  EXPECT_THAT(t.rows[2].fields, ElementsAre("3", ""));
  EXPECT_EQ(t.rows[1].line, 3u);
  EXPECT_EQ(t.rows[2].line, 6u);  // behind the quoted line end and an empty line
}

TEST(Csv, WhatDoesNotFitIsRefusedByLine) {
  const auto wrong = [](const char* text) {
    return error_of([&] { read_csv(text, "t.csv", ','); });
  };
  EXPECT_THAT(wrong(""), HasSubstr("t.csv: the file is empty"));
  EXPECT_THAT(wrong("a,b\n1,2\n3\n"),
              HasSubstr("t.csv, line 3: expected 2 fields as in the header, got 1"));
  EXPECT_THAT(wrong("a,b\n1,\"2\n3,4\n"),
              HasSubstr("line 2: a quote opens a field and is never closed"));
  EXPECT_THAT(wrong("a,b\n1,\"2\"x\n"), HasSubstr("line 2: text behind a closing quote"));
  EXPECT_THAT(wrong("a,a\n1,2\n"), HasSubstr("two columns are named 'a'"));
  EXPECT_THAT(wrong("a,\n1,2\n"), HasSubstr("column 2 of the header has no name"));
}

TEST(Csv, InTabsAQuoteThatIsNoneIsACharacter) {
  const CsvTable t = read_csv("a\tb\n\"x\" said\t1\n\"open\t2\n\"tab\there\"\t3\n", "t.tsv", '\t');
  ASSERT_THAT(t.rows, SizeIs(3));
  EXPECT_THAT(t.rows[0].fields, ElementsAre("\"x\" said", "1"));
  EXPECT_THAT(t.rows[1].fields, ElementsAre("\"open", "2"));
  EXPECT_THAT(t.rows[2].fields, ElementsAre("tab\there", "3"));
}

// A table in parts of every size is the table.
TEST(Csv, InPartsItIsTheSame) {
  const std::string commas =
      "\xEF\xBB\xBFid,text\r\n1,\"a, b\"\r\n\n2,\"two\r\nlines \"\"q\"\"\"\r\n3,\"";
  const std::string closed = commas + "\"\n4,x\r";
  const std::string tabs = "a\tb\n\"x\" said\t1\n\"open\t2\n\"tab\there\"\t3\n";
  for (const auto& [text, separator] :
       {std::pair(closed, ','), std::pair(tabs, '\t'), std::pair(std::string("a\n\"b\""), ',')}) {
    const CsvTable whole = read_csv(text, "t", separator);
    for (size_t n = 4; n < text.size(); ++n) {
      MemoryParts parts(text, false, n);
      TextBuffer buffer(parts);
      const std::string name = "t";
      CsvRows rows(buffer, name);
      EXPECT_EQ(rows.columns(), whole.columns);
      size_t i = 0;
      for (CsvRow row; rows.next(row); ++i) {
        ASSERT_LT(i, whole.rows.size());
        EXPECT_EQ(row.fields, whole.rows[i].fields) << n;
        EXPECT_EQ(row.line, whole.rows[i].line) << n;
      }
      EXPECT_EQ(i, whole.rows.size()) << n;
    }
  }
  EXPECT_THAT(error_of([&] { read_csv(commas, "t", ','); }), HasSubstr("never closed"));
}

TEST(Csv, TheHeaderSaysWhatSeparates) {
  EXPECT_EQ(separator_of("a,b\n1;2;3;4"), ',');
  EXPECT_EQ(separator_of("\"a,,,\";b\n"), ';');
  EXPECT_EQ(separator_of("a\tb"), '\t');
}

TEST(Columns, ByNameFromEveryFormat) {
  const TempFolder folder;
  const std::vector<std::string> wanted = {"label", "text"};
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"a.csv", "text,label\n\"red, blue\",1\n"},
           {"b.csv", "text;label\n\"red, blue\";1\n"},
           {"c.tsv", "text\tlabel\nred, blue\t1\n"},
           {"d.jsonl", "{\"text\":\"red, blue\",\"label\":1}\n"},
           {"e.json", "[{\"text\":\"red, blue\",\"label\":1}]"}}) {
    const std::string file = folder.write(name, text);
    const TextColumns columns = read_columns(file, wanted);
    EXPECT_THAT(columns.values, ElementsAre(ElementsAre("1"), ElementsAre("red, blue"))) << name;
    const std::vector<std::string> other = {"colour"};
    EXPECT_THAT(error_of([&] { read_columns(file, other); }),
                testing::AllOf(HasSubstr("no column 'colour'"), HasSubstr("text")))
        << name;
  }
}

TEST(SentencesOfATable, ByFieldWithIdAndLabel) {
  const TempFolder folder;
  const std::string csv =
      folder.write("s.csv", "id,text,label\n7,red,warm\n8,,none\n9,blue,cold\n");
  const Sentences s = read_sentences(
      csv, SentenceFields{.text = "text", .id = "id", .label = "label"}, Empty::kSkip);
  EXPECT_THAT(s.texts, ElementsAre("red", "blue"));
  EXPECT_THAT(s.id, ElementsAre("7", "9"));
  EXPECT_THAT(s.label, ElementsAre("warm", "cold"));
  EXPECT_THAT(s.line, ElementsAre(2, 4));
  EXPECT_THAT(error_of([&] { read_sentences(csv, "", Empty::kSkip); }),
              HasSubstr("expected `field` with one of its columns: id, text, label"));
  // A table under another name, where the field is in the header.
  const std::string other = folder.write("s.txt", "id\ttext\n7\tred\n");
  EXPECT_THAT(read_sentences(other, "text", Empty::kError).texts, ElementsAre("red"));
  const std::string json = folder.write("s.jsonl", "{\"text\":\"red\",\"n\":7}\n");
  EXPECT_THAT(read_sentences(json, SentenceFields{.text = "", .id = "n"}, Empty::kError).id,
              ElementsAre("7"));
}

TEST(SentencesOfATable, ANoteSaysThatLinesLookLikeOne) {
  const TempFolder folder;
  std::vector<std::string> notes;
  const auto note = [&](const std::string& text) { notes.push_back(text); };
  read_sentences(folder.write("tabs.txt", "a b\nc\td\n"), "", Empty::kError, note);
  read_sentences(folder.write("table.txt", "id,text\n1,Red.\n"), "", Empty::kError, note);
  read_sentences(folder.write("plain.txt", "Red, blue.\nWell, yes.\n"), "", Empty::kError, note);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("line 2 holds a tab"), HasSubstr("header of a table")));
}

}  // namespace
}  // namespace fathom::test::csv_test
