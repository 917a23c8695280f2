page.part(async (payload, keep) => {
  "use strict";
  const { draw, listen, now } = page;
  const uses = payload.uses;
  if (!uses) return;
  // restored before anything is awaited, since a page may be renewed again at once
  const chooser = document.getElementById("sample");
  const option = keep && [...chooser.options].find((o) => o.dataset.group === keep.group && o.textContent === keep.sample);
  if (option) option.selected = true;
  const kinds = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
  const unpacked = async (pack) => {
    const text = atob(pack.data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Response(bytes).body.pipeThrough(new DecompressionStream("gzip"));
    const data = new kinds[pack.type](await new Response(stream).arrayBuffer());
    return { shape: pack.shape, data: pack.scale ? Float32Array.from(data, (x) => x * pack.scale) : data };
  };
  for (const group of uses.groups) {
    for (const key of ["output", "subsets", "values", "courses", "errors", "kept", "course_errors", "pictures", "points", "of"]) {
      if (group[key]) group[key] = await unpacked(group[key]);
    }
  }
  const tiles = document.getElementById("tiles");
  const said = document.getElementById("said");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);

  // the interaction in the place `k` of a sample at a step: AND in the first half of the places, OR in the second
  const term = (group, place, value) => {
    const size = 2 ** group.players;
    const subset = place % size;
    const members = [];
    for (let i = 0; i < group.players; i++) if (subset >> i & 1) members.push(i);
    return { kind: place < size ? "and" : "or", members, value };
  };
  const measured = (group, index) => {
    const step = payload.steps[index];
    let at = 0;
    group.steps.forEach((s, i) => { if (s <= step) at = i; });
    return at;
  };
  const terms = (group, at, sample) => {
    const [, samples, top] = group.subsets.shape;
    const start = (at * samples + sample) * top;
    const out = [];
    for (let k = 0; k < top; k++) {
      const value = group.values.data[start + k];
      if (value === 0) continue;
      const one = term(group, group.subsets.data[start + k], value);
      // of several near-by steps: the standard error of the mean, and what all of them have
      if (group.counts && group.counts[at] > 1) one.near = ` ± ${group.errors.data[start + k].toFixed(2)}, kept ${signed(group.kept.data[start + k])}`;
      out.push(one);
    }
    return out;
  };
  const named = (group, sample, members) => {
    if (group.look === "pieces") {
      const words = group.pieces[sample].filter(([, player]) => members.includes(player)).map(([text]) => text);
      return words.map((text) => (text.length > 24 ? text.slice(0, 23) + "…" : text)).join(", ");
    }
    return (members.length === 1 ? "player " : "players ") + members.join(", ");
  };

  const paint = (group, sample, one) => {
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
        image.data[4 * i + c] = pale ? 0.35 * level + 0.65 * 225 : level;
      }
      image.data[4 * i + 3] = 255;
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const scale = Math.max(1, Math.round(264 / width));
    const canvas = document.createElement("canvas");
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (one === null) return canvas;
    pen.strokeStyle = colour(one.kind);
    pen.lineWidth = 6;
    pen.lineCap = "square";
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

  const cloud = (group, sample, one) => {
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
    const scale = 244 / Math.max(x1 - x0, y1 - y0, 1e-9);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 264;
    const pen = canvas.getContext("2d");
    for (const strong of [false, true]) {
      flat.forEach(([x, y], i) => {
        if ((one === null || one.members.includes(of[i])) !== strong) return;
        pen.fillStyle = strong ? (one === null ? colour("muted") : colour(one.kind)) : colour("line");
        pen.beginPath();
        pen.arc(132 + (x - (x0 + x1) / 2) * scale, 132 - (y - (y0 + y1) / 2) * scale, strong ? 4 : 3, 0, 7);
        pen.fill();
      });
    }
    return canvas;
  };

  const tile = (group, sample, one) => {
    const words = one === null ? "the sample" : `${one.kind.toUpperCase()} ${signed(one.value)}${one.near ?? ""}`;
    if (group.look === "pieces" || group.look === "numbers") {
      const line = document.createElement("p");
      line.className = "sentence";
      const head = document.createElement("span");
      head.textContent = words;
      const body = document.createElement("span");
      const pieces = group.look === "pieces" ? group.pieces[sample]
        : Array.from({ length: group.players }, (_, i) => [`player ${i}`, i]);
      for (const [text, player] of pieces) {
        const piece = document.createElement("bdi");
        piece.textContent = text.length > 48 ? text.slice(0, 47) + "…" : text;
        if (one !== null && one.members.includes(player)) piece.className = one.kind;
        body.append(piece, " ");
      }
      line.append(head, body);
      return line;
    }
    const figure = document.createElement("figure");
    const canvas = group.look === "pictures" ? paint(group, sample, one) : cloud(group, sample, one);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", one === null ? words : `${words}: ${named(group, sample, one.members)}`);
    const caption = document.createElement("figcaption");
    caption.textContent = one === null ? words : `${words}, ${named(group, sample, one.members)}`;
    figure.append(canvas, caption);
    return figure;
  };

  const chosen = () => {
    const option = chooser.selectedOptions[0];
    return [uses.groups[Number(option.dataset.group)], Number(option.value)];
  };

  const show = (index) => {
    const [group, sample] = chosen();
    const at = measured(group, index);
    const found = terms(group, at, sample);
    const output = group.output.data[at * group.output.shape[1] + sample];
    const [from, to] = [group.steps[at], (group.ends ?? group.steps)[at]].map((step) => step.toLocaleString("en"));
    const when = group.counts && group.counts[at] > 1
      ? `Over ${group.counts[at]} near-by steps, ${from} to ${to}, the mean output` : `At step ${from} the output`;
    said.textContent = `${when} for its class is ${signed(output)} `
      + `${group.unit}. ` + (found.length ? "" : "No interaction differs from zero.");
    const whole = group.look === "pictures" || group.look === "points" ? [null] : [];
    tiles.replaceChildren(...[...whole, ...found].map((one) => tile(group, sample, one)));
  };

  const chart = payload.charts.find((c) => c.id === "courses");
  const course = () => {
    const [group, sample] = chosen();
    const [steps, samples, top] = group.courses.shape;
    const dashes = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
    const last = terms(group, steps - 1, sample);
    chart.data = last.map((one, k) => {
      const y = [];
      const error = [];
      for (let at = 0; at < steps; at++) {
        y.push(group.courses.data[(at * samples + sample) * top + k]);
        error.push(group.counts && group.counts[at] > 1 ? group.course_errors.data[(at * samples + sample) * top + k] : null);
      }
      const name = `${one.kind.toUpperCase()} ${named(group, sample, one.members)}`;
      const safe = name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
      const x = group.steps.map((step) => payload.positions[payload.steps.indexOf(step)]);
      return {
        x, y, ...(group.counts ? { error_y: { type: "data", array: error, thickness: 1, width: 2 } } : {}),
        name: safe.length > 60 ? safe.slice(0, 59) + "…" : safe, mode: "lines+markers",
        customdata: group.steps.map((step, at) => (error[at] === null ? [step] : [step, y[at] - error[at], y[at] + error[at]])),
        line: { color: `var:${one.kind}`, dash: dashes[k % dashes.length], width: 2 },
        marker: { color: `var:${one.kind}`, size: 5, symbol: ["circle", "square", "diamond", "x", "cross", "star"][k % 6] },
        text: error.map((e) => (e === null ? "" : ` ± ${e.toFixed(3)}`)),
        hovertemplate: "<b>step %{customdata[0]:,}</b><br>%{y:.3f}%{text}<extra></extra>",
      };
    });
    draw([chart]);
  };

  listen(show);
  chooser.addEventListener("change", () => { show(now()); course(); });
  show(now());
  course();
});
