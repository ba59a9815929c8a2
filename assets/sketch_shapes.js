// Shapes as values: where their outline runs, what can be gripped, what a drag makes of them. All in image pixels,
// but for what is near or far, which is decided in pixels of the screen with the help of a map between the two.

const GRIP_PX = 9; // within which a press means a handle, a corner, an edge
const TURN_PX = 26; // how far the handle that turns is from the shape
const ARROW_PX = 56; // length of the arrow of a half-plane
const MOST_POINTS = 10000; // the server takes no more
const SHOWN_CORNERS = 1000; // of a polygon with handles at its corners
const APART_PX = 11; // between two of them, else one would hide the other
const ROUND = 96; // corners of a drawn ellipse
const LEAST = 0.01; // the smallest size, image pixels
const RAD = Math.PI / 180;

const clamp = (low, value, high) => Math.min(high, Math.max(low, value));
const between = (one, two) => Math.hypot(one[0] - two[0], one[1] - two[1]);
const turned = (angle) => [Math.cos(angle * RAD), Math.sin(angle * RAD)];
const span = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);

function loop(x, y, a, b, angle) {
  const [cos, sin] = turned(angle);
  return Array.from({ length: ROUND }, (_, n) => {
    const [u, v] = [a * Math.cos((2 * Math.PI * n) / ROUND), b * Math.sin((2 * Math.PI * n) / ROUND)];
    return [x + u * cos - v * sin, y + u * sin + v * cos];
  });
}

// A shape in words, in image pixels.
function wordsFor(shape) {
  const { kind, x, y, xs } = shape, one = (value) => value.toFixed(1);
  const centre = () => `x ${one(x)}, y ${one(y)}`;
  if (kind == "rectangle") {
    const { x0, y0, x1, y1 } = shape;
    return `x ${one(x0)} to ${one(x1)}, y ${one(y0)} to ${one(y1)} (${one(x1 - x0)} × ${one(y1 - y0)} px)`;
  }
  if (kind == "ellipse") return `${centre()}; half axes ${one(shape.a)} and ${one(shape.b)} px, turned ${one(shape.angle)}°`;
  if (kind == "annulus") return `${centre()}; radii ${one(shape.inner)} to ${one(shape.outer)} px`;
  if (kind == "polygon") return `${xs.length} corners`;
  if (kind == "brush") return `radius ${one(shape.radius)} px, ${xs.length} points`;
  if (kind == "half_plane") return `through ${centre()}; towards ${one(shape.angle)}°`;
  return centre();
}

// Closed lines around a shape; a half-plane and points have none.
function linesOf(shape) {
  const { kind, x, y, xs, ys } = shape;
  if (kind == "rectangle") {
    const { x0, y0, x1, y1 } = shape;
    return [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]];
  }
  if (kind == "ellipse") return [loop(x, y, shape.a, shape.b, shape.angle)];
  if (kind == "annulus") return [loop(x, y, shape.outer, shape.outer, 0), loop(x, y, shape.inner, shape.inner, 0)];
  if (kind == "polygon") return [xs.map((value, n) => [value, ys[n]])];
  return [];
}

// The lines that a brush was moved along.
function strokesOf({ xs, ys, starts }) {
  return starts.map((start, n) => xs.slice(start, starts[n + 1]).map((x, i) => [x, ys[start + i]]));
}

// Left, top, right, bottom, in image pixels.
function boxOf(shape) {
  const { kind, x, y, xs, ys } = shape;
  if (kind == "point" || kind == "half_plane") return [x, y, x, y];
  const r = kind == "brush" ? shape.radius : 0;
  const line = linesOf(shape)[0] ?? xs.map((value, n) => [value, ys[n]]);
  const [across, down] = [span(line.map((p) => p[0])), span(line.map((p) => p[1]))];
  return [across[0] - r, down[0] - r, across[1] + r, down[1] + r];
}

function midOf(shape) {
  const [left, top, right, bottom] = boxOf(shape);
  return [(left + right) / 2, (top + bottom) / 2];
}

