"use strict";
// Draws the results in #data. No library; every figure is an SVG that takes its colours from the style sheet.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const NONE = "not reported";
const MOST_ROWS = 60; // of the node table, until asked for more

// ---- elements, numbers, words

function make(space, name, attributes, children) {
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}
const h = (name, attributes, ...children) => make(null, name, attributes, children);
const s = (name, attributes, ...children) => make(SVG, name, attributes, children);

const digits = (value, n = 3) => {
  if (value === 0) return "0";
  const places = Math.max(0, n - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en", { minimumFractionDigits: Math.min(places, 6), maximumFractionDigits: Math.min(places, 6) });
};
const scaled = (value, unit, step = 1000) => {
  const names = ["", "k", "M", "G", "T"];
  let index = 0;
  while (Math.abs(value) >= step && index < names.length - 1) { value /= step; index += 1; }
  return [digits(value), names[index] + unit];
};
const ms = (value) => (value === null ? [null, ""] : value >= 10000 ? [digits(value / 1000), "s"] : [digits(value), "ms"]);
const bytes = (value) => (value === null ? [null, ""] : scaled(value, "B"));
const joined = ([value, unit]) => (value === null ? NONE : `${value} ${unit}`);
const percent = (share, n = 1) => `${(100 * share).toFixed(n)} %`;
const signed = (share) => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} %`;
const flat = (lists) => [].concat(...lists);
const quantile = (sorted, p) => sorted[Math.ceil((p * sorted.length) / 100) - 1];

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
/** A dotted path may break behind its dots and slashes. */
const breakable = (text) => flat(text.split(/(?<=[./])/).map((part) => [part, h("wbr", {})]));

// ---- axes

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((value) => value >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  return found;
}
function decades(low, high) {
  const found = [];
  for (let k = Math.ceil(Math.log10(low) - 1e-9); 10 ** k <= high * 1.0001; k += 1) found.push(10 ** k);
  return found;
}
const linear = (low, high, start, end) => (value) => start + ((value - low) / (high - low || 1)) * (end - start);
const log = (low, high, start, end) => {
  const place = linear(Math.log(low), Math.log(high), start, end);
  return (value) => place(Math.log(value));
};
const short = (value) => (value >= 1e9 ? `${value / 1e9}G` : value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k`
  : String(Number(value.toPrecision(6))));

