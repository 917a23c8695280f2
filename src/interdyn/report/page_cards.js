// Samples to check: the sample, the probability of its label over training, and its strongest interactions.
page.part(async (payload) => {
  "use strict";
  const cards = document.getElementById("cards");
  if (!payload.uses || !cards) return;
  const { el, decimals, signed, short, side, mark } = look;
  const by = document.getElementById("cards-by");
  const MOST = 12;
  look.remember(by);
  const groups = await look.groups(payload.uses);

  const outputs = (group, sample) => group.steps.map((_, at) => group.output.data[at * group.output.shape[1] + sample]);
  const loss = (output) => Math.log1p(Math.exp(-Math.abs(output))) + Math.max(-output, 0); // of log-odds of the label
  const learned = (margins) => { // the first checkpoint from which the label is given to the end
    let at = margins.length;
    while (at > 0 && margins[at - 1] > 0) at--;
    return at;
  };
  const every = groups.flatMap((group, g) => group.ids.map((_, sample) => ({ g, group, sample, margins: outputs(group, sample) })));
  const now = (one) => one.margins[one.margins.length - 1];
  const orders = {
    score: () => payload.looked.ranked.map(([g, sample, score, flagged, why]) => ({ ...every.find((one) => one.g === g && one.sample === sample), score, flagged, why })),
    loss: () => [...every].sort((a, b) => now(a) - now(b)),
    low: () => [...every].sort((a, b) => now(b) - now(a)),
    late: () => [...every].sort((a, b) => learned(b.margins) - learned(a.margins) || now(a) - now(b)),
  };

  const says = ({ group, sample, margins }) => {
    const output = margins[margins.length - 1];
    const value = `${signed(output, decimals(Math.abs(output)))} ${group.unit}`;
    if (group.unit !== "log-odds") return `Output: ${value}.`;
    const given = group.labels ? `label ${short(look.label(group, sample), 40)}` : "its class";
    const share = 100 / (1 + Math.exp(-output));
    return `Predicted probability of ${given}: ${share < 0.1 ? "below 0.1" : share > 99.9 ? "above 99.9" : share.toFixed(1)} % (${value}).`;
  };
  const curve = (group, name, values) => {
    const [first, last] = [values[0], values[values.length - 1]].map((x) => (name === "margin" ? signed(x) : x.toFixed(2)));
    const positions = group.steps.map((s) => payload.positions[payload.steps.indexOf(s)]);
    return el("div", { class: "curve" }, el("span", {}, name), look.spark(positions, values, `${name} over training: ${first} at the start, ${last} at the end`), el("span", {}, last));
  };
  const card = (one) => {
    const { g, group, sample, margins } = one;
    const carried = look.terms(group, group.steps.length - 1, sample).slice(0, 2);
    const lines = carried.map((term) => el("li", {}, el("span", { class: `kind ${side(term.value)}` }, `${mark(term.kind)} ${term.kind.toUpperCase()} ${signed(term.value, decimals(Math.abs(term.value)))}`), " ", el("bdi", {}, short(look.called(group, sample, term.members), 70))));
    const body = [el("h3", {}, look.titled(group, sample)), el("p", { class: "quiet" }, group.name), el("p", {}, says(one))];
    if (one.score !== undefined) body.push(el("p", { class: one.flagged ? "flag" : "quiet" }, one.flagged ? `Flagged, score ${signed(one.score)}. ${one.why}` : `Score ${signed(one.score)}, not flagged.`));
    if (group.unit === "log-odds") body.push(curve(group, "loss", margins.map(loss)), curve(group, "margin", margins));
    else body.push(curve(group, "output", margins));
    body.push(el("p", { class: "carried" }, carried.length ? "Strongest interactions at the last checkpoint:" : "No interaction is salient."), el("ul", {}, ...lines));
    body.push(el("button", { type: "button", class: "open", on: { click: () => look.viewer.open(g, sample) } }, "Show how the output adds up"));
    return el("li", { class: "card" }, look.drawn(group, sample, null, 96, `${look.titled(group, sample)}, the input`), el("div", {}, ...body));
  };
  const show = () => cards.replaceChildren(...orders[by.value]().slice(0, MOST).map(card));
  by.addEventListener("change", show);
  show();
});
