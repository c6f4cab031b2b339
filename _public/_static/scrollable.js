// A box that can be scrolled must be reachable by keyboard; see _ext/accessible.py. Each box is until the browser lays it
// out, which on a long page is late, and then if it has more to show.
const boxes = document.querySelectorAll("pre, .cell_output > .output, .pst-scrollable-table-container");
const observer = new ResizeObserver((entries) => {
  const scrolls = entries.map(({ target: box }) =>
    box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight);
  entries.forEach(({ target: box }, i) => { box.tabIndex = scrolls[i] ? 0 : -1; });
});
boxes.forEach((box) => { box.tabIndex = 0; observer.observe(box); });
