// Matrices of attention heads: layers down, heads across, one statistic at a time.
"use strict";

function headMatrix(place) {
  const data = place.dataset;
  const layers = data.layers.split("\n");
  const names = data.statistics.split(",");
  const groups = data.groups ? data.groups.split(" ").map((row) => row.split(",")) : null;
  const statistics = data.values.split(";").map((text) =>
    text.split(" ").map((row) => row.split(",").map((value) => (value === "" ? NaN : Number(value) / 1000))));
  const cells = place.querySelector(".head-cells");
  const choice = place.querySelector(".head-statistic");
  const signed = "signed" in data;

  // From near white to dark blue; differences from red through white to blue.
  const colour = (value, low, high) => {
    if (signed) {
      const share = high > 0 ? value / high : 0;
      return { fill: share < 0 ? `hsl(10 70% ${95 + 50 * share}%)` : `hsl(215 70% ${95 - 50 * share}%)`, dark: Math.abs(share) < 0.7 };
    }
    const share = high > low ? (value - low) / (high - low) : 0;
    return { fill: `hsl(215 60% ${95 - 65 * share}%)`, dark: share < 0.55 };
  };

  const draw = () => {
    const rows = statistics[Number(choice.value)];
    const known = rows.flat().filter((value) => !Number.isNaN(value));
    const most = Math.max(...known.map(Math.abs));
    const [low, high] = signed ? [-most, most] : [Math.min(...known), Math.max(...known)];
    const table = document.createElement("table");
    const top = table.createTHead().insertRow();
    top.append(document.createElement("td"));
    for (let head = 0; head < rows[0].length; head += 1) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = `head ${head}`;
      top.append(cell);
    }
    const body = table.createTBody();
    rows.forEach((row, layer) => {
      const line = body.insertRow();
      const title = document.createElement("th");
      title.scope = "row";
      title.textContent = layers[layer];
      line.append(title);
      row.forEach((value, head) => {
        const cell = line.insertCell();
        if (Number.isNaN(value)) return;
        const { fill, dark } = colour(value, low, high);
        if (groups && groups[layer][head] !== "") {
          cell.classList.add(`group-${groups[layer][head]}`);
          cell.title = `group ${groups[layer][head]}`;
        }
        cell.classList.add(dark ? "dark" : "light");
        cell.style.background = fill;
        cell.textContent = signed && value > 0 ? `+${value.toFixed(3)}` : value.toFixed(signed ? 3 : 2);
      });
    });
    table.setAttribute("aria-label", names[Number(choice.value)]);
    cells.replaceChildren(table);
  };
  choice.addEventListener("change", draw);
  draw();
}

for (const place of document.querySelectorAll(".head-matrix")) headMatrix(place);
