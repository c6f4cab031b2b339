// Shows what a link means beside it: on hover, on focus by keyboard, on the first tap. The second tap follows the link.
// The pointer may move onto the text, Escape hides it, and nothing on the page moves (WCAG 1.4.13).
"use strict";
{ // names of its own, because pages have other scripts
  const texts = JSON.parse(document.getElementById("hover-texts").textContent);
  const meanings = new Map();
  for (const link of document.querySelectorAll(".bd-article a[href]")) {
    const text = texts[link.getAttribute("href")];
    if (text) {
      meanings.set(link, text);
      link.removeAttribute("title"); // or the browser would show a second box
    } else if (link.querySelector(".measured") && link.title) {
      const words = document.createElement("p");
      words.textContent = link.title;
      meanings.set(link, words.outerHTML);
      link.removeAttribute("title");
    }
  }

  const tip = document.createElement("div");
  tip.id = "hover-tip";
  tip.className = "hover-tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.querySelector(".bd-article").append(tip);

  let shown = null; // the link whose meaning is shown
  let waiting;
  let touched = false;

  function place() {
    const edge = 8;
    const rows = [...shown.getClientRects()]; // a link may be broken over two lines
    const width = Math.min(416, document.documentElement.clientWidth - 2 * edge);
    tip.style.width = `${width}px`;
    tip.style.left = `${Math.max(edge, Math.min(rows[0].left, document.documentElement.clientWidth - width - edge))}px`;
    const below = rows.at(-1).bottom + 4;
    const above = rows[0].top - tip.offsetHeight - 4;
    tip.style.top = `${below + tip.offsetHeight > innerHeight && above > 0 ? above : below}px`;
  }

  function show(link) {
    hide();
    shown = link;
    tip.innerHTML = meanings.get(link) + (touched ? "<p class='hover-more'>Tap again to follow the link.</p>" : "");
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    place();
  }

  function hide() {
    clearTimeout(waiting);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  }

  const linkAt = (event) => {
    const link = event.target.closest?.("a[href]");
    return meanings.has(link) ? link : null;
  };

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const link = linkAt(event);
    clearTimeout(waiting);
    if (link && link !== shown) waiting = setTimeout(show, 200, link);
    if (!link && shown && !tip.contains(event.target)) waiting = setTimeout(hide, 300); // time to reach the text
  });
  document.addEventListener("focusin", (event) => {
    const link = linkAt(event);
    if (link?.matches(":focus-visible") && !touched) show(link);
  });
  document.addEventListener("focusout", () => shown && !tip.matches(":hover") && hide());
  document.addEventListener("keydown", (event) => {
    touched = false;
    if (event.key === "Escape") hide();
  });
  document.addEventListener("pointerdown", (event) => {
    touched = event.pointerType === "touch";
    if (shown && !tip.contains(event.target) && linkAt(event) !== shown) hide();
  });
  document.addEventListener("click", (event) => {
    const link = linkAt(event);
    if (!touched || !link || link === shown) return;
    event.preventDefault();
    show(link);
  });
  document.addEventListener("scroll", () => shown && place(), { passive: true, capture: true });
}
