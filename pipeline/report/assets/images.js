// All images: columns and chunks of the run, loaded as scripts when they are needed.
"use strict";

const SHOWN = 50;
const TYPES = { i4: Int32Array, f4: Float32Array, u1: Uint8Array };

function bytes(text) {
  const plain = atob(text);
  const found = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i += 1) found[i] = plain.charCodeAt(i);
  return found;
}

// Each waits for the script that calls it back: a page from disk may not read files.
const store = { meta: null, columns: {}, chunks: {}, waiting: {} };
window.flowatlas = {
  open(meta) { store.meta = meta; start(); },
  column(name, type, text) { store.columns[name] = new TYPES[type](bytes(text).buffer); },
  chunk(number, names, text) { store.chunks[number] = { names, flows: bytes(text) }; },
};

function load(file) {
  store.waiting[file] ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = `data/images/${file}.js`;
    script.onload = () => done();
    script.onerror = () => fail(new Error(`${script.src} cannot be read`));
    document.head.append(script);
  });
  return store.waiting[file];
}
const column = async (name) => { await load(name); return store.columns[name]; };
const chunkOf = async (row) => {
  const number = Math.floor(row / store.meta.chunk);
  await load(`chunk-${number}`);
  return store.chunks[number];
};

const field = (name) => document.getElementById(`f-${name}`);
const FIELDS = ["label", "pred", "right", "measure", "low", "high", "order", "uri", "row"];
const state = { rows: null, from: 0, one: null, asked: 0 };
const plain = (text) => text.toLowerCase().replaceAll("_", " ");
const named = (number) => (number < 0 ? "–" : store.meta.names[number] ?? `class ${number}`);
const figure = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "–");

// Classes whose number or name is meant: the exact one if there is one, else all that contain it.
function meant(text) {
  const wanted = plain(text.trim());
  if (!wanted) return null;
  const exact = store.meta.names.flatMap((name, number) => (plain(name) === wanted || String(number) === wanted ? [number] : []));
  return new Set(exact.length ? exact : store.meta.names.flatMap((name, number) => (plain(name).includes(wanted) ? [number] : [])));
}

async function filter() {
  const asked = ++state.asked;
  const [label, pred, status] = await Promise.all(["label", "pred", "status"].map(column));
  const measure = await column(field("measure").value);
  const labels = meant(field("label").value);
  const answers = meant(field("pred").value);
  const right = field("right").value;
  const low = field("low").value === "" ? -Infinity : Number(field("low").value);
  const high = field("high").value === "" ? Infinity : Number(field("high").value);
  const bounded = low > -Infinity || high < Infinity;
  const row = field("row").value === "" ? null : Number(field("row").value);
  const text = field("uri").value.trim().toLowerCase();
  let found = [];
  for (let i = 0; i < label.length; i += 1) {
    if (row !== null && i !== row) continue;
    if (labels && !labels.has(label[i])) continue;
    if (answers && !answers.has(pred[i])) continue;
    const used = status[i] === 1;
    if (right === "none" && used) continue;
    if (right === "right" && !(used && label[i] >= 0 && label[i] === pred[i])) continue;
    const judged = label[i] >= 0 || (store.meta.multi_label && pred[i] >= 0);
    if (right === "wrong" && !(used && judged && label[i] !== pred[i])) continue;
    if (bounded && !(measure[i] >= low && measure[i] <= high)) continue;
    found.push(i);
  }
  if (text) {
    const kept = [];
    for (const each of found) {
      const chunk = await chunkOf(each);
      if (asked !== state.asked) return;
      if (chunk.names[each % store.meta.chunk].toLowerCase().includes(text)) kept.push(each);
    }
    found = kept;
  }
  const order = field("order").value;
  if (order) {
    const sign = order === "down" ? -1 : 1;
    found.sort((a, b) => {
      const [x, y] = [measure[a], measure[b]];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return sign * (x - y) || a - b;
    });
  }
  if (asked !== state.asked) return;
  Object.assign(state, { rows: found, from: 0 });
  await list();
}

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

