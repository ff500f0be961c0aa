const PLAY_SECONDS = 0.5;
const run = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const every = (selector, action) => document.querySelectorAll(selector).forEach(action);

// The slider through the grids. Who looks at the newest sees the newer ones as they come.
const newest = run.grids.length - 1;
const viewer = {at: newest, timer: null};

function show(index) {
  viewer.at = index;
  const grid = run.grids[index];
  by("slider").value = index;
  by("grid").src = by("grid-link").href = grid.file;
  by("step-label").textContent = `step ${grid.step.toLocaleString("en")}`;
  history.replaceState(null, "", index === newest ? location.pathname : `#step=${grid.step}`);
  every(".area .shown", (mark) => place(mark, grid.step));
}

function showNearest(step) {
  stop();
  if (run.grids.length) show(nearest(run.grids.map((grid) => grid.step), step));
}

function stop() {
  clearInterval(viewer.timer);
  viewer.timer = null;
  if (by("play")) by("play").textContent = "▶";
}

function play() {
  if (viewer.timer !== null) return stop();
  by("play").textContent = "❚❚";
  if (viewer.at === newest) show(0);
  viewer.timer = setInterval(() => {
    if (viewer.at === newest) return stop();
    show(viewer.at + 1);
    // The next one is loaded before it is shown.
    if (viewer.at < newest) new Image().src = run.grids[viewer.at + 1].file;
  }, PLAY_SECONDS * 1000);
}

// The charts share one cursor over their steps: it puts the values there into the legends; a click shows the grid.
const steps = run.curves.step, first = steps[0], last = steps[steps.length - 1];
const digits = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});

function nearest(values, wanted) {
  return values.reduce((best, value, i) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? i : best), 0);
}

function place(mark, step) {
  mark.hidden = step < first || step > last || first === last;
  mark.style.left = `${(100 * (step - first)) / (last - first)}%`;
}

function point(index) {
  every("[data-metric]", (label) => {
    const value = run.curves[label.dataset.metric][index];
    label.textContent = value === null ? "–" : digits.format(value);
  });
  every(".area .cursor", (mark) => place(mark, steps[index]));
}

every(".area", (area) => {
  const indexAt = (event) => {
    const box = area.getBoundingClientRect();
    return nearest(steps, first + ((event.clientX - box.left) / box.width) * (last - first));
  };
  area.addEventListener("pointermove", (event) => point(indexAt(event)));
  area.addEventListener("pointerleave", () => {
    point(steps.length - 1);
    every(".area .cursor", (mark) => { mark.hidden = true; });
  });
  area.addEventListener("click", (event) => showNearest(steps[indexAt(event)]));
});
if (steps.length) point(steps.length - 1);
every(".area .cursor", (mark) => { mark.hidden = true; });

if (run.grids.length) {
  by("slider").addEventListener("input", (event) => { stop(); show(+event.target.value); });
  by("play").addEventListener("click", play);
  by("newest").addEventListener("click", () => { stop(); show(newest); });
  const wanted = location.hash.match(/^#step=(\d+)$/);
  wanted ? showNearest(+wanted[1]) : show(newest);
}

every(".command button", (button) => button.addEventListener("click", async () => {
  const line = button.parentElement.querySelector("pre");
  try {
    await navigator.clipboard.writeText(line.textContent);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(line);
  }
}));

// The page stays as it is under the user's hands: while a grid of the past, a curve or a folded part is looked at.
function looking() {
  return viewer.at !== newest || document.querySelector(".area:hover, details[open]") || !getSelection().isCollapsed;
}
