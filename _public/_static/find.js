// Adds the terms and claims that match a search to Sphinx's list of pages, above it.
"use strict";
{ // names of its own, because pages have other scripts
  const wanted = (new URLSearchParams(location.search).get("q") ?? "").trim();
  const plain = (html) => new DOMParser().parseFromString(html, "text/html").body.textContent;
  const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // A word counts where a word of the text begins with it; a plural finds the singular.
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const patterns = words.map((word) => new RegExp(`(?<![a-z0-9])${escaped(word.replace(/(?<=[a-z]{3})s$/, ""))}`));
  const all = (text) => patterns.every((pattern) => pattern.test(text));

  function score({ name, text }) {
    const low = name.toLowerCase();
    if (low === wanted.toLowerCase()) return 4;
    if (all(low)) return 2 + wanted.length / Math.max(name.length, wanted.length);
    return all(`${low} ${plain(text).toLowerCase()}`) ? 1 : 0;
  }

  function item({ name, kind, address, text }) {
    const entry = document.createElement("li");
    const link = document.createElement("a");
    link.href = address;
    link.textContent = name;
    const content = document.createElement("div");
    content.innerHTML = text;
    entry.append(link, ` (${kind})`, content);
    return entry;
  }

  function list(entries) {
    const shown = document.createElement("ul");
    shown.className = "search";
    shown.append(...entries.map(item));
    return shown;
  }

  if (words.length) {
    const found = searchEntries
      .map((entry) => ({ entry, points: score(entry) }))
      .filter(({ points }) => points)
      .sort((a, b) => b.points - a.points) // equals stay in their order: the glossary's, then the ledger's
      .map(({ entry }) => entry);
    if (found.length) {
      const section = document.createElement("section");
      section.className = "search-entries";
      section.innerHTML = `<h2>Terms and claims</h2><p role="status">Found ${found.length} that match.</p>`;
      section.append(list(found.slice(0, 5)));
      if (found.length > 5) {
        const more = document.createElement("details");
        more.innerHTML = `<summary>${found.length - 5} more</summary>`;
        more.append(list(found.slice(5)));
        section.append(more);
      }
      document.getElementById("search-results").before(section);
    }
  }

  // The terms stand above, with their meaning, so Sphinx need not list them again under the title "Glossary".
  Search._index.indexentries = {};
  // A single letter, as in "top-p", is in every word, so it counts only where nothing else is asked for.
  const split = splitQuery;
  splitQuery = (query) => {
    const parts = split(query);
    return parts.some((part) => part.length > 1) ? parts.filter((part) => part.length > 1) : parts;
  };
  // Sphinx takes excerpts from a page's text, in which a formula stands three times: as TeX, as MathML and as characters.
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const noise = ".headerlink, script, style, annotation, .katex-html, .eqno, .live-figure, .chapter-facts, button, nav";
    page.querySelectorAll(noise).forEach((element) => element.remove());
    const article = page.querySelector("article") ?? page.body;
    return ((anchor && article.querySelector(anchor)) || article).textContent.replace(/\s+/g, " ");
  };
}
