const page = (() => {
  "use strict";
  const root = document.documentElement;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  let payload, slider, play, note; // of the page as it is now; a live page is given new ones
  let current = 0;
  let timer = null;
  let width = null; // of every chart in pixels, fixed only while printing

  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const themed = (x) => {
    if (typeof x === "string") return x.startsWith("var:") ? colour(x.slice(4)) : x;
    if (Array.isArray(x)) return typeof x[0] === "number" ? x : x.map(themed);
    if (x && typeof x === "object") return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, themed(v)]));
    return x;
  };

  const traces = (chart) => chart.data.map((trace, i) => {
    const change = chart.frames.length ? chart.frames[current][i] : {};
    const out = { ...trace, ...change };
    if (trace.error_y && chart.frames.length) out.error_y = { ...trace.error_y, ...change.error_y, visible: Boolean(change.error_y) };
    return out;
  });

  const layout = (chart) => {
    const axis = { gridcolor: "var:line", linecolor: "var:muted", automargin: true, tickfont: { size: 12 } };
    const now = payload.positions[current];
    const axes = Object.keys(chart.layout).filter((name) => /^[xy]axis/.test(name));
    return {
      ...chart.layout,
      ...Object.fromEntries(axes.map((name) => [name, { ...axis, ...chart.layout[name] }])),
      shapes: (chart.layout.shapes || []).map((s) => (s.name === "cursor" ? { ...s, x0: now, x1: now } : s)),
      font: { color: "var:ink", size: 13, family: getComputedStyle(document.body).fontFamily },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      legend: {
        orientation: "h", traceorder: "normal", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", font: { size: 12 },
      },
      hoverlabel: { bgcolor: "var:panel", bordercolor: "var:muted", font: { color: "var:ink" } },
      hovermode: "closest",
      margin: { l: 56, r: 12, t: 12, b: 46 },
      bargap: 0.2,
      height: chart.height,
      autosize: width === null,
      ...(width === null ? {} : { width }),
      uirevision: "kept",
    };
  };

  const config = { responsive: true, displayModeBar: false };

  // Only what is in the window, or soon in it, is drawn; the rest when the reader comes to it, and all for print.
  const near = new Set();
  const stale = new Set();
  const place = (chart) => document.getElementById("chart-" + chart.id);
  const draw = (charts, whole = false) => {
    for (const chart of charts) {
      if (whole || near.has(chart.id)) {
        stale.delete(chart);
        Plotly.react(place(chart), themed(traces(chart)), themed(layout(chart)), config);
      } else {
        stale.add(chart);
      }
    }
  };
  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const id = target.id.slice("chart-".length);
      if (isIntersecting) near.add(id);
      else near.delete(id);
    }
    draw([...stale].filter((chart) => near.has(chart.id)));
  }, { rootMargin: "300px 0px" });

  const cells = (chart) => {
    const rows = [["series", "x", "y", "low", "high", "z"]];
    for (const trace of traces(chart)) {
      if (trace.hoverinfo === "skip") continue; // an edge of a band: its numbers are with the line
      if (trace.z) {
        trace.z.forEach((row, i) => row.forEach((z, j) => rows.push([chart.id, ...trace.customdata[i][j], "", "", z])));
        continue;
      }
      trace.y.forEach((y, i) => {
        const [step, low, high] = trace.customdata ? trace.customdata[i] : [trace.x[i]];
        rows.push([trace.name || chart.id, step, y, low ?? "", high ?? "", ""]);
      });
    }
    return rows;
  };

  const csv = (rows) => rows.map((row) => row.map((cell) => {
    // a spreadsheet would run a text that begins like a formula
    const text = typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? "'" + cell : String(cell ?? "");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")).join("\n") + "\n";

  const save = (chart, format) => {
    if (format === "csv") {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv(cells(chart))], { type: "text/csv" }));
      link.download = chart.id + ".csv";
      link.click();
      URL.revokeObjectURL(link.href);
      return;
    }
    const size = place(chart).getBoundingClientRect();
    const figure = { data: themed(traces(chart)), layout: themed({ ...layout(chart), paper_bgcolor: "var:paper" }) };
    const [w, h] = [Math.round(size.width), Math.round(size.height)];
    Plotly.downloadImage(figure, { format, filename: chart.id, width: w, height: h, scale: format === "png" ? 2 : 1 });
  };

  const parts = []; // functions that set up a further part of the page
  let listeners = [];

  let waiting = false;
  const go = (index) => {
    current = index;
    if (slider) {
      slider.value = String(index);
      slider.setAttribute("aria-valuetext", payload.notes[index]);
      note.textContent = payload.notes[index];
    }
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(payload.charts);
      for (const listener of listeners) listener(current);
    });
  };

  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
    note.setAttribute("aria-live", "polite");
  };
  const start = () => {
    const last = payload.positions.length - 1;
    if (current === last) go(0);
    note.setAttribute("aria-live", "off"); // a running film would talk without end
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => (current < last ? go(current + 1) : stop()), still.matches ? 1500 : 600);
  };

  // Sets up the page from its payload; `keep` is what `state` returned of an earlier one.
  const begin = (keep) => {
    payload = JSON.parse(document.getElementById("payload").textContent);
    [slider, play, note] = ["checkpoint", "play", "note"].map((id) => document.getElementById(id));
    const last = payload.positions.length - 1;
    current = !keep ? payload.start : keep.atEnd ? last : Math.min(keep.index, last);
    listeners = [];
    if (slider) {
      slider.addEventListener("input", () => {
        if (timer !== null) stop();
        go(Number(slider.value));
      });
      play.addEventListener("click", () => (timer === null ? start() : stop()));
    }
    for (const button of document.querySelectorAll("button.save")) {
      button.addEventListener("click", () => save(payload.charts.find((c) => c.id === button.value), button.dataset.form));
    }
    sight.disconnect();
    near.clear();
    stale.clear();
    for (const chart of payload.charts) sight.observe(place(chart));
    for (const part of parts) part(payload, keep);
    go(current);
    if (keep?.playing) start();
  };
  const state = () => ({ index: current, atEnd: current === payload.positions.length - 1, playing: timer !== null });

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => go(current));
  window.addEventListener("beforeprint", () => {
    root.dataset.print = "yes";
    width = 640;
    draw(payload.charts, true);
  });
  window.addEventListener("afterprint", () => {
    delete root.dataset.print;
    width = null;
    draw(payload.charts);
  });
  return {
    start: begin, state, stop: () => { if (timer !== null) stop(); }, draw, now: () => current,
    part: (part) => parts.push(part), listen: (listener) => listeners.push(listener),
  };
})();
