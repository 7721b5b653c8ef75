// The page of `vinpaint pick`: shows frames and masks, sends marks, keeps nothing the server does not know.

const COLOURS = ["#ff3d9a", "#35b5ff", "#ffc640", "#58d68d", "#b794ff", "#ff8d4d", "#4be0d4", "#e6e05a", "#ff7ae0"];
const STAGES = { track: "tracking", mask: "writing", look: "reading", scan: "reading", count: "reading" };
const BITMAP_BYTES = 400e6;
const AHEAD = 5;
const DOUBTFUL = 0.5;

const $ = (id) => document.getElementById(id);
const picture = $("picture"), strip = $("strip"), scrubber = $("scrubber");
const scratch = document.createElement("canvas");

let clip = null; // what never changes: name, width, height, rate, aspect …
let state = null; // the server's word on everything else
let at = 0; // the frame asked for
let shown = null; // {index, bitmap} on the screen
let tool = "click", held = false, current = 1, masksOn = true, playing = false, over = false;
let view = { zoom: 1, cx: 0, cy: 0 };
let draft = null, pointer = null, press = null, pinch = 0;
const fingers = new Map();

// ---- talking to the server

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    finish("vinpaint pick has ended; this page can be closed.");
    throw new Error("vinpaint pick has ended");
  }
  const got = await answer.json();
  if (!answer.ok) throw new Error(got.error);
  return got;
}

let turn = Promise.resolve();

/** Ask for a change, or with body null for the state, and show what came of it: one after the other. */
function act(path, body = {}) {
  turn = turn.then(async () => {
    try {
      take(await ask(path, body ?? undefined));
    } catch (error) {
      say(error.message, true);
    }
  });
  return turn;
}

let polling = 0;

function poll() {
  clearTimeout(polling);
  if (!over && (!state.finished || state.doing.running)) polling = setTimeout(() => act("state", null), 250);
}

function take(got) {
  const before = state;
  state = got;
  if (got.error && !before?.error) say(got.error, true);
  const ended = before?.doing.running && !got.doing.running;
  if (ended && got.doing.error) say(got.doing.error, true);
  else if (ended && got.written && got.written !== before.written) say(`Masks written to ${got.written}`);
  else if (ended && before.doing.stopping) say("Stopped");
  if (got.written && clip.ends) finish(`The masks are in ${got.written}.`);
  scrubber.max = Math.max(0, frames() - 1);
  if (at > scrubber.max) go(Number(scrubber.max));
  poll();
  panel();
  redraw();
}

/** Frames there are, or as many as were read so far. */
const frames = () => state?.read ?? 0;

// ---- pictures

class Store {
  constructor(most) {
    this.most = most;
    this.kept = new Map();
  }
  get(key) {
    const found = this.kept.get(key);
    if (found) {
      this.kept.delete(key);
      this.kept.set(key, found);
    }
    return found;
  }
  /** The picture at an address: an entry whose bitmap is there once `ready` has resolved. */
  fetch(key, address) {
    const found = this.get(key);
    if (found && !found.error) return found;
    const entry = { bitmap: null, error: null, ready: null };
    entry.ready = load(address).then(
      (bitmap) => { entry.bitmap = bitmap; },
      (error) => { entry.error = error; },
    );
    this.kept.set(key, entry);
    for (const [old, one] of this.kept) {
      if (this.kept.size <= this.most) break;
      if (one.bitmap === shown?.bitmap) continue;
      this.kept.delete(old);
      one.bitmap?.close();
    }
    return entry;
  }
}

async function load(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return createImageBitmap(await answer.blob());
}

let pictures, masks;
const latest = new Map(); // "object/frame" → the mask shown last, until the next one is there

const frameEntry = (index) => pictures.fetch(index, `frame/${index}.jpg`);

/** Show a frame, as soon as it is there; the one asked for last wins. */
function go(index) {
  at = Math.max(0, Math.min(frames() - 1, index));
  scrubber.value = at;
  const seconds = at / clip.rate;
  scrubber.setAttribute("aria-valuetext", `frame ${at}, ${clock(seconds)}`);
  $("where").textContent = `${at} / ${Math.max(0, frames() - 1)}   ${clock(seconds)}`;
  lists();
  drawStrip();
  pump();
}

let pumping = false;

