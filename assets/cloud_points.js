// Who draws the points of a cloud: the graphics hardware, or our own sprites with a depth buffer where there is none.
// Both take the same scene and the same lens, so that they put the same point on the same pixel.

const RIM = 26; // sprites are at most twice as wide, device pixels; the buffers are so much larger on each side
const SHADES = [0.55, 0.78, 1.0, 1.16]; // from the rim of a ball to its highlight

// How bright a ball is at a place inside its circle (-1 to 1, y down): lit from the upper left.
function shadeOf(x, y) {
  const r2 = x * x + y * y;
  const light = Math.sqrt(Math.max(0, 1 - r2)) * 0.75 - 0.45 * (x + y);
  return light < 0.12 ? 0 : light < 0.45 ? 1 : light < 0.82 ? 2 : 3;
}

// Where a scene point is on the screen, and how near: x, y in device pixels, depth -1 to 1, and how much it is enlarged.
function project(lens, X, Y, Z) {
  const x = X * lens.cy + Z * lens.sy, z1 = Z * lens.cy - X * lens.sy;
  const y = Y * lens.cp - z1 * lens.sp, z = (Y * lens.sp + z1 * lens.cp) / lens.reach;
  const near = 1 / (1 - lens.bend * z);
  return [lens.x + lens.scale * x * near, lens.y - lens.scale * y * near, z, near];
}

class SoftPoints {
  constructor(canvas) {
    this.name = "canvas";
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true }); // kept in memory, where the picture is made
    if (!this.context) throw new Error("this browser has no canvas");
    this.size = [0, 0];
    this.dirty = null;
  }

  resize(width, height) {
    if (this.size[0] == width && this.size[1] == height) return;
    this.size = [width, height];
    this.canvas.width = width;
    this.canvas.height = height;
    this.wide = width + 2 * RIM;
    this.image = new ImageData(this.wide, height + 2 * RIM);
    this.colours = new Uint32Array(this.image.data.buffer);
    this.depths = new Uint16Array(this.colours.length);
    this.dirty = null;
    this.sprites = [];
    for (let d = 0; d < 2 * RIM; d++) {
      const places = [], shades = [], middle = (d - 1) / 2;
      for (let y = 0; y < d; y++) {
        for (let x = 0; x < d; x++) {
          const [u, v] = [(x - middle) / (d / 2), (y - middle) / (d / 2)];
          if (u * u + v * v > 1.02) continue;
          places.push((y - (d >> 1)) * this.wide + x - (d >> 1));
          shades.push(d < 4 ? 2 : shadeOf(u, v));
        }
      }
      this.sprites.push({ places: Int32Array.from(places), shades: Uint16Array.from(shades, (shade) => 256 * shade) });
    }
  }

  load(scene) {
    this.scene = scene;
  }

  paint(palette) {
    // little-endian: alpha, blue, green, red
    this.inks = Uint32Array.from(SHADES.flatMap((shade) => palette.map((rgb) =>
      rgb.reduce((ink, part, at) => ink | (Math.min(255, part * shade) << (8 * at)), 255 << 24) >>> 0)));
  }

  draw(lens) {
    const { scene, colours, depths, wide, inks, sprites } = this;
    const [width, height] = this.size;
    if (this.dirty) {
      const [x0, y0, x1, y1] = this.dirty;
      for (let y = y0; y <= y1; y++) {
        colours.fill(0, y * wide + x0, y * wide + x1 + 1);
        depths.fill(0, y * wide + x0, y * wide + x1 + 1);
      }
    }
    const { X, Y, Z, ink, radius, chosen, count } = scene;
    const { cy, sy, cp, sp, bend, scale, grain, reach } = lens;
    let [left, top, right, bottom] = [wide, height + 2 * RIM, -1, -1];
    for (let n = 0; n < count; n++) {
      const i = chosen[n], x1 = X[i] * cy + Z[i] * sy, z1 = Z[i] * cy - X[i] * sy;
      const z = (Y[i] * sp + z1 * cp) / reach, near = 1 / (1 - bend * z);
      const x = Math.round(lens.x + scale * x1 * near), y = Math.round(lens.y - scale * (Y[i] * cp - z1 * sp) * near);
      if (!(x >= 0 && y >= 0 && x < width && y < height)) continue;
      const d = Math.max(1, Math.min(2 * RIM - 1, Math.round(2 * grain * radius[i] * near)));
      const places = sprites[d].places, shades = sprites[d].shades, at = (y + RIM) * wide + x + RIM, half = (d >> 1) + 1;
      const depth = Math.max(1, Math.min(65535, 32768 + z * 20000)) | 0, c = ink[i];
      for (let k = 0; k < places.length; k++) {
        const p = at + places[k];
        if (depths[p] < depth) {
          depths[p] = depth;
          colours[p] = inks[shades[k] + c];
        }
      }
      if (x + RIM - half < left) left = x + RIM - half;
      if (x + RIM + half > right) right = x + RIM + half;
      if (y + RIM - half < top) top = y + RIM - half;
      if (y + RIM + half > bottom) bottom = y + RIM + half;
    }
    const now = right < 0 ? null : [left, top, right, bottom];
    const all = !now ? this.dirty : !this.dirty ? now : [
      Math.min(left, this.dirty[0]), Math.min(top, this.dirty[1]), Math.max(right, this.dirty[2]), Math.max(bottom, this.dirty[3]),
    ];
    if (all) this.context.putImageData(this.image, -RIM, -RIM, all[0], all[1], all[2] - all[0] + 1, all[3] - all[1] + 1);
    this.dirty = now;
  }

  finish() {}
  free() {}
}

