// The progress page: shows the record, changes it by hand, writes it to a file and reads it from one.
const controls = document.getElementById("progress-controls");
const report = document.getElementById("progress-report");
const ticks = [...document.querySelectorAll(".progress-table input")]; // value: the name; name: its part of the record
const quizzes = [...document.querySelectorAll("[data-questions]")].map((cell) => ({
  ids: cell.dataset.questions.split(" "),
  words: cell.querySelector(".progress-words"),
  bar: cell.querySelector("progress"),
}));

Progress.follow(() => {
  const record = Progress.load();
  for (const tick of ticks) tick.checked = record[tick.name].includes(tick.value);
  for (const { ids, words, bar } of quizzes) {
    const { answered, right } = Progress.score(ids);
    bar.value = answered;
    words.textContent = answered ? `${answered} of ${ids.length} answered, ${right} right at first try` : `${ids.length} questions`;
  }
  const done = (part) => {
    const mine = ticks.filter((tick) => tick.name === part);
    return `${mine.filter((tick) => tick.checked).length} of ${mine.length} ${part}`;
  };
  const all = quizzes.flatMap(({ ids }) => ids);
  const { answered, right } = Progress.score(all);
  document.getElementById("progress-sum").textContent =
    `Read: ${done("chapters")}. Answered: ${answered} of ${all.length} questions, ${right} right at first try. Done: ${done("labs")}.`;
  document.getElementById("progress-not-kept").hidden = Progress.isKept();
});

for (const tick of ticks) {
  tick.disabled = false;
  tick.addEventListener("change", () => Progress.mark(tick.name, tick.value, tick.checked));
}

document.getElementById("progress-export").addEventListener("click", () => {
  const blob = new Blob([JSON.stringify(Progress.load(), null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "generative-ai-measured-progress.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
});

const file = document.getElementById("progress-file");
document.getElementById("progress-import").addEventListener("click", () => file.click());
file.addEventListener("change", async () => {
  if (!file.files.length) return;
  try {
    const { answers, chapters, labs } = Progress.add(await file.files[0].text());
    const counts = [[answers, "answer"], [chapters, "chapter"], [labs, "lab"]].map((pair) => Progress.plural(...pair));
    report.textContent = `Added ${counts[0]}, ${counts[1]} and ${counts[2]}; what was here has stayed.`;
  } catch (error) {
    report.textContent = `Nothing was imported: ${error.message}.`;
  }
  file.value = ""; // so that the same file can be chosen again
});

document.getElementById("progress-erase").addEventListener("click", () => {
  if (!confirm("Erase all answers and marks in this browser? Only an exported file could bring them back.")) return;
  Progress.erase();
  report.textContent = "Everything is erased.";
});

controls.hidden = false;
