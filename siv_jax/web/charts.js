"use strict";

// Curves over training steps as SVG. All charts of a page share one cursor.
const WIDTH = 480, HEIGHT = 210, LEFT = 46, RIGHT = 10, TOP = 10, BOTTOM = 24;

function node(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function element(name, className, parent, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// About `count` round numbers from `low` to `high`.
function roundTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return +(value / 1e6).toPrecision(3) + "M";
  if (size >= 1e4) return +(value / 1e3).toPrecision(3) + "k";
  return size !== 0 && size < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(3));
}

// The range that holds all values but the outermost 0.5 % on each side: a first spike hides nothing else.
function rangeOf(series) {
  const all = series.flatMap((one) => one.values).filter(Number.isFinite).sort((a, b) => a - b);
  const cut = Math.floor(all.length * 0.005);
  let low = all[cut], high = all[all.length - 1 - cut];
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

class Chart {
  // series: [{name, values, colour, dashed}], as long as `steps`; onPick(step) is called at a click.
  constructor(parent, title, steps, series, onPick) {
    const card = element("section", "chart card", parent);
    element("h3", "", card, title);
    this.steps = steps;
    this.series = series;
    this.legend = element("div", "legend", card);
    this.labels = series.map((one) => {
      const label = element("span", "", this.legend);
      element("i", one.colour + (one.dashed ? " dashed" : ""), label);
      label.append(one.name + " ");
      return element("b", "", label);
    });
    this.svg = node("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title}, card);
    this.drawAxes();
    this.drawLines(title);
    this.shown = node("path", {class: "shown", d: ""}, this.svg);
    this.cursor = node("path", {class: "cursor", d: ""}, this.svg);
    this.svg.addEventListener("pointermove", (event) => Chart.all.forEach((one) => one.point(this.indexAt(event))));
    this.svg.addEventListener("pointerleave", () => Chart.all.forEach((one) => one.point(null)));
    this.svg.addEventListener("click", (event) => onPick(steps[this.indexAt(event)]));
    this.point(null);
    Chart.all.push(this);
  }

  x(step) {
    const first = this.steps[0], last = this.steps[this.steps.length - 1];
    return LEFT + ((step - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  }

  y(value) { return TOP + ((this.high - value) / (this.high - this.low)) * (HEIGHT - TOP - BOTTOM); }

  drawAxes() {
    [this.low, this.high] = rangeOf(this.series);
    for (const tick of roundTicks(this.low, this.high, 4)) {
      node("path", {class: "rule", d: `M${LEFT} ${this.y(tick)}H${WIDTH - RIGHT}`}, this.svg);
      node("text", {x: LEFT - 6, y: this.y(tick) + 4, "text-anchor": "end"}, this.svg, short(tick));
    }
    const last = this.steps[this.steps.length - 1];
    for (const tick of last > this.steps[0] ? roundTicks(this.steps[0], last, 5) : this.steps) {
      const anchor = this.x(tick) > WIDTH - 30 ? "end" : "middle";
      node("text", {x: this.x(tick), y: HEIGHT - 7, "text-anchor": anchor}, this.svg, short(tick));
    }
  }

  drawLines(title) {
    const clip = "clip-" + title.replace(/\W+/g, "-");
    const box = {x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM};
    node("rect", box, node("clipPath", {id: clip}, this.svg));
    for (const one of this.series) {
      let path = "", pen = "M";
      one.values.forEach((value, i) => {
        if (value === null) { pen = "M"; return; }
        path += `${pen}${this.x(this.steps[i]).toFixed(1)} ${this.y(value).toFixed(1)}`;
        if (pen === "M") path += "h0";
        pen = "L";
      });
      const look = `line ${one.colour}${one.dashed ? " dashed" : ""}`;
      node("path", {class: look, d: path, "clip-path": `url(#${clip})`}, this.svg);
    }
  }

  indexAt(event) {
    const box = this.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    let best = 0;
    this.steps.forEach((step, i) => {
      if (Math.abs(this.x(step) - x) < Math.abs(this.x(this.steps[best]) - x)) best = i;
    });
    return best;
  }

  // Values at entry `index` in the legend; of the last entry where it is null.
  point(index) {
    const at = index === null ? this.steps.length - 1 : index;
    this.labels.forEach((label, i) => { label.textContent = short(this.series[i].values[at]); });
    this.legend.title = `step ${this.steps[at].toLocaleString("en")}`;
    this.cursor.setAttribute("d", index === null ? "" : `M${this.x(this.steps[at])} ${TOP}V${HEIGHT - BOTTOM}`);
  }

  // Marks the step whose samples are shown.
  mark(step) {
    const inside = step >= this.steps[0] && step <= this.steps[this.steps.length - 1];
    this.shown.setAttribute("d", inside ? `M${this.x(step)} ${TOP}V${HEIGHT - BOTTOM}` : "");
  }
}
Chart.all = [];