/** A frame with gridlines; returns the svg, and the places of x and y. `log` axes take positive ranges. */
function frame(label, { x, y, height = 230, width = 560, xName, yName, xLog, yLog, left = 48 }) {
  const [right, top, bottom] = [12, 22, 36];
  const px = (xLog ? log : linear)(x[0], x[1], left, width - right);
  const py = (yLog ? log : linear)(y[0], y[1], height - bottom, top);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const value of yLog ? decades(...y) : ticks(...y, 4)) {
    svg.append(s("path", { class: "axis", d: `M${left} ${py(value)}H${width - right}` }),
      s("text", { x: left - 6, y: py(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const value of xLog ? decades(...x) : ticks(...x, width > 400 ? 6 : 4)) {
    svg.append(s("text", { x: px(value), y: height - bottom + 16, "text-anchor": "middle" }, short(value)));
  }
  svg.append(s("text", { x: width - right, y: height - 4, "text-anchor": "end" }, xName));
  svg.append(s("text", { x: left - 6, y: 9, "text-anchor": "end" }, yName));
  return { svg, px, py, left, right: width - right, bottom: height - bottom, top };
}

function section(title, about, ...children) {
  return h("section", { "aria-label": title },
    h("header", {}, h("h2", {}, title), about ? h("span", { class: "soft small" }, about) : null), ...children);
}

// ---- one result

const stagesOf = (result) => (result.breakdown ? result.breakdown.stages.map((stage) => stage.name) : []);
function colour(result, stage) {
  const index = stagesOf(result).indexOf(stage);
  return index < 0 ? "var(--none)" : `var(--s${index % 8})`;
}

function tiles(result) {
  const energy = result.energy;
  const all = [
    ["end to end, p50", ms(result.end_to_end_ms && result.end_to_end_ms.p50)],
    ["engine, p50", ms(result.engine_ms && result.engine_ms.p50)],
    ["images per second", [result.images_per_s === null ? null : digits(result.images_per_s), ""]],
    ["cold load", ms(result.cold_load_ms)],
    ["first call", ms(result.first_ms)],
    ["peak host memory", bytes(result.peak_rss_bytes)],
    ["peak device memory", bytes(result.peak_device_bytes)],
    ["model", bytes(result.subject.model_bytes)],
    ["energy an image", energy ? [digits(energy.joules_per_image), "J"] : [null, ""]],
    ["parity here", [{ true: "holds", false: "fails", null: null }[String(result.quality.here)], ""]],
  ];
  return h("div", { class: "tiles" }, all.map(([name, [value, unit]]) => h("div", { class: "tile" },
    value === null ? h("b", { class: "none" }, NONE) : h("b", {}, value, unit ? h("small", {}, ` ${unit}`) : null),
    h("span", {}, name))));
}

function percentiles(result) {
  const names = ["p50", "p90", "p95", "p99", "min", "max", "mean", "n"];
  const row = (title, kind, times) => h("tr", {}, h("td", {}, h("span", { class: `chip ${kind}` }), title),
    names.map((name) => h("td", { class: "number" }, times === null ? "–" : name === "n" ? times.n : digits(times[name], 4))));
  return h("div", { class: "scroll", tabindex: 0 }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", {}, "ms"), names.map((name) => h("th", { class: "number" }, name)))),
    h("tbody", {}, row("end to end", "a", result.end_to_end_ms), row("engine", "b", result.engine_ms))));
}

function distribution(result) {
  const kinds = [["a", flat(result.runs.map((run) => run.end_to_end_ms))], ["b", flat(result.runs.map((run) => run.engine_ms))]];
  const all = flat(kinds.map(([, times]) => times));
  if (!all.length) return section("Latency", null, h("p", { class: "soft" }, "Not one iteration was timed."));
  let [low, high] = [Math.min(...all), Math.max(...all)];
  const room = (high - low) * 0.04 || high * 0.05;
  [low, high] = [Math.max(0, low - room), high + room];
  const bins = Math.max(8, Math.min(44, Math.ceil(Math.sqrt(all.length) * 2)));
  const counted = kinds.map(([kind, times]) => {
    const counts = new Array(bins).fill(0);
    for (const time of times) counts[Math.min(bins - 1, Math.floor(((time - low) / (high - low)) * bins))] += 1;
    return [kind, counts, times.slice().sort((p, q) => p - q)];
  });
  const most = Math.max(...flat(counted.map(([, counts]) => counts)));
  const f = frame("Histogram of latency", { x: [low, high], y: [0, most], xName: "ms", yName: "calls" });
  for (const [kind, counts, sorted] of counted) {
    counts.forEach((count, k) => {
      if (!count) return;
      const x = f.px(low + ((high - low) * k) / bins) + 0.5, y = f.py(count);
      f.svg.append(s("rect", { class: `bar ${kind}`, x, y, width: (f.right - f.left) / bins - 1, height: f.bottom - y },
        s("title", {}, `${count} calls near ${digits(low + ((high - low) * (k + 0.5)) / bins, 4)} ms`)));
    });
    for (const p of kind === "a" ? [50, 99] : [50]) {
      const x = f.px(quantile(sorted, p));
      f.svg.append(s("path", { class: `mark ${kind}`, d: `M${x} ${f.top}V${f.bottom}` }));
      if (kind === "a") f.svg.append(s("text", { x, y: f.top - 5, class: "strong", "text-anchor": "middle" }, `p${p}`));
    }
  }
  return section("Latency", `${result.settings.scenario}, ${plural(kinds[0][1].length, "iteration")} in ${plural(result.runs.length, "run")}`,
    f.svg, percentiles(result));
}

function overTime(result) {
  const runs = result.runs.filter((run) => run.start_s.length);
  if (!runs.length) return null;
  const all = flat(runs.map((run) => run.end_to_end_ms.concat(run.engine_ms)));
  const starts = flat(runs.map((run) => run.start_s));
  const f = frame("Latency over time", { x: [Math.min(...starts), Math.max(...starts) + 1e-3], y: [0, Math.max(...all) * 1.08],
    xName: "seconds", yName: "ms" });
  runs.forEach((run, k) => {
    if (k) f.svg.append(s("path", { class: "axis", d: `M${f.px(run.start_s[0]) - 3} ${f.top}V${f.bottom}` }));
    for (const [kind, times] of [["b", run.engine_ms], ["a", run.end_to_end_ms]]) {
      times.forEach((time, i) => f.svg.append(s("circle", { class: `dot ${kind}`, cx: f.px(run.start_s[i]), cy: f.py(time), r: 2.6 },
        s("title", {}, `run ${k + 1}, iteration ${i + 1}: ${digits(time, 4)} ms`))));
    }
  });
  const drift = result.drift;
  const words = drift ? `${signed(drift.within)} within a run (p ${digits(drift.p, 2)})` +
    (drift.between === null ? "" : `, runs ${percent(drift.between)} apart`) : "too few samples for a drift";
  return section("Over time", words, f.svg, legend([["a", "end to end"], ["b", "engine"]]));
}

const legend = (rows) => h("div", { class: "legend" },
  rows.map(([kind, name]) => h("span", kind.startsWith("var") ? { style: `--c:${kind}` } : { class: kind }, h("i", {}), name)));

function stages(result) {
  const inside = result.breakdown;
  if (!inside) return section("Stages", null, h("p", { class: "soft" }, result.partial ? "not looked into" : `${NONE} by ${result.runtime.backend}`));
  const rows = inside.stages.concat([{ name: "unattributed", ms: inside.unattributed_ms, share: inside.unattributed_ms / inside.engine_ms }]);
  const most = Math.max(...rows.map((row) => row.share));
  return section("Stages", `one call of ${digits(inside.engine_ms, 4)} ms, looked into by the ${inside.method}`,
    rows.map((row) => h("div", { class: "stage", style: `--c:${colour(result, row.name)}` }, h("span", {}, row.name),
      h("div", {}, h("i", { style: `width:${(100 * Math.max(0, row.share)) / most}%` })),
      h("span", { class: "number" }, `${digits(row.ms)} ms · ${percent(row.share)}`))));
}

function timeline(result) {
  const spans = result.breakdown ? result.breakdown.timeline : [];
  if (!spans.length) return null;
  const lanes = [...new Set(spans.map((span) => span.stage))];
  const [row, left, top] = [22, 128, 6];
  const end = Math.max(...spans.map((span) => span.start_ms + span.ms));
  const height = top + lanes.length * row + 24;
  const holder = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Timeline, scrolls sideways" });
  function draw(zoom) {
    const width = 1120 * zoom, px = linear(0, end, left, width - 12);
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, style: `width:${100 * zoom}%;min-width:${620 * zoom}px`, role: "img",
      "aria-label": "Every node of one call by stage and time" });
    for (const value of ticks(0, end, 8 * zoom)) {
      svg.append(s("path", { class: "axis", d: `M${px(value)} ${top}V${height - 22}` }),
        s("text", { x: px(value), y: height - 6, "text-anchor": "middle" }, `${short(value)} ms`));
    }
    lanes.forEach((lane, k) => svg.append(s("text", { class: "strong", x: 0, y: top + k * row + 15 }, lane)));
    for (const span of spans) {
      svg.append(s("rect", { x: px(span.start_ms), y: top + lanes.indexOf(span.stage) * row + 3, height: row - 6, rx: 1.5,
        width: Math.max(0.6, px(span.start_ms + span.ms) - px(span.start_ms)), fill: colour(result, span.stage) },
      s("title", {}, `${span.name}\n${digits(span.ms)} ms from ${digits(span.start_ms, 4)} ms`)));
    }
    holder.replaceChildren(svg);
  }
  draw(1);
  const zoom = h("input", { type: "range", min: 1, max: 12, value: 1, "aria-label": "Zoom of the timeline",
    oninput: (event) => draw(Number(event.target.value)) });
  return section("Timeline of one call", `${spans.length} nodes in the order they ran`,
    h("div", { class: "tools" }, h("label", {}, "zoom ", zoom)), holder);
}

