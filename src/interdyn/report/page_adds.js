// One sample, adding up: from its base value over the strongest interactions and all others to its output.
page.part(async (payload, keep) => {
  "use strict";
  const uses = payload.uses;
  if (!uses) return;
  const { el, decimals, signed, side, mark, called, terms } = look;
  // restored before anything is awaited, since a page may be renewed again at once
  const chooser = document.getElementById("sample");
  const option = keep && [...chooser.options].find((o) => o.dataset.group === keep.group && o.textContent === keep.sample);
  if (option) option.selected = true;
  if (document.getElementById("beside")) look.remember(document.getElementById("beside"));
  const groups = await look.groups(uses);
  const [said, drawn, falls, beside] = ["said", "drawn", "falls", "beside"].map((id) => document.getElementById(id));
  const chosen = () => {
    const one = chooser.selectedOptions[0];
    return [groups[Number(one.dataset.group)], Number(one.value)];
  };

  // the steps of the fall: each from where the one before ends; what is not listed takes the rest
  const fall = (group, at, sample) => {
    const place = at * group.output.shape[1] + sample;
    const [base, output] = [group.base.data[place], group.output.data[place]];
    const listed = terms(group, at, sample);
    let now = base;
    const rows = listed.map((one) => {
      const row = { ...one, start: now, end: now + one.value };
      now = row.end;
      return row;
    });
    const left = group.salient.data[place] - listed.length;
    rows.push({ kind: "rest", members: [], value: output - now, start: now, end: output, left });
    return { base, output, rows };
  };
  // of all shown, from their base values on: these stand below each other, and the unit is the same for all
  const range = (found) => {
    const edges = found.flatMap((one) => [0, one.output - one.base, ...one.rows.map((row) => row.end - one.base)]);
    const [low, high] = [Math.min(...edges), Math.max(...edges)];
    const room = 0.04 * (high - low || 1);
    return [low - room, high + room];
  };
  const when = (group, at) => {
    const [from, to] = [group.steps[at], (group.ends ?? group.steps)[at]].map((step) => step.toLocaleString("en"));
    return group.counts && group.counts[at] > 1 ? `steps ${from} to ${to}` : `step ${from}`;
  };

  const mini = (group, sample, one) => (group.look === "pictures" || group.look === "points" ? look.drawn(group, sample, one, 44, "") : "");
  const bar = (low, high, start, end, kind) => {
    const at = (x) => 100 * (x - low) / (high - low);
    const [left, right] = [Math.min(at(start), at(end)), Math.max(at(start), at(end))];
    const box = el("span", { class: "track", "aria-hidden": "true" });
    const inner = el("span", { class: kind === "rest" ? "piece rest" : `piece ${kind} ${side(end - start)}` });
    inner.style.left = `${left}%`;
    inner.style.width = `${Math.max(right - left, 0.3)}%`;
    box.append(inner);
    return box;
  };
  const point = (low, high, value) => {
    const inner = el("span", { class: "end" });
    inner.style.left = `${100 * (value - low) / (high - low)}%`;
    return el("span", { class: "track", "aria-hidden": "true" }, inner);
  };
  const table = (group, at, sample, found, [from, to], show) => {
    const [low, high] = [found.base + from, found.base + to];
    const places = decimals(Math.max(Math.abs(found.base), Math.abs(found.output), to - from));
    const line = (name, value, track, picture = "", kind = "") => el("tr", { class: kind },
      el("td", { class: "mini" }, picture), el("th", { scope: "row" }, ...name), el("td", { class: "number" }, value), el("td", { class: "tracks" }, track));
    const rows = found.rows.map((row) => {
      if (row.kind === "rest") {
        const name = `all others${row.left > 0 ? ` (${row.left} salient)` : ""}`;
        return line([name], signed(row.value, places), bar(low, high, row.start, row.end, "rest"));
      }
      const name = el("button", { type: "button", class: "term", on: { click: () => show(row), focus: () => show(row), pointerenter: () => show(row) } },
        el("span", { class: `kind ${side(row.value)}` }, `${mark(row.kind)} ${row.kind.toUpperCase()}`), " ", el("bdi", {}, called(group, sample, row.members)));
      return line([name], signed(row.value, places) + (row.near ?? ""), bar(low, high, row.start, row.end, row.kind), mini(group, sample, row));
    });
    return el("table", { class: "fall" }, el("caption", {}, when(group, at).replace(/^s/, "S")),
      el("tbody", {}, line(["base value (all players masked)"], signed(found.base, places), point(low, high, found.base), "", "ends"), ...rows,
        line([`output (${group.unit})`], signed(found.output, places), point(low, high, found.output), "", "ends")));
  };

  const show = (index) => {
    const [group, sample] = chosen();
    const other = beside && beside.value !== "" ? look.measured(group, payload, Number(beside.value)) : null;
    const at = look.measured(group, payload, index);
    const shown = other === null || other === at ? [at] : [at, other].sort((a, b) => a - b);
    const found = shown.map((one) => fall(group, one, sample));
    const both = range(found);
    const mine = found[shown.indexOf(at)];
    said.textContent = `${look.titled(group, sample)}. At ${when(group, at)} the ${group.counts && group.counts[at] > 1 ? "mean " : ""}output for its class is ${signed(mine.output, decimals(Math.abs(mine.output)))} ${group.unit}.`
      + (mine.rows.length > 1 ? "" : " No interaction is salient.");
    const mark_on = (row) => {
      const words = row === null ? "the sample" : `${mark(row.kind)} ${row.kind.toUpperCase()} ${called(group, sample, row.members)}`;
      drawn.replaceChildren(el("figure", {}, look.drawn(group, sample, row, 220, words), el("figcaption", {}, words)));
    };
    mark_on(mine.rows.length > 1 ? mine.rows[0] : null);
    drawn.className = group.look;
    falls.replaceChildren(...shown.map((one, i) => table(group, one, sample, found[i], both, mark_on)));
  };

  const chart = payload.charts.find((c) => c.id === "courses");
  const course = () => {
    const [group, sample] = chosen();
    const [steps, samples, top] = group.courses.shape;
    const inks = ["reality", "theory", "green", "mislabelled", "or", "muted", "null-b", "ink"];
    const last = terms(group, steps - 1, sample).slice(0, 5);
    chart.data = last.map((one, k) => {
      const y = [];
      const error = [];
      for (let at = 0; at < steps; at++) {
        const place = (at * samples + sample) * top + k;
        y.push(group.courses.data[place]);
        error.push(group.counts && group.counts[at] > 1 ? group.course_errors.data[place] : null);
      }
      const name = look.short(`${one.kind.toUpperCase()} ${called(group, sample, one.members)}`, 60);
      const ink = `var:${inks[k % inks.length]}`;
      return {
        x: group.steps.map((step) => payload.positions[payload.steps.indexOf(step)]), y,
        ...(group.counts ? { error_y: { type: "data", array: error, thickness: 1, width: 2 } } : {}),
        name: name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"), mode: "lines+markers",
        customdata: group.steps.map((step, at) => (error[at] === null ? [step] : [step, y[at] - error[at], y[at] + error[at]])),
        line: { color: ink, dash: one.kind === "and" ? "solid" : "dash", width: 2 },
        marker: { color: ink, size: 6, symbol: one.kind === "and" ? "circle" : "diamond" },
        text: error.map((e) => (e === null ? "" : ` ± ${e.toFixed(3)}`)),
        hovertemplate: "<b>step %{customdata[0]:,}</b><br>%{y:.3f}%{text}<extra></extra>",
      };
    });
    page.draw([chart]);
  };

  look.viewer.open = (group, sample) => {
    const wanted = [...chooser.options].find((o) => Number(o.dataset.group) === group && Number(o.value) === sample);
    wanted.selected = true;
    chooser.dispatchEvent(new Event("change"));
    document.getElementById("adds-up").scrollIntoView({ behavior: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    chooser.focus({ preventScroll: true });
  };
  page.listen(show);
  chooser.addEventListener("change", () => { show(page.now()); course(); });
  if (beside) beside.addEventListener("change", () => show(page.now()));
  show(page.now());
  course();
});