async function pump() {
  if (pumping) return;
  pumping = true;
  while (shown?.index !== at) {
    const wanted = at;
    const entry = frameEntry(wanted);
    await entry.ready;
    if (entry.error) {
      if (!over) say(entry.error.message, true);
      break;
    }
    shown = { index: wanted, bitmap: entry.bitmap };
    redraw();
  }
  pumping = false;
  if (!playing && at + 1 < frames()) frameEntry(at + 1);
}

async function play() {
  playing = !playing;
  $("play").setAttribute("aria-pressed", playing);
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  let due = performance.now();
  while (playing && !over) {
    const next = at + 1 < frames() ? at + 1 : 0;
    for (let ahead = next; ahead < Math.min(frames(), next + AHEAD); ahead++) frameEntry(ahead);
    await frameEntry(next).ready;
    await Promise.all(layers(next).map((layer) => layer.entry.ready));
    due = Math.max(due + 1000 / clip.rate, performance.now());
    await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
    if (playing) go(next);
  }
}

const pause = () => { if (playing) play(); };

function step(count) {
  pause();
  go(at + count);
}

// ---- masks

const colour = (number) => COLOURS[(number - 1) % COLOURS.length];
const numbers = (marks) => [...new Set(marks.map((mark) => mark.object))].sort((a, b) => a - b);
const marksAt = (index) => state.marks.filter((mark) => mark.frame === index);

/** What lies over a frame: `{entry, colour, old, key}`; entries are asked for as they are named. */
function layers(index) {
  if (!state || !masksOn) return [];
  const found = [];
  const tracked = state.tracked;
  if (tracked && !tracked.stale) return [trackedLayer(index, false)];
  for (const number of numbers(marksAt(index))) {
    const layer = markedLayer(number, index);
    if (layer) found.push(layer);
  }
  if (tracked && !found.length) found.push(trackedLayer(index, true));
  return found;
}

function trackedLayer(index, old) {
  const all = numbers(state.marks), round = state.tracked.id;
  const entry = heard(masks.fetch(`tracked/${round}/${index}`, `tracked/${index}.png?${round}`));
  return { entry, old, colour: colour(all.length === 1 ? all[0] : 1), key: null };
}

function markedLayer(number, index) {
  const marks = marksAt(index).filter((mark) => mark.object === number);
  const pointed = marks.some((mark) => mark.kind !== "not");
  if (!pointed && !state.tracked?.correctable) return null;
  const name = marks.map((mark) => mark.kind + mark.text).join(" ") + (pointed ? "" : state.tracked.id);
  const entry = heard(masks.fetch(name, `mask/${number}/${index}.png?${encodeURIComponent(name)}`));
  return { entry, old: false, colour: colour(number), key: `${number}/${index}` };
}

/** Draw anew once a mask is there, or say why it is not. */
function heard(entry) {
  if (!entry.heard) {
    entry.heard = true;
    entry.ready.then(() => {
      if (entry.error && !over) say(entry.error.message, true);
      redraw();
    });
  }
  return entry;
}

// ---- drawing

let drawing = false;

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return ratio;
}

/** Where the clip's pixels lie on the canvas, in the canvas's pixels. */
function matrix() {
  const fit = Math.min(picture.width / (clip.width * clip.aspect), picture.height / clip.height);
  const sy = fit * view.zoom, sx = sy * clip.aspect;
  return { sx, sy, x: picture.width / 2 - view.cx * sx, y: picture.height / 2 - view.cy * sy };
}

function draw() {
  if (!clip) return;
  const ratio = fitted(picture);
  const ink = picture.getContext("2d"), m = matrix();
  ink.clearRect(0, 0, picture.width, picture.height);
  let waiting = false;
  if (shown) {
    ink.imageSmoothingEnabled = m.sx < 5;
    ink.imageSmoothingQuality = "high";
    ink.drawImage(shown.bitmap, m.x, m.y, clip.width * m.sx, clip.height * m.sy);
    for (const layer of layers(shown.index)) waiting = drawLayer(ink, m, layer, ratio) || waiting;
    for (const mark of marksAt(shown.index)) drawMark(ink, m, mark, ratio);
  }
  if (draft) drawBox(ink, m, boxOf(draft), colour(current), ratio, true);
  drawGhost(ink, ratio);
  busy(waiting && !playing);
}

