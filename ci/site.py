# SPDX-License-Identifier: Apache-2.0
"""Hooks of mkdocs.yml: pages that are generated (commands from --help, C++ headers, HTTP routes from
openapi.json), and links to files of the repository that are not pages."""
import json
import os
import pathlib
import re
import subprocess

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
FATHOM = os.environ.get("FATHOM", str(ROOT / "build/release/fathom"))


def helped(*words):
    """What `fathom WORDS --help` prints, as wide as no line needs to be folded for a page."""
    return subprocess.run([FATHOM, *words, "--help"], check=True, capture_output=True, text=True).stdout


def commands_page():
    names = re.findall(r"^  ([a-z]+) +\S", helped().split("ubcommands:", 1)[-1], re.MULTILINE)
    page = ["# Commands", "", "What `--help` prints. `fathom help TOPIC` explains layers, depth and formats.", ""]
    for name in ["", *names]:
        page += [f"## fathom {name}".rstrip(), "", "```text", helped(*name.split()).rstrip(), "```", ""]
    return "\n".join(page)


def declared(text):
    """(kind, name, comment) of what a public header declares: classes, enums, functions, and the public
    functions of classes."""
    found, comment, depth, inside = [], [], 0, None
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("//"):
            comment.append(stripped[2:].strip())
            continue
        what = " ".join(comment)
        kind = re.match(r"(class|struct|enum class) (?:FATHOM_API )?(\w+)(?: :[^{]*)?(?: final)? ?{", stripped)
        function = re.match(r"(?:FATHOM_API |static |\[\[nodiscard\]\] )*[\w:<>&*, ]+[ &*](\w+)\(", stripped)
        if kind and depth == 0:
            inside = kind[2]
            found.append((kind[1], inside, what))
        elif stripped in ("private:", "protected:"):
            inside = None
        elif function and depth == 0 and not re.match(r"#|namespace|using|return", stripped):
            found.append(("function", function[1], what))
        elif function and depth == 1 and inside and line.startswith("  ") and line[2] != " ":
            if not re.match(r"return|for|if|while", stripped):
                found.append(("member", f"{inside}::{function[1]}", what))
        if not re.match(r"(inline )?namespace|}  // namespace", stripped):
            depth += line.count("{") - line.count("}")
        if depth == 0:
            inside = None
        comment = []
    return found


def headers_index():
    page = []
    for header in sorted((ROOT / "include/fathom").glob("*.h")):
        text = header.read_text(encoding="utf-8")
        page += [f"### fathom/{header.name}", ""]
        rows = declared(text)
        if rows:
            page += ["| name | kind | what |", "|---|---|---|"]
            for kind, name, comment in rows:
                what = comment.split(". ")[0].replace("|", "\\|").rstrip(".")
                page.append(f"| `{name}` | {kind} | {what} |")
            page.append("")
        page += ["??? note \"The whole header\"", "", "    ```cpp"]
        page += ["    " + line if line else "" for line in text.splitlines()]
        page += ["    ```", ""]
    return "\n".join(page)


def kind_of(field):
    """The type of a field, in words."""
    kind = field.get("type")
    if isinstance(kind, str):
        return kind
    kinds = kind or [x.get("type", "?") for x in field.get("oneOf", field.get("anyOf", []))]
    return " or ".join(dict.fromkeys(k for k in kinds if k != "null"))


def routes_page():
    """From openapi.json, which ci/build_site.sh asks the server for."""
    page = ["# HTTP routes", "", "From `GET /openapi.json`. [The server](../server.md) explains them.", ""]
    api = json.loads(pathlib.Path(os.environ["FATHOM_OPENAPI"]).read_text(encoding="utf-8"))
    for path, methods in api["paths"].items():
        for method, what in methods.items():
            page += [f"## {method.upper()} {path}", "", what.get("summary") or what.get("description") or "", ""]
            body = what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if body and "$ref" in body:
                body = api["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
            fields = (body or {}).get("properties", {})
            if fields:
                page += ["| field | type | |", "|---|---|---|"]
            for name, field in fields.items():
                must = "required. " if name in body.get("required", []) else ""
                about = must + field.get("description", "").replace("|", "\\|")
                page.append(f"| `{name}` | {kind_of(field)} | {about} |")
            page += ["", "Answers: " + ", ".join(f"`{code}`" for code in sorted(what.get("responses", {}))), ""]
    return "\n".join(page)


def on_files(files, config):
    for uri, content in (
        ("reference/commands.md", commands_page()),
        ("reference/http-routes.md", routes_page()),
    ):
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    markdown = markdown.replace("<!-- headers -->", headers_index())
    folder = pathlib.Path(config["docs_dir"]) / pathlib.PurePosixPath(page.file.src_uri).parent

    def outside(match):
        """A file of the repository that is no page is named, not linked."""
        text, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match.group(0)
        place = (folder / target.split("#")[0]).resolve()
        if place.is_relative_to(config["docs_dir"]) or not place.exists():
            return match.group(0)
        return f"{text} (`{place.relative_to(ROOT)}` in the repository)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", outside, markdown)
