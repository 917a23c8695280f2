// What the network uses over all samples: bars over a matrix of parts, or a network; from a bar to the samples that have it.
page.part(async (payload) => {
  "use strict";
  const over = document.getElementById("over");
  if (!payload.uses || !over) return;
  const { el, svgel, decimals, signed, short, bdi, side, mark } = look;
  const [chooser, classes, by, as, at, step, naming, having] = ["over-group", "over-class", "over-by", "over-as", "over-at", "over-step", "over-naming", "having"]
    .map((id) => document.getElementById(id));
  const SHOWN = { bars: 12, network: 40 };
  for (const select of [chooser, by, as]) look.remember(select);
  const groups = await look.groups(payload.uses);
  let picked = null; // the interaction whose samples are listed: its number in the group
  const group = () => groups[Number(chooser.value)];
  const named = (k) => `${group().used.kinds[k]} ${group().used.players[k].map((i) => group().used.names[i]).sort().join(", ")}`;

  const fill = () => {
    const labels = group().labels;
    const every = labels ? [...new Set(labels)].sort((a, b) => a - b) : [];
    classes.replaceChildren(el("option", { value: "" }, "all"), ...every.map((label) => el("option", { value: label }, short(group().classes[label] ?? String(label), 40))));
    classes.parentElement.querySelector('[for="over-class"]').hidden = classes.hidden = every.length < 2;
    naming.textContent = group().used.naming;
  };
  // mean, sign and share of one interaction at a checkpoint over the samples of a class
  const summed = (k, index) => {
    const { data, shape: [, samples, used] } = group().used.values;
    const out = { k, up: 0, down: 0, share: 0, seen: 0, samples: 0 };
    for (let i = 0; i < samples; i++) {
      if (classes.value !== "" && group().labels[i] !== Number(classes.value)) continue;
      out.samples++;
      const value = data[(index * samples + i) * used + k];
      if (Number.isNaN(value)) continue;
      out.seen++;
      if (value > 0) out.up += value;
      else out.down += value;
      out.share += value !== 0;
    }
    for (const key of ["up", "down", "share"]) out[key] /= Math.max(out.seen, 1);
    return { ...out, mean: out.up - out.down };
  };
  const strongest = (index, most) => group().used.kinds.map((_, k) => summed(k, index))
    .filter((one) => one.mean > 0 && one.seen >= Math.min(3, one.samples))
    .sort((a, b) => (by.value === "share" ? b.share - a.share || b.mean - a.mean : b.mean - a.mean)).slice(0, most);
  const who = (k) => group().used.players[k].map((i) => group().used.names[i]);
  const described = (one, places) => `${group().used.kinds[one.k].toUpperCase()} ${who(one.k).map((name) => short(name, 40)).join(", ")}: mean strength ${one.mean.toFixed(places)}, `
    + `raises the output by ${one.up.toFixed(places)}, lowers it by ${Math.abs(one.down).toFixed(places)} ${group().unit}, salient in ${Math.round(one.share * one.seen)} of ${one.seen} samples`;

  const bars = (found) => {
    const { used, unit } = group();
    const [top, low] = [Math.max(...found.map((one) => one.up), 0), Math.min(...found.map((one) => one.down), 0)];
    const places = decimals(top - low);
    const share = (x) => `${100 * x / (top - low || 1)}%`;
    const weight = new Map();
    for (const one of found) for (const i of used.players[one.k]) weight.set(i, (weight.get(i) ?? 0) + one.mean);
    let rows = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a)).slice(0, 24);
    if (used.grid) rows = rows.sort((a, b) => used.names[a].localeCompare(used.names[b], "en", { numeric: true }));
    const column = (one) => {
      const box = el("button", { type: "button", class: "bar", "aria-label": described(one, places), title: described(one, places), "aria-pressed": String(picked === one.k), on: { click: () => pick(one.k) } });
      for (const [name, value] of [["up", one.up], ["down", one.down]]) {
        const piece = el("span", { class: name, "aria-hidden": "true" });
        piece.style.height = share(Math.abs(value));
        piece.style[name === "up" ? "bottom" : "top"] = name === "up" ? share(-low) : share(top);
        box.append(piece);
      }
      const number = el("span", { class: "value", "aria-hidden": "true" }, one.mean.toFixed(places));
      number.style.bottom = share(one.up - low);
      box.append(number);
      return el("th", { scope: "col", class: picked === one.k ? "picked" : "" }, box);
    };
    const zero = el("span", { class: "zero", "aria-hidden": "true" });
    zero.style.bottom = `calc(6px + (100% - 28px) * ${-low / (top - low || 1)})`;
    const cell = (one, i, line) => {
      const lines = used.players[one.k].map((p) => rows.indexOf(p)).filter((r) => r >= 0);
      const [first, last] = [Math.min(...lines), Math.max(...lines)];
      const has = used.players[one.k].includes(i);
      const inside = line >= first && line <= last && last > first;
      const ends = inside ? `${line > first ? " from" : ""}${line < last ? " to" : ""}` : "";
      return el("td", { class: `${used.kinds[one.k]} ${side(one.up + one.down)}${ends}${picked === one.k ? " picked" : ""}` }, has ? el("span", {}, mark(used.kinds[one.k])) : "");
    };
    return el("table", { class: "upset" },
      el("thead", {}, el("tr", {}, el("td", { class: "axis" }, `mean over samples (${unit})`, zero), ...found.map(column))),
      el("tbody", {},
        el("tr", { class: "counts" }, el("th", { scope: "row" }, "salient in"), ...found.map((one) => el("td", {}, `${Math.round(one.share * one.seen)}/${one.seen}`))),
        ...rows.map((i, line) => el("tr", {}, el("th", { scope: "row" }, bdi(used.names[i])), ...found.map((one) => cell(one, i, line))))));
  };

  const network = (found) => {
    const { used } = group();
    const nodes = [...new Set(found.flatMap((one) => used.players[one.k]))];
    const place = new Map(nodes.map((i, n) => {
      const spot = used.grid && /^row (\d+) column (\d+)$/.exec(used.names[i]);
      const turn = Math.PI / 2 - 2 * Math.PI * n / nodes.length;
      return [i, spot ? [90 + 420 * (Number(spot[2]) - 0.5) / used.grid[1], 20 + 300 * (Number(spot[1]) - 0.5) / used.grid[0]] : [300 + 150 * Math.cos(turn), 170 - 130 * Math.sin(turn)]];
    }));
    const alone = new Map(nodes.map((i) => [i, 0]));
    const pairs = new Map();
    for (const one of found) {
      const players = used.players[one.k];
      if (players.length === 1) alone.set(players[0], alone.get(players[0]) + one.up + one.down);
      players.forEach((a, n) => players.slice(n + 1).forEach((b) => {
        const key = [a, b].sort((x, y) => x - y).join(" ");
        const sum = pairs.get(key) ?? { mean: 0, net: 0, or: 0 };
        pairs.set(key, { mean: sum.mean + one.mean, net: sum.net + one.up + one.down, or: sum.or + (used.kinds[one.k] === "or" ? one.mean : 0) });
      }));
    }
    const most = Math.max(...[...pairs.values()].map((pair) => pair.mean), 1e-12);
    const largest = Math.max(...[...alone.values()].map(Math.abs), 1e-12);
    const words = [...pairs].sort((a, b) => b[1].mean - a[1].mean).slice(0, 8).map(([key, pair]) => `${key.split(" ").map((i) => short(used.names[i])).join(" with ")} ${pair.mean.toFixed(2)}`);
    const svg = svgel("svg", { class: "network", viewBox: "0 0 600 340", role: "img", "aria-label": `Players that act together: ${words.join("; ") || "none"}` });
    for (const [key, pair] of [...pairs].sort((a, b) => a[1].mean - b[1].mean)) {
      const [[x1, y1], [x2, y2]] = key.split(" ").map((i) => place.get(Number(i)));
      svg.append(svgel("line", { x1, y1, x2, y2, class: side(pair.net), "stroke-width": 1 + 8 * pair.mean / most, ...(pair.or > pair.mean / 2 ? { "stroke-dasharray": "8 5" } : {}) }));
    }
    for (const [i, [cx, cy]] of place) {
      const value = alone.get(i);
      svg.append(svgel("circle", { cx, cy, r: 5 + 11 * Math.sqrt(Math.abs(value) / largest), class: value === 0 ? "none" : side(value) }));
      const [right, up] = [(cx - 300) / 150, (170 - cy) / 130];
      const text = svgel("text", used.grid || Math.abs(right) < 0.3 ? { x: cx, y: cy + (used.grid || up < 0 ? 30 : -20), "text-anchor": "middle" }
        : { x: cx + (right > 0 ? 20 : -20), y: cy + 4 - 10 * up, "text-anchor": right > 0 ? "start" : "end" });
      text.textContent = short(used.names[i], 20);
      svg.append(text);
    }
    return svg;
  };

  // the samples that have the picked interaction, strongest first, each with a way to the viewer
  const list = (index) => {
    if (picked === null) return having.replaceChildren();
    const { data, shape: [steps, samples, used] } = group().used.values;
    const rows = [];
    for (let i = 0; i < samples; i++) {
      const value = data[(index * samples + i) * used + picked];
      if (value && (classes.value === "" || group().labels[i] === Number(classes.value))) rows.push([i, value]);
    }
    rows.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const name = `${mark(group().used.kinds[picked])} ${group().used.kinds[picked].toUpperCase()} ${who(picked).map((one) => short(one, 40)).join(", ")}`;
    const course = Array.from({ length: steps }, (_, s) => summed(picked, s).mean);
    const positions = group().steps.map((s) => payload.positions[payload.steps.indexOf(s)]);
    const item = ([sample, value]) => {
      const members = who(picked).map((part) => members_of(sample).get(part)).filter((i) => i !== undefined);
      const one = { kind: group().used.kinds[picked], members, value };
      return el("li", {}, el("button", { type: "button", class: "open", on: { click: () => look.viewer.open(Number(chooser.value), sample) } },
        look.drawn(group(), sample, one, 64, ""), el("span", {}, look.titled(group(), sample)), el("span", { class: `number ${side(value)}` }, signed(value, decimals(Math.abs(value))))));
    };
    const more = rows.length > 24 ? `The 24 strongest of ${rows.length} are shown.` : "";
    having.replaceChildren(el("h4", {}, el("bdi", {}, name)),
      el("p", {}, `Salient in ${rows.length} sample${rows.length === 1 ? "" : "s"} at this checkpoint. Mean strength over training: `, look.spark(positions, course, `Mean strength over training: ${course[0].toFixed(2)} at the start, ${course[steps - 1].toFixed(2)} at the end`), ` ${more}`),
      el("ul", { class: "samples" }, ...rows.slice(0, 24).map(item)));
  };
  const members_of = (sample) => {
    const names = group().names[sample];
    const known = new Map();
    names.forEach((name, i) => {
      for (const key of [name, name.toLowerCase(), name.replace(/ = [^=]*$/, "")]) if (name && !known.has(key)) known.set(key, i);
    });
    return known;
  };

  const show = (index) => {
    const now = look.measured(group(), payload, index);
    const found = strongest(now, SHOWN[as.value]);
    const focused = over.contains(document.activeElement) && document.activeElement.className === "bar";
    if (at) {
      at.value = String(index);
      step.textContent = `step ${payload.steps[index].toLocaleString("en")}`;
    }
    for (const node of document.querySelectorAll(".over-how")) node.hidden = (node.dataset.view === "network") !== (as.value === "network");
    over.replaceChildren(found.length === 0 ? el("p", { class: "missing" }, "No interaction of these samples is salient at this checkpoint.") : as.value === "network" ? network(found) : bars(found));
    if (focused) over.querySelector('[aria-pressed="true"]')?.focus();
    list(now);
  };
  const pick = (k) => {
    picked = picked === k ? null : k;
    look.kept.set("picked", picked === null ? "" : named(picked));
    show(page.now());
  };
  const again = () => {
    const same = group().used.kinds.findIndex((_, k) => named(k) === look.kept.get("picked"));
    picked = same < 0 ? null : same;
    fill();
    look.remember(classes);
    show(page.now());
  };
  chooser.addEventListener("change", again);
  for (const one of [classes, by, as]) one.addEventListener("change", () => show(page.now()));
  if (at) {
    at.addEventListener("input", () => {
      const slider = document.getElementById("checkpoint");
      slider.value = at.value;
      slider.dispatchEvent(new Event("input"));
    });
  }
  page.listen(show);
  again();
});