const COLUMNS = [
  ["ms", "ms", (node) => digits(node.ms), true],
  ["op", "op", (node) => node.op],
  ["stage", "stage", (node) => node.stage],
  ["name", "node", (node) => node.name],
  ["shape", "shape", (node) => node.shape.join(" × "), false, (node) => node.shape.reduce((p, q) => p * q, 1)],
  ["flops", "FLOPs", (node) => (node.flops === null ? "–" : joined(scaled(node.flops, ""))), true],
  ["bytes", "bytes", (node) => (node.bytes === null ? "–" : joined(bytes(node.bytes))), true],
  ["roofline_share", "of roofline", (node) => (node.roofline_share === null ? "–" : percent(node.roofline_share, 0)), true],
];

function nodes(result) {
  if (!result.breakdown) return null;
  const all = result.breakdown.nodes, whole = result.breakdown.engine_ms;
  let [key, descending, limit] = ["ms", true, MOST_ROWS];
  const search = h("input", { type: "search", id: "filter", placeholder: "filter by name, op or shape", "aria-label": "Filter nodes",
    oninput: () => { limit = MOST_ROWS; draw(); } });
  const pick = h("select", { "aria-label": "Stage", onchange: () => draw() }, h("option", { value: "" }, "all stages"),
    [...new Set(all.map((node) => node.stage))].map((name) => h("option", { value: name }, name)));
  const count = h("span", { class: "soft small", role: "status" });
  const body = h("tbody", {}), more = h("button", { onclick: () => { limit = Infinity; draw(); } }, "show all");
  const heads = COLUMNS.map(([name, title, , right]) => h("th", { class: right ? "number" : null, "data-key": name },
    h("button", { onclick: () => sort(name) }, title)));
  function sort(name) {
    [key, descending] = [name, name === key ? !descending : !["op", "stage", "name"].includes(name)];
    draw();
  }
  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const column = COLUMNS.find(([name]) => name === key), value = column[4] || ((node) => node[key]);
    const found = all.filter((node) => (!pick.value || node.stage === pick.value) &&
      words.every((word) => `${node.name} ${node.op} ${node.shape.join("x")}`.toLowerCase().includes(word)));
    found.sort((p, q) => {
      const [a, b] = [value(p), value(q)];
      if (a === null || b === null) return (a === null) - (b === null); // what is not reported comes last
      const order = typeof a === "string" ? a.localeCompare(b) : a - b;
      return descending ? -order : order;
    });
    heads.forEach((head) => (head.dataset.key === key ? head.setAttribute("aria-sort", descending ? "descending" : "ascending")
      : head.removeAttribute("aria-sort")));
    body.replaceChildren(...found.slice(0, limit).map((node) => h("tr", {}, COLUMNS.map(([name, , text, right]) =>
      h("td", { class: right ? "number" : name === "name" ? "name mono" : "whole" },
        name === "ms" ? h("span", { class: "meter" }, h("i", { style: `width:${Math.min(100, (100 * node.ms) / all[0].ms)}%` })) : null,
        name === "stage" ? h("span", { class: "chip", style: `--c:${colour(result, node.stage)}` }) : null,
        name === "name" ? breakable(node.name) : text(node))))));
    const sum = found.reduce((total, node) => total + node.ms, 0);
    count.textContent = `${found.length} of ${all.length} nodes, ${digits(sum)} ms, ${percent(sum / whole)} of the call`;
    more.hidden = found.length <= limit;
  }
  draw();
  return section("Nodes", result.breakdown.roofline ? `roofline: ${result.breakdown.roofline}` : null,
    h("div", { class: "tools" }, search, pick, count),
    h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Table of nodes" }, h("table", { id: "nodes" }, h("thead", {}, h("tr", {}, heads)), body)), more);
}

