// What a reader has done, kept in this browser and nowhere else. A classic script, so that it also runs from a folder.
//
// The record is one object, the same in localStorage and in an exported file:
//   answers   id of a question: {first: was the first try right?, choice: id of the choice that is made now}
//   chapters  names of the chapters read, such as "05_sampling"
//   labs      names of the labs done, such as "12_decoding"
// _ext/quiz.py makes the ids from the words of question and choice.
const Progress = (() => {
  const KEY = "generative-ai-measured/progress"; // other sites of the same host share the storage
  const COURSE = "Generative AI, Measured";
  const FORMAT = 1;
  const LARGEST = 1_000_000; // characters; a complete record has some 20,000
  const listeners = [];
  let unkept = null; // the record, once the browser has refused to keep it

  const empty = () => ({ course: COURSE, format: FORMAT, answers: {}, chapters: [], labs: [] });

  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const isId = (value) => typeof value === "string" && /^[0-9a-f]{12}$/.test(value);
  const isAnswer = (value) => isObject(value) && typeof value.first === "boolean" && isId(value.choice);
  const areAnswers = (value) => isObject(value) && Object.entries(value).every(([id, answer]) => isId(id) && isAnswer(answer));
  const areNames = (value) => Array.isArray(value) && value.every((name) => /^\d\d_[a-z0-9_]{1,80}$/.test(name));

  // The record that a text holds, without anything that does not belong there. Throws an Error that ends a sentence.
  function parse(text) {
    if (text.length > LARGEST) throw new Error("the file is too large to be a record of this course");
    let found;
    try {
      found = JSON.parse(text);
    } catch {
      throw new Error("the file is not JSON, so it is no record of this course");
    }
    if (!isObject(found) || found.course !== COURSE) throw new Error("the file is no record of this course");
    if (found.format !== FORMAT) throw new Error("the file was written by another version of this site");
    const checks = { answers: areAnswers, chapters: areNames, labs: areNames };
    const broken = Object.keys(checks).find((part) => !checks[part](found[part]));
    if (broken) throw new Error(`the file is damaged where it lists ${broken}`);
    const answers = Object.entries(found.answers).map(([id, { first, choice }]) => [id, { first, choice }]);
    const [chapters, labs] = [found.chapters, found.labs].map((names) => [...new Set(names)]);
    return { ...empty(), answers: Object.fromEntries(answers), chapters, labs };
  }

  function load() {
    if (unkept) return unkept;
    try {
      const text = localStorage.getItem(KEY);
      if (text === null) return empty();
      try {
        return parse(text);
      } catch {
        localStorage.setItem(`${KEY}/unreadable`, text); // not ours to throw away
        return empty();
      }
    } catch {
      return (unkept = empty()); // reading is refused, or there is no room
    }
  }

  // Apply `edit` to the newest record, since another tab may have written one, and keep the result.
  function change(edit) {
    const record = load();
    edit(record);
    try {
      localStorage.setItem(KEY, JSON.stringify(record));
      unkept = null;
    } catch {
      unkept = record;
    }
    listeners.forEach((listener) => listener());
  }

  // Add or take away a name of record[part], which is "chapters" or "labs".
  function mark(part, name, isDone) {
    change((record) => {
      record[part] = record[part].filter((other) => other !== name);
      if (isDone) record[part].push(name);
    });
  }

  // Add what a text holds to the record; where both know something, what is here stays. Returns what was new.
  function add(text) {
    const other = parse(text);
    const added = {};
    change((record) => {
      const ids = Object.keys(other.answers).filter((id) => !(id in record.answers));
      for (const id of ids) record.answers[id] = other.answers[id];
      added.answers = ids.length;
      for (const part of ["chapters", "labs"]) {
        const names = other[part].filter((name) => !record[part].includes(name));
        record[part].push(...names);
        added[part] = names.length;
      }
    });
    return added;
  }

  function erase() {
    change((record) => Object.assign(record, empty()));
    try {
      [KEY, `${KEY}/unreadable`].forEach((key) => localStorage.removeItem(key));
    } catch {
      // nothing is stored where storing is refused
    }
  }

  // How many of these questions are answered, and how many of them were right at the first try.
  function score(ids) {
    const { answers } = load();
    const answered = ids.filter((id) => id in answers);
    return { answered: answered.length, right: answered.filter((id) => answers[id].first).length };
  }

  const isKept = () => {
    load();
    return !unkept && !localStorage.refused; // `refused`: see _ext/progress.py
  };

  // Call `listener` now, and whenever the record changes, here or in another tab.
  function follow(listener) {
    listeners.push(listener);
    listener();
  }
  addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) listeners.forEach((listener) => listener());
  });

  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

  return { KEY, parse, load, change, mark, add, erase, score, isKept, follow, plural };
})();