// The distance on the screen from a point to a line through points.
function distance(p, line, closed) {
  let best = line.length == 1 ? between(p, line[0]) : Infinity;
  for (let n = closed ? 0 : 1; n < line.length; n++) {
    const [a, b] = [line[(n + line.length - 1) % line.length], line[n]];
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]], size = dx * dx + dy * dy;
    const t = size ? clamp(0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / size, 1) : 0;
    best = Math.min(best, Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy));
  }
  return best;
}

function inside(p, lines) {
  let odd = false;
  for (const line of lines) {
    for (let n = 0, m = line.length - 1; n < line.length; m = n++) {
      const [[ax, ay], [bx, by]] = [line[n], line[m]];
      if (ay > p[1] != by > p[1] && p[0] < ((bx - ax) * (p[1] - ay)) / (by - ay) + ax) odd = !odd;
    }
  }
  return odd;
}

// The line and the arrow of a half-plane on the screen.
function frontOf(shape, map) {
  const [cos, sin] = turned(shape.angle), far = 10;
  let at = map.to([shape.x, shape.y]);
  const unit = (p) => {
    const [dx, dy] = [p[0] - at[0], p[1] - at[1]], size = Math.hypot(dx, dy) || 1;
    return [dx / size, dy / size];
  };
  const { left, top, width, height } = map.box;
  const along = unit(map.to([shape.x - far * sin, shape.y + far * cos]));
  const ahead = unit(map.to([shape.x + far * cos, shape.y + far * sin]));
  if (at[0] < left || at[1] < top || at[0] > left + width || at[1] > top + height) {
    // the arrow stands on the part of the line that is nearest to the middle of what is looked at
    const t = (left + width / 2 - at[0]) * along[0] + (top + height / 2 - at[1]) * along[1];
    at = [at[0] + t * along[0], at[1] + t * along[1]];
  }
  const reach = width + height + between(at, [left, top]);
  const ends = [-reach, reach].map((t) => [at[0] + t * along[0], at[1] + t * along[1]]);
  return { at, ends, ahead, reach, tip: [at[0] + ARROW_PX * ahead[0], at[1] + ARROW_PX * ahead[1]] };
}

// What a press at a place of the screen touches: "edge", "body" or nothing.
function touches(shape, p, map) {
  if (shape.kind == "point") return between(p, map.to([shape.x, shape.y])) <= GRIP_PX + 2 ? "edge" : "";
  if (shape.kind == "half_plane") {
    const { ends, at, tip } = frontOf(shape, map);
    return Math.min(distance(p, ends, false), distance(p, [at, tip], false)) <= GRIP_PX - 2 ? "edge" : "";
  }
  if (shape.kind == "brush") {
    const away = Math.min(...strokesOf(shape).map((line) => distance(p, line.map(map.to), false)));
    return away <= Math.max(shape.radius * map.scale, GRIP_PX - 3) ? "edge" : "";
  }
  const lines = linesOf(shape).map((line) => line.map(map.to));
  if (lines.some((line) => distance(p, line, true) <= GRIP_PX - 3)) return "edge";
  return inside(p, lines) ? "body" : "";
}

