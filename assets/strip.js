// The status strip. Everything that comes from outside is put on the page with textContent, never as markup.
// It keeps counting the age of the data, and says so, when the server does not answer any more.

const ICONS = {
  share: "M10 13a5 5 0 0 0 7 0l3-3a5 5 0 0 0-7-7l-1 1M14 11a5 5 0 0 0-7 0l-3 3a5 5 0 0 0 7 7l1-1",
  log: "M18 8a6 6 0 0 0-12 0c0 7-3 9-3 9h18s-3-2-3-9M13.7 21a2 2 0 0 1-3.4 0",
  warn: "M12 3 2 20h20zM12 10v4M12 17v.5",
  stop: "M6 6h12v12H6z",
  again: "M21 12a9 9 0 1 1-3-6.7M21 3v6h-6",
  check: "M4 12l5 5L20 6",
};
const TICK_MS = 500;
const PROBE_MS = 2000; // of a lost page; a wall display asks every fifth time even if all seems well

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
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function button(parent, name, label, hint, action) {
  const made = make("button", `dc-${name}`, parent);
  made.type = "button";
  made.title = hint;
  made.setAttribute("aria-label", hint);
  made.append(icon(name));
  made.label = make("span", "label", made, label);
  made.addEventListener("click", action);
  return made;
}

function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);