function roofline(result) {
  const inside = result.breakdown;
  if (!inside || !inside.peak_flops_per_s) return null;
  const [peak, pace] = [inside.peak_flops_per_s, inside.peak_bytes_per_s];
  const points = inside.nodes.filter((node) => node.flops > 0 && node.bytes > 0 && node.ms > 0)
    .map((node) => ({ node, x: node.flops / node.bytes, y: node.flops / node.ms / 1e6 })); // FLOP/ms to GFLOP/s
  if (!points.length) return null;
  const xs = points.map((point) => point.x).concat(peak / pace / 2, peak / pace), ys = points.map((point) => point.y).concat(peak / 1e9);
  const x = [Math.min(...xs) / 2, Math.max(...xs) * 2], y = [Math.max(Math.min(...ys) / 2, 1e-6), Math.max(...ys) * 2];
  const f = frame("Roofline", { x, y, xLog: true, yLog: true, xName: "FLOP a byte", yName: "GFLOP/s", height: 300 });
  const knee = peak / pace, floor = Math.max(Math.min(x[0], knee), (y[0] * 1e9) / pace);
  f.svg.append(s("path", { class: "roof", d:
    `M${f.px(floor)} ${f.py((floor * pace) / 1e9)}L${f.px(knee)} ${f.py(peak / 1e9)}H${f.right}` }));
  const most = Math.max(...points.map((point) => point.node.ms));
  for (const { node, x: at, y: rate } of points.reverse()) {
    f.svg.append(s("circle", { class: "point", cx: f.px(at), cy: f.py(rate), r: 2.5 + 6 * Math.sqrt(node.ms / most), fill: colour(result, node.stage) },
      s("title", {}, `${node.name}\n${node.op}, ${digits(node.ms)} ms\n${digits(rate)} GFLOP/s, ${digits(at)} FLOP a byte`)));
  }
  const shown = stagesOf(result).filter((name) => points.some((point) => point.node.stage === name));
  return section("Roofline", `${points.length} nodes with products; a larger dot takes longer`, f.svg,
    legend(shown.map((name) => [colour(result, name), name])));
}

