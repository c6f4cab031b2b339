// The box at the end of a lab's page, which the reader ticks when the lab is done.
const done = document.querySelector("[data-lab]");
const tick = done.querySelector("input");

Progress.follow(() => {
  tick.checked = Progress.load().labs.includes(done.dataset.lab);
});
tick.addEventListener("change", () => Progress.mark("labs", done.dataset.lab, tick.checked));
done.hidden = false;
