// Comfort only: the pages can be read without it.
"use strict";

document.documentElement.classList.add("scripted");

function overlay() {
  const slider = document.getElementById("layer");
  if (!slider) return;
  const root = document.documentElement.style;
  const name = document.getElementById("layer-name");
  const play = document.getElementById("play");
  const opacity = document.getElementById("opacity");
  const frames = [...document.querySelectorAll("[data-layer]")];
  let timer = 0;

  const names = slider.dataset.layers.split("\n");

  const show = () => {
    root.setProperty("--layer", slider.value);
    for (const frame of frames) frame.classList.toggle("now", frame.dataset.layer === slider.value);
    const layer = names[Number(slider.value)];
    name.textContent = `${slider.value} · ${layer}`;
    slider.setAttribute("aria-valuetext", layer);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.setAttribute("aria-pressed", "false");
  };
  const step = () => {
    slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1);
    show();
    if (slider.value === slider.max) stop();
  };

  slider.addEventListener("input", () => { stop(); show(); });
  document.getElementById("view").addEventListener("change", (event) => root.setProperty("--map", event.target.value));
  opacity.addEventListener("input", () => root.setProperty("--heat", opacity.value / 100));
  play.addEventListener("click", () => {
    if (timer) return stop();
    timer = setInterval(step, 350);
    play.setAttribute("aria-pressed", "true");
    return step();
  });
  for (const frame of frames) {
    const choose = () => { stop(); slider.value = frame.dataset.layer; show(); };
    const tile = frame.firstElementChild;
    tile.tabIndex = 0;
    tile.setAttribute("role", "button");
    frame.addEventListener("click", choose);
    tile.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
  }
  show();
}

// What is searched, sorted and filtered stands in the address, so that Back finds it again.
const remembered = {
  get: (key) => new URLSearchParams(location.search).get(key),
  set(key, value) {
    const all = new URLSearchParams(location.search);
    if (value) all.set(key, value);
    else all.delete(key);
    const query = all.toString();
    history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
  },
};

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];

  const key = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === "text") return cell.textContent.trim();
    return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
  };
  const sort = (head, order) => {
    const { kind } = head.dataset;
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => {
      if (kind === "text") return sign * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    };
    const keyed = [...body.rows].map((row) => [key(row, head.cellIndex, kind), row]);
    keyed.sort((a, b) => compare(a[0], b[0]));
    body.append(...keyed.map((pair) => pair[1]));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
  };

  for (const head of heads.filter((cell) => cell.dataset.kind)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const order = now === "ascending" ? "descending" : now ? "ascending" : head.dataset.first;
      sort(head, order);
      remembered.set("sort", `${head.dataset.key} ${order}`);
    });
  }
  const [wanted, order] = (remembered.get("sort") ?? "").split(" ");
  const head = heads.find((cell) => cell.dataset.kind && cell.dataset.key === wanted);
  if (head && ["ascending", "descending"].includes(order)) sort(head, order);
}

function findable() {
  const field = document.getElementById("find");
  if (!field) return;
  const rows = [...document.querySelectorAll("table.classes tbody tr")];
  const plain = (text) => text.toLowerCase().replaceAll("_", " ");
  const names = rows.map((row) => plain(row.dataset.find));
  const found = document.getElementById("found");
  const apply = () => {
    const wanted = plain(field.value.trim());
    let count = 0;
    rows.forEach((row, index) => {
      row.hidden = !names[index].includes(wanted);
      count += row.hidden ? 0 : 1;
    });
    found.textContent = wanted ? `${count} of ${rows.length}` : "";
  };
  field.addEventListener("input", () => { apply(); remembered.set("find", field.value.trim()); });
  field.value = remembered.get("find") ?? "";
  apply();
}

function filterable() {
  const choices = ["kind", "severity", "verdict"].map((id) => document.getElementById(id)).filter(Boolean);
  const findings = [...document.querySelectorAll(".findings > .finding")];
  const left = document.getElementById("left");
  const apply = () => {
    let count = 0;
    for (const finding of findings) {
      finding.hidden = choices.some(({ id, value }) => value && finding.dataset[id] !== value);
      count += finding.hidden ? 0 : 1;
    }
    left.textContent = count < findings.length ? `${count} of ${findings.length}` : "";
  };
  for (const choice of choices) {
    const wanted = remembered.get(choice.id);
    if ([...choice.options].some(({ value }) => value === wanted)) choice.value = wanted;
    choice.addEventListener("change", () => { apply(); remembered.set(choice.id, choice.value); });
  }
  if (choices.length) apply();
}

overlay();
findable();
filterable();
document.querySelectorAll("table[data-sortable]").forEach(sortable);
