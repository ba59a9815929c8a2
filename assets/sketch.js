// The tools, and the canvas above a Bokeh figure on which shapes are drawn and dragged. What a person does is shown at
// once; the server is told of the result, and of what is under way at most ten times a second.

const ICONS = {
  select: "M5 3l14 8-6.5 1.5L9 19z",
  rectangle: "M4 6h16v12H4z",
  ellipse: "M3 12a9 6 0 1 0 18 0a9 6 0 1 0-18 0",
  ring: "M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0M8 12a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
  polygon: "M12 3l9 7-4 10H7L3 10z",
  brush: "M20 3c-5 3-9 7-11 11M9 14c-3 0-4 2-4 4 0 1-1 2-2 2 5 2 9 0 9-3 0-2-1-3-3-3z",
  half_plane: "M3 19L19 3M11 11l7 7M18 13v5h-5",
  point: "M12 3v18M3 12h18",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  undo: "M9 6L4 11l5 5M4 11h10a6 6 0 0 1 0 9h-3",
  redo: "M15 6l5 5-5 5M20 11H10a6 6 0 0 0 0 9h3",
};
const LABELLED = {
  select: ["Select", "Move and select: click a shape, drag it or its handles (Esc)"],
  rectangle: ["Rectangle", "Drag from corner to corner; with Shift a square"],
  ellipse: ["Ellipse", "Drag from corner to corner; with Shift a circle"],
  ring: ["Ring", "Drag from the centre outwards"],
  polygon: ["Polygon", "Click its corners, at last the first one again or Enter; or draw it in one stroke"],
  brush: ["Brush", "Paint; [ and ] change its size"],
  half_plane: ["Half-plane", "Drag from the border into the side that is meant; with Shift in steps of 15°"],
  point: ["Point", "Click each point"],
  delete: ["Delete", "The selected shape (Backspace)"],
  undo: ["Undo", "Take the last change back (Ctrl+Z)"],
  redo: ["Redo", "Do again what was taken back (Ctrl+Shift+Z)"],
};
const CHANGED = {
  any: "drag it or a handle, arrow keys move it",
  polygon: "drag it, a corner or the middle of a side; Alt+click removes a corner",
  half_plane: "drag the line or the end of the arrow",
  point: "drag it, arrow keys move it",
  fixed: "it cannot be changed here",
};
const KIND_WORDS = { roi: "ROI", add: "Mask", subtract: "Unmask", note: "Note" };
const STAY = ["brush", "point"]; // one is drawn after the other
const DRAG_MS = 100;
const LOST_MS = 1000; // an answer that has not come by then is not waited for
const GRACE_MS = 600; // the owner may show its new list a moment after it answered
const LOOK_MS = 300;
const TAP_PX = 4;
const CURSORS = ["move", "crosshair", "grab", "pointer"];

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

// What Python calls a dict arrives as an object or as a Map.
const plain = (value) => (value instanceof Map ? Object.fromEntries([...value].map(([k, v]) => [k, plain(v)]))
  : Array.isArray(value) && value[0] instanceof Map ? value.map(plain) : value);

