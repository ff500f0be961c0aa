const RELOAD_SECONDS = 15, PLAY_SECONDS = 0.5;
const run = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const whole = (number) => Math.round(number).toLocaleString("en");

function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(seconds / 3600);
  return hours < 48 ? `${hours} h ${Math.round((seconds % 3600) / 60)} min` : `${(hours / 24).toFixed(1)} days`;
}

function fillHead() {
  by("name").textContent = run.name;
  by("state").textContent = run.state;
  by("state").classList.add(run.state);
  by("facts").textContent = run.facts;
  by("picture-caption").textContent = run.caption;
  by("progress").style.width = `${(100 * run.step) / run.num_steps}%`;
  const left = run.speed ? (run.num_steps - run.step) / run.speed : null;
  const clock = {month: "short", day: "numeric", hour: "numeric", minute: "2-digit", hour12: false};
  const tiles = [
    ["step", `${whole(run.step)} of ${whole(run.num_steps)}`],
    ["speed", run.speed ? `${short(run.speed)} steps/s` : "–"],
    ["trained for", duration(run.seconds)],
    ["still to go", run.state === "finished" ? "nothing" : left === null ? "–" : duration(left)],
    ["updated", new Date(run.updated * 1000).toLocaleString([], clock)],
  ];
  for (const [name, value] of tiles) {
    const tile = element("div", "card", by("tiles"));
    element("span", "soft", tile, name);
    element("b", "", tile, value);
  }
}

// The slider through the grids. Who looks at the newest sees the newer ones as they come.
const newest = run.grids.length - 1;
const viewer = {at: newest, timer: null};

function show(index) {
  viewer.at = index;
  const grid = run.grids[index];
  by("slider").value = index;
  by("grid").src = by("grid-link").href = grid.file;
  by("grid-caption").textContent = "The same latents all along, drawn from the averaged weights";
  by("step-label").textContent = `step ${whole(grid.step)}`;
  history.replaceState(null, "", index === newest ? location.pathname : `#step=${grid.step}`);
  Chart.all.forEach((chart) => chart.mark(grid.step));
}

function showNearest(step) {
  stop();
  if (!run.grids.length) return;
  const distance = (i) => Math.abs(run.grids[i].step - step);
  show(run.grids.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0));
}

function stop() {
  clearInterval(viewer.timer);
  viewer.timer = null;
  by("play").innerHTML = "&#9654;";
}

function play() {
  if (viewer.timer !== null) return stop();
  by("play").innerHTML = "&#10074;&#10074;";
  if (viewer.at === newest) show(0);
  viewer.timer = setInterval(() => {
    if (viewer.at === newest) return stop();
    show(viewer.at + 1);
    // The next one is loaded before it is shown.
    if (viewer.at < newest) new Image().src = run.grids[viewer.at + 1].file;
  }, PLAY_SECONDS * 1000);
}

function fillGrids() {
  by("picture").src = run.picture;
  if (!run.grids.length) {
    by("grid").remove();
    by("steps").remove();
    by("grid-caption").textContent = `The first samples are drawn after step ${whole(run.first_grid)}.`;
    return;
  }
  by("slider").max = newest;
  by("slider").addEventListener("input", (event) => { stop(); show(+event.target.value); });
  by("play").addEventListener("click", play);
  by("newest").addEventListener("click", () => { stop(); show(newest); });
  const wanted = location.hash.match(/^#step=(\d+)$/);
  wanted ? showNearest(+wanted[1]) : show(newest);
}

const COLOURS = ["one", "two", "three"];

function fillCharts() {
  const {step: steps, ...metrics} = run.scalars;
  if (!steps.length) {
    by("curves-note").textContent = `Logged from step ${whole(run.first_log)} on.`;
    return;
  }
  const thinned = run.entries_per_point > 1 ? ` Each point is the mean of ${run.entries_per_point} entries.` : "";
  by("curves-note").textContent = `Over training steps. Click in a curve to see its samples.${thinned}`;
  const draw = (title, series) => {
    const there = series.filter((one) => metrics[one.key]);
    for (const one of there) one.values = metrics[one.key];
    if (there.length) new Chart(by("charts"), title, steps, there, showNearest);
  };
  const parts = Object.keys(metrics).filter((key) => key.startsWith("logit_real/")).map((key) => key.slice(11));
  const name = (part) => part.replace("_", "-");
  const pair = (prefix, real, fake) => parts.flatMap((part, i) => [
    {key: `${prefix}_real/${part}`, name: `${name(part)} ${real}`, colour: COLOURS[i]},
    {key: `${prefix}_fake/${part}`, name: `${name(part)} ${fake}`, colour: COLOURS[i], dashed: true},
  ]);
  draw("Losses", [
    {key: "loss_g", name: "generator", colour: "one"},
    {key: "loss_d", name: "discriminator", colour: "two"},
  ]);
  for (const part of parts) {
    draw(`Logits, ${name(part)}`, [
      {key: `logit_real/${part}`, name: "real", colour: "one"},
      {key: `logit_fake/${part}`, name: "fake", colour: "two"},
    ]);
  }
  draw("Generator's loss by part", parts.map((part, i) => ({key: `loss_g/${part}`, name: name(part), colour: COLOURS[i]})));
  draw("Discriminator's loss by part", pair("loss_d", "real", "fake"));
  draw("Diversity term", [{key: "diversity", name: "diversity", colour: "three"}]);
  draw("Speed", [{key: "steps_per_second", name: "steps per second", colour: "one"}]);
}

function fillCommands() {
  for (const [meaning, command] of run.commands) {
    const card = element("div", "command card", by("commands"));
    const text = element("div", "", card);
    element("p", "", text, meaning);
    const line = element("pre", "", text);
    // Lines break between options, not inside one.
    command.split(/(?<= )(?=--)/).forEach((words) => element("span", "", line, words));
    const button = element("button", "", card, "copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(line);
      }
    });
  }
}

function fillSettings() {
  for (const [key, value, usual] of run.settings) {
    const row = element("div", value === usual ? "" : "changed", by("settings"));
    element("span", "", row, key);
    element("span", "", row, value || "–");
    if (value !== usual) row.title = `single_image has ${usual || "–"}`;
  }
  by("footer").textContent = `Written by siv_jax ${run.version}. Settings in bold differ from the config single_image.`;
}

fillHead();
fillCharts();
fillGrids();
fillCommands();
fillSettings();
if (run.state === "training") {
  // Not under the user's hands: while a grid of the past or a curve is looked at, the page stays as it is.
  setInterval(() => {
    const looking = viewer.at !== newest || document.querySelector("svg:hover") || !getSelection().isCollapsed;
    if (!looking && !document.hidden) location.reload();
  }, RELOAD_SECONDS * 1000);
}