/** Lines over the time of the measurement, of what was reported. */
function series(title, unit, result, pick, factor) {
  const names = [...new Set(flat(result.readings.map((reading) => Object.keys(pick(reading)))))];
  const lines = names.map((name) => result.readings.filter((reading) => pick(reading)[name] !== undefined && pick(reading)[name] !== null)
    .map((reading) => [reading.time_s, pick(reading)[name] * factor]));
  const kept = names.map((name, k) => [name, lines[k]]).filter(([, line]) => line.length > 1);
  if (!kept.length) return section(title, null, h("p", { class: "soft" }, NONE));
  const all = flat(kept.map(([, line]) => line));
  const last = Math.max(...all.map(([time]) => time)), high = Math.max(...all.map(([, value]) => value));
  const low = Math.min(0, ...all.map(([, value]) => value));
  const f = frame(title, { x: [0, last || 1], y: [low, high * 1.08 || 1], xName: "seconds", yName: unit, height: 190 });
  kept.forEach(([, line], k) => f.svg.append(s("path", { class: "line", style: `--c:var(--s${k % 8})`,
    d: line.map(([time, value], i) => `${i ? "L" : "M"}${f.px(time).toFixed(1)} ${f.py(value).toFixed(1)}`).join("") })));
  return section(title, null, f.svg, legend(kept.map(([name], k) => [`var(--s${k % 8})`, name])));
}

function sensors(result) {
  const memory = (reading) => ({ "this process": reading.rss_bytes, device: reading.device_bytes });
  return [
    series("Memory over time", "MB", result, memory, 1e-6),
    series("Clocks", "MHz", result, (reading) => reading.clocks_mhz, 1),
    series("Power", "W", result, (reading) => reading.power_mw, 1e-3),
    series("Temperature", "°C", result, (reading) => reading.temperatures_c, 1),
  ];
}

function stream(result) {
  const found = result.stream;
  if (!found) return null;
  const late = found.latency_ms;
  return section("Stream", `${digits(found.fps)} frames a second`,
    h("p", {}, h("b", {}, `${found.missed} of ${found.arrived} frames missed`),
      late ? `; the others were done ${digits(late.p50)} ms after they arrived (p50), ${digits(late.p99)} ms (p99)` : ""));
}