/** Draw one mask, or the one before it while it is on its way; returns whether it is. */
function drawLayer(ink, m, layer, ratio) {
  const { entry, key } = layer;
  if (entry.bitmap && key) latest.set(key, entry.bitmap);
  const bitmap = entry.bitmap ?? (key && !entry.error ? latest.get(key) : null);
  if (bitmap?.width) tint(ink, m, bitmap, layer, ratio);
  return !entry.bitmap && !entry.error;
}

function tint(ink, m, bitmap, layer, ratio) {
  const strength = layer.old ? 0.35 : 1;
  ink.save();
  ink.globalCompositeOperation = "saturation"; // without its own colours an object is tinted alike everywhere
  ink.globalAlpha = 0.8 * strength;
  ink.drawImage(bitmap, m.x, m.y, clip.width * m.sx, clip.height * m.sy);
  ink.globalCompositeOperation = "source-over";
  ink.globalAlpha = strength;
  ink.drawImage(coat(m, bitmap, layer.colour, ratio), 0, 0);
  ink.restore();
}

let coats = [];

/** A mask's tint and outline as they lie on the canvas; the last few are kept, for the pointer moves often. */
function coat(m, bitmap, shade, ratio) {
  const key = [m.x, m.y, m.sx, m.sy, picture.width, picture.height, shade].join();
  const found = coats.find((one) => one.bitmap === bitmap && one.key === key);
  if (found) return found.canvas;
  const canvas = coats.length > 3 ? coats.shift().canvas : document.createElement("canvas");
  Object.assign(canvas, { width: picture.width, height: picture.height });
  Object.assign(scratch, { width: picture.width, height: picture.height });
  const ink = canvas.getContext("2d"), pen = scratch.getContext("2d");
  const place = [m.x, m.y, clip.width * m.sx, clip.height * m.sy];
  fill(pen, bitmap, place, shade, 0);
  ink.globalAlpha = 0.4;
  ink.drawImage(scratch, 0, 0);
  ink.globalAlpha = 1;
  for (const [line, reach] of [["rgb(0 0 0 / .55)", 2.6], ["#fff", 1.4]]) {
    fill(pen, bitmap, place, line, reach * ratio);
    pen.globalCompositeOperation = "destination-out";
    pen.drawImage(bitmap, ...place);
    ink.drawImage(scratch, 0, 0);
  }
  coats.push({ bitmap, key, canvas });
  return canvas;
}

/** The mask in one colour on the scratch canvas, widened by `reach` pixels. */
function fill(pen, bitmap, [x, y, width, height], shade, reach) {
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, scratch.width, scratch.height);
  const turns = reach ? 8 : 1;
  for (let turn = 0; turn < turns; turn++) {
    const angle = (turn * Math.PI) / 4;
    pen.drawImage(bitmap, x + reach * Math.cos(angle), y + reach * Math.sin(angle), width, height);
  }
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = shade;
  pen.fillRect(0, 0, scratch.width, scratch.height);
}

function drawMark(ink, m, mark, ratio) {
  if (mark.kind === "box") return drawBox(ink, m, mark.figures, colour(mark.object), ratio, false);
  const x = m.x + (mark.figures[0] + 0.5) * m.sx, y = m.y + (mark.figures[1] + 0.5) * m.sy;
  drawPoint(ink, x, y, mark.kind, colour(mark.object), ratio, 1);
}

function drawPoint(ink, x, y, kind, shade, ratio, alpha) {
  const scale = ratio * (alpha < 1 ? 0.8 : 1), size = 7.5 * scale, arm = 3.6 * scale;
  ink.save();
  ink.globalAlpha = alpha;
  ink.beginPath();
  ink.arc(x, y, size, 0, 7);
  ink.fillStyle = kind === "not" ? "#15171c" : shade;
  ink.shadowColor = "rgb(0 0 0 / .6)";
  ink.shadowBlur = 4 * ratio;
  ink.fill();
  ink.shadowColor = "transparent";
  ink.lineWidth = 2 * ratio;
  ink.strokeStyle = kind === "not" ? shade : "#fff";
  ink.stroke();
  ink.strokeStyle = "#fff";
  ink.beginPath();
  ink.moveTo(x - arm, y);
  ink.lineTo(x + arm, y);
  if (kind !== "not") {
    ink.moveTo(x, y - arm);
    ink.lineTo(x, y + arm);
  }
  ink.stroke();
  ink.restore();
}

