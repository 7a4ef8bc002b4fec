// SPDX-License-Identifier: Apache-2.0
#include "report/page_assets.h"

namespace fathom {

const std::string_view kPageStyle = R"css(
:root{color-scheme:light dark;--ground:#ffffff;--surface:#f6f8fa;--line:#dfe3e8;--ink:#1f2328;
--muted:#5c6470;--link:#0969a8;--note:#b87a00;--hover:#f0f4f8;--shade:rgba(31,35,40,.2);
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media screen and (prefers-color-scheme:dark){:root{--ground:#0e1217;--surface:#161b22;--line:#2b323c;
--ink:#e6e9ee;--muted:#9ba5b4;--link:#6cb6f2;--note:#f2b53a;--hover:#1c232d;
--shade:rgba(0,0,0,.8)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:928px;margin:0 auto;padding:0 24px}
header{padding-top:56px}
h1{font-size:32px;line-height:1.2;font-weight:700;letter-spacing:-.015em;margin:0 0 12px;
overflow-wrap:anywhere;text-wrap:balance}
h2{font-size:21px;line-height:1.3;font-weight:650;letter-spacing:-.005em;margin:56px 0 12px}
p{margin:0 0 16px;max-width:70ch}
a{color:var(--link)}
code{font-family:var(--mono);font-size:.9em;overflow-wrap:anywhere}
.lead{font-size:18px;line-height:1.55;color:var(--muted);margin-bottom:28px}
.keys{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 28px}
.key{border:1px solid var(--line);border-radius:10px;padding:14px 16px;margin:0}
.key dt{font-size:13px;color:var(--muted)}
.key dd{margin:0}
.key .value{font-size:26px;line-height:1.3;font-weight:650;letter-spacing:-.01em;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.key .about{font-size:13px;line-height:1.4;color:var(--muted)}
nav{border-top:1px solid var(--line);border-bottom:1px solid var(--line);padding:10px 0}
nav ol{list-style:none;display:flex;flex-wrap:wrap;gap:4px 22px;margin:0;padding:0;font-size:14px}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
.note{border-left:3px solid var(--note);background:var(--surface);border-radius:0 8px 8px 0;
padding:12px 16px;margin:0 0 20px;max-width:none;font-size:15px}
figure{position:relative;margin:24px 0 32px;border:1px solid var(--line);border-radius:12px;
padding:20px 20px 16px;break-inside:avoid;--fig-paper:var(--ground)}
figure svg{display:block;height:auto;font-variant-numeric:tabular-nums;overflow:visible}
figure .narrow{display:none}
figcaption,.caption,.collapsed>summary{font-size:14px;line-height:1.5;color:var(--muted)}
figcaption{margin-top:14px;max-width:78ch}
figcaption b,.caption b,.collapsed>summary b{color:var(--ink);font-weight:600}
.tools{display:flex;justify-content:flex-end;gap:6px;margin:0 0 8px}
@media (min-width:700px){.tools{position:absolute;top:16px;right:16px;margin:0}}
button{font:inherit;color:inherit;cursor:pointer}
.tools button,.copy{font-size:12px;line-height:1;padding:6px 9px;border:1px solid var(--line);
border-radius:6px;background:var(--ground);color:var(--muted)}
.tools button:hover,.copy:hover{color:var(--ink);border-color:var(--muted)}
.tools button[aria-pressed=true]{background:var(--ink);border-color:var(--ink);color:var(--ground)}
.live{position:relative;height:420px}
.live-title{font-size:15px;font-weight:600;line-height:20px;margin:0 0 10px;padding-right:240px}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.sheet{margin:20px 0 32px;border:1px solid var(--line);border-radius:12px;overflow:hidden;
position:relative;left:50%;transform:translateX(-50%);width:max-content;min-width:100%;
max-width:calc(100vw - 40px)}
.scroll{overflow-x:auto;background:
linear-gradient(to right,var(--ground) 40%,transparent) left/40px 100% no-repeat local,
linear-gradient(to left,var(--ground) 40%,transparent) right/40px 100% no-repeat local,
linear-gradient(to right,var(--shade),transparent) left/14px 100% no-repeat scroll,
linear-gradient(to left,var(--shade),transparent) right/14px 100% no-repeat scroll}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.4;
font-variant-numeric:tabular-nums}
.caption{margin:0;padding:14px 16px 10px;max-width:80ch}
th,td{padding:7px 8px;text-align:left;white-space:nowrap}
td.long,th.long{white-space:normal;min-width:20ch;overflow-wrap:anywhere}
.num{text-align:right}
thead th{font-weight:600;vertical-align:bottom;border-bottom:1px solid var(--line);
background:var(--surface);white-space:normal}
thead th .unit{display:block;font-weight:400;color:var(--muted)}
tbody th{font-weight:400}
tbody tr+tr>*{border-top:1px solid color-mix(in srgb,var(--line) 55%,transparent)}
tbody+tbody tr:first-child>*{border-top:2px solid var(--line)}
tbody tr:hover>*{background:var(--hover)}
:is(th,td):first-child{padding-left:16px}:is(th,td):last-child{padding-right:16px}
td .range{color:var(--muted);font-size:12px;margin-left:.35em}
td .none{color:var(--muted)}
@media (min-width:700px){.dense{font-size:13px}.dense :is(th,td){padding-left:5px;padding-right:5px}
.tight :is(th,td){padding-left:3px;padding-right:3px}
.dense :is(th,td):first-child{padding-left:14px}.dense :is(th,td):last-child{padding-right:14px}
.dense td .range{display:block;margin:0;font-size:11px}}
.sort{cursor:pointer;border-radius:3px}
.sort::after{content:"\2195";opacity:.35;margin-left:.3em;font-size:12px}
th[aria-sort=ascending] .sort::after{content:"\2191";opacity:1}
th[aria-sort=descending] .sort::after{content:"\2193";opacity:1}
.settings{margin:16px 0 28px;line-height:1.5}
.settings :is(th,td):is(th,td){border:0;padding:6px 0;white-space:normal;vertical-align:top}
.settings tr{border-bottom:1px solid color-mix(in srgb,var(--line) 55%,transparent)}
.settings th:first-child{color:var(--muted);padding-right:28px;width:1%;min-width:220px}
.settings td{overflow-wrap:anywhere}
.block{position:relative;margin:16px 0 24px}
pre{margin:0;padding:14px 16px;background:var(--surface);border:1px solid var(--line);border-radius:10px;
font:13px/1.55 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere}
.block .copy{position:absolute;top:9px;right:9px}
.block pre.with-copy{padding-right:76px}
details{margin:16px 0 24px}
details>summary{cursor:pointer;padding:4px 0}
details[open]>summary{margin-bottom:8px}
details pre{max-height:480px;overflow:auto;white-space:pre;overflow-wrap:normal}
.collapsed .sheet{margin-top:8px}
footer{font-size:13px;color:var(--muted);padding-top:24px;padding-bottom:48px}
footer p{border-top:1px solid var(--line);padding-top:16px;max-width:none}
@media (max-width:699px){
main,header,footer{padding-left:16px;padding-right:16px}
header{padding-top:32px}h1{font-size:26px}.lead{font-size:17px}h2{margin-top:44px}
figure{padding:16px 14px 14px;border-radius:10px}
figure .wide{display:none}figure .narrow{display:block;max-width:520px;margin:0 auto}
.live{height:360px}.live-title{padding-right:0}
.sheet{max-width:calc(100vw - 32px)}
:is(th,td):first-child{padding-left:12px}thead th{white-space:nowrap}
tbody th,thead th:first-child{position:sticky;left:0;z-index:1}
tbody th{background:var(--ground)}td .range{display:block;margin:0}
tbody th.name{white-space:normal;min-width:9em}
.settings :is(tr,th,td){display:block;width:auto;position:static}
.settings th:first-child{padding:8px 0 0}.settings td:last-child{padding:0 0 8px}
}
@media print{
body{font-size:11pt}main,header,footer{max-width:none;padding:0}header{padding-top:0}
.tools,.copy,nav{display:none}figure{border:0;padding:0}
.sheet,.scroll{overflow:visible;background:none}
.sheet{left:0;transform:none;width:auto;max-width:none}h2{break-after:avoid}tr,.note,.key{break-inside:avoid}
figure .wide{display:block!important}figure .narrow,figure .live-box{display:none!important}
.sort::after{content:none}details pre{max-height:none;white-space:pre-wrap}
}
)css";

const std::string_view kPageScript = R"js(
"use strict";
(() => {
  const make = (tag, props, ...children) => {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...children);
    return node;
  };

  // Copy buttons.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.body.appendChild(make("textarea", { value: text }));
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const pre of document.querySelectorAll(".block pre")) {
    const button = make("button", { className: "copy", type: "button", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await copy(pre.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    pre.classList.add("with-copy");
    pre.after(button);
  }

  // Save a figure as a file of its own; its attributes hold the light colours.
  const download = (file, name) => {
    const link = make("a", { href: URL.createObjectURL(file), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const drawing = (figure) => {
    const svg = figure.querySelector(".wide svg").cloneNode(true);
    const { width, height } = svg.viewBox.baseVal;
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    return { text: new XMLSerializer().serializeToString(svg), width, height };
  };
  const saveSvg = (figure) =>
    download(new Blob([drawing(figure).text], { type: "image/svg+xml" }), figure.id + ".svg");
  // Twice the size on white: sharp in print and on slides.
  const savePng = async (figure) => {
    const { text, width, height } = drawing(figure);
    const image = new Image();
    image.src = "data:image/svg+xml," + encodeURIComponent(text);
    await image.decode();
    const scale = 2, margin = 16;
    const canvas = make("canvas", {
      width: Math.ceil(scale * (width + 2 * margin)), height: Math.ceil(scale * (height + 2 * margin)) });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, scale * margin, scale * margin, scale * width, scale * height);
    canvas.toBlob((file) => download(file, figure.id + ".png"), "image/png");
  };
  for (const figure of document.querySelectorAll("figure")) {
    const tools = make("div", { className: "tools" });
    for (const [name, save] of [["Save SVG", saveSvg], ["Save PNG", savePng]]) {
      const button = make("button", { type: "button", textContent: name });
      button.addEventListener("click", () => save(figure));
      tools.append(button);
    }
    figure.prepend(tools);
  }

  // Tables sort by a click on a heading: up, down, as written. Rows stay in their group.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return parseFloat(cell.dataset.v);
    const text = cell.textContent.trim();
    return text === "-" || text === "" ? NaN : text;
  };
  const compare = (a, b, sign) => {
    const [noA, noB] = [Number.isNaN(a), Number.isNaN(b)];
    if (noA || noB) return noA - noB;
    if (typeof a === "number" && typeof b === "number") return sign * (a < b ? -1 : a > b ? 1 : 0);
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const original = [...table.tBodies].map((body) => [...body.rows]);
    heads.forEach((head, column) => {
      // Not a <button>: browsers leave controls out of headings that are repeated on paper.
      const button = make("span", { className: "sort", role: "button", tabIndex: 0 }, ...head.childNodes);
      head.append(button);
      button.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        button.click();
      });
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" };
        const order = next[head.getAttribute("aria-sort") || "none"];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (order !== "none") head.setAttribute("aria-sort", order);
        const sign = order === "descending" ? -1 : 1;
        [...table.tBodies].forEach((body, i) => {
          const rows = [...original[i]];
          if (order !== "none") rows.sort((a, b) => compare(key(a, column), key(b, column), sign));
          body.append(...rows);
        });
      });
    });
  }
})();
)js";

