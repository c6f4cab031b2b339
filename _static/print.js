// Printing: light colours whatever the screen shows, the references that the page cites, and, on request, everything
// opened, with the answers of the quizzes. All of it is undone afterwards.
const Printing = (() => {
  const root = document.documentElement;
  const undo = [];

  function isAdded(name, element, parent) {
    if (document.querySelector(`.${name}`)) return false;
    element.className = name;
    parent.append(element);
    undo.push(() => element.remove());
    return true;
  }

  // On the screen a citation leads to the bibliography. On paper that is another page, so its entries come along; the
  // page has them as data, because the screen shows them where the pointer rests (_ext/hover.py).
  function addReferences() {
    const data = document.getElementById("hover-texts");
    const texts = Object.entries(data ? JSON.parse(data.textContent) : {});
    const cited = texts.filter(([address]) => address.includes("bibliography.html#"));
    const items = cited.map(([address, text]) => {
      const item = document.createElement("li");
      item.id = `print-${address.split("#")[1]}`;
      item.innerHTML = text;
      return item;
    });
    items.sort((a, b) => a.textContent.localeCompare(b.textContent));
    const section = document.createElement("section");
    section.innerHTML = "<p><strong>References</strong></p><ul></ul>";
    section.lastChild.append(...items);
    if (items.length) isAdded("print-references", section, document.querySelector("article"));
  }

  // A quiz on paper asks first, and answers after its last question.
  function addAnswers(quiz) {
    const section = document.createElement("section");
    section.innerHTML = "<p><strong>Answers</strong></p><ol></ol>";
    for (const question of quiz.querySelectorAll(".quiz-question")) {
      const item = section.lastChild.appendChild(document.createElement("li"));
      question.querySelectorAll(".quiz-why p").forEach((why, place) => {
        item.appendChild(why.cloneNode(true)).prepend(`${"abcdefgh"[place]}. `);
      });
    }
    if (!isAdded("print-answers", section, quiz)) return;
    quiz.classList.add("quiz-unanswered");
    undo.push(() => quiz.classList.remove("quiz-unanswered"));
  }

  function open() {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      undo.push(() => (details.open = false));
    }
    document.querySelectorAll(".quiz").forEach(addAnswers);
  }

  function begin() {
    const { theme } = root.dataset;
    if (theme !== "light") {
      root.dataset.theme = "light";
      undo.push(() => (root.dataset.theme = theme));
    }
    addReferences();
  }

  const end = () => undo.splice(0).reverse().forEach((step) => step());

  addEventListener("beforeprint", begin);
  addEventListener("afterprint", end);
  matchMedia("print").addEventListener("change", ({ matches }) => (matches ? begin() : end()));

  return { begin, open, end, printAll: () => (open(), print()) };
})();
