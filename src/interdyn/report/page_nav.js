// Marks in the bar the section that is being read: the last one whose heading has passed under the bar.
page.part(() => {
  "use strict";
  const links = [...document.querySelectorAll("#bar a[href^='#']")];
  const places = links.map((link) => document.getElementById(link.hash.slice(1)));
  const mark = () => {
    const line = document.getElementById("bar").offsetHeight + 40;
    let now = 0;
    places.forEach((place, i) => { if (place && place.getBoundingClientRect().top <= line) now = i; });
    if (links[now].hasAttribute("aria-current")) return;
    links.forEach((link, i) => (i === now ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    const bar = document.getElementById("bar"); // where it is too narrow for all of them
    bar.scrollLeft = links[now].offsetLeft + (links[now].offsetWidth - bar.clientWidth) / 2;
  };
  page.scrolled = mark; // a page that is renewed has new links
  mark();
});
addEventListener("scroll", () => page.scrolled?.(), { passive: true });
