// Samples as the page shows them: unpacked once, named, and drawn with the parts of an interaction marked.
const look = (() => {
  "use strict";
  const kinds = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
  const unknown = -32768; // among 16-bit numbers: it cannot be told
  const unpacked = async (pack) => {
    const bytes = Uint8Array.fromBase64?.(pack.data) ?? Uint8Array.from(atob(pack.data), (c) => c.charCodeAt(0));
    const stream = new Response(bytes).body.pipeThrough(new DecompressionStream("gzip"));
    const data = new kinds[pack.type](await new Response(stream).arrayBuffer());
    const scaled = (x) => (x === unknown ? NaN : x * pack.scale);
    return { shape: pack.shape, data: pack.scale ? Float32Array.from(data, scaled) : data };
  };
  const ready = new WeakMap();
  const open = async (uses) => {
    const keys = ["base", "output", "salient", "subsets", "values", "courses", "errors", "kept", "course_errors", "pictures", "points", "of"];
    const put = async (place, key) => { place[key] = await unpacked(place[key]); };
    await Promise.all(uses.groups.flatMap((group) => [
      ...keys.filter((key) => group[key]).map((key) => put(group, key)), ...(group.used ? [put(group.used, "values")] : []),
    ]));
    return uses.groups;
  };
  // the groups of a payload, their arrays unpacked; asked for by every part of the page
  const groups = (uses) => {
    if (!ready.has(uses)) ready.set(uses, open(uses));
    return ready.get(uses);
  };

  const el = (tag, attributes = {}, ...children) => {
    const out = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") out.className = value;
      else if (name === "on") for (const [event, act] of Object.entries(value)) out.addEventListener(event, act);
      else if (value !== null && value !== undefined) out.setAttribute(name, value);
    }
    out.append(...children);
    return out;
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const side = (value) => (value < 0 ? "down" : "up");
  const decimals = (span) => (span > 0 && Number.isFinite(span) ? Math.min(12, Math.max(2, 2 - Math.floor(Math.log10(span)))) : 2);
  // with its sign; what rounds to zero has none
  const signed = (x, places = 2) => {
    const text = Math.abs(x).toFixed(places);
    return /[1-9]/.test(text) ? (x < 0 ? "−" : "+") + text : text;
  };
  const short = (text, most = 24) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const bdi = (text, most = 24) => el("bdi", text.length > most ? { title: text } : {}, short(text, most));
  const label = (group, sample) => {
    if (!group.labels) return "";
    const given = group.labels[sample];
    return group.classes[given] ?? String(given);
  };
  const titled = (group, sample) => `Sample ${group.ids[sample]}${group.labels ? ", class " + short(label(group, sample), 40) : ""}`;
  const mark = (kind) => (kind === "and" ? "●" : "◆");
  const called = (group, sample, members) => members.map((i) => short(group.names[sample][i] || `player ${i}`, 32)).join(", ");

  // the checkpoint of a group at, or last before, that of the page
  const measured = (group, payload, index) => {
    const step = payload.steps[index];
    let at = 0;
    group.steps.forEach((s, i) => { if (s <= step) at = i; });
    return at;
  };
  // an interaction by its place: AND in the first half, OR in the second
  const term = (group, place, value) => {
    const size = 2 ** group.players;
    const members = [];
    for (let i = 0; i < group.players; i++) if ((place % size) >> i & 1) members.push(i);
    return { kind: place < size ? "and" : "or", members, value };
  };
  const terms = (group, at, sample) => {
    const [, samples, top] = group.subsets.shape;
    const start = (at * samples + sample) * top;
    const out = [];
    for (let k = start; k < start + top; k++) {
      if (group.values.data[k] === 0) continue;
      const one = term(group, group.subsets.data[k], group.values.data[k]);
      // of several near-by steps: the standard error of the mean, and what all of them have
      if (group.counts && group.counts[at] > 1) one.near = ` ± ${group.errors.data[k].toFixed(2)}, kept ${signed(group.kept.data[k])}`;
      out.push(one);
    }
    return out;
  };

  const paint = (group, sample, one, size) => {
    const [, height, width, depth] = group.pictures.shape;
    const pixels = group.pictures.data.subarray(sample * height * width * depth);
    const of = group.of.data.subarray(sample * height * width, (sample + 1) * height * width);
    const inside = (y, x) => y >= 0 && x >= 0 && y < height && x < width && one !== null
      && one.members.includes(of[y * width + x]);
    const small = new OffscreenCanvas(width, height);
    const image = new ImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      const pale = one !== null && !one.members.includes(of[i]);
      for (let c = 0; c < 3; c++) {
        const level = pixels[i * depth + (depth === 3 ? c : 0)];
        image.data[4 * i + c] = pale ? 0.4 * level + 0.6 * 200 : level;
      }
      image.data[4 * i + 3] = 255;
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const scale = Math.max(1, Math.round(2 * size / Math.max(width, height)));
    const canvas = el("canvas", { width: width * scale, height: height * scale });
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (one === null) return canvas;
    const thick = Math.max(4, size / 24);
    pen.strokeStyle = colour(side(one.value));
    pen.lineWidth = thick;
    pen.lineCap = one.kind === "and" ? "square" : "butt";
    if (one.kind === "or") pen.setLineDash([2 * thick, 1.2 * thick]);
    pen.beginPath();
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        if (inside(y, x) !== inside(y, x - 1)) { pen.moveTo(x * scale, y * scale); pen.lineTo(x * scale, (y + 1) * scale); }
        if (inside(y, x) !== inside(y - 1, x)) { pen.moveTo(x * scale, y * scale); pen.lineTo((x + 1) * scale, y * scale); }
      }
    }
    pen.stroke();
    return canvas;
  };

  const cloud = (group, sample, one, size) => {
    const [, points, axes] = group.points.shape;
    const at = group.points.data.subarray(sample * points * axes, (sample + 1) * points * axes);
    const of = group.of.data.subarray(sample * points, (sample + 1) * points);
    const flat = [];
    for (let i = 0; i < points; i++) {
      const [x, y, z] = [at[i * axes], at[i * axes + 1], axes === 3 ? at[i * axes + 2] : 0];
      flat.push(axes === 3 ? [0.87 * x - 0.5 * z, 0.25 * x + 0.94 * y + 0.43 * z] : [x, y]);
    }
    const span = (k) => [Math.min(...flat.map((p) => p[k])), Math.max(...flat.map((p) => p[k]))];
    const [[x0, x1], [y0, y1]] = [span(0), span(1)];
    const scale = 1.84 * size / Math.max(x1 - x0, y1 - y0, 1e-9);
    const canvas = el("canvas", { width: 2 * size, height: 2 * size });
    const pen = canvas.getContext("2d");
    const dot = Math.max(1.5, size / 50);
    for (const strong of [false, true]) {
      flat.forEach(([x, y], i) => {
        if ((one === null || one.members.includes(of[i])) !== strong) return;
        const [left, top] = [size + (x - (x0 + x1) / 2) * scale, size - (y - (y0 + y1) / 2) * scale];
        pen.fillStyle = pen.strokeStyle = strong ? colour(one === null ? "muted" : side(one.value)) : colour("line");
        pen.beginPath();
        pen.arc(left, top, strong ? 1.3 * dot : dot, 0, 7);
        if (strong && one !== null && one.kind === "or") pen.stroke();
        else pen.fill();
      });
    }
    return canvas;
  };

  // of columns those that are parts, and in a list only those of the interaction: the others are always present
  const sentence = (group, sample, one, most = Infinity) => {
    const few = one !== null && most < Infinity;
    const pieces = group.kind !== "columns" ? group.pieces[sample]
      : group.pieces[sample].filter(([, player]) => (few ? one.members.includes(player) : player >= 0));
    const line = el("p", { class: "sentence" });
    for (const [text, player] of pieces.slice(0, most)) {
      const piece = bdi(text, 48);
      if (one !== null && one.members.includes(player)) piece.className = `${one.kind} ${side(one.value)}`;
      else if (player >= 0) piece.className = "part";
      line.append(piece, " ");
    }
    if (pieces.length > most) line.append("…");
    return line;
  };

  // the sample at a size, in CSS pixels, with the parts of one interaction marked, or none
  const drawn = (group, sample, one, size, words) => {
    if (group.look === "pieces") return sentence(group, sample, one, size < 100 ? 16 : Infinity);
    if (group.look === "numbers") return el("p", { class: "sentence" }, one === null ? "" : called(group, sample, one.members));
    const canvas = group.look === "pictures" ? paint(group, sample, one, size) : cloud(group, sample, one, size);
    canvas.style.width = `${size}px`;
    if (words === "") canvas.setAttribute("aria-hidden", "true");
    else {
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", words);
    }
    return canvas;
  };

  // a small curve over training, from its values by checkpoint
  const spark = (positions, values, words) => {
    const [w, h] = [110, 30];
    const known = values.filter(Number.isFinite);
    const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
    const [first, last] = [positions[0], positions[positions.length - 1]];
    const place = (v, i) => [3 + (w - 6) * (last > first ? (positions[i] - first) / (last - first) : 0.5), h - 3 - (h - 6) * (high > low ? (v - low) / (high - low) : 0.5)];
    const dots = values.map((v, i) => (Number.isFinite(v) ? place(v, i) : null)).filter(Boolean).map((p) => p.map((x) => x.toFixed(1)).join(","));
    const zero = place(0, 0)[1].toFixed(1);
    const svg = svgel("svg", { class: "spark", viewBox: `0 0 ${w} ${h}`, width: w, height: h, role: "img", "aria-label": words });
    svg.append(svgel("line", { x1: 0, x2: w, y1: zero, y2: zero, class: "zero" }), svgel("polyline", { points: dots.join(" ") }));
    return svg;
  };
  const svgel = (tag, attributes = {}) => {
    const out = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) out.setAttribute(name, value);
    return out;
  };

  // what was chosen stays so where a live page is renewed; asked for before anything is awaited
  const kept = new Map();
  const remember = (select) => {
    const wanted = kept.get(select.id);
    if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
    select.addEventListener("change", () => kept.set(select.id, select.value));
  };

  // the viewer of one sample is opened by other parts of the page
  const viewer = { open: () => {} };
  return { groups, el, svgel, colour, side, decimals, signed, short, bdi, label, titled, mark, called, measured, terms, drawn, spark, kept, remember, viewer };
})();

{% include "page_adds.js" %}
{% include "page_used.js" %}
{% include "page_cards.js" %}
