// The scatter of classes, and the cells that all classes share.
"use strict";

// Round numbers that enclose low to high: the same as the charts that are drawn without a script.
function niceTicks(low, high) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  const span = high - low > 1e-9 * size ? high - low : size || 1;
  let step = 10 ** Math.floor(Math.log10(span / 3));
  step *= [1, 2, 2.5, 5, 10].find((factor) => span / (step * factor) <= 4);
  const start = Math.floor(low / step + 1e-9);
  const stop = Math.max(Math.ceil(high / step - 1e-9), start + 1);
  return Array.from({ length: stop - start + 1 }, (_, index) => (start + index) * step);
}

function scattered() {
  const chart = document.getElementById("scatter");
  if (!chart) return;
  const field = document.getElementById("measure");
  const points = [...chart.querySelectorAll(".point")];
  const values = points.map((point) => point.dataset.values.split(",").map((text) => (text ? Number(text) : NaN)));
  const left = Number(chart.dataset.left);
  const right = Number(chart.dataset.right);
  const pointed = document.getElementById("pointed");

  const draw = () => {
    const place = field.selectedIndex;
    const known = values.map((row) => row[place]).filter(Number.isFinite);
    const ticks = niceTicks(known.length ? Math.min(...known) : 0, known.length ? Math.max(...known) : 1);
    const across = (value) => left + ((value - ticks[0]) / (ticks.at(-1) - ticks[0])) * (right - left);
    const texts = ticks.map((tick) => {
      const text = document.createElementNS(chart.namespaceURI, "text");
      text.setAttribute("class", "across");
      text.setAttribute("x", across(tick));
      text.setAttribute("y", chart.querySelector(".ticks").dataset.y);
      text.textContent = Number(tick.toPrecision(3));
      return text;
    });
    chart.querySelector(".ticks").replaceChildren(...texts);
    chart.querySelector(".across.title").textContent = `${field.value}, mean of the class`;
    points.forEach((point, index) => {
      const value = values[index][place];
      const group = point.firstElementChild;
      point.toggleAttribute("display", false);
      if (!Number.isFinite(value)) { point.setAttribute("display", "none"); return; }
      const y = group.getAttribute("transform").split(" ")[1].replace(")", "");
      group.setAttribute("transform", `translate(${across(value).toFixed(1)} ${y})`);
    });
  };
  const say = (point) => {
    const value = values[points.indexOf(point)][field.selectedIndex];
    const known = Number.isFinite(value) ? `, ${field.value} ${value}` : "";
    pointed.textContent = `${point.getAttribute("aria-label")}${known}`;
  };

  for (const point of points) {
    point.addEventListener("focus", () => say(point));
    point.addEventListener("pointerenter", () => say(point));
  }
  field.addEventListener("change", () => { draw(); remembered.set("measure", field.value); });
  const wanted = remembered.get("measure");
  if ([...field.options].some(({ value }) => value === wanted)) { field.value = wanted; draw(); }
}

function maskable() {
  const box = document.getElementById("mask");
  const root = document.documentElement;
  const masked = remembered.get("mask") === "on";
  root.classList.toggle("masked", masked);
  // The choice goes along to the report's other pages, in their address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link) return;
    const to = new URL(link.href.baseVal ?? link.href, location.href);
    if (to.protocol !== location.protocol || to.pathname === location.pathname || !to.pathname.endsWith(".html")) return;
    if (root.classList.contains("masked")) to.searchParams.set("mask", "on");
    else if (to.searchParams.has("mask")) to.searchParams.delete("mask");
    else return;
    link.setAttribute("href", to.href);
  }, true);
  if (!box) return;
  box.checked = masked;
  box.addEventListener("change", () => {
    root.classList.toggle("masked", box.checked);
    remembered.set("mask", box.checked ? "on" : "");
  });
}

scattered();
maskable();
