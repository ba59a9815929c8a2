// The cloud: what the viewer does with it, and what it is told. Text from outside goes through textContent or a canvas.

const VIEWS = { // yaw and pitch, degrees
  "3-D": [-52, 24, "All, from before and above (double click)"],
  "x-y": [-90, 0, "Front view: x to the right, y up, against the beam"],
  "y-layer": [0, 0, "Side view: the layer to the right, y up"],
  "x-layer": [0, 90, "Top view: the layer to the right, x up"],
};
const KINDS = { energy: "Energy (MeV)", time: "Time (ns)", layer: "Layer" };
const SLOW_MS = 22; // if frames take longer, points are smaller while something moves
const REST_MS = 160;
const THEME_MS = 400;
const NEAR_PX = 6;
const RAD = Math.PI / 180;

function make(tag, classes, parent, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function push(parent, label, hint, action) {
  const made = make("button", "", parent, label);
  made.type = "button";
  made.title = hint;
  made.addEventListener("click", action);
  return made;
}

const clamp = (low, value, high) => Math.min(high, Math.max(low, value));

function rgbOf(css) {
  const n = parseInt(css.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

export function render({ model }) {
  const place = make("div", `dc-cloud${model.wall ? " wall" : ""}`);
  const head = make("div", "head", place);
  const title = make("span", "title", head), note = make("span", "note", head);
  const stage = make("div", "stage", place);
  stage.tabIndex = 0;
  stage.setAttribute("role", "img");
  stage.title = "";
  const back = make("canvas", "back", stage);
  let front = make("canvas", "points", stage);
  const key = make("canvas", "key", stage);
  const ring = make("div", "ring", stage), tip = make("div", "tip", stage);
  ring.hidden = tip.hidden = true;
  const palette = model.palette.map(rgbOf);
  const cam = { yaw: 0, pitch: 0, zoom: 1, right: 0, up: 0, view: "3-D" };
  const scene = { count: 0, total: 0 };
  const stats = { frames: 0, loads: 0, ms: 0, thin: 1 };
  let words = model.words, box = boxOf(words), painter = null, style = null, size = [0, 0, 0], due = 0, resting = 0, moving = false;
  let dragged = null, animation = 0, pointer = null;

  // --- who draws

  function choose() {
    const wanted = model.renderer;
    painter = null;
    if (wanted != "canvas") {
      try {
        painter = new HardPoints(front, wanted == "webgl");
        front.addEventListener("webglcontextlost", (event) => {
          event.preventDefault();
          if (!painter?.freed) fall();
        });
      } catch { /* the canvas may be spoiled for another context now */ }
    }
    if (!painter) fall();
    painter.paint(palette);
  }

  function fall() {
    const fresh = make("canvas", "points");
    front.replaceWith(fresh);
    front = fresh;
    painter = new SoftPoints(front);
    painter.paint(palette);
    if (size[0]) { resize(); pick(); }
  }

  // --- what is drawn

  function read() {
    const raw = model.cloud, start = raw?.byteOffset ?? 0, bytes = raw?.buffer ?? raw;
    const length = raw?.byteLength ?? 0;
    words = model.words;
    box = boxOf(words);
    const [count, columns] = length >= 8 ? new Int32Array(bytes.slice(start, start + 8)) : [0, 4];
    const all = count ? new Float32Array(bytes.slice(start + 8, start + 8 + 4 * count * columns)) : new Float32Array(0);
    const column = (n) => all.subarray(n * count, (n + 1) * count);
    Object.assign(scene, { total: count, x: column(0), y: column(1), layer: column(2), energy: column(3), time: columns > 4 ? column(4) : null });
    scene.X = Float32Array.from(scene.layer, box.layer);
    scene.Y = Float32Array.from(scene.y, box.up);
    scene.Z = Float32Array.from(scene.x, box.across);
    scene.ink = new Uint8Array(count);
    scene.chosen = new Uint32Array(count);
    scene.radius = new Float32Array(count);
    let [least, most] = [Infinity, 0];
    for (const energy of scene.energy) {
      if (energy < least) least = energy;
      if (energy > most) most = energy;
    }
    scene.range = count ? [least, Math.max(most, least * 1.01)] : words.energy;
    stats.loads += 1;
    title.textContent = words.title;
    title.title = words.title;
    if (cam.view) aim(cam.view, false);
    controls?.limits();
    dress();
  }

  // The scale of the colours: a share of the palette for each value.
  function scaleOf(kind) {
    if (kind == "time" && !words.time) kind = "energy";
    if (kind == "layer") {
      const share = (value) => clamp(0, value / Math.max(1, words.depth - 1), 1);
      return { kind, name: KINDS.layer, values: scene.layer, share, ticks: ticksOf(0, words.depth - 1, 6, 1), low: 0, cut: 0 };
    }
    const [low, high] = words[kind], span = Math.log(high / low);
    const share = (value) => (value > low ? clamp(0, Math.log(value / low) / span, 1) : 0);
    const cut = kind == "energy" ? model.cut : 0;
    return { kind, name: KINDS[kind], values: scene[kind], share, ticks: logTicks(low, high), low, cut };
  }

  function dress() {
    const scale = scaleOf(model.colour), [low, high] = words.energy, span = Math.log(high / low);
    for (let i = 0; i < scene.total; i++) {
      scene.ink[i] = 255 * scale.share(scale.values[i]);
      scene.radius[i] = model.sized ? 0.62 + 1.25 * clamp(0, Math.log(scene.energy[i] / low) / span, 1.15) : 1;
    }
    scene.scale = scale;
    pick();
  }

  function pick() {
    const { layer, energy, chosen, total } = scene, first = model.first_layer - 0.5;
    const last = (model.last_layer < 0 ? Infinity : model.last_layer) + 0.5, cut = model.cut;
    let count = 0;
    for (let i = 0; i < total; i++) {
      if (energy[i] >= cut && layer[i] >= first && layer[i] < last) chosen[count++] = i;
    }
    scene.count = count;
    if (scene.scale) scene.scale.cut = scene.scale.kind == "energy" ? cut : 0;
    const shown = count == total ? total.toLocaleString("en") : `${count.toLocaleString("en")} of ${total.toLocaleString("en")}`;
    note.textContent = [`${shown} points`, words.note].filter(Boolean).join(" · ");
    note.title = note.textContent;
    stage.setAttribute("aria-label", `${words.title}: ${note.textContent}`);
    painter.load(scene);
    keyDue = true;
    ask();
  }

  // --- the lens

  function reach() { return Math.hypot(box.D, Math.SQRT2); }

  function turned(yaw, pitch) {
    const [cy, sy, cp, sp] = [Math.cos(yaw * RAD), Math.sin(yaw * RAD), Math.cos(pitch * RAD), Math.sin(pitch * RAD)];
    // Straight views have no perspective, so that they are projections; it comes with the first degrees of a turn.
    const straight = Math.max(Math.abs(cy * cp), Math.abs(sy * cp), Math.abs(sp)), bend = 0.22 * clamp(0, (0.998 - straight) * 12, 1);
    return { cy, sy, cp, sp, bend, reach: reach(), scale: 1, x: 0, y: 0 };
  }

  function fit(yaw, pitch) { // the scale at which all corners of the box are in view
    const [width, height, em] = size, lens = turned(yaw, pitch), sides = [-1, 1];
    const spots = sides.flatMap((X) => sides.flatMap((Y) => sides.map((Z) => project(lens, X * box.D, Y, Z))));
    const [w, h] = [0, 1].map((axis) => Math.max(...spots.map((spot) => Math.abs(spot[axis]))));
    return Math.max(10, Math.min((width - 10 * em) / (2 * w), (height - 8 * em) / (2 * h)));
  }

  function lensOf() {
    const [width, height, em] = size, { yaw, pitch } = cam;
    const [home, tilt] = VIEWS["3-D"], scale = fit(home, tilt) * cam.zoom;
    const few = clamp(0.75, (4000 / Math.max(1, scene.total)) ** 0.22, 1.45);
    const grain = Math.max(1.1, Math.min(width, height) * 0.0052 * few) * clamp(0.6, cam.zoom ** 0.6, 5) / stats.thin;
    return { ...turned(yaw, pitch), scale, grain, x: width / 2 + cam.right * height + 0.9 * em, y: height / 2 - cam.up * height - 0.8 * em };
  }

  // --- drawing

  let keyDue = true;

  function resize() {
    const ratio = window.devicePixelRatio || 1, em = parseFloat(getComputedStyle(place).fontSize) * ratio;
    const width = Math.round(stage.clientWidth * ratio), height = Math.round(stage.clientHeight * ratio), beside = Math.round(5.6 * em);
    if (width < 4 || height < 4) return;
    size = [Math.max(8, width - beside), height, em];
    back.width = width;
    back.height = height;
    key.width = beside;
    key.height = height;
    painter.resize(size[0], height);
    restyle();
    if (cam.view) aim(cam.view, false);
    keyDue = true;
  }

  function restyle() {
    const ratio = window.devicePixelRatio || 1, css = getComputedStyle(place), em = parseFloat(css.fontSize) * ratio;
    const g = back.getContext("2d");
    g.fillStyle = css.color;
    const text = g.fillStyle, family = css.fontFamily;
    const [r, v, b] = text.startsWith("#") ? rgbOf(text) : text.match(/[\d.]+/g).map(Number);
    const dark = r + v + b > 384, faded = (alpha) => `rgb(${r} ${v} ${b} / ${alpha})`;
    style = {
      colour: css.color, em: 0.92 * em, ratio, dark, text, font: `${0.92 * em}px ${family}`, bold: `500 ${0.98 * em}px ${family}`, line: faded(0.5), grid: faded(0.13),
      soft: faded(dark ? 0.035 : 0.025), border: dark ? "#ffb74d" : "#b35900", borderSoft: dark ? "rgb(255 183 77 / 8%)" : "rgb(179 89 0 / 7%)",
      veil: dark ? "rgb(11 17 23 / 80%)" : "rgb(255 255 255 / 80%)",
    };
  }

  function ask() {
    if (!due) due = requestAnimationFrame(() => { due = 0; draw(); });
  }

  function draw() {
    if (!size[0] || !style) return;
    const started = performance.now(), lens = lensOf(), g = back.getContext("2d");
    g.clearRect(0, 0, back.width, back.height);
    drawBox(g, lens, box, words, style);
    painter.draw(lens);
    if (keyDue) {
      keyDue = false;
      drawKey(key.getContext("2d"), key.width, key.height, palette, scene.scale, style);
    }
    stats.ms = performance.now() - started;
    stats.frames += 1;
    if (moving) rest(); // counted from the last frame, however long that took
    if (pointer && !moving) point();
  }

  // Filling balls is what takes time without graphics hardware: slow frames get smaller ones until all is at rest.
  function move() {
    moving = true;
    ring.hidden = tip.hidden = true;
    if (painter.name == "canvas" && stats.ms > SLOW_MS) stats.thin = Math.min(2.5, stats.thin + 0.25);
    clearTimeout(resting);
    ask();
  }

  function rest() {
    clearTimeout(resting);
    resting = setTimeout(() => {
      if (animation) return; // a turn whose frames come late is still a turn
      moving = false;
      stats.thin = 1;
      ask();
      tell();
    }, REST_MS);
  }

  // --- the camera

  function aim(name, smooth = true) {
    const [yaw, pitch] = VIEWS[name], [home, tilt] = VIEWS["3-D"];
    const to = { yaw, pitch, zoom: size[0] ? fit(yaw, pitch) / fit(home, tilt) : 1, right: 0, up: 0 };
    cam.view = name;
    mark();
    halt();
    if (!smooth || matchMedia("(prefers-reduced-motion: reduce)").matches) {
      Object.assign(cam, to);
      return ask();
    }
    const from = { ...cam }, started = performance.now();
    from.yaw = to.yaw + ((((from.yaw - to.yaw) % 360) + 540) % 360) - 180; // the short way round
    const step = (now) => {
      const t = clamp(0, (now - started) / 280, 1), soft = t * t * (3 - 2 * t);
      for (const name of Object.keys(to)) cam[name] = from[name] + (to[name] - from[name]) * soft;
      animation = t < 1 ? requestAnimationFrame(step) : 0;
      move();
    };
    animation = requestAnimationFrame(step);
    move(); // from now on, not from the first frame
  }

  function halt() {
    cancelAnimationFrame(animation);
    animation = 0;
  }

  let told = "";
  function tell() {
    const now = cam.view == "3-D" ? [] : [cam.yaw, cam.pitch, cam.zoom, cam.right, cam.up].map((n) => Number(n.toFixed(4)));
    if (JSON.stringify(now) == told) return;
    told = JSON.stringify(now);
    model.camera = now;
  }

  function follow() { // told from outside
    const given = model.camera;
    if (JSON.stringify(given) == told) return;
    told = JSON.stringify(given);
    if (given?.length != 5 || !given.every(Number.isFinite)) return aim("3-D", false);
    [cam.yaw, cam.pitch, cam.zoom, cam.right, cam.up] = given;
    cam.view = Object.keys(VIEWS).find((name) => VIEWS[name][0] == cam.yaw && VIEWS[name][1] == cam.pitch && !cam.right && !cam.up) ?? "";
    if (cam.view) aim(cam.view, false);
    mark();
    ask();
  }

  function turn(right, up) {
    cam.yaw = ((cam.yaw + right + 540) % 360) - 180;
    cam.pitch = clamp(-90, cam.pitch + up, 90);
    loose();
  }

  function loose() {
    halt();
    cam.view = "";
    mark();
    move();
  }

  function zoom(factor, x = size[0] / 2, y = size[1] / 2) {
    const lens = lensOf(), by = clamp(0.3, cam.zoom * factor, 60) / cam.zoom, [, height] = size;
    cam.right += (lens.x - x) * (by - 1) / height; // what is under the pointer stays there
    cam.up -= (lens.y - y) * (by - 1) / height;
    cam.zoom *= by;
    loose();
  }

  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    dragged = event.shiftKey || event.button ? "pan" : "turn";
    pointer = null;
  });
  stage.addEventListener("pointermove", (event) => {
    if (!dragged) {
      pointer = [event.offsetX, event.offsetY];
      return point();
    }
    const px = stage.clientHeight || 1;
    if (dragged == "turn") return turn(event.movementX * 0.4, event.movementY * 0.4);
    cam.right += event.movementX / px;
    cam.up -= event.movementY / px;
    loose();
  });
  const release = () => { dragged = null; };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", () => { pointer = null; ring.hidden = tip.hidden = true; });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", () => aim("3-D"));
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const ratio = window.devicePixelRatio || 1, lines = event.deltaMode == 1 ? 33 : 1;
    zoom(Math.exp(clamp(-300, -event.deltaY * lines, 300) * 0.0016), event.offsetX * ratio, event.offsetY * ratio);
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    const act = {
      ArrowLeft: () => turn(-5, 0), ArrowRight: () => turn(5, 0), ArrowUp: () => turn(0, -5), ArrowDown: () => turn(0, 5),
      "+": () => zoom(1.2), "-": () => zoom(1 / 1.2), 0: () => aim("3-D"),
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  // --- the point under the pointer

  function at(x, y) {
    const ratio = window.devicePixelRatio || 1, lens = lensOf(), within = NEAR_PX * ratio;
    let [best, found, nearest] = [-Infinity, -1, within * within];
    for (let n = 0; n < scene.count; n++) {
      const i = scene.chosen[n], p = project(lens, scene.X[i], scene.Y[i], scene.Z[i]);
      const far = (p[0] - x * ratio) ** 2 + (p[1] - y * ratio) ** 2, r = lens.grain * scene.radius[i] * p[3];
      if (far <= r * r ? p[2] > best : best == -Infinity && far < nearest) {
        found = i;
        if (far <= r * r) best = p[2]; else nearest = far;
      }
    }
    return found;
  }

  function point() {
    const i = pointer ? at(...pointer) : -1;
    ring.hidden = tip.hidden = i < 0;
    if (i < 0) return;
    const ratio = window.devicePixelRatio || 1, lens = lensOf(), p = project(lens, scene.X[i], scene.Y[i], scene.Z[i]);
    const r = clamp(1, lens.grain * scene.radius[i] * p[3], RIM) / ratio + 3, [x, y] = [p[0] / ratio, p[1] / ratio];
    Object.assign(ring.style, { left: `${x - r - 2}px`, top: `${y - r - 2}px`, width: `${2 * r}px`, height: `${2 * r}px` });
    const mm = (value) => `${value.toFixed(1).replace("-", "−")} mm`, layer = scene.layer[i];
    const part = words.ecal < words.layers ? (layer < words.ecal - 0.5 ? " (ECAL)" : " (HCAL)") : "";
    const lines = [["x", mm(scene.x[i])], ["y", mm(scene.y[i])], ["Layer", `${Number(layer.toFixed(2))}${part}`], ["Energy", energyText(scene.energy[i])]];
    if (scene.time) lines.push(["Time", `${Number(scene.time[i].toPrecision(4))} ns`]);
    tip.replaceChildren(...lines.flatMap(([name, value]) => [make("span", "name", null, name), make("span", "value", null, value)]));
    const [w, h] = [tip.offsetWidth, tip.offsetHeight], gap = r + 10;
    tip.style.left = `${x + gap + w < stage.clientWidth ? x + gap : Math.max(0, x - gap - w)}px`;
    tip.style.top = `${clamp(0, y - h / 2, Math.max(0, stage.clientHeight - h))}px`;
  }

  // --- buttons

  const views = {};
  function mark() {
    for (const [name, button] of Object.entries(views)) button.setAttribute("aria-pressed", String(cam.view == name));
  }
  let controls = null;
  if (!model.wall) {
    const group = make("span", "group views", head);
    for (const [name, [, , hint]] of Object.entries(VIEWS)) views[name] = push(group, name, hint, () => aim(name));
    push(head, "PNG", "Save the picture", save);
    stage.title = "Drag turns, shift-drag moves, the wheel zooms, a double click shows all";
    if (model.tools) {
      controls = build(model, scene, () => words);
      place.append(controls.row);
    }
  }

  function save() {
    const all = document.createElement("canvas"), g = all.getContext("2d"), { em } = style, top = Math.ceil(2.4 * em);
    all.width = back.width;
    all.height = back.height + top;
    g.fillStyle = style.dark ? "#111a22" : "#ffffff";
    g.fillRect(0, 0, all.width, all.height);
    draw(); // a WebGL picture is gone after the browser has shown it
    for (const [part, x] of [[back, 0], [front, 0], [key, all.width - key.width]]) g.drawImage(part, x, top);
    g.fillStyle = style.text;
    g.font = style.bold;
    g.fillText([words.title, note.textContent].filter(Boolean).join(" · "), 0.8 * em, 1.6 * em);
    all.toBlob((blob) => {
      const link = make("a");
      link.href = URL.createObjectURL(blob);
      link.download = "shower.png";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }

  // --- what happens outside

  const watched = [
    ["cloud", read], ["colour", dress], ["sized", dress], ["cut", pick], ["first_layer", pick], ["last_layer", pick], ["camera", follow],
  ];
  for (const [name, act] of watched) model.on(name, () => { act(); controls?.show(); });
  model.on("words", () => { // comes before or after the points: what is drawn must fit both
    if (model.words != words) { read(); controls?.show(); }
  });
  choose();
  read();
  follow();
  controls?.show();
  const observer = new ResizeObserver(() => { resize(); draw(); });
  observer.observe(stage);
  // No event tells of another theme; a transition of the colour would, but not before a slow page has drawn it.
  const themes = setInterval(() => {
    if (!style || getComputedStyle(place).color == style.colour) return;
    restyle();
    keyDue = true;
    ask();
  }, THEME_MS);
  model.on("remove", () => {
    observer.disconnect();
    clearInterval(themes);
    cancelAnimationFrame(due);
    cancelAnimationFrame(animation);
    clearTimeout(resting);
    painter.freed = true;
    painter.free();
  });

  // For tests and for whoever looks into it with the browser's tools.
  place.cloud = {
    state: () => ({
      ...stats, ...cam, backend: painter.name, total: scene.total, shown: scene.count, colour: scene.scale.kind, title: words.title,
      pixels: [front.width, front.height], moving, low: scene.range[0], high: scene.range[1], dark: style?.dark,
    }),
    place: (i) => { // where point i is: CSS pixels from the corner of the stage
      const ratio = window.devicePixelRatio || 1, p = project(lensOf(), scene.X[i], scene.Y[i], scene.Z[i]);
      return [p[0] / ratio, p[1] / ratio];
    },
    at,
    measure: (frames) => { // ms per frame of a turn, drawn one after the other
      const started = performance.now();
      for (let n = 0; n < frames; n++) { cam.yaw += 2; draw(); painter.finish(); }
      return (performance.now() - started) / frames;
    },
  };
  return place;
}

// The row below: what the colours mean, the sizes, the cut, the layers. It sets the parameters; the server hears of it.
function build(model, scene, wordsOf) {
  const row = make("div", "controls");
  const group = make("span", "group", row), buttons = {};
  group.setAttribute("aria-label", "Colour");
  for (const kind of Object.keys(KINDS)) buttons[kind] = push(group, KINDS[kind].split(" (")[0], `Colour by ${kind}`, () => { model.colour = kind; });
  const box = make("label", "", row), sized = make("input", "", box);
  sized.type = "checkbox";
  make("span", "", box, "Size by energy");
  sized.addEventListener("change", () => { model.sized = sized.checked; });
  function slider(name, count) {
    const place = make("div", "slide", row);
    make("span", "", place, name);
    const track = make("div", "track", place), inputs = Array.from({ length: count }, () => make("input", "", track));
    for (const input of inputs) Object.assign(input, { type: "range", min: 0, max: 1000, step: 1, ariaLabel: name });
    return { track, inputs, text: make("output", "", place) };
  }
  const cut = slider("Energy", 1), layers = slider("Layers", 2);
  const span = () => Math.log(scene.range[1] / scene.range[0]);
  cut.inputs[0].addEventListener("input", () => {
    const share = Number(cut.inputs[0].value) / 1000;
    model.cut = share ? Number((scene.range[0] * Math.exp(share * span())).toPrecision(3)) : 0;
  });
  const [first, last] = layers.inputs;
  first.addEventListener("input", () => { model.first_layer = Math.min(Number(first.value), Number(last.value)); });
  last.addEventListener("input", () => {
    const value = Math.max(Number(first.value), Number(last.value));
    model.last_layer = value >= wordsOf().depth - 1 ? -1 : value;
  });
  function show() {
    const words = wordsOf(), end = words.depth - 1;
    for (const [kind, button] of Object.entries(buttons)) {
      button.setAttribute("aria-pressed", String((scene.scale?.kind ?? model.colour) == kind));
      button.disabled = kind == "time" && !words.time;
      if (kind == "time") button.title = words.time ? "Colour by time" : "These points have no time";
    }
    sized.checked = model.sized;
    const share = model.cut > 0 ? clamp(0, Math.log(model.cut / scene.range[0]) / span(), 1) : 0;
    cut.inputs[0].value = Math.round(1000 * share);
    cut.track.style.setProperty("--from", share);
    cut.text.textContent = model.cut > 0 ? `≥ ${energyText(model.cut)}` : "all";
    const [from, to] = [clamp(0, model.first_layer, end), model.last_layer < 0 ? end : clamp(0, model.last_layer, end)];
    for (const [input, value] of [[first, from], [last, to]]) Object.assign(input, { min: 0, max: end, value });
    layers.track.style.setProperty("--from", from / Math.max(1, end));
    layers.track.style.setProperty("--to", to / Math.max(1, end));
    layers.text.textContent = from == 0 && to == end ? `all ${end + 1}` : `${from} to ${to}`;
  }
  return { row, show, limits: show };
}