// The handles of a shape: where, on the screen, and what a drag of each does.
function gripsOf(shape, map) {
  const { kind, x, y } = shape, to = map.to;
  if (kind == "rectangle") {
    const { x0, y0, x1, y1 } = shape;
    return [["x0", "y0"], ["x1", "y0"], ["x1", "y1"], ["x0", "y1"], ["", "y0"], ["x1", ""], ["", "y1"], ["x0", ""]].map(
      ([h, v]) => ({ does: "side", h, v, at: to([h ? shape[h] : (x0 + x1) / 2, v ? shape[v] : (y0 + y1) / 2]) }));
  }
  if (kind == "ellipse") {
    const [cos, sin] = turned(shape.angle), { a, b } = shape;
    const ends = [["a", cos * a, sin * a], ["a", -cos * a, -sin * a], ["b", -sin * b, cos * b], ["b", sin * b, -cos * b]];
    const [mid, end] = [to([x, y]), to([x + cos * a, y + sin * a])], size = between(mid, end) || 1;
    const beyond = [end[0] + ((end[0] - mid[0]) / size) * TURN_PX, end[1] + ((end[1] - mid[1]) / size) * TURN_PX];
    return [...ends.map(([axis, dx, dy]) => ({ does: "axis", axis, at: to([x + dx, y + dy]) })), { does: "turn", at: beyond, from: end }];
  }
  if (kind == "annulus") {
    const round = (name, degrees) => {
      const [cos, sin] = turned(degrees);
      return { does: "radius", name, at: to([x + shape[name] * cos, y + shape[name] * sin]) };
    };
    return [...[0, 90, 180, 270].map((d) => round("outer", d)), ...[45, 135, 225, 315].map((d) => round("inner", d))];
  }
  if (kind == "polygon") {
    const points = shape.xs.map((value, n) => to([value, shape.ys[n]])), many = points.length > SHOWN_CORNERS;
    const [left, top, right, bottom] = boxOf(shape), corners = [to([left, top]), to([right, bottom])];
    const from = [(corners[0][0] + corners[1][0]) / 2, Math.min(corners[0][1], corners[1][1])];
    const grips = [{ does: "turn", at: [from[0], from[1] - TURN_PX], from }];
    if (many) return grips;
    points.forEach((at, n) => {
      const next = points[(n + 1) % points.length];
      if (between(at, next) > 5 * GRIP_PX) grips.push({ does: "insert", n: n + 1, at: [(at[0] + next[0]) / 2, (at[1] + next[1]) / 2] });
    });
    let last = null;
    points.forEach((at, n) => {
      if (last && between(at, last) < APART_PX) return;
      last = at;
      grips.push({ does: "corner", n, at });
    });
    return grips;
  }
  if (kind == "brush") return [{ does: "brush", at: to([shape.xs[0] + shape.radius, shape.ys[0]]) }];
  if (kind == "half_plane") {
    const { at, tip } = frontOf(shape, map);
    return [{ does: "aim", at: tip, about: map.from(at) }];
  }
  return [];
}

const gripAt = (grips, p) => grips.findLast((grip) => between(grip.at, p) <= GRIP_PX);

// Rectangles keep their corners in order.
function ordered(shape) {
  const [x0, x1] = span([shape.x0, shape.x1]), [y0, y1] = span([shape.y0, shape.y1]);
  return { ...shape, x0, y0, x1, y1 };
}

function shifted(shape, dx, dy) {
  if (shape.kind == "rectangle") return { ...shape, x0: shape.x0 + dx, x1: shape.x1 + dx, y0: shape.y0 + dy, y1: shape.y1 + dy };
  if (shape.xs) return { ...shape, xs: shape.xs.map((x) => x + dx), ys: shape.ys.map((y) => y + dy) };
  return { ...shape, x: shape.x + dx, y: shape.y + dy };
}

const angleOf = (from, to) => Math.atan2(to[1] - from[1], to[0] - from[0]) / RAD;

// What a drag from one place to another makes of a shape. `even` is the shift key: circles, squares, steps of 15 degrees.
function dragged(shape, grip, from, now, even) {
  const step = (angle) => (even ? Math.round(angle / 15) * 15 : angle);
  if (!grip) return shifted(shape, now[0] - from[0], now[1] - from[1]);
  const { x, y } = shape, away = between(now, [x, y]);
  if (grip.does == "side") {
    const made = { ...shape };
    if (grip.h) made[grip.h] += now[0] - from[0];
    if (grip.v) made[grip.v] += now[1] - from[1];
    if (even && grip.h && grip.v) {
      const [still_x, still_y] = [shape[grip.h == "x0" ? "x1" : "x0"], shape[grip.v == "y0" ? "y1" : "y0"]];
      const size = Math.max(Math.abs(made[grip.h] - still_x), Math.abs(made[grip.v] - still_y));
      made[grip.h] = still_x + (Math.sign(made[grip.h] - still_x) || 1) * size;
      made[grip.v] = still_y + (Math.sign(made[grip.v] - still_y) || 1) * size;
    }
    return ordered(made);
  }
  if (grip.does == "axis") {
    const [cos, sin] = turned(shape.angle + (grip.axis == "b" ? 90 : 0));
    const size = Math.max(LEAST, Math.abs((now[0] - x) * cos + (now[1] - y) * sin));
    return even ? { ...shape, a: size, b: size } : { ...shape, [grip.axis]: size };
  }
  if (grip.does == "turn" && shape.kind == "ellipse") return { ...shape, angle: step(angleOf([x, y], now)) };
  if (grip.does == "turn") {
    const mid = midOf(shape), [cos, sin] = turned(step(angleOf(mid, now) - angleOf(mid, from)));
    const points = shape.xs.map((px, n) => [px - mid[0], shape.ys[n] - mid[1]]);
    return { ...shape, xs: points.map(([u, v]) => mid[0] + u * cos - v * sin), ys: points.map(([u, v]) => mid[1] + u * sin + v * cos) };
  }
  if (grip.does == "radius") {
    if (grip.name == "inner") return { ...shape, inner: clamp(LEAST, away, shape.outer - LEAST) };
    return { ...shape, outer: Math.max(shape.inner + LEAST, away) };
  }
  if (grip.does == "corner" || grip.does == "insert") {
    const [xs, ys] = [[...shape.xs], [...shape.ys]], gone = grip.does == "corner" ? 1 : 0;
    xs.splice(grip.n, gone, now[0]);
    ys.splice(grip.n, gone, now[1]);
    return { ...shape, xs, ys };
  }
  if (grip.does == "brush") return { ...shape, radius: clamp(0.5, between(now, [shape.xs[0], shape.ys[0]]), 1000) };
  return { ...shape, x: grip.about[0], y: grip.about[1], angle: step(angleOf(grip.about, now)) };
}

