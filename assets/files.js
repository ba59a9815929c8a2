// The list of a folder. Names are foreign: textContent only. The server is told places in its list, never paths.

const FOLDER = "M3 6h6l2 2h10v11H3z";
const FILE = "M6 3h8l4 4v14H6zM14 3v4h4";

function make(tag, classes, parent, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (size >= 1000 && power < 4) {
    size /= 1000;
    power += 1;
  }
  return `${power && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[power]}`;
}

function date(seconds) {
  const local = new Date((seconds - 60 * new Date(seconds * 1000).getTimezoneOffset()) * 1000);
  return local.toISOString().slice(0, 16).replace("T", " ");
}

export function render({ model }) {
  const box = make("div", "dc-files");
  const head = make("div", "row", box);
  const crumbs = make("nav", "crumbs", head);
  crumbs.setAttribute("aria-label", "Folder");
  const filter = make("input", "", head);
  filter.type = "search";
  filter.placeholder = "Filter";
  filter.setAttribute("aria-label", "Show only names that contain this");
  const again = make("button", "", head, "Look again");
  const message = make("div", "message", box);
  message.setAttribute("role", "alert");
  const rows = make("div", "list", box);
  rows.setAttribute("role", "listbox");
  rows.setAttribute("aria-multiselectable", "true");
  rows.setAttribute("aria-label", "Files; control or shift selects several, enter opens a folder");
  const foot = make("div", "row foot", box);
  const said = make("span", "grow", foot);
  const live = make("button", "dc-follow", foot, "Follow live");
  live.title = "Read what is there, and go on with what is written from now on";
  const open = make("button", "main dc-open", foot, "Open");
  for (const control of [again, live, open]) control.type = "button";

  let selected = new Set();
  let anchor = null;
  const send = (message) => model.send_msg({ number: model.shown.number, ...message });

  function choose(follow) {
    send({ do: "choose", which: [...selected].sort((a, b) => a - b), live: follow });
  }

  function mark() {
    for (const row of rows.querySelectorAll(".entry")) {
      row.setAttribute("aria-selected", String(selected.has(Number(row.dataset.index))));
    }
    const count = selected.size;
    const inside = (model.shown.crumbs ?? []).length > 0;
    said.textContent = count ? `${count} selected` : inside ? "Nothing selected: the whole folder" : "Choose a folder";
    open.textContent = count || !inside ? "Open" : "Open folder";
    open.disabled = live.disabled = !count && !inside;
  }

  function pick(index, event) {
    if (event.shiftKey && anchor !== null) {
      const [low, high] = [Math.min(anchor, index), Math.max(anchor, index)];
      const visible = [...rows.querySelectorAll(".entry")].map((row) => Number(row.dataset.index));
      selected = new Set(visible.filter((each) => each >= low && each <= high));
    } else if (event.ctrlKey || event.metaKey) {
      if (!selected.delete(index)) selected.add(index);
      anchor = index;
    } else {
      selected = new Set(selected.size === 1 && selected.has(index) ? [] : [index]);
      anchor = index;
    }
    mark();
  }

  function list() {
    const wanted = filter.value.toLowerCase();
    rows.replaceChildren();
    (model.shown.entries ?? []).forEach(([name, folder, size, time], index) => {
      if (wanted && !name.toLowerCase().includes(wanted)) return;
      const row = make("div", "entry", rows);
      row.dataset.index = index;
      row.tabIndex = 0;
      row.setAttribute("role", "option");
      row.append(icon(folder ? FOLDER : FILE));
      make("span", "name", row, name).title = name;
      make("span", "fact", row, folder ? "" : bytes(size));
      make("span", "fact", row, date(time));
      const enter = () => (folder ? send({ do: "go", to: index }) : ((selected = new Set([index])), choose(false)));
      row.addEventListener("click", (event) => pick(index, event));
      row.addEventListener("dblclick", enter);
      row.addEventListener("keydown", (event) => {
        if (event.key === "Enter") enter();
        else if (event.key === " ") pick(index, { ctrlKey: true });
        else if (event.key === "ArrowDown") row.nextElementSibling?.focus();
        else if (event.key === "ArrowUp") row.previousElementSibling?.focus();
        else return;
        event.preventDefault();
      });
    });
    if (!rows.firstChild) make("div", "none", rows, wanted ? "No name contains that." : "No file of the right kind here.");
    mark();
  }

  function draw() {
    selected = new Set();
    anchor = null;
    crumbs.replaceChildren();
    const names = model.shown.crumbs ?? [];
    if (model.shown.roots) make("button", "", crumbs, "Data").addEventListener("click", () => send({ do: "up", to: -1 }));
    names.forEach((name, index) => {
      if (index || model.shown.roots) make("span", "", crumbs, "/");
      make("button", "", crumbs, name).addEventListener("click", () => send({ do: "up", to: index }));
    });
    message.textContent = model.shown.message ?? "";
    message.hidden = !message.textContent;
    list();
  }

  filter.addEventListener("input", list);
  again.addEventListener("click", () => send({ do: "again" }));
  open.addEventListener("click", () => choose(false));
  live.addEventListener("click", () => choose(true));
  model.on("shown", () => {
    filter.value = "";
    draw();
  });
  draw();
  return box;
}
