#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every link of a built site has a target, and no page loads anything from another machine.

    ci/check_site.py build/site
"""
import html.parser
import pathlib
import re
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get("id"):
            self.anchors.add(a["id"])
        if tag == "a" and a.get("name"):
            self.anchors.add(a["name"])
        if tag == "a" and a.get("href"):
            self.links.append(a["href"])
        if tag == "link" and a.get("rel") not in ("canonical", "prev", "next") and a.get("href"):
            self.loads.append(a["href"])
        if tag in ("script", "img", "iframe", "source") and a.get("src"):
            self.loads.append(a["src"])


def main():
    site = pathlib.Path(sys.argv[1]).resolve()
    pages = {}
    for path in site.rglob("*.html"):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    faults, n = [], 0
    for path, page in pages.items():
        if path.name == "404.html":  # its links are absolute, for a server's root
            continue
        name = path.relative_to(site)
        for target in page.loads:
            if urllib.parse.urlsplit(target).netloc:
                faults.append(f"{name}: loads {target} from another machine")
        for target in page.links + page.loads:
            url = urllib.parse.urlsplit(target)
            if url.scheme or url.netloc:
                continue
            n += 1
            to = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            if to.is_dir():
                to = to / "index.html"
            if not to.exists():
                faults.append(f"{name}: {target}: no such file")
            elif url.fragment and to in pages and url.fragment not in pages[to].anchors | {"__top"}:
                faults.append(f"{name}: {target}: no such section")
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8", errors="replace")
        faults += [f"{sheet.name}: loads {u}" for u in re.findall(r"url\((https?://[^)]+)\)", text)]
    for fault in sorted(set(faults)):
        print(f"check_site.py: {fault}", file=sys.stderr)
    if not pages or faults:
        sys.exit(1)
    print(f"{len(pages)} pages, {n} links")


if __name__ == "__main__":
    main()
