// Paints shapes on a canvas. Names are foreign: they are only ever drawn as letters.

const INK = { roi: "#00e5ff", add: "#ff4fa3", subtract: "#b2ff59", note: "#ffffff" };
const CHOSEN = "#ff9100";
const SHADE = "rgba(0, 0, 0, 0.55)";
const LABELS = 80; // with more shapes only that of the selected one is named
const LETTERS = 40;

function trace(ctx, points, closed) {
  points.forEach(([x, y], n) => (n ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  if (closed) ctx.closePath();
}

// A line that is seen on any picture: its colour within a shadow, or within the colour of what is selected.
function inked(ctx, path, colour, { selected, dashed }) {
  for (const [style, width] of [[selected ? CHOSEN : SHADE, selected ? 5.5 : 3.5], [colour, selected ? 2.5 : 1.75]]) {
    ctx.strokeStyle = style;
    ctx.lineWidth = width;
    ctx.setLineDash(dashed && style == colour ? [7, 5] : []);
    ctx.stroke(path);
  }
  ctx.setLineDash([]);
}

function paintShape(ctx, shape, colour, look, map) {
  const path = new Path2D();
  ctx.globalAlpha = look.faint ? 0.35 : 1;
  if (shape.kind == "point") {
    const [x, y] = map.to([shape.x, shape.y]);
    for (const [dx, dy] of [[9, 0], [0, 9]]) trace(path, [[x - dx, y - dy], [x + dx, y + dy]]);
    path.moveTo(x + 5, y);
    path.arc(x, y, 5, 0, 2 * Math.PI);
    inked(ctx, path, colour, look);
  } else if (shape.kind == "half_plane") {
    const { at, ends, ahead, reach, tip } = frontOf(shape, map), [dx, dy] = ahead;
    const side = new Path2D();
    trace(side, [...ends, ...ends.toReversed().map(([x, y]) => [x + 2 * reach * dx, y + 2 * reach * dy])], true);
    ctx.fillStyle = colour;
    ctx.globalAlpha *= 0.14;
    ctx.fill(side);
    ctx.globalAlpha /= 0.14;
    trace(path, ends);
    trace(path, [at, tip]);
    trace(path, [[tip[0] - 9 * dx - 5 * dy, tip[1] - 9 * dy + 5 * dx], tip, [tip[0] - 9 * dx + 5 * dy, tip[1] - 9 * dy - 5 * dx]]);
    inked(ctx, path, colour, look);
  } else if (shape.kind == "brush") {
    for (const line of strokesOf(shape)) {
      const points = line.map(map.to);
      trace(path, points.length > 1 ? points : [points[0], points[0].map((v) => v + 0.01)]);
    }
    [ctx.lineCap, ctx.lineJoin] = ["round", "round"];
    const wide = 2 * shape.radius * map.scale;
    if (look.selected) {
      ctx.strokeStyle = CHOSEN;
      ctx.globalAlpha *= 0.5;
      ctx.lineWidth = wide + 5;
      ctx.stroke(path);
      ctx.globalAlpha *= 2;
    }
    ctx.strokeStyle = colour;
    ctx.globalAlpha *= 0.5;
    ctx.lineWidth = Math.max(1.5, wide);
    ctx.stroke(path);
    [ctx.lineCap, ctx.lineJoin] = ["butt", "round"];
  } else {
    for (const line of linesOf(shape)) trace(path, line.map(map.to), true);
    ctx.fillStyle = colour;
    ctx.globalAlpha *= 0.1;
    ctx.fill(path, "evenodd");
    ctx.globalAlpha *= 10;
    inked(ctx, path, colour, look);
  }
  ctx.globalAlpha = 1;
}

function paintGrips(ctx, grips, colour) {
  for (const { does, at, from } of grips) {
    ctx.beginPath();
    if (from) {
      ctx.strokeStyle = CHOSEN;
      ctx.lineWidth = 1.5;
      trace(ctx, [from, at]);
      ctx.stroke();
      ctx.beginPath();
    }
    if (does == "turn" || does == "aim") ctx.arc(...at, 6, 0, 2 * Math.PI);
    else if (does == "insert") ctx.arc(...at, 3.5, 0, 2 * Math.PI);
    else ctx.rect(at[0] - 4.5, at[1] - 4.5, 9, 9);
    ctx.fillStyle = does == "insert" ? colour : does == "turn" || does == "aim" ? CHOSEN : "#ffffff";
    ctx.strokeStyle = "#202020";
    ctx.lineWidth = 1.25;
    ctx.fill();
    ctx.stroke();
  }
}

function wordsOf(name) {
  // control characters and marks that turn the direction of what follows
  const plain = [...name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "")];
  return plain.length > LETTERS ? `${plain.slice(0, LETTERS - 1).join("")}…` : plain.join("");
}

function paintLabel(ctx, name, shape, colour, look, map) {
  const words = wordsOf(name);
  if (!words) return;
  const [left, top, right, bottom] = boxOf(shape), corners = [map.to([left, top]), map.to([right, bottom])];
  const [across, down] = [span(corners.map((p) => p[0])), span(corners.map((p) => p[1]))];
  const { box } = map;
  const px = clamp(12, 0.003 * innerWidth + 0.0045 * innerHeight + 3, 22), high = 1.5 * px; // as other text on this screen
  ctx.font = `500 ${px.toFixed(1)}px Roboto, 'Segoe UI', sans-serif`;
  const wide = ctx.measureText(words).width + 10, gap = shape.kind == "point" || shape.kind == "half_plane" ? 12 : 4;
  // above the shape, or inside of it where there is no room above; not beyond the frame while the shape is in view
  if (across[1] < box.left || across[0] > box.left + box.width || down[1] < box.top || down[0] > box.top + box.height) return;
  const x = clamp(box.left + 2, across[0] + (gap == 12 ? gap : 0), Math.max(box.left + 2, box.left + box.width - wide - 2));
  const y = clamp(box.top + 2, down[0] - high - gap, box.top + box.height - high - 2);
  ctx.globalAlpha = look.faint ? 0.5 : 1;
  ctx.fillStyle = "rgba(16, 22, 30, 0.78)";
  ctx.beginPath();
  ctx.roundRect(x, y, wide, high, 4);
  ctx.fill();
  ctx.fillStyle = look.selected ? "#ffd08f" : colour;
  ctx.textBaseline = "middle";
  ctx.fillText(words, x + 5, y + high / 2 + 0.5);
  ctx.globalAlpha = 1;
}
