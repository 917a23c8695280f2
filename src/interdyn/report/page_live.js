// Follows the run: told that there is something new, it fetches the page again and puts it in the place of this one.
{
  "use strict";
  let asked = 0;
  const renew = async () => {
    const mine = ++asked;
    const answer = await fetch("?bare=1", { cache: "no-store" });
    const text = await answer.text();
    if (mine !== asked || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const [main, payload] = [fresh.querySelector("main"), fresh.getElementById("payload")];
    if (!main || !payload) return;
    const chosen = document.getElementById("sample")?.selectedOptions[0];
    const keep = { ...page.state(), group: chosen?.dataset.group, sample: chosen?.textContent };
    const focus = document.activeElement?.id || document.activeElement?.hash;
    page.stop();
    document.getElementById("bar").replaceWith(fresh.getElementById("bar"));
    document.querySelector("main").replaceWith(main);
    document.getElementById("payload").textContent = payload.textContent;
    document.title = fresh.title;
    page.start(keep);
    if (focus?.startsWith("#")) document.querySelector(`#bar [href="${focus}"]`)?.focus({ preventScroll: true });
    else if (focus) document.getElementById(focus)?.focus();
  };
  const events = new EventSource("events");
  events.addEventListener("message", renew);
  events.addEventListener("gone", () => events.close());
}