function drawBox(ink, m, [left, top, width, height], shade, ratio, drawn) {
  const place = [m.x + left * m.sx, m.y + top * m.sy, width * m.sx, height * m.sy];
  ink.save();
  ink.lineWidth = 4 * ratio;
  ink.strokeStyle = "rgb(0 0 0 / .5)";
  ink.strokeRect(...place);
  ink.lineWidth = 2 * ratio;
  ink.strokeStyle = shade;
  ink.strokeRect(...place);
  if (drawn) label(ink, `${width} × ${height}`, place[0], place[1] - 7 * ratio, ratio);
  ink.restore();
}

function label(ink, text, x, y, ratio) {
  ink.font = `${12 * ratio}px system-ui, sans-serif`;
  ink.lineWidth = 3 * ratio;
  ink.strokeStyle = "rgb(0 0 0 / .7)";
  ink.strokeText(text, x, y);
  ink.fillStyle = "#fff";
  ink.fillText(text, x, y);
}

/** What a click would set, beside the pointer. */
function drawGhost(ink, ratio) {
  if (!pointer || press || tool === "box") return;
  const kind = held || tool === "not" ? "not" : "click";
  drawPoint(ink, (pointer.x + 15) * ratio, (pointer.y + 15) * ratio, kind, colour(current), ratio, 0.85);
}

// ---- the strip under the scrubber

const INSET = 7; // half of the scrubber's thumb

function drawStrip() {
  if (!state) return;
  const ratio = fitted(strip);
  const ink = strip.getContext("2d");
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  const width = strip.clientWidth - 2 * INSET, height = strip.clientHeight;
  ink.clearRect(0, 0, strip.clientWidth, height);
  const top = 15, floor = height - 7;
  ink.fillStyle = "#1d2128";
  ink.fillRect(INSET, top, width, floor - top);
  const read = clip.frames && !state.finished ? Math.min(1, state.read / clip.frames) : 1;
  if (read < 1) {
    ink.fillStyle = "#2b3039";
    ink.fillRect(INSET, floor - 3, width * read, 3);
  }
  if (state.tracked) drawConfidence(ink, state.tracked, width, top, floor);
  for (const mark of state.marks) drawTick(ink, mark, width, height);
}

function drawConfidence(ink, tracked, width, top, floor) {
  const values = tracked.confidence, count = values.length, columns = Math.max(1, Math.round(width));
  ink.globalAlpha = tracked.stale ? 0.35 : 1;
  for (let column = 0; column < columns; column++) {
    const first = Math.min(count - 1, Math.floor((column / columns) * count));
    const last = Math.max(first + 1, Math.floor(((column + 1) / columns) * count));
    const value = Math.min(...values.slice(first, last));
    const tall = Math.max(2, value * (floor - top));
    ink.fillStyle = value < DOUBTFUL ? "#ffb454" : mix(value);
    ink.fillRect(INSET + (column / columns) * width, floor - tall, width / columns + 0.5, tall);
  }
  ink.globalAlpha = 1;
}

/** From grey where it is nearly in doubt to green where it is sure. */
function mix(value) {
  const share = (value - DOUBTFUL) / (1 - DOUBTFUL);
  const part = (from, to) => Math.round(from + share * (to - from));
  return `rgb(${part(128, 62)} ${part(124, 150)} ${part(108, 136)})`;
}

function drawTick(ink, mark, width, height) {
  const last = Math.max(1, frames() - 1);
  const x = INSET + (mark.frame / last) * width;
  ink.fillStyle = colour(mark.object);
  ink.beginPath();
  ink.moveTo(x, height - 7);
  ink.lineTo(x + 4.5, height);
  ink.lineTo(x - 4.5, height);
  ink.fill();
}

// ---- the panel

