// What stands around the points of a cloud: the box with its scales, the border of the calorimeters, the key of the colours.

function niceStep(span, wanted) {
  const raw = span / wanted, power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
}

function ticksOf(low, high, wanted, least = 0) {
  const step = Math.max(least, niceStep(high - low, wanted)), ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [], factors = high / low < 300 ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(6));
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push(value);
    }
  }
  return ticks;
}

const tidy = (value) => String(Number(value.toPrecision(4))).replace("-", "−");

// A number with three digits and the unit that suits it; energies come in MeV.
function energyText(value) {
  const [factor, unit] = value >= 1e3 ? [1e-3, "GeV"] : value >= 0.1 ? [1, "MeV"] : value >= 1e-4 ? [1e3, "keV"] : [1e6, "eV"];
  return `${Number((value * factor).toPrecision(3))} ${unit}`;
}

// The box in scene units: across from -1 to 1, along from -D to D. Scene X is the depth, Y is y and Z is -x.
function boxOf(words) {
  const [x, y, half] = words.box, D = words.depth > words.ecal ? 1.75 : 1.3;
  return {
    D, half, x, y, depth: words.depth,
    layer: (layer) => ((layer + 0.5) / words.depth * 2 - 1) * D,
    across: (value) => -(value - x) / half,
    up: (value) => (value - y) / half,
    axes: [
      { name: "Layer", ticks: ticksOf(0, words.depth - 1, 7, 1), place: (v) => ((v + 0.5) / words.depth * 2 - 1) * D, size: D },
      { name: "y (mm)", ticks: ticksOf(y - half, y + half, 5), place: (v) => (v - y) / half, size: 1 },
      { name: "x (mm)", ticks: ticksOf(x - half, x + half, 5), place: (v) => -(v - x) / half, size: 1 },
    ],
  };
}

const corner = (axes, where) => where.map((side, a) => side * axes[a].size);