async function list() {
  const { rows, from } = state;
  const part = rows.slice(from, from + SHOWN);
  const [label, pred, confidence] = await Promise.all(["label", "pred", "confidence"].map(column));
  const name = field("measure").value;
  const measure = await column(name);
  const lines = [];
  for (const row of part) {
    const uri = (await chunkOf(row)).names[row % store.meta.chunk];
    const open = make("button", { type: "button", textContent: row });
    open.setAttribute("aria-label", `Look at row ${row}`);
    open.addEventListener("click", () => look(row));
    const wrong = label[row] >= 0 && pred[row] >= 0 && label[row] !== pred[row];
    const cells = [uri, named(label[row]), `${wrong ? "✗ " : ""}${named(pred[row])}`, figure(confidence[row]), name === "confidence" ? "" : figure(measure[row])];
    const line = make("tr", {}, make("th", { scope: "row" }, open), ...cells.map((text) => make("td", { textContent: text })));
    line.dataset.row = row;
    lines.push(line);
  }
  const table = document.querySelector(".listed");
  table.tBodies[0].replaceChildren(...lines);
  table.hidden = !lines.length;
  field("head").textContent = name === "confidence" ? "" : name;
  const last = Math.min(from + SHOWN, rows.length);
  field("count").textContent = rows.length ? `${rows.length.toLocaleString("en")} ${rows.length === 1 ? "image" : "images"}; ${from + 1} to ${last} are listed.` : "No image passes.";
  field("before").disabled = from === 0;
  field("after").disabled = last >= rows.length;
}

async function look(row) {
  const chunk = await chunkOf(row);
  const names = ["label", "pred", "confidence", ...store.meta.measures];
  const values = await Promise.all(names.map(column));
  const uri = chunk.names[row % store.meta.chunk];
  const stack = make("div", { className: "stack" });
  if (store.meta.root !== null) {
    const way = uri.startsWith("/") ? uri : `${store.meta.root}/${uri}`;
    const image = make("img", { alt: `Row ${row}`, src: way.split("/").map(encodeURIComponent).join("/") });
    image.addEventListener("error", () => image.replaceWith(make("p", { className: "aside", textContent: "The image is not at its place now." })));
    stack.append(image);
  } else stack.append(make("p", { className: "aside", textContent: "The image is in a store, not on this disk." }));
  stack.append(heat(chunk, row));
  const facts = make("dl");
  names.forEach((name, index) => {
    const value = values[index][row];
    facts.append(make("dt", { textContent: name }), make("dd", { textContent: index < 2 ? named(value) : figure(value) }));
  });
  const note = "The flow over the image is coarse (at most 7 × 7 boxes) and lies on the model's crop, which may be smaller.";
  field("one").replaceChildren(make("h2", { textContent: `Row ${row}` }), stack, make("p", { className: "aside", textContent: uri }), facts, make("p", { className: "aside", textContent: note }));
  field("one").hidden = false;
  for (const line of document.querySelectorAll(".listed tbody tr")) line.setAttribute("aria-current", String(Number(line.dataset.row) === row));
  remembered.set("one", String(row));
}

function heat(chunk, row) {
  const [high, wide] = store.meta.grid;
  const canvas = make("canvas", { width: wide, height: high });
  const image = canvas.getContext("2d").createImageData(wide, high);
  const first = (row % store.meta.chunk) * high * wide;
  for (let cell = 0; cell < high * wide; cell += 1) {
    const level = chunk.flows[first + cell];
    image.data.set([255, 170 * (level / 255), 0, level], 4 * cell);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

function start() {
  field("classes").append(...store.meta.names.map((name) => make("option", { value: name })));
  field("measure").append(...store.meta.measures.map((name) => make("option", { value: name, textContent: name })));
  for (const name of FIELDS) field(name).value = remembered.get(name) ?? (name === "measure" ? "confidence" : "");
  const failed = (error) => { field("count").textContent = error.message; };
  let timer = 0;
  const changed = (name) => {
    remembered.set(name, field(name).value);
    clearTimeout(timer);
    timer = setTimeout(() => filter().catch(failed), 120);
  };
  for (const name of FIELDS) field(name).addEventListener(field(name).matches("select") ? "change" : "input", () => changed(name));
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  field("before").addEventListener("click", () => { state.from -= SHOWN; list(); });
  field("after").addEventListener("click", () => { state.from += SHOWN; list(); });
  filter().then(() => { const one = remembered.get("one"); if (one !== null) look(Number(one)); }).catch(failed);
}