function panel() {
  lists();
  const { doing, tracked } = state;
  const usable = state.command !== null;
  const reading = state.finished ? `${state.read} frames` : `reading … ${state.read} frames`;
  $("facts").textContent = `${clip.width} × ${clip.height} · ${reading} · ${state.finder}`;
  $("undo").disabled = !state.undo;
  $("redo").disabled = !state.redo;
  $("hint").hidden = state.marks.length > 0;
  $("track").hidden = doing.running;
  $("track").disabled = !usable || (tracked !== null && !tracked.stale);
  $("track").firstChild.data = tracked?.stale ? "Track again " : "Track through the clip ";
  $("doing").hidden = !doing.running;
  if (doing.running) progress(doing);
  $("sure").hidden = doing.running || (!tracked && !state.unknown.length);
  verdict(tracked);
  fillList($("notes"), (doing.running ? [] : tracked?.notes ?? []).map((line) => node("li", {}, line)));
  $("box").hidden = !usable;
  $("nothing").hidden = usable;
  showCommand($("command"), state.command ?? "");
  $("copy").disabled = !usable;
  const fresh = tracked !== null && !tracked.stale && !doing.running;
  $("write").disabled = !fresh || state.written !== null;
  $("output").textContent = state.written ? `The masks are in ${state.written}.`
    : fresh ? `The masks go to ${clip.output}.` : "";
  drawStrip();
}

/** The command, broken between options where it is too long for a line; its text is what is copied. */
function showCommand(place, text) {
  if (place.textContent === text) return;
  const parts = text.split(/ (?=--)/);
  place.replaceChildren(...parts.flatMap((part, index) => (index ? [" ", node("span", {}, part)] : [node("span", {}, part)])));
}

function progress(doing) {
  const bar = $("progress");
  if (doing.total) Object.assign(bar, { max: doing.total, value: doing.done });
  else bar.removeAttribute("value");
  const name = STAGES[doing.stage] ?? (doing.task === "writing" ? "writing" : "reading");
  const far = doing.total ? `${doing.done} of ${doing.total}` : doing.done || "";
  $("stage").textContent = doing.stopping ? "stopping …" : `${name} ${far}`;
  $("stop").disabled = doing.stopping;
}

function verdict(tracked) {
  const weak = tracked && !tracked.stale && !state.doing.running ? tracked.weak : [];
  const unsure = weak.reduce((sum, one) => sum + one.last - one.first + 1, 0);
  let text = "";
  if (state.unknown.length) text = `Object ${state.unknown.join(", ")}: only “not this” so far. Click it somewhere too.`;
  else if (tracked?.stale) text = "The marks have changed since it was tracked.";
  else if (tracked) text = unsure
    ? `Unsure on ${unsure} of ${tracked.confidence.length} frames. Look there, and click once more where it is wrong:`
    : `Sure on all ${tracked.confidence.length} frames.`;
  $("sure").textContent = text;
  $("sure").classList.toggle("warn", Boolean(state.unknown.length || tracked?.stale));
  fillList($("weak"), weak.slice(0, 8).map((one) => button(span(one), "", () => step(one.worst - at),
    { title: `Worst at frame ${one.worst}: ${one.confidence.toFixed(2)}` })));
}