// What is drawn by a drag from one place to another; nothing if it has no size.
function drawn(mode, from, now, even, radius) {
  let [dx, dy] = [now[0] - from[0], now[1] - from[1]];
  const away = Math.hypot(dx, dy);
  if (mode == "point") return { kind: "point", x: now[0], y: now[1] };
  if (mode == "brush") return lengthened({ kind: "brush", xs: [], ys: [], starts: [0], radius }, from);
  if (even && (mode == "rectangle" || mode == "ellipse")) {
    const size = Math.max(Math.abs(dx), Math.abs(dy));
    [dx, dy] = [(Math.sign(dx) || 1) * size, (Math.sign(dy) || 1) * size];
  }
  if (away < LEAST) return null;
  if (mode == "half_plane") {
    const angle = angleOf(from, now);
    return { kind: "half_plane", x: from[0], y: from[1], angle: even ? Math.round(angle / 15) * 15 : angle };
  }
  if (mode == "ring") return { kind: "annulus", x: from[0], y: from[1], inner: 0.7 * away, outer: away };
  if (Math.abs(dx) < LEAST || Math.abs(dy) < LEAST) return null;
  if (mode == "rectangle") return ordered({ kind: "rectangle", x0: from[0], y0: from[1], x1: from[0] + dx, y1: from[1] + dy });
  return { kind: "ellipse", x: from[0] + dx / 2, y: from[1] + dy / 2, a: Math.abs(dx) / 2, b: Math.abs(dy) / 2, angle: 0 };
}

// Adds a place to a line; of too many every second one is left out.
function lengthened(shape, p) {
  const at = p.map((value) => Math.round(value * 100) / 100);
  let [xs, ys] = [[...shape.xs, at[0]], [...shape.ys, at[1]]];
  if (xs.length > MOST_POINTS) [xs, ys] = [xs, ys].map((values) => values.filter((_, n) => n % 2 == 0 || n == values.length - 1));
  return { ...shape, xs, ys };
}

// Leaves out the places of a line that are not further than `off` from the line through the others (Douglas and Peucker).
function thinned(shape, off) {
  const points = shape.xs.map((x, n) => [x, shape.ys[n]]), kept = new Set([0, points.length - 1]), open = [[0, points.length - 1]];
  while (open.length) {
    const [first, last] = open.pop();
    let [far, at] = [off, 0];
    for (let n = first + 1; n < last; n++) {
      const away = distance(points[n], [points[first], points[last]], false);
      if (away > far) [far, at] = [away, n];
    }
    if (!at) continue;
    kept.add(at);
    open.push([first, at], [at, last]);
  }
  const keep = points.filter((_, n) => kept.has(n));
  return keep.length > 2 ? { ...shape, xs: keep.map((p) => p[0]), ys: keep.map((p) => p[1]) } : shape;
}
