// An ordered list that is edited. Names are foreign: they are only ever text. The server keeps the truth: each wish is
// sent, and what is shown is what comes back.

const ICONS = {
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  rename: "M4 20l1-5L16 4l4 4L9 19z",
};
const COLOURS = { add: "#ff4fa3", subtract: "#8bd346" };
const SIGNS = { add: ["+", "Adds to the mask; click to subtract"], subtract: ["−", "Subtracts from the mask; click to add"] };

function make(tag, classes, parent, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", ICONS[name]);
  svg.append(line);
  return svg;
}

const plain = (value) => (value instanceof Map ? Object.fromEntries([...value].map(([k, v]) => [k, plain(v)]))
  : Array.isArray(value) && value[0] instanceof Map ? value.map(plain) : value);

export function render({ model }) {
  const list = make("div", "dc-rows");
  list.setAttribute("role", "listbox");
  const words = plain(model.words), can = new Set(words.can ?? []);
  list.setAttribute("aria-label", words.label ?? "");
  list.style.maxHeight = `${words.high ?? 320}px`;
  const none = make("div", "none", list, words.empty ?? "");
  const lines = new Map(); // id -> the element of its row, which stays while the row does: it may have the focus
  const send = (message) => model.send_msg(message);

  function button(row, name, label, act) {
    const made = make("button", name, row);
    made.type = "button";
    made.tabIndex = -1;
    made.append(icon(name));
    made.title = label;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", (event) => {
      event.stopPropagation();
      act();
    });
    return made;
  }

  function build(id) {
    const row = make("div", "row");
    row.setAttribute("role", "option");
    row.tabIndex = -1;
    row.dataset.id = id;
    const parts = { row, id };
    parts.enabled = make("input", "", row);
    parts.enabled.type = "checkbox";
    parts.enabled.addEventListener("change", () => send({ do: "enable", id, enabled: parts.enabled.checked }));
    parts.sign = make("button", "sign", row);
    parts.sign.type = "button";
    parts.sign.addEventListener("click", () => send({ do: "sign", id, sign: parts.fact.sign == "add" ? "subtract" : "add" }));
    parts.dot = make("span", "dot", row);
    parts.text = make("span", "text", row);
    parts.name = make("span", "name", parts.text);
    parts.what = make("span", "what", parts.text);
    parts.note = make("span", "note", row);
    for (const each of [parts.enabled, parts.sign]) each.addEventListener("click", (event) => event.stopPropagation());
    if (can.has("rename")) parts.rename = button(row, "rename", "Rename (F2)", () => rename(parts));
    if (can.has("move")) {
      parts.up = button(row, "up", "Earlier (Alt+↑)", () => send({ do: "move", id, steps: -1 }));
      parts.down = button(row, "down", "Later (Alt+↓)", () => send({ do: "move", id, steps: 1 }));
    }
    if (can.has("delete")) parts.delete = button(row, "delete", "Delete (Del)", () => send({ do: "delete", id }));
    row.addEventListener("click", () => select(id));
    parts.name.addEventListener("dblclick", () => rename(parts));
    row.addEventListener("keydown", (event) => typed(event, parts));
    return parts;
  }

  function select(id) {
    model.selected !== id && send({ do: "select", id });
    mark(id);
    lines.get(id)?.row.focus({ preventScroll: true });
  }

  function rename(parts) {
    if (!can.has("rename") || parts.fact.fixed || parts.input) return;
    const input = make("input", "edit");
    parts.input = input;
    Object.assign(input, { type: "text", maxLength: 200, value: parts.fact.name });
    input.setAttribute("aria-label", "Name");
    parts.name.replaceWith(input);
    input.focus();
    input.select();
    const finish = (take) => {
      if (parts.input !== input) return;
      parts.input = null;
      const name = input.value.trim();
      input.replaceWith(parts.name);
      if (take && name !== parts.fact.name) send({ do: "rename", id: parts.id, name });
      parts.row.focus({ preventScroll: true });
    };
    input.addEventListener("click", (event) => event.stopPropagation());
    input.addEventListener("blur", () => finish(true));
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key == "Enter" || event.key == "Escape") finish(event.key == "Enter");
    });
  }

  function typed(event, parts) {
    if (event.target !== parts.row) {
      if (event.key == "Delete" || event.key == "Backspace") event.stopPropagation();
      return;
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key], id = parts.id, fixed = parts.fact.fixed;
    if (step && event.altKey && can.has("move")) fixed || send({ do: "move", id, steps: step });
    else if (step) {
      const next = step < 0 ? parts.row.previousElementSibling : parts.row.nextElementSibling;
      if (next?.dataset.id) select(next.dataset.id);
    } else if (event.key == "F2" || event.key == "Enter") rename(parts);
    else if (event.key == " " && parts.fact.enabled !== null) fixed || send({ do: "enable", id, enabled: !parts.fact.enabled });
    else if ((event.key == "Delete" || event.key == "Backspace") && can.has("delete")) fixed || send({ do: "delete", id });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function fill(parts, fact, place, count) {
    parts.fact = fact;
    const { row } = parts, on = fact.enabled !== false;
    row.classList.toggle("off", !on);
    row.classList.toggle("problem", Boolean(fact.problem));
    parts.enabled.hidden = fact.enabled === null;
    parts.enabled.checked = on;
    parts.enabled.disabled = fact.fixed || !can.has("enable");
    parts.enabled.title = on ? "Switch off" : "Switch on";
    parts.enabled.setAttribute("aria-label", `${on ? "Switch off" : "Switch on"}: ${fact.name || fact.what}`);
    const [letter, hint] = SIGNS[fact.sign] ?? ["", ""];
    parts.sign.hidden = !letter;
    parts.sign.textContent = letter;
    parts.sign.title = hint;
    parts.sign.setAttribute("aria-label", hint);
    parts.sign.disabled = fact.fixed || !can.has("sign");
    const colour = /^#[0-9a-f]{6}$/i.test(fact.colour) ? fact.colour : (COLOURS[fact.sign] ?? "");
    parts.dot.hidden = !colour;
    parts.dot.style.background = colour;
    parts.name.textContent = fact.name || fact.what;
    parts.what.textContent = fact.name ? fact.what : "";
    parts.text.title = [fact.name, fact.what].filter(Boolean).join(" · ");
    parts.note.textContent = fact.problem || fact.note;
    parts.note.title = parts.note.textContent;
    for (const name of ["rename", "up", "down", "delete"]) if (parts[name]) parts[name].hidden = fact.fixed;
    if (parts.up) [parts.up.disabled, parts.down.disabled] = [place == 0, place == count - 1];
  }

  function mark(id) {
    for (const { row } of lines.values()) {
      const chosen = row.dataset.id === id;
      row.setAttribute("aria-selected", String(chosen));
      row.tabIndex = chosen ? 0 : -1;
    }
    const first = list.querySelector(".row");
    if (first && !lines.has(id)) first.tabIndex = 0;
  }

  function draw() {
    const facts = plain(model.rows) ?? [], wanted = new Set(facts.map((fact) => fact.id));
    const focused = list.getRootNode().activeElement?.closest?.(".row")?.dataset.id;
    for (const [id, { row }] of lines) {
      if (wanted.has(id)) continue;
      row.remove();
      lines.delete(id);
    }
    let before = none;
    facts.forEach((fact, place) => {
      if (!lines.has(fact.id)) lines.set(fact.id, build(fact.id));
      const parts = lines.get(fact.id);
      fill(parts, fact, place, facts.length);
      if (before.nextElementSibling !== parts.row) before.after(parts.row);
      before = parts.row;
    });
    none.hidden = facts.length > 0;
    mark(model.selected);
    // a row that was moved has lost the focus on the way
    if (focused && lines.has(focused) && !lines.get(focused).input) lines.get(focused).row.focus({ preventScroll: true });
  }

  function chosen() {
    mark(model.selected);
    lines.get(model.selected)?.row.scrollIntoView({ block: "nearest" });
  }

  model.on("rows", draw);
  model.on("answer", draw);
  model.on("selected", chosen);
  draw();
  return list;
}
