"use strict";
{
  // Ages, the filter and the ticks; told that there is something new, the list is fetched again and keeps all three.
  const ticks = () => [...document.querySelectorAll(".runs input:checked")].map((box) => box.value);
  const ages = () => {
    for (const time of document.querySelectorAll("time[data-at]")) {
      const seconds = Math.max(0, Date.now() / 1000 - Number(time.dataset.at));
      const [size, word] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => seconds >= size) ?? [1, "s"];
      time.textContent = `${Math.floor(seconds / size)} ${word} ago`;
      time.dateTime = new Date(1000 * time.dataset.at).toISOString();
    }
  };
  const filtered = () => {
    const words = (document.getElementById("filter")?.value ?? "").toLowerCase().split(/\s+/);
    for (const row of document.querySelectorAll(".runs li")) {
      row.hidden = !words.every((word) => row.dataset.name.toLowerCase().includes(word));
    }
  };
  const counted = () => {
    const button = document.getElementById("compare");
    if (button) button.disabled = ticks().length < 2;
  };
  const begin = () => {
    document.getElementById("filter")?.addEventListener("input", filtered);
    document.querySelector("form")?.addEventListener("change", counted);
    ages();
    filtered();
    counted();
  };
  begin();
  setInterval(ages, 10_000);
  const events = new EventSource("events");
  events.addEventListener("message", async () => {
    const text = await (await fetch("", { cache: "no-store" })).text();
    const main = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    if (!main) return;
    const [ticked, shown, focus] = [ticks(), document.getElementById("filter")?.value ?? "", document.activeElement];
    const [id, value] = [focus?.id, focus?.value];
    document.querySelector("main").replaceWith(main);
    for (const box of document.querySelectorAll(".runs input")) box.checked = ticked.includes(box.value);
    if (document.getElementById("filter")) document.getElementById("filter").value = shown;
    begin();
    const again = id ? document.getElementById(id) : [...document.querySelectorAll(".runs input")].find((box) => box.value === value);
    again?.focus();
  });
}
