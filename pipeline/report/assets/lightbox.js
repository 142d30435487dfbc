// Every picture opens: large, under its flow, with its numbers. Its link leads to its page without this.
"use strict";

function lightbox() {
  const box = document.getElementById("lightbox");
  if (!box) return;
  const { root } = document.documentElement.dataset;
  const links = () => [...document.querySelectorAll("a.open")].filter((link) => link.offsetParent);
  const input = (name) => box.querySelector(`[data-in=${name}]`);
  const output = (name, text) => { box.querySelector(`[data-out=${name}]`).textContent = text; };
  const layers = document.documentElement.dataset.layers.split("\n");
  let at = null;
  let row = null;

  // In a report of one file the pictures are inside it, and known by where they came from.
  const single = "single" in document.documentElement.dataset;
  const address = (path) => document.querySelector(`img[data-path="${path}"]`)?.src ?? (single ? "data:," : root + path);
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const figure = (number) => {
    if (number === null) return "–";
    return Math.abs(number) >= 1000 ? Math.round(number).toLocaleString("en") : Number(number.toPrecision(3)).toString();
  };
  const percent = (share) => (share === null ? "" : `${figure(100 * share)} %`);

  // Of images with several labels a row explains one output, right or a mistake.
  const multiLabel = () => row.mistake !== undefined;

  // The answer's flow, and beside it that of the label where it is another and stored.
  const views = () => {
    const flows = row.heat ? row.columns / 2 : 0;
    const names = flows === 2 ? [`Why “${row.answer}”`, `Where “${row.label}” would be`] : [row.answer ? `${multiLabel() ? "For" : "Answer"} “${row.answer}”` : ""];
    return Array.from({ length: Math.max(1, flows) }, (_, flow) => {
      const stack = make("div", { className: "stack" });
      if (row.photo) stack.append(make("img", { className: "photo", src: address(row.photo), alt: title() }));
      else stack.append(make("div", { className: "gone", textContent: `not readable now: ${row.problem}` }));
      const legend = make("span", { className: "scale" });
      if (row.heat) {
        const heat = make("img", { className: "heat", src: address(row.heat), alt: "" });
        const lens = make("span", { className: "lens" }, heat);
        lens.style.setProperty("--columns", row.columns);
        lens.dataset.flow = flow;
        stack.append(lens);
        legend.append(make("span"), make("i"), make("span"));
        legend.dataset.flow = flow;
      }
      return make("figure", {}, stack, make("figcaption", {}, make("span", { textContent: names[flow] }), legend));
    });
  };
  const title = () => {
    const answer = row.answer === null ? "no answer" : `“${row.answer}” ${percent(row.confidence)}`;
    if (multiLabel()) return row.mistake ? `${row.mistake}: ${answer}` : answer;
    return row.label === null || row.correct ? answer : `“${row.label}”, taken for ${answer}`;
  };

  const show = () => {
    const layer = Number(input("layer").value);
    const view = Number(input("view").value);
    const threshold = Number(input("threshold").value) / 100;
    const mode = input("mode").value;
    output("layer", `${layer} · ${layers[layer]}`);
    output("strength", `${input("strength").value} %`);
    output("threshold", mode ? `${input("threshold").value} % of the colours` : "");
    input("threshold").disabled = !mode;
    input("threshold").closest("label").hidden = !mode;
    box.style.setProperty("--strength", input("strength").value / 100);
    box.style.setProperty("--cut", mode ? `url(#${mode})` : "none");
    // A colour's opacity is its level to the power of 0.75, so the cut is made there.
    for (const cut of box.querySelectorAll("feFuncA")) cut.setAttribute("intercept", 0.5 - 60 * threshold ** 0.75);
    for (const lens of box.querySelectorAll(".lens")) {
      lens.style.setProperty("--layer", layer);
      lens.style.setProperty("--map", 2 * Number(lens.dataset.flow) + view);
    }
    for (const legend of box.querySelectorAll(".scale")) {
      if (!row.lifts.length) continue;
      const [low, , high] = row.lifts[2 * Number(legend.dataset.flow) + view][layer];
      const known = low !== null && high !== null;
      legend.firstElementChild.textContent = known ? `${figure(low)}` : "no mass";
      legend.lastElementChild.textContent = known ? `${figure(high)} × uniform` : "";
      legend.title = known ? `The colour in the middle: ${figure(row.lifts[2 * Number(legend.dataset.flow) + view][layer][1])} × uniform` : "";
    }
  };

  const link = (text, path) => make("a", { textContent: text, href: root + path });
  const about = () => {
    const facts = make("dl");
    const fact = (name, ...content) => facts.append(make("dt", { textContent: name }), make("dd", {}, ...content));
    const mark = row.correct === null ? "" : row.correct ? " ✓ right" : " ✗ wrong";
    fact(multiLabel() ? "Explained" : "Answer", row.answer === null ? "none" : `${row.answer} ${percent(row.confidence)}${mark}`);
    fact(multiLabel() ? "Labels" : "Label", row.label === null ? "none" : row.label);
    if (row.class !== null) fact("Class", link("its page", `classes/${row.class}.html`));
    fact("Image", link(`row ${row.row}`, `rows/${row.row}.html`));
    if (row.findings.length) fact("Findings", ...row.findings.flatMap((number) => [link(`finding ${number}`, `findings/${number}.html`), " "]));
    fact("File", make("span", { className: "path", textContent: row.uri }));
    const parts = [facts];
    if (row.measures.length) {
      const body = make("tbody");
      for (const [column, meaning, value, low, middle, high, side] of row.measures) {
        body.append(make("tr", {},
          make("th", { scope: "row", title: meaning }, make("code", { textContent: column })),
          make("td", { className: side ? "out" : "", textContent: figure(value) }),
          make("td", { textContent: figure(low) }), make("td", { textContent: figure(middle) }), make("td", { textContent: figure(high) })));
      }
      const head = ["Measure", "here", "10 %", "median", "90 %"].map((text) => make("th", { scope: "col", textContent: text }));
      parts.push(make("h3", { textContent: "Against its class" }), make("p", { className: "aside", textContent: "Coloured: outside of the middle 80 % of its class." }), make("table", {}, make("thead", {}, make("tr", {}, ...head)), body));
    }
    if (row.near.length) {
      const near = row.near.map((number) => {
        const image = make("img", { src: address(`assets/rows/${number}.webp`), alt: "" });
        const to = make("a", { href: `${root}rows/${number}.html` }, image, `row ${number}`);
        to.dataset.near = number;
        return to;
      });
      parts.push(make("h3", { textContent: "Looked at alike" }), make("div", { className: "near" }, ...near));
    }
    return parts;
  };

  const fill = (opener) => {
    at = opener;
    row = JSON.parse(opener.dataset.row);
    box.querySelector("#lightbox-title").textContent = title();
    box.querySelector(".views").replaceChildren(...views());
    box.querySelector(".about").replaceChildren(...about());
    for (const name of ["layer", "view", "strength", "mode", "threshold"]) input(name).disabled = !row.heat;
    if (row.heat) show();
  };
  const turn = (step) => {
    const all = links();
    fill(all[(all.indexOf(at) + step + all.length) % all.length]);
  };

  input("layer").value = document.getElementById("layer")?.value ?? input("layer").max;
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("a.open");
    const near = event.target.closest("[data-near]");
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    if (opener) {
      event.preventDefault();
      const slider = document.getElementById("layer");
      if (slider) input("layer").value = slider.value;
      fill(opener);
      box.showModal();
    } else if (near) {
      // One that is on this page opens here; any other has its own page.
      const other = links().find((each) => JSON.parse(each.dataset.row).row === Number(near.dataset.near));
      if (other) { event.preventDefault(); fill(other); }
    }
  });
  for (const name of ["layer", "view", "strength", "mode", "threshold"]) for (const event of ["input", "change"]) input(name).addEventListener(event, show);
  for (const button of box.querySelectorAll("[data-turn]")) button.addEventListener("click", () => turn(Number(button.dataset.turn)));
  box.querySelector("[data-close]").addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  box.addEventListener("close", () => at?.focus());
  box.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
}

lightbox();
