// Filters the ledger. Without this script the page shows every item.
const form = document.getElementById("ledger-filter");
const words = document.getElementById("ledger-words");
const count = document.getElementById("ledger-count");
const selects = [...form.querySelectorAll("select")];
const sections = [...document.querySelectorAll(".ledger-section")].reverse(); // inner sections before outer ones
const items = [...document.querySelectorAll(".claim")].map((element) => ({
  element,
  text: element.textContent.toLowerCase(),
}));

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const classes = selects.map((select) => select.value).filter(Boolean);
  let shown = 0;
  for (const { element, text } of items) {
    const match = classes.every((name) => element.classList.contains(name)) && wanted.every((word) => text.includes(word));
    element.hidden = !match;
    shown += match;
  }
  for (const section of sections) section.hidden = !section.querySelector(".claim:not([hidden])");
  count.textContent = shown === items.length ? `All ${shown} items` : `${shown} of ${items.length} items`;
}

let waiting;
words.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(filter, 150); // so that a screen reader announces the count once, not at every letter
});
selects.forEach((select) => select.addEventListener("change", filter));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter)); // after the fields are empty
// A link to an item must find it, whatever is filtered.
window.addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (!target?.closest("[hidden]")) return;
  form.reset();
  filter();
  target.scrollIntoView();
});
form.hidden = false;
filter();