const std::string_view kChartScript = R"js(
"use strict";
(() => {
  if (!window.Chart) return;
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--fig-" + name).trim();
  const prefixes = ["p", "n", "\u00b5", "m", "", "k", "M", "G", "T", "P", "E"];
  const number = (value, axis) => {
    if (!axis.unit) return String(Number(value.toPrecision(4)));
    let power = 0;
    if (axis.prefix && value !== 0) {
      power = Math.max(-4, Math.min(6, Math.floor(Math.log10(Math.abs(value)) / 3 + 1e-9)));
    }
    const text = String(Number((value / 1000 ** power).toPrecision(4)));
    return text + " " + prefixes[power + 4] + axis.unit;
  };
  const finite = (v) => typeof v === "number";
  const shapes = ["circle", "rect", "triangle", "rectRot", "triangle", "cross", "star", "rectRounded"];

  const paintOf = (look) => colour(look === null ? "muted" : look % 8);

  // Each series is one dataset; its band is two more before it, which no legend shows. The first
  // band is filled, the others have their edges alone.
  const datasets = (data) => {
    const out = [];
    let filled = false;
    const add = (group, series, paint, line) => {
      const points = (read) => series.points.map((p) => data.categories ? read(p) : { x: p.x, y: read(p) });
      const common = { group, borderColor: paint, backgroundColor: paint, spanGaps: false };
      if (!series.quiet && series.points.some((p) => finite(p.low))) {
        const fills = !filled && !series.reference;
        const edge = { ...common, borderColor: paint + (fills ? "59" : "99"), borderWidth: 1, pointRadius: 0, pointHitRadius: 0, band: true, order: 1 };
        out.push({ ...edge, data: points((p) => p.low), fill: false });
        out.push({ ...edge, data: points((p) => p.high), fill: fills ? "-1" : false, backgroundColor: paint + "26" });
        filled ||= fills;
      }
      out.push({ ...common, ...line, label: series.name, data: points((p) => p.y), fill: false, source: series });
    };
    data.series.forEach((series, i) => add(i, series, paintOf(series.look), {
      borderWidth: series.mark === "points" ? 0 : series.quiet ? 1.25 : 2, showLine: series.mark !== "points",
      borderDash: series.dashed ? [6, 4] : [], pointStyle: shapes[series.look % 8],
      pointRadius: series.mark === "curve" || series.quiet ? 0 : 4, pointHoverRadius: 6 }));
    const xs = data.series.flatMap((s) => s.points.map((p) => p.x)).filter(finite);
    const ends = data.categories ? data.categories.map(() => 0) : [Math.min(...xs), Math.max(...xs)];
    if (data.categories || xs.length) data.references.forEach((r, i) => add(data.series.length + i, {
      name: r.name, reference: true, points: ends.map((x) => ({ x, y: r.y, low: r.low, high: r.high })) },
      paintOf(r.look),
      { borderWidth: 2, borderDash: [6, 4], pointRadius: 0, pointHitRadius: 0, pointStyle: "line" }));
    return out;
  };

  const options = (data) => {
    const text = colour("muted"), grid = colour("grid");
    const scale = (axis, type) => ({
      type, offset: type === "category", min: axis.from, max: axis.to,
      title: { display: axis.title !== "", text: axis.title, color: text },
      grid: { color: grid, display: type !== "category", drawBorder: false },
      ticks: type === "category" ? { color: text } : { color: text, callback: (v) => number(v, axis) } });
    const kind = (axis) => (axis.log ? "logarithmic" : "linear");
    const label = (item) => {
      const point = item.dataset.source.points[item.dataIndex];
      let line = item.dataset.label + ": " + number(point.y, data.y);
      if (finite(point.low)) line += " [" + number(point.low, data.y) + ", " + number(point.high, data.y) + "]";
      return point.label ? point.label + ", " + line : line;
    };
    const title = (items) => {
      if (!items.length) return "";
      const x = data.categories ? items[0].label : number(items[0].parsed.x, data.x);
      return data.x.title ? data.x.title + ": " + x : x;
    };
    return {
      responsive: true, maintainAspectRatio: false, animation: false,
      interaction: { mode: data.categories ? "index" : "nearest", intersect: false },
      scales: { x: scale(data.x, data.categories ? "category" : kind(data.x)), y: scale(data.y, kind(data.y)) },
      plugins: {
        tooltip: { filter: (item) => !item.dataset.band, callbacks: { label, title } },
        legend: { align: "start",
          labels: { color: colour("text"), usePointStyle: true, boxHeight: 7, padding: 14, filter: (item, all) => !all.datasets[item.datasetIndex].band },
          onClick: (event, item, legend) => {
            const chart = legend.chart, group = chart.data.datasets[item.datasetIndex].group;
            const show = !chart.isDatasetVisible(item.datasetIndex);
            chart.data.datasets.forEach((d, i) => { if (d.group === group) chart.setDatasetVisibility(i, show); });
            chart.update();
          } } } };
  };

  for (const source of document.querySelectorAll("script.chart-data")) {
    const figure = source.closest("figure");
    const data = JSON.parse(source.textContent);
    const still = [...figure.querySelectorAll(".wide,.narrow")];
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Interactive" });
    button.setAttribute("aria-pressed", "false");
    figure.querySelector(".tools").prepend(button);
    let chart = null, box = null;
    const close = () => {
      chart.destroy();
      box.remove();
      chart = box = null;
      still.forEach((node) => { node.style.display = ""; });
    };
    const open = () => {
      box = document.createElement("div");
      box.className = "live-box";
      const heading = Object.assign(document.createElement("p"), { className: "live-title", textContent: data.title });
      const frame = Object.assign(document.createElement("div"), { className: "live" });
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", data.title);
      frame.append(canvas);
      box.append(heading, frame);
      still[0].before(box);
      still.forEach((node) => { node.style.display = "none"; });
      Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
      chart = new Chart(canvas, {
        type: "line", data: { labels: data.categories || undefined, datasets: datasets(data) }, options: options(data) });
    };
    button.addEventListener("click", () => {
      chart ? close() : open();
      button.setAttribute("aria-pressed", String(chart !== null));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      if (chart) { close(); open(); }
    });
  }
})();
)js";

}  // namespace fathom