const VERTEX = `
attribute vec3 place; attribute vec2 look;
uniform vec4 turn; uniform vec4 lens; uniform vec4 screen;
varying float ink;
void main() {
  float x = place.x * turn.x + place.z * turn.y, z1 = place.z * turn.x - place.x * turn.y;
  float z = (place.y * turn.w + z1 * turn.z) / lens.y, near = 1.0 / (1.0 - lens.x * z);
  vec2 at = vec2(screen.x + lens.z * x * near, screen.y - lens.z * (place.y * turn.z - z1 * turn.w) * near);
  gl_Position = vec4(at / screen.zw * vec2(2.0, -2.0) + vec2(-1.0, 1.0), -z * 0.6, 1.0);
  gl_PointSize = clamp(2.0 * lens.w * look.y * near, 1.0, ${2 * RIM - 1}.0);
  ink = look.x;
}`;
const FRAGMENT = `
precision mediump float;
uniform sampler2D palette; varying float ink;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float r2 = dot(at, at);
  if (r2 > 1.02) discard;
  float light = sqrt(max(0.0, 1.0 - r2)) * 0.75 - 0.45 * (at.x + at.y);
  float shade = light < 0.12 ? ${SHADES[0]} : light < 0.45 ? ${SHADES[1]} : light < 0.82 ? 1.0 : ${SHADES[3]};
  gl_FragColor = vec4(min(vec3(1.0), texture2D(palette, vec2((ink + 0.5) / 256.0, 0.5)).rgb * shade), 1.0);
}`;

class HardPoints {
  constructor(canvas, slowly) {
    this.name = "webgl";
    this.canvas = canvas;
    const gl = this.gl = canvas.getContext("webgl", { antialias: false, premultipliedAlpha: true, failIfMajorPerformanceCaveat: !slowly });
    if (!gl) throw new Error("no graphics hardware");
    // The browser may imitate the hardware, some ten times slower than our own sprites, and not call that slow.
    const known = gl.getExtension("WEBGL_debug_renderer_info"), maker = known ? gl.getParameter(known.UNMASKED_RENDERER_WEBGL) : "";
    if (!slowly && /swiftshader|llvmpipe|software|basic render/i.test(maker)) throw new Error("no graphics hardware");
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "no shaders");
    gl.useProgram(program);
    this.at = Object.fromEntries(["turn", "lens", "screen"].map((name) => [name, gl.getUniformLocation(program, name)]));
    for (const [name, size, start] of [["place", 3, 0], ["look", 2, 12]]) {
      const slot = gl.getAttribLocation(program, name);
      if (name == "place") gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.enableVertexAttribArray(slot);
      gl.vertexAttribPointer(slot, size, gl.FLOAT, false, 20, start);
    }
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    for (const way of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, way, gl.NEAREST);
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0, 0, 0, 0);
  }

  resize(width, height) {
    this.canvas.width = width;
    this.canvas.height = height;
    this.gl.viewport(0, 0, width, height);
  }

  load({ X, Y, Z, ink, radius, chosen, count }) {
    const rows = new Float32Array(5 * count);
    for (let n = 0; n < count; n++) {
      const i = chosen[n];
      rows.set([X[i], Y[i], Z[i], ink[i], radius[i]], 5 * n);
    }
    this.count = count;
    this.gl.bufferData(this.gl.ARRAY_BUFFER, rows, this.gl.DYNAMIC_DRAW);
  }

  paint(palette) {
    const { gl } = this, texels = new Uint8Array(palette.flat());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, palette.length, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, texels);
  }

  draw(lens) {
    const { gl, at } = this;
    gl.uniform4f(at.turn, lens.cy, lens.sy, lens.cp, lens.sp);
    gl.uniform4f(at.lens, lens.bend, lens.reach, lens.scale, lens.grain);
    gl.uniform4f(at.screen, lens.x, lens.y, this.canvas.width, this.canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (this.count) gl.drawArrays(gl.POINTS, 0, this.count);
  }

  finish() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits until all is drawn
  }

  free() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext(); // a page has only so many
  }
}