function healthz() {
  const folder = window.location.pathname.replace(/\/+$/, "").replace(/[^/]*$/, "");
  return new URL(`${folder}healthz`, window.location.origin);
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", "", document.body); // plain http on another host has no clipboard object
  area.value = text;
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function render({ model, view }) {
  const wall = model.wall;
  const strip = make("div", "dc-strip");
  strip.setAttribute("role", "status");
  const heading = make("span", "heading", strip);
  make("span", "dot", strip);
  const word = make("span", "word", strip);
  const feed = make("span", "feed", strip);
  const bar = make("div", "bar", strip);
  const fill = make("div", "", bar);
  const percent = make("span", "percent", strip);
  const age = make("span", "age", strip);
  const reason = make("span", "reason", strip);
  const time = make("span", "clock", strip);
  const problems = button(strip, "warn", "", "Problems: show which parts could not be read", () => toggle("problems"));
  const stop = button(strip, "stop", "Cancel", "Stop reading; what was counted so far stays", () => model.send_msg("cancel"));
  const again = button(strip, "again", "Read again", "Read everything again from the start", () => model.send_msg("restart"));
  const share = button(strip, "share", "Share", "Copy a link that reproduces this view", async () => {
    await copy(window.location.href);
    share.replaceChild(icon("check"), share.firstChild);
    share.label.textContent = "Copied";
    setTimeout(() => {
      share.replaceChild(icon("share"), share.firstChild);
      share.label.textContent = "Share";
    }, 1500);
  });
  const log = button(strip, "log", "Log", "Notices and problems", () => toggle("log"));
  problems.classList.add("warn");
  bar.setAttribute("role", "progressbar");
  const panel = make("div", "panel");
  panel.hidden = true;
  panel.setAttribute("role", "log");
  const shell = make("div", "");
  shell.append(strip, panel);
  for (const control of [share, log]) control.hidden = wall;

  let received = performance.now();
  let lost = false;
  let probes = 0;
  let seen = 0;

  function toggle(which) {
    const open = panel.hidden || panel.dataset.which !== which;
    panel.hidden = !open;
    panel.dataset.which = which;
    log.setAttribute("aria-expanded", String(open && which === "log"));
    problems.setAttribute("aria-expanded", String(open && which === "problems"));
    if (open) seen = model.notices.length ? model.notices.at(-1)[0] : 0;
    list();
    unread();
  }

  function list() {
    if (panel.hidden) return;
    panel.replaceChildren();
    const status = model.status;
    const ledger = model.problems;
    if (ledger.length) {
      make("h2", "", panel, `Could not be read (${status.count})`);
      const found = make("ul", "", panel);
      for (const line of ledger) make("span", "", make("li", "is-error", found), line);
    }
    if (panel.dataset.which !== "log") return;
    make("h2", "", panel, "Log");
    if (!model.notices.length) make("div", "none", panel, "Nothing to report.");
    const lines = make("ul", "", panel);
    for (const [when, level, text] of [...model.notices].reverse()) {
      const line = make("li", `is-${level}`, lines);
      make("time", "", line, clock(when));
      make("span", "", line, text);
    }
  }

  function unread() {
    const fresh = model.notices.filter(([when, level]) => when > seen && level !== "info").length;
    log.label.textContent = fresh ? `Log (${fresh})` : "Log";
    log.classList.toggle("warn", fresh > 0);
  }

  function draw() {
    const status = model.status;
    const count = status.count ?? 0;
    const live = status.live ?? false;
    word.textContent = lost ? "Connection lost" : (status.word ?? "Connecting");
    heading.textContent = model.heading;
    heading.hidden = !model.heading;
    feed.textContent = status.feed ?? "";
    reason.textContent = status.reason ?? "";
    reason.title = status.reason ?? "";
    const known = status.fraction !== null && status.fraction !== undefined;
    bar.hidden = percent.hidden = !known;
    if (known) {
      fill.style.width = `${100 * status.fraction}%`;
      percent.textContent = `${Math.floor(100 * status.fraction)} %`;
      bar.setAttribute("aria-valuenow", Math.floor(100 * status.fraction));
    }
    problems.hidden = wall || !count;
    problems.label.textContent = count === 1 ? "1 problem" : `${count} problems`;
    stop.hidden = wall || lost || !status.active;
    again.hidden = wall || lost || status.active || !status.feed;
    list();
    tick();
  }

  function tick() {
    const status = model.status;
    const elapsed = (performance.now() - received) / 1000;
    const old = status.data_time ? status.now - status.data_time + elapsed : null;
    let level = status.level ?? "idle";
    if (level !== "failed" && status.live && status.active && old !== null && old > model.stale_s) level = "stale";
    if (lost) level = "lost";
    age.hidden = old === null;
    if (old !== null) {
      const how = level === "stale" ? "STALE: newest data " : status.live || lost ? "newest data " : "data written ";
      age.textContent = `${how}${duration(old)} ${status.live || lost ? "old" : "ago"}`;
    }
    strip.dataset.level = level;
    document.documentElement.dataset.feed = level;
    time.hidden = !wall;
    if (wall) time.textContent = clock(Date.now() / 1000);
  }

  async function probe() {
    probes += 1;
    if (!lost && (!wall || probes % 5)) return;
    try {
      const answer = await fetch(healthz(), { cache: "no-store" });
      if (!answer.ok) return;
      const { instance } = await answer.json();
      // Only now is it safe to reload: during an outage the browser would keep an error page for ever. The address
      // holds the state of the view, so nothing is lost.
      if (lost || instance !== model.instance) window.location.reload();
    } catch {
      if (wall && !lost) gone();
    }
  }

  function gone() {
    lost = true;
    draw();
  }

  function address() {
    const here = window.location;
    const url = `${here.pathname}${model.query}${here.hash}`;
    if (url !== `${here.pathname}${here.search}${here.hash}`) window.history.replaceState(window.history.state, "", url);
  }

  view.model.document.on_event("connection_lost", gone);
  model.on("status", () => {
    received = performance.now();
    draw();
  });
  model.on("problems", list);
  model.on("notices", () => {
    list();
    unread();
  });
  model.on("heading", draw);
  model.on("query", address);
  const outside = (event) => {
    const away = event.type === "keydown" ? event.key === "Escape" : !event.composedPath().includes(shell);
    if (away && !panel.hidden) toggle(panel.dataset.which);
  };
  document.addEventListener("keydown", outside);
  document.addEventListener("pointerdown", outside);
  const timers = [setInterval(tick, TICK_MS), setInterval(probe, PROBE_MS)];
  model.on("remove", () => {
    timers.forEach(clearInterval);
    document.removeEventListener("keydown", outside);
    document.removeEventListener("pointerdown", outside);
  });
  draw();
  unread();
  return shell;
}