function node(name, attributes, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function button(text, kind, click, attributes = {}) {
  const made = node("button", { type: "button", ...(kind ? { class: kind } : {}), ...attributes }, text);
  made.addEventListener("click", click);
  return made;
}

/** Replace what a list holds, unless it looks the same; keeps the focus where it is. */
function fillList(list, made) {
  const next = made.map((one) => one.outerHTML).join("");
  if (list.dataset.now === next) return;
  const focus = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.dataset.now = next;
  list.replaceChildren(...made);
  if (focus >= 0) list.querySelectorAll("button")[focus]?.focus();
}

function lists() {
  if (!state) return;
  const all = [...new Set([...numbers(state.marks), current])].sort((a, b) => a - b);
  fillList($("objects"), all.map(objectItem));
  $("objects").querySelectorAll(".object").forEach((one, place) => {
    one.style.setProperty("--object", colour(all[place]));
  });
  document.documentElement.style.setProperty("--object", colour(current));
  $("another").disabled = !state.marks.some((mark) => mark.object === current);
}

function objectItem(number) {
  const marks = state.marks.filter((mark) => mark.object === number);
  const where = new Set(marks.map((mark) => mark.frame)).size;
  const count = marks.length ? `${plural(marks.length, "mark")} on ${plural(where, "frame")}` : "nothing yet";
  const name = button("", "name", () => choose(number), { "aria-pressed": number === current });
  name.append(node("i", { class: "dot" }), `Object ${number} `, node("small", {}, count));
  const row = node("div", { class: "row" }, name);
  if (marks.length) {
    row.append(button("×", "drop", () => act("clear", { object: number }), { "aria-label": `Remove all marks of object ${number}` }));
  }
  const item = node("li", { class: number === current ? "object on" : "object" }, row);
  if (number === current && marks.length) item.append(node("ul", { class: "marks" }, ...marks.map(markItem)));
  return item;
}

function markItem(mark) {
  const kind = { click: "plus", not: "minus", box: "box" }[mark.kind];
  const said = { click: "object", not: "not this", box: "box" }[mark.kind];
  const goto = button("", "goto", () => step(mark.frame - at), {
    "aria-label": `${said} at ${mark.figures.join(", ")} on frame ${mark.frame}: go there`,
  });
  goto.append(node("i", { class: `glyph ${kind}` }), node("b", {}, `f${mark.frame}`), mark.figures.join(", "));
  const drop = button("×", "drop", () => act("remove", bare(mark)), { "aria-label": `Remove this ${said}` });
  return node("li", mark.frame === at ? { class: "here" } : {}, goto, drop);
}

const bare = ({ kind, object, frame, figures }) => ({ kind, object, frame, figures });
const span = ({ first, last }) => (first === last ? `f${first}` : `f${first} – f${last}`);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function clock(seconds) {
  const whole = Math.floor(seconds), part = Math.floor((seconds - whole) * 1000 + 1e-6);
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${String(whole % 60).padStart(2, "0")}.${String(part).padStart(3, "0")}`;
}

let saying = 0;

function say(text, bad = false) {
  clearTimeout(saying);
  $("say").textContent = text;
  $("say").classList.toggle("bad", bad);
  $("say").hidden = false;
  saying = setTimeout(() => { $("say").hidden = true; }, bad ? 9000 : 3500);
}

let busyTimer = 0;

function busy(on) {
  if (on && !busyTimer) {
    busyTimer = setTimeout(() => { $("busy").hidden = false; }, 200);
  } else if (!on && busyTimer) {
    clearTimeout(busyTimer);
    busyTimer = 0;
    $("busy").hidden = true;
  }
}

// ---- pointing

/** A place on the screen in pixels of the clip. */
function spot(event) {
  const box = picture.getBoundingClientRect(), m = matrix();
  const ratio = picture.width / box.width;
  return { x: ((event.clientX - box.left) * ratio - m.x) / m.sx, y: ((event.clientY - box.top) * ratio - m.y) / m.sy };
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

function boxOf({ from, to }) {
  const xs = [from.x, to.x].map((x) => Math.round(clamp(x, 0, clip.width))).sort((a, b) => a - b);
  const ys = [from.y, to.y].map((y) => Math.round(clamp(y, 0, clip.height))).sort((a, b) => a - b);
  return [xs[0], ys[0], xs[1] - xs[0], ys[1] - ys[0]];
}

function mark(kind, figures) {
  if (!shown) return;
  act("add", { kind, object: current, frame: shown.index, figures });
}

function pointAt(event) {
  const { x, y } = spot(event);
  if (x < 0 || y < 0 || x >= clip.width || y >= clip.height) return;
  mark(event.shiftKey || tool === "not" ? "not" : "click", [Math.floor(x), Math.floor(y)]);
}

function down(event) {
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  document.activeElement?.blur();
  if (fingers.size === 2) {
    press = draft = null;
    pinch = spread();
    return;
  }
  if (event.button > 1) return;
  event.preventDefault();
  pause();
  picture.setPointerCapture(event.pointerId);
  press = { x: event.clientX, y: event.clientY, moved: false, pans: event.button === 1 };
  if (tool === "box" && event.button === 0) draft = { from: spot(event), to: spot(event) };
}

function move(event) {
  const box = picture.getBoundingClientRect();
  pointer = event.pointerType === "mouse" ? { x: event.clientX - box.left, y: event.clientY - box.top } : null;
  held = event.shiftKey;
  const before = fingers.get(event.pointerId);
  if (before) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (fingers.size === 2 && before) pinchTo(event, before);
  else if (draft) draft.to = spot(event);
  else if (press) dragTo(event, before);
  redraw();
}

function dragTo(event, before) {
  if (Math.hypot(event.clientX - press.x, event.clientY - press.y) > 5) press.moved = true;
  if (!press.moved || view.zoom <= 1) return;
  picture.classList.add("grab");
  pan(event.clientX - before.x, event.clientY - before.y);
}

function pinchTo(event, before) {
  const wide = spread();
  const middle = [...fingers.values()].reduce((sum, one) => ({ clientX: sum.clientX + one.x / 2, clientY: sum.clientY + one.y / 2 }), { clientX: 0, clientY: 0 });
  zoomAt(middle, wide / pinch);
  pinch = wide;
  pan((event.clientX - before.x) / 2, (event.clientY - before.y) / 2);
}

function up(event) {
  fingers.delete(event.pointerId);
  picture.classList.remove("grab");
  const was = press, drawn = draft;
  press = draft = null;
  if (drawn) {
    const figures = boxOf(drawn);
    if (figures[2] > 2 && figures[3] > 2) mark("box", figures);
    else if (was) say("Drag a box around the object");
  } else if (was && !was.moved && !was.pans) pointAt(event);
  redraw();
}

function spread() {
  const [one, other] = fingers.values();
  return Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
}

function zoomAt(event, factor) {
  const before = spot(event);
  view.zoom = clamp(view.zoom * factor, 1, 40);
  const after = spot(event);
  view.cx += before.x - after.x;
  view.cy += before.y - after.y;
  settle();
}

function pan(x, y) {
  const m = matrix(), ratio = window.devicePixelRatio || 1;
  view.cx -= (x * ratio) / m.sx;
  view.cy -= (y * ratio) / m.sy;
  settle();
}

/** Keep the picture within the stage. */
function settle() {
  const m = matrix();
  const halfX = picture.width / 2 / m.sx, halfY = picture.height / 2 / m.sy;
  view.cx = halfX * 2 >= clip.width ? clip.width / 2 : clamp(view.cx, halfX, clip.width - halfX);
  view.cy = halfY * 2 >= clip.height ? clip.height / 2 : clamp(view.cy, halfY, clip.height - halfY);
  $("fit").hidden = view.zoom <= 1.001;
  $("zoom").textContent = view.zoom > 1.001 ? `${view.zoom.toFixed(1)}×` : "";
  picture.classList.toggle("busy-touch", view.zoom > 1.001 || tool === "box");
  redraw();
}

function zoomBy(factor) {
  const box = picture.getBoundingClientRect();
  const middle = pointer ? { clientX: box.left + pointer.x, clientY: box.top + pointer.y }
    : { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
  zoomAt(middle, factor);
}

function fit() {
  view.zoom = 1;
  settle();
}

// ---- what buttons and keys do

function setTool(name) {
  tool = name;
  document.querySelectorAll("[data-tool]").forEach((one) => {
    one.setAttribute("aria-checked", one.dataset.tool === name);
    one.tabIndex = one.dataset.tool === name ? 0 : -1;
  });
  settle();
}

function choose(number) {
  current = number;
  panel();
  redraw();
}

function another() {
  choose(Math.max(current, ...numbers(state.marks)) + 1);
  setTool("click");
}

function toggleMasks() {
  masksOn = !masksOn;
  $("masks").checked = masksOn;
  redraw();
}

function nextUnsure() {
  const weak = state.tracked?.weak ?? [];
  const places = weak.map((one) => one.worst).sort((a, b) => a - b);
  if (places.length) step((places.find((index) => index > at) ?? places[0]) - at);
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(from);
    document.execCommand("copy");
  }
  say("Copied");
}

async function write() {
  if (!state.exists) return act("write");
  $("replaced").textContent = `${clip.output} is there already.`;
  $("replace").returnValue = "no";
  $("replace").showModal();
}

async function done() {
  try {
    const last = await ask("done", {});
    state.command = last.command;
    finish("The command is printed in the terminal too. This page can be closed.");
  } catch (error) {
    say(error.message, true);
  }
}

function finish(text) {
  if (over) return;
  over = true;
  playing = false;
  clearTimeout(polling);
  $("farewell").textContent = text;
  showCommand($("last"), state?.command ?? "");
  $("overbox").hidden = $("copylast").hidden = !state?.command;
  $("over").hidden = false;
  document.querySelector("main").inert = document.querySelector(".bar").inert = true;
}

const KEYS = {
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  Home: () => step(-at),
  End: () => step(frames()),
  " ": play,
  z: () => act("undo"),
  Z: () => act("redo"),
  y: () => act("redo"),
  c: () => setTool("click"),
  n: () => setTool(tool === "not" ? "click" : "not"),
  b: () => setTool(tool === "box" ? "click" : "box"),
  t: () => { if (!$("track").disabled && !$("track").hidden) act("follow"); },
  u: nextUnsure,
  m: toggleMasks,
  "+": () => zoomBy(1.4),
  "=": () => zoomBy(1.4),
  "-": () => zoomBy(1 / 1.4),
  0: fit,
  "?": () => $("help").showModal(),
  Escape: () => { draft = press = null; redraw(); },
};

function key(event) {
  if (event.key === "Shift") {
    held = event.type === "keydown";
    redraw();
  }
  if (event.type === "keyup" || over || document.querySelector("dialog[open]")) return;
  const undoes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if ((event.ctrlKey || event.metaKey || event.altKey) && !undoes) return;
  const focus = document.activeElement;
  if (event.key === " " && focus?.closest("button, label, input[type=checkbox]")) return;
  if (event.key.startsWith("Arrow") && focus?.dataset.tool) return toolArrows(event, focus);
  const chosen = /^[1-9]$/.test(event.key) ? () => pickObject(Number(event.key)) : KEYS[event.key];
  if (!chosen) return;
  event.preventDefault();
  chosen(event);
}

function toolArrows(event, focus) {
  const all = [...document.querySelectorAll("[data-tool]")];
  const next = all.at((all.indexOf(focus) + (event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1)) % all.length);
  event.preventDefault();
  setTool(next.dataset.tool);
  next.focus();
}

function pickObject(number) {
  const most = Math.max(0, ...numbers(state.marks));
  if (number <= most + 1) choose(number);
}

function listen() {
  const on = (id, work) => $(id).addEventListener("click", work);
  picture.addEventListener("pointerdown", down);
  picture.addEventListener("pointermove", move);
  picture.addEventListener("pointerup", up);
  picture.addEventListener("pointercancel", (event) => { fingers.delete(event.pointerId); press = draft = null; redraw(); });
  picture.addEventListener("pointerleave", () => { pointer = null; redraw(); });
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(event, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)));
  }, { passive: false });
  scrubber.addEventListener("input", () => { pause(); go(Number(scrubber.value)); });
  document.querySelectorAll("[data-tool]").forEach((one) => one.addEventListener("click", () => setTool(one.dataset.tool)));
  on("undo", () => act("undo"));
  on("redo", () => act("redo"));
  on("back", () => step(-1));
  on("forth", () => step(1));
  on("play", play);
  on("fit", fit);
  on("another", another);
  on("track", () => act("follow"));
  on("stop", () => act("stop"));
  on("write", write);
  on("copy", () => copy(state.command, $("command")));
  on("copylast", () => copy(state.command, $("last")));
  on("done", done);
  on("keys", () => $("help").showModal());
  $("masks").addEventListener("change", toggleMasks);
  $("replace").addEventListener("close", () => { if ($("replace").returnValue === "yes") act("write", { replace: true }); });
  document.addEventListener("keydown", key);
  document.addEventListener("keyup", key);
  // After a click with the mouse the space bar plays instead of pressing the button again.
  document.addEventListener("click", (event) => { if (event.detail) event.target.closest("button")?.blur(); });
  new ResizeObserver(() => { settle(); drawStrip(); }).observe(picture);
}

async function begin() {
  $("busy").lastElementChild.textContent = "Looking for the object";
  clip = await ask("clip");
  const area = Math.min(1, 1920 / Math.max(clip.width, clip.height)) ** 2 * clip.width * clip.height;
  pictures = new Store(clamp(Math.floor(BITMAP_BYTES / (4 * area)), 2 * AHEAD, 300));
  masks = new Store(clamp(Math.floor(BITMAP_BYTES / (4 * area)), 2 * AHEAD, 300));
  view = { zoom: 1, cx: clip.width / 2, cy: clip.height / 2 };
  document.title = `${clip.name} – vinpaint pick`;
  $("name").textContent = clip.name;
  document.querySelector(".stage").style.setProperty("--shape", (clip.width * clip.aspect) / clip.height);
  picture.setAttribute("aria-label", `${clip.name}: click the object to remove`);
  fitted(picture);
  setTool("click");
  listen();
  await act("state", null);
  go(0);
  panel();
}

begin().catch((error) => say(error.message, true));