export function render({ model }) {
  const place = make("div", "dc-sketch");
  const tools = make("div", "tools", place);
  tools.setAttribute("role", "toolbar");
  tools.setAttribute("aria-label", "Drawing");
  const buttons = {};
  const button = (name, parent, act) => {
    const [label, hint] = LABELLED[name];
    const made = make("button", "", parent);
    made.type = "button";
    made.title = `${label}: ${hint}`;
    made.setAttribute("aria-label", label);
    made.append(icon(ICONS[name]));
    made.addEventListener("click", act);
    buttons[name] = made;
  };
  const group = make("div", "group", tools);
  button("select", group, () => choose(null));
  for (const name of model.tools) button(name, group, () => choose(local.mode == name ? null : name));
  const kinds = make("div", "group", tools);
  kinds.setAttribute("role", "radiogroup");
  kinds.setAttribute("aria-label", "What is drawn next");
  kinds.hidden = model.kinds.length < 2;
  const kind_buttons = Object.fromEntries(model.kinds.map((kind) => {
    const made = make("button", `kind ${kind}`, kinds, KIND_WORDS[kind] ?? kind);
    made.type = "button";
    made.setAttribute("role", "radio");
    made.style.setProperty("--ink", INK[kind] ?? INK.roi);
    made.addEventListener("click", () => {
      local.kind = kind;
      tell_mode();
    });
    return [kind, made];
  }));
  const acts = make("div", "group", tools);
  button("delete", acts, () => remove());
  button("undo", acts, () => send({ do: "undo" }));
  button("redo", acts, () => send({ do: "redo" }));
  const line = make("div", "line", tools); // as large whatever it says, for the figure below must not move
  const size = make("label", "size", line);
  make("span", "", size, "Radius");
  const slider = make("input", "", size);
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1, title: "Radius of the brush, pixels ([ and ])" });
  const number = make("input", "", size);
  Object.assign(number, { type: "number", min: 0.5, max: 1000, step: 0.5 });
  number.setAttribute("aria-label", "Radius of the brush, pixels");
  const hint = make("div", "hint", line);
  hint.setAttribute("role", "status");

  let marks = [], state = {};
  const local = { mode: null, kind: "roi", radius: 8, selected: null };
  const told = { number: model.answer, choice: 0, drag: 0, drag_at: 0, drag_due: 0 };
  const pending = new Map(); // id -> { shape, number, at }: what the server has not shown yet
  let adding = []; // the same for what is new
  let draft = null; // the corners of a polygon so far, or the line of a brush
  let act = null; // what the pressed mouse does
  let pointer = null, over = false, hovered = null;
  let host = null, figure = null, canvas = null, ctx = null, sheet = null, due = 0, painted = "", slots = [];
  const stats = { paints: 0, drags: 0 };

  // --- what the server is told and says

  function send(message) {
    told.number += 1;
    model.send_msg({ ...message, number: told.number });
    return told.number;
  }

  function tell_mode() {
    told.choice = send({ do: "draw", mode: local.mode, kind: local.kind, radius: local.radius });
    show_tools();
  }

  function choose(mode) {
    draft = act = null;
    local.mode = mode;
    if (mode) pick(null);
    quiet();
    tell_mode();
    invalidate();
  }

  function pick(id) {
    if (local.selected === id) return;
    local.selected = id;
    told.choice = send({ do: "select", id });
    show_tools();
    invalidate();
  }

  function remove() {
    const mark = marks.find((each) => each.id === local.selected);
    if (mark && !mark.fixed) send({ do: "delete", id: mark.id });
  }

  function edited(id, shape) {
    pending.set(id, { shape, number: send({ do: "change", id, shape }) });
  }

  function added(shape) {
    if (!STAY.includes(local.mode)) local.mode = null;
    told.choice = send({ do: "add", shape });
    adding.push({ shape, number: told.choice });
    show_tools();
  }

  // What is under way, for those who follow it: not more often than it is dealt with.
  function tell_drag(id, shape) {
    if (!state.drags) return;
    const now = performance.now();
    clearTimeout(told.drag_due);
    const wait = told.drag_at + DRAG_MS - now, busy = told.drag > model.answer && now < told.drag_at + LOST_MS;
    if (wait > 0 || busy) {
      told.drag_due = setTimeout(() => act?.moved && tell_drag(id, act.shape ?? draft), Math.max(wait, 20));
      return;
    }
    told.drag_at = now;
    told.drag = send({ do: "drag", id, shape });
    stats.drags += 1;
  }

  function hear_marks() {
    marks = plain(model.marks) ?? [];
    const known = new Map(marks.map((mark) => [mark.id, mark]));
    for (const [id, { number }] of pending) if (!known.has(id) || number <= model.answer + 1) pending.delete(id);
    adding = adding.filter((each) => each.number > model.answer + 1);
    if (act?.id && !known.has(act.id)) act = null;
    invalidate();
  }

  function hear_answer() {
    if (told.choice <= model.answer) hear_state();
    const now = performance.now(), answer = model.answer;
    for (const wish of [...pending.values(), ...adding]) if (wish.number <= answer) wish.until ??= now + GRACE_MS;
    if (pending.size || adding.length) setTimeout(expire, GRACE_MS + 20);
  }

  function expire() {
    const now = performance.now();
    for (const [id, { until }] of pending) if (until <= now) pending.delete(id);
    adding = adding.filter((each) => !(each.until <= now));
    invalidate();
  }

  function hear_state() {
    state = plain(model.state) ?? {};
    if (told.choice <= model.answer) {
      if (state.mode !== local.mode) draft = act = null;
      Object.assign(local, { mode: state.mode ?? null, kind: state.kind, radius: state.radius, selected: state.selected ?? null });
    }
    show_tools();
    invalidate();
  }

  // --- the tools

  function show_tools() {
    for (const [name, made] of Object.entries(buttons)) made.setAttribute("aria-pressed", String(name == (local.mode ?? "select")));
    for (const name of ["delete", "undo", "redo"]) buttons[name].removeAttribute("aria-pressed");
    for (const [kind, made] of Object.entries(kind_buttons)) made.setAttribute("aria-checked", String(kind == local.kind));
    const mark = marks.find((each) => each.id === local.selected);
    buttons.delete.disabled = !mark || mark.fixed;
    buttons.undo.hidden = buttons.redo.hidden = !state.undoes;
    buttons.undo.disabled = !state.undo;
    buttons.redo.disabled = !state.redo;
    size.hidden = local.mode != "brush";
    if (document.activeElement !== number && place.getRootNode().activeElement !== number) number.value = local.radius;
    slider.value = 100 * Math.log(local.radius / 0.5) / Math.log(400);
    show_hint();
    if (!host) return;
    host.dataset.sketch = local.mode ? "crosshair" : "";
    host.toggleAttribute("data-drawing", Boolean(local.mode));
  }

  // What is under way or selected, in numbers; what the mouse does now; or what went wrong.
  function show_hint() {
    const mark = marks.find((each) => each.id === local.selected), shape = act?.shape ?? (mark && !local.mode ? shapeOf(mark) : null);
    const how = mark && !act ? CHANGED[mark.fixed ? "fixed" : mark.shape.kind] ?? CHANGED.any : "";
    const said = act ? "" : state.note, words = said || (shape ? wordsFor(shape) : "");
    const text = words ? [words, said ? "" : how].filter(Boolean).join(" · ") : local.mode ? LABELLED[local.mode][1] : "";
    if (hint.textContent != text) hint.textContent = hint.title = text;
    hint.classList.toggle("warn", Boolean(said));
  }

  function resize_brush(radius) {
    if (!(radius > 0)) return;
    local.radius = clamp(0.5, Math.round(radius * 2) / 2, 1000);
    invalidate();
    tell_mode();
  }

  slider.addEventListener("input", () => resize_brush(0.5 * 400 ** (slider.value / 100)));
  number.addEventListener("change", () => resize_brush(Number(number.value)));

  // --- the figure

  function attach() {
    if (!place.isConnected) return detach();
    const view = globalThis.Bokeh?.index?.find_one_by_id?.(model.figure);
    const el = view?.canvas_view?.el;
    if (el === host && el?.isConnected && canvas?.isConnected) {
      const at = mapOf()?.key;
      if (at && at !== painted) invalidate();
      return;
    }
    detach();
    if (!el?.isConnected || !view.frame) return;
    el.dc_sketch?.();
    el.dc_sketch = detach;
    [host, figure] = [el, view];
    canvas = make("canvas", "dc-sketch-canvas");
    canvas.style.cssText = "position: absolute; left: 0; top: 0; pointer-events: none";
    view.canvas_view.events_el.before(canvas);
    ctx = canvas.getContext("2d");
    // Bokeh sets its own cursors on the element; a rule that is more important wins.
    const rules = CURSORS.map((name) => `:host([data-sketch="${name}"]) .bk-events { cursor: ${name} !important }`);
    sheet = make("style", "", null, [...rules, ":host([data-drawing]) .bk-events { touch-action: none !important }"].join("\n"));
    view.canvas_view.shadow_el.append(sheet);
    for (const [name, listener] of listeners) host.addEventListener(name, listener, { capture: true });
    for (const each of [view.model, view.model.x_range, view.model.y_range]) {
      each.change.connect(invalidate);
      slots.push(each);
    }
    show_tools();
    invalidate();
  }

  function detach() {
    if (!host) return;
    for (const [name, listener] of listeners) host.removeEventListener(name, listener, { capture: true });
    for (const each of slots) each.change.disconnect(invalidate);
    slots = [];
    canvas.remove();
    sheet.remove();
    delete host.dataset.sketch;
    delete host.dataset.drawing;
    delete host.dc_sketch;
    host = figure = canvas = ctx = null;
    draft = act = pointer = null;
    over = false;
  }

  function mapOf() {
    const frame = figure?.frame;
    if (!frame || !(frame.bbox.width > 0 && frame.bbox.height > 0)) return null;
    const { left, top, width, height } = frame.bbox, { x_scale, y_scale } = frame;
    const [x0, x1, y0, y1] = [x_scale.invert(left), x_scale.invert(left + width), y_scale.invert(top), y_scale.invert(top + height)];
    if (![x0, x1, y0, y1].every(Number.isFinite) || x0 == x1 || y0 == y1) return null;
    const [kx, ky] = [width / (x1 - x0), height / (y1 - y0)];
    return {
      box: { left, top, width, height }, scale: Math.sqrt(Math.abs(kx * ky)),
      key: [left, top, width, height, x0, x1, y0, y1, devicePixelRatio].join(),
      to: ([x, y]) => [left + (x - x0) * kx, top + (y - y0) * ky], from: ([px, py]) => [x0 + (px - left) / kx, y0 + (py - top) / ky],
    };
  }

  function invalidate() {
    due ||= requestAnimationFrame(paint);
  }

  const shapeOf = (mark) => (act?.id === mark.id && act.shape) || pending.get(mark.id)?.shape || mark.shape;

  function paint() {
    due = 0;
    const map = mapOf();
    if (!map || !ctx) return;
    const ratio = devicePixelRatio || 1, { width, height } = figure.canvas_view.bbox;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width != wide || canvas.height != high) {
      Object.assign(canvas, { width: wide, height: high });
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    painted = map.key;
    show_hint();
    stats.paints += 1;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    ctx.save();
    ctx.beginPath();
    ctx.rect(map.box.left, map.box.top, map.box.width, map.box.height);
    ctx.clip();
    ctx.lineJoin = "round";
    const chosen = marks.find((mark) => mark.id === local.selected);
    const inOrder = chosen ? [...marks.filter((mark) => mark !== chosen), chosen] : marks;
    const looks = inOrder.map((mark) => ({
      selected: mark === chosen, faint: !mark.enabled, dashed: mark.kind == "subtract" || !mark.enabled,
    }));
    const colourOf = (mark) => mark.colour || INK[mark.kind] || INK.roi;
    inOrder.forEach((mark, n) => paintShape(ctx, shapeOf(mark), colourOf(mark), looks[n], map));
    inOrder.forEach((mark, n) => {
      if (inOrder.length <= LABELS || mark === chosen) paintLabel(ctx, mark.name, shapeOf(mark), colourOf(mark), looks[n], map);
    });
    if (chosen && !chosen.fixed && !local.mode) paintGrips(ctx, gripsOf(shapeOf(chosen), map), colourOf(chosen));
    const ink = INK[local.kind] ?? INK.roi, plainly = { selected: false, faint: false, dashed: local.kind == "subtract" };
    for (const { shape } of [...adding, ...(act?.does == "draw" && act.shape ? [act] : [])]) paintShape(ctx, shape, ink, plainly, map);
    if (draft) paintDraft(map, ink);
    if (local.mode == "brush" && pointer && over) {
      ctx.beginPath();
      ctx.arc(...pointer, Math.max(1.5, local.radius * map.scale), 0, 2 * Math.PI);
      for (const [style, line] of [[SHADE, 3], [ink, 1.5]]) {
        Object.assign(ctx, { strokeStyle: style, lineWidth: line });
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  // The corners of a polygon that is not closed yet, with a line to the mouse.
  function paintDraft(map, ink) {
    const points = draft.xs.map((x, n) => map.to([x, draft.ys[n]])), path = new Path2D();
    trace(path, pointer && over ? [...points, pointer] : points);
    inked(ctx, path, ink, { selected: false, dashed: false });
    if (points.length > SHOWN_CORNERS) return;
    const closing = pointer && points.length > 2 && between(pointer, points[0]) <= GRIP_PX + 2;
    paintGrips(ctx, points.map((at, n) => ({ does: n == 0 && closing ? "aim" : "corner", at })), ink);
  }

  // --- the mouse

  const placeOf = (event) => {
    const { left, top } = host.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const within = ([x, y], { left, top, width, height }) => x >= left && x <= left + width && y >= top && y <= top + height;

  // What hangs at the mouse would hide what is drawn.
  function quiet() {
    figure?.canvas_view.events_el.dispatchEvent(new PointerEvent("pointerout", { isPrimary: true, pointerId: 1 }));
  }

  function swallow(event) {
    event.stopPropagation();
    if (event.cancelable) event.preventDefault();
  }

  // The shape at a place: what is selected first, then edges, then the smallest body.
  function find(p, map) {
    const chosen = marks.find((mark) => mark.id === local.selected);
    if (chosen) {
      const grip = chosen.fixed ? null : gripAt(gripsOf(shapeOf(chosen), map), p);
      if (grip) return { mark: chosen, part: "grip", grip };
      const part = touches(shapeOf(chosen), p, map);
      if (part == "edge") return { mark: chosen, part };
    }
    let best = null;
    for (const mark of marks) {
      const part = touches(shapeOf(mark), p, map);
      if (!part) continue;
      const [left, top, right, bottom] = boxOf(shapeOf(mark));
      const found = { mark, part, area: part == "edge" ? 0 : (right - left) * (bottom - top) };
      if (!best || found.area <= best.area) best = found;
    }
    return best;
  }

  function pressed(event) {
    const map = mapOf(), p = placeOf(event);
    if (!map || event.button != 0 || event.ctrlKey || !event.isPrimary || !within(p, map.box)) return;
    pointer = p;
    const at = map.from(p);
    if (local.mode) {
      swallow(event);
      grab(event);
      begin(at, p, map);
    } else {
      const found = find(p, map);
      const takes = found && !found.mark.fixed && (found.part != "body" || found.mark.id === local.selected);
      if (takes) {
        swallow(event);
        grab(event);
        if (event.altKey && found.grip?.does == "corner") return drop_corner(found);
        // A handle is rarely hit in its middle; what is dragged does not jump to the mouse.
        const from = found.grip ? map.from(found.grip.at) : at, offset = [from[0] - at[0], from[1] - at[1]];
        act = { does: "change", id: found.mark.id, grip: found.grip, from, offset, start: p, before: shapeOf(found.mark), shape: null, moved: false };
      } else act = { does: "tap", start: p, found, moved: false };
    }
    invalidate();
  }

  function grab(event) {
    host.setPointerCapture(event.pointerId);
    let typing = document.activeElement; // keys are no longer meant for a field that was written in
    while (typing?.shadowRoot?.activeElement) typing = typing.shadowRoot.activeElement;
    typing?.blur?.();
    quiet();
  }

  function drop_corner({ mark, grip }) {
    const shape = shapeOf(mark);
    if (shape.xs.length <= 3) return;
    edited(mark.id, { ...shape, xs: shape.xs.filter((_, n) => n != grip.n), ys: shape.ys.filter((_, n) => n != grip.n) });
    invalidate();
  }

  function begin(at, p, map) {
    if (local.mode == "polygon") {
      const first = draft && map.to([draft.xs[0], draft.ys[0]]), last = draft && map.to([draft.xs.at(-1), draft.ys.at(-1)]);
      const near = (corner) => between(p, corner) <= GRIP_PX;
      if (draft && draft.xs.length > 2 && (near(first) || near(last))) return close();
      if (!draft) draft = { kind: "polygon", xs: [], ys: [] };
      else if (near(last)) return;
      draft = lengthened(draft, at);
      act = { does: "corners", start: p, last: p, moved: false };
    } else if (local.mode == "brush") {
      act = { does: "draw", from: at, start: p, last: p, shape: drawn("brush", at, at, false, local.radius), moved: true };
    } else act = { does: "draw", from: at, start: p, shape: local.mode == "point" ? drawn("point", at, at) : null, moved: false };
  }

  function close(freely = false) {
    const map = mapOf(), shape = freely && map ? thinned(draft, 1 / map.scale) : draft;
    draft = act = null;
    if (shape && shape.xs.length > 2) added(shape);
    invalidate();
  }

  function moved(event) {
    const map = mapOf();
    if (!map || !event.isPrimary) return;
    pointer = placeOf(event);
    over = act ? true : within(pointer, map.box);
    if (local.mode || act?.does == "change") event.stopPropagation();
    if (!act) {
      hover(map);
      if (local.mode == "brush" || draft) invalidate();
      return;
    }
    if (!act.moved && between(pointer, act.start) < TAP_PX) return;
    act.moved = true;
    const now = map.from(pointer);
    if (act.does == "corners") {
      if (between(pointer, act.last) < 4) return;
      act.last = pointer;
      act.freely = true;
      draft = lengthened(draft, now);
    } else if (act.does == "draw" && local.mode == "brush") {
      if (between(pointer, act.last) < 1) return;
      act.last = pointer;
      act.shape = lengthened(act.shape, now);
      tell_drag(null, act.shape);
    } else if (act.does == "draw") {
      act.shape = drawn(local.mode, act.from, now, event.shiftKey, local.radius);
      if (act.shape) tell_drag(null, act.shape);
    } else if (act.does == "change") {
      act.shape = dragged(act.before, act.grip, act.from, [now[0] + act.offset[0], now[1] + act.offset[1]], event.shiftKey);
      tell_drag(act.id, act.shape);
    }
    invalidate();
  }

  function hover(map) {
    if (local.mode) return;
    const found = within(pointer, map.box) ? find(pointer, map) : null;
    const movable = found && !found.mark.fixed && (found.part == "edge" || found.mark.id === local.selected);
    const cursor = !found ? "" : found.part == "grip" ? (found.grip.does == "turn" || found.grip.does == "aim" ? "grab" : "crosshair") : movable ? "move" : "pointer";
    if (host.dataset.sketch !== cursor) host.dataset.sketch = cursor;
  }

  function released(event) {
    if (!act || !event.isPrimary) return;
    const done = act, map = mapOf();
    if (done.does != "tap") event.stopPropagation();
    act = null;
    clearTimeout(told.drag_due);
    if (done.does == "tap") {
      if (!done.moved && map && within(placeOf(event), map.box)) pick(done.found?.mark.id ?? null);
    } else if (done.does == "corners") {
      if (done.freely && draft?.xs.length > 2) close(true);
    } else if (done.does == "draw") {
      if (done.shape) added(done.shape);
    } else if (done.does == "change") {
      if (done.moved && done.shape) edited(done.id, done.shape);
      if (done.id !== local.selected) pick(done.id);
    }
    invalidate();
  }

  function give_up() {
    const what = act;
    act = null;
    clearTimeout(told.drag_due);
    if (what?.moved && what.does != "tap" && state.drags) send({ do: "drag", id: what.id ?? null, shape: null });
    invalidate();
  }

  function entered() {
    over = true;
  }

  function left() {
    over = Boolean(act);
    if (!act) pointer = null;
    invalidate();
  }

  // Bokeh would zoom or reset on a double click into a drawing.
  function twice(event) {
    if (!local.mode) return;
    swallow(event);
    if (local.mode == "polygon" && draft?.xs.length > 2) close();
  }

  const listeners = [
    ["pointerdown", pressed], ["pointermove", moved], ["pointerup", released], ["pointercancel", give_up],
    ["pointerenter", entered], ["pointerleave", left], ["dblclick", twice],
  ];

  // --- the keyboard

  function typed(event) {
    const path = event.composedPath(), at = path[0];
    if (!(over || path.includes(host) || path.includes(place))) return;
    if (at.isContentEditable || ["TEXTAREA", "SELECT"].includes(at.tagName) || (at.tagName == "INPUT" && at.type != "range")) return;
    const held = event.ctrlKey || event.metaKey, letter = event.key.toLowerCase();
    const key = !held ? event.key : letter == "y" || (letter == "z" && event.shiftKey) ? "redo" : letter == "z" ? "undo" : "";
    if (act_on(key, event)) swallow(event);
  }

  function act_on(key, event) {
    const chosen = marks.find((mark) => mark.id === local.selected);
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (draft && ["Backspace", "Delete", "undo"].includes(key)) {
      draft = draft.xs.length > 1 ? { ...draft, xs: draft.xs.slice(0, -1), ys: draft.ys.slice(0, -1) } : null;
    } else if (key == "Enter" && draft) close();
    else if (key == "Escape") {
      if (act && act.does != "tap") give_up();
      else if (draft) draft = act = null;
      else if (local.mode) choose(null);
      else if (local.selected !== null) pick(null);
      else return false;
    } else if ((key == "Backspace" || key == "Delete") && chosen) remove();
    else if ((key == "undo" || key == "redo") && state.undoes) send({ do: key });
    else if ((key == "[" || key == "]") && local.mode == "brush") {
      const step = Math.max(0.5, Math.round(local.radius * 0.4) / 2);
      resize_brush(local.radius + (key == "]" ? step : -step));
    } else if (arrow && chosen && !chosen.fixed && !act && event.composedPath()[0].type != "range") {
      const map = mapOf(), steps = event.shiftKey ? 10 : 1; // to where the arrow points on the screen
      const up = map && map.to([0, 1])[1] < map.to([0, 0])[1] ? -1 : 1, right = map && map.to([1, 0])[0] < map.to([0, 0])[0] ? -1 : 1;
      edited(chosen.id, shifted(shapeOf(chosen), arrow[0] * steps * right, arrow[1] * steps * up));
    } else return false;
    invalidate();
    return true;
  }

  model.on("marks", () => {
    hear_marks();
    show_tools();
  });
  model.on("state", hear_state);
  model.on("answer", hear_answer);
  window.addEventListener("keydown", typed, { capture: true });
  const timer = setInterval(attach, LOOK_MS);
  model.on("remove", () => {
    clearInterval(timer);
    window.removeEventListener("keydown", typed, { capture: true });
    detach();
  });
  hear_marks();
  hear_state();
  attach();
  place.dc_sketch = { stats, local, look: () => ({ attached: Boolean(canvas?.isConnected), marks: marks.length, pending: pending.size, adding: adding.length, draft, act }) };
  return place;
}