function details(result) {
  const rows = [];
  const walk = (name, value) => {
    if (value === null) rows.push([name, NONE]);
    else if (Array.isArray(value)) {
      const plain = value.every((item) => typeof item !== "object");
      rows.push([name, value.length ? (plain ? value.join(", ") : value.map((item) => `${item.name} ${item.dtype} [${item.shape.join(", ")}]`).join("; ")) : "none"]);
    } else if (typeof value === "object") Object.entries(value).forEach(([key, item]) => walk(`${name}${name ? "." : ""}${key}`, item));
    else rows.push([name, String(value)]);
  };
  walk("date", result.date);
  for (const part of ["subject", "runtime", "device", "settings", "quality"]) walk(part === "quality" ? "parity" : "", result[part]);
  return section("All that repeating this takes", null,
    h("dl", {}, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
}

// ---- several results

function label(result, k) {
  return `${k + 1}. ${result.subject.name}${result.subject.graph === result.subject.name ? "" : ` ${result.subject.graph}`} · ` +
    `${result.device.name} · ${result.runtime.backend} ${result.runtime.provider}`;
}

function comparison() {
  const rows = DATA.results.map((result, k) => ({ result, k, times: result.end_to_end_ms })).filter((row) => row.times);
  if (DATA.results.length < 2 || !rows.length) return null;
  const high = Math.max(...rows.map((row) => row.times.p99)) * 1.05, step = 30, left = 26;
  const width = 1120, height = rows.length * step + 34, px = linear(0, high, left, width - 12);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "End to end, minimum to p99 of every result",
    style: "min-width:32rem" });
  for (const value of ticks(0, high, 8)) {
    svg.append(s("path", { class: "axis", d: `M${px(value)} 4V${height - 26}` }),
      s("text", { x: px(value), y: height - 10, "text-anchor": "middle" }, `${short(value)} ms`));
  }
  rows.forEach(({ times, k }, i) => {
    const y = 18 + i * step, paint = `var(--s${k % 8})`;
    svg.append(s("text", { class: "strong", x: 4, y: y + 4 }, String(k + 1)),
      s("path", { d: `M${px(times.min)} ${y}H${px(times.p99)}`, stroke: paint, "stroke-width": 3, opacity: 0.45 }),
      s("path", { d: `M${px(times.p50)} ${y - 8}V${y + 8}`, stroke: paint, "stroke-width": 4 }));
  });
  const cell = (found, k) => {
    if (k === 0) return h("td", { class: "number" }, "1");
    if (!found) return h("td", { class: "number" }, "–");
    const word = !found.certain ? "" : found.ratio > 1 ? "slower" : "faster";
    const range = `[${signed(found.low - 1)}, ${found.high === null ? "?" : signed(found.high - 1)}]`;
    return h("td", { class: "number" }, h("span", { class: word }, signed(found.ratio - 1)), " ", h("span", { class: "soft" }, range));
  };
  const body = DATA.results.map((result, k) => {
    const found = k ? DATA.compared[k - 1] : null;
    return h("tr", {}, h("td", {}, h("span", { class: "chip", style: `--c:var(--s${k % 8})` }), label(result, k)),
      ["p50", "p99"].map((name) => h("td", { class: "number" }, result.end_to_end_ms ? digits(result.end_to_end_ms[name], 4) : "–")),
      h("td", { class: "number" }, result.engine_ms ? digits(result.engine_ms.p50, 4) : "–"),
      cell(found && found.end_to_end, k), cell(found && found.engine, k),
      h("td", { class: "number" }, joined(bytes(result.peak_rss_bytes))),
      h("td", { class: "number" }, result.energy ? `${digits(result.energy.joules_per_image)} J` : NONE),
      h("td", { class: "whole" }, result.marks.length ? plural(result.marks.length, "note") : ""));
  });
  const heads = ["result", "p50 ms", "p99 ms", "engine p50", "end to end against 1", "engine against 1", "memory", "energy", ""];
  const differing = DATA.compared.map((found, k) => (found && found.differences.length ? h("details", {},
    h("summary", {}, `what differs between 1 and ${k + 2}`), h("ul", { class: "small" }, found.differences.map((line) => h("li", {}, line)))) : null));
  return section("Comparison", "bars from minimum to p99, ticks at p50; changes with 95 % intervals of a paired bootstrap",
    h("div", { class: "scroll", tabindex: 0 }, svg),
    h("div", { class: "scroll", tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((name, i) =>
      h("th", { class: i && i < 8 ? "number" : null }, name)))), h("tbody", {}, body))), differing);
}

// ---- the page

function show(chosen) {
  const result = DATA.results[chosen], subject = result.subject;
  const tabs = DATA.results.length > 1 ? h("nav", { "aria-label": "Results" }, DATA.results.map((one, k) =>
    h("button", { "aria-pressed": String(k === chosen), onclick: () => show(k) }, label(one, k)))) : null;
  const bad = (mark) => /^(partial|fails)/.test(mark);
  document.getElementById("main").replaceChildren(...[
    h("h1", {}, `${subject.graph}, ${subject.precision}`),
    h("p", { class: "soft" }, `${result.device.name} · ${result.runtime.backend} ${result.runtime.provider}` +
      `${result.runtime.threads ? ` · ${plural(result.runtime.threads, "thread")}` : ""} · ${subject.name} · ${result.date.replace("T", " ").slice(0, 16)} UTC`),
    comparison(), tabs,
    result.marks.length ? h("ul", { class: "marks", "aria-label": "Notes" }, result.marks.map((mark) => h("li", { class: bad(mark) ? "bad" : null }, mark))) : null,
    tiles(result), h("div", { class: "two" }, distribution(result), overTime(result)), stream(result), stages(result), timeline(result),
    nodes(result), h("div", { class: "two" }, roofline(result), ...sensors(result)), details(result),
  ].filter(Boolean));
}
show(0);
