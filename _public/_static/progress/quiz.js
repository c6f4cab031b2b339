// Remembers the answers of a quiz and counts them. Without this script a quiz still explains its choices.
for (const quiz of document.querySelectorAll("[data-quiz]")) {
  const questions = [...quiz.querySelectorAll("[data-question]")];
  const ids = questions.map((question) => question.dataset.question);
  const bar = quiz.querySelector(".quiz-bar");
  const scores = quiz.querySelectorAll(".quiz-score"); // above the questions and below them
  const explain = quiz.querySelector(".quiz-explain");

  const words = ({ answered, right }) => {
    if (!answered) return `${Progress.plural(ids.length, "question")}, none answered yet.`;
    const open = ids.length - answered;
    return `${right} of ${answered} right at first try${open ? `, ${open} to go` : ""}.`;
  };

  Progress.follow(() => {
    const { answers } = Progress.load();
    for (const question of questions) {
      const chosen = answers[question.dataset.question]?.choice;
      for (const input of question.querySelectorAll("input")) input.checked = input.value === chosen;
    }
    for (const score of scores) score.textContent = words(Progress.score(ids));
    quiz.querySelector(".is-kept").hidden = !Progress.isKept();
    quiz.querySelector(".is-not-kept").hidden = Progress.isKept();
  });

  quiz.addEventListener("change", ({ target }) => {
    const id = target.closest("[data-question]").dataset.question;
    const isRight = target.closest(".quiz-choice").querySelector(".quiz-right") !== null;
    Progress.change(({ answers }) => {
      answers[id] = { first: answers[id]?.first ?? isRight, choice: target.value };
    });
  });

  explain.addEventListener("click", () => {
    const isOpen = quiz.classList.toggle("quiz-explained");
    explain.setAttribute("aria-pressed", isOpen);
  });

  quiz.querySelector(".quiz-clear").addEventListener("click", () => {
    if (!confirm("Clear the answers of this quiz?")) return;
    Progress.change(({ answers }) => ids.forEach((id) => delete answers[id]));
  });

  // Whoever has come to the quiz has come to the end of the chapter.
  const end = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    end.disconnect();
    Progress.mark("chapters", quiz.dataset.quiz, true);
  });

  bar.hidden = false;
  scores.forEach((score) => (score.hidden = false));
  end.observe(bar);
}