// Draw the far sides of the box with their grids, and scales along edges that no point hides.
function drawBox(g, lens, box, words, style) {
  const { axes } = box, { em, ratio } = style, at = (p) => project(lens, ...p);
  const line = (from, to) => {
    const [a, b] = [at(from), at(to)];
    g.moveTo(a[0], a[1]);
    g.lineTo(b[0], b[1]);
  };
  // how much each positive axis points to the viewer
  const facing = [-lens.sy * lens.cp, lens.sp, lens.cy * lens.cp].map((n) => (Math.abs(n) < 0.02 ? 0 : n));
  const middle = at([0, 0, 0]);
  g.lineWidth = Math.max(1, ratio);
  for (let a = 0; a < 3; a++) {
    for (const side of [-1, 1]) {
      if (side * facing[a] >= 0) continue; // a near side, or one seen from its edge
      const others = [0, 1, 2].filter((each) => each != a);
      const ring = [[-1, -1], [-1, 1], [1, 1], [1, -1]].map(([u, v]) => {
        const where = [0, 0, 0];
        [where[a], where[others[0]], where[others[1]]] = [side, u, v];
        return corner(axes, where);
      });
      g.beginPath();
      ring.forEach((p, n) => { const [x, y] = at(p); if (n) g.lineTo(x, y); else g.moveTo(x, y); });
      g.closePath();
      g.fillStyle = style.soft;
      g.fill();
      g.beginPath();
      for (const [one, other] of [others, [...others].reverse()]) {
        for (const tick of axes[one].ticks) {
          const [from, to] = [-1, 1].map((end) => {
            const p = [0, 0, 0];
            [p[a], p[one], p[other]] = [side * axes[a].size, axes[one].place(tick), end * axes[other].size];
            return p;
          });
          line(from, to);
        }
      }
      g.strokeStyle = style.grid;
      g.stroke();
    }
  }
  g.beginPath();
  const edges = [];
  for (let a = 0; a < 3; a++) {
    const [b, c] = [0, 1, 2].filter((each) => each != a);
    for (const sb of [-1, 1]) {
      for (const sc of [-1, 1]) {
        const ends = [-1, 1].map((end) => {
          const where = [0, 0, 0];
          [where[a], where[b], where[c]] = [end, sb, sc];
          return corner(axes, where);
        });
        const fb = sb * facing[b], fc = sc * facing[c];
        if (fb <= 0 || fc <= 0) line(...ends); // edges in front of the points are left out
        edges.push({ a, ends, outline: fb * fc <= 0 && !(fb < 0 && fc < 0) });
      }
    }
  }
  g.strokeStyle = style.line;
  g.stroke();
  if (words.depth > words.ecal) {
    const X = box.layer(words.ecal - 0.5);
    g.beginPath();
    [[-1, -1], [-1, 1], [1, 1], [1, -1]].forEach(([u, v], n) => {
      const [x, y] = at([X, u, v]);
      if (n) g.lineTo(x, y); else g.moveTo(x, y);
    });
    g.closePath();
    g.fillStyle = style.borderSoft;
    g.fill();
    g.setLineDash([5 * ratio, 4 * ratio]);
    g.strokeStyle = style.border;
    g.lineWidth = 1.6 * ratio;
    g.stroke();
    g.setLineDash([]);
  }
  for (let a = 0; a < 3; a++) {
    const drawn = edges.filter((edge) => edge.a == a && edge.outline).map((edge) => {
      const [p, q] = edge.ends.map(at), dx = q[0] - p[0], dy = q[1] - p[1];
      const [mx, my] = [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
      return { ...edge, dx, dy, mx, my, length: Math.hypot(dx, dy), score: Math.abs(dx) >= Math.abs(dy) ? my : -mx };
    }).filter((edge) => edge.length > 3 * em).sort((one, other) => other.score - one.score);
    if (!drawn.length) continue;
    drawScale(g, at, axes[a], a, drawn[0], middle, style);
    if (a == 0) namePart(g, at, box, words, drawn.at(-1), middle, style);
  }
}

// The direction away from the box, across an edge.
function outward({ dx, dy, mx, my, length }, middle) {
  const [u, v] = [-dy / length, dx / length];
  return u * (mx - middle[0]) + v * (my - middle[1]) >= 0 ? [u, v] : [-u, -v];
}

function upright(dx, dy) { // text reads to the right, or upwards
  const angle = Math.atan2(dy, dx);
  return angle > 1.2 ? angle - Math.PI : angle < 1.2 - Math.PI ? angle + Math.PI : angle;
}

function drawScale(g, at, axis, a, edge, middle, style) {
  const { em } = style, [u, v] = outward(edge, middle);
  const point = (value) => { const p = [...edge.ends[0]]; p[a] = axis.place(value); return at(p); };
  g.font = style.font;
  g.fillStyle = style.text;
  g.textBaseline = "middle";
  g.textAlign = u > 0.4 ? "left" : u < -0.4 ? "right" : "center";
  g.strokeStyle = style.line;
  const every = Math.max(1, Math.ceil(2.6 * em / (edge.length / Math.max(1, axis.ticks.length))));
  let widest = 0;
  g.beginPath();
  axis.ticks.forEach((value, n) => {
    const [x, y] = point(value);
    g.moveTo(x, y);
    g.lineTo(x + 0.35 * em * u, y + 0.35 * em * v);
    if (n % every) return;
    const text = tidy(value);
    widest = Math.max(widest, g.measureText(text).width);
    g.fillText(text, x + 0.6 * em * u, y + (0.6 + 0.45 * Math.abs(v)) * em * v);
  });
  g.stroke();
  const far = 1.7 * em + Math.abs(u) * widest + 0.5 * em * Math.abs(v);
  write(g, axis.name, edge.mx + far * u, edge.my + far * v, upright(edge.dx, edge.dy), style.bold);
}

function write(g, text, x, y, angle, font) {
  g.save();
  g.translate(x, y);
  g.rotate(angle);
  g.font = font;
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.fillText(text, 0, 0);
  g.restore();
}

function namePart(g, at, box, words, edge, middle, style) {
  const [u, v] = outward(edge, middle), { em } = style;
  const parts = words.depth > words.ecal ? [["ECAL", 0, words.ecal], ["HCAL", words.ecal, words.depth]]
    : [[words.ecal < words.layers ? `${words.detector} ECAL` : words.detector, 0, words.depth]];
  g.fillStyle = style.border;
  for (const [name, from, to] of parts) {
    const p = [...edge.ends[0]];
    p[0] = box.layer((from + to - 1) / 2);
    const [x, y] = at(p);
    write(g, name, x + 1.1 * em * u, y + 1.1 * em * v, upright(edge.dx, edge.dy), style.bold);
  }
}

// The key: a bar of all colours with its scale, and on that of energies what is cut away.
function drawKey(g, width, height, palette, scale, style) {
  const { em } = style, left = 0.4 * em, wide = 1.1 * em, top = 1.6 * em, tall = Math.max(4 * em, height - 3.4 * em);
  g.clearRect(0, 0, width, height);
  const ramp = g.createLinearGradient(0, top + tall, 0, top);
  palette.forEach((rgb, n) => { if (n % 5 == 0) ramp.addColorStop(n / (palette.length - 1), `rgb(${rgb})`); });
  g.fillStyle = ramp;
  g.fillRect(left, top, wide, tall);
  g.strokeStyle = style.line;
  g.lineWidth = Math.max(1, style.ratio);
  g.strokeRect(left, top, wide, tall);
  const y = (value) => top + tall * (1 - scale.share(value));
  g.font = style.font;
  g.fillStyle = style.text;
  g.textAlign = "left";
  g.textBaseline = "middle";
  let widest = 0;
  g.beginPath();
  for (const value of scale.ticks) {
    const text = tidy(value);
    widest = Math.max(widest, g.measureText(text).width);
    g.moveTo(left + wide, y(value));
    g.lineTo(left + wide + 0.3 * em, y(value));
    g.fillText(text, left + wide + 0.5 * em, y(value));
  }
  g.stroke();
  if (scale.cut > 0 && scale.cut > scale.low) {
    const at = Math.max(top, y(scale.cut));
    g.fillStyle = style.veil;
    g.fillRect(left, at, wide, top + tall - at);
    g.fillStyle = style.border;
    g.fillRect(left - 0.2 * em, at - style.ratio, wide + 0.4 * em, 2 * style.ratio);
  }
  g.fillStyle = style.text;
  write(g, scale.name, Math.min(width - 0.7 * em, left + wide + widest + 1.4 * em), top + tall / 2, -Math.PI / 2, style.bold);
}
