"use strict";
const model = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);

// What is chosen: samples as "seed0_3", the last two that were clicked, and the place between them.
const chosen = {from: null, to: null, step: 0};
let first = 0;

function say(text) { by("note").textContent = text; }

// Shows picture `index` of a strip of `count` that lie one below the other.
function showPart(box, url, index, count) {
  box.style.backgroundImage = url ? `url("${url}")` : "";
  box.style.backgroundPosition = `0 ${(100 * index) / (count - 1)}%`;
  box.style.aspectRatio = `${model.width} / ${model.height}`;
}

// Loads a strip; the server draws it at the first time.
async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return url;
}

const sheetOf = (seed, start) => `/samples/${seed}/${start}.png`;

async function fillSamples() {
  const seed = by("seed").value, start = first;
  by("range").textContent = `${start} to ${start + model.shown - 1}`;
  by("previous").disabled = start === 0;
  const box = by("samples");
  box.classList.add("drawing");
  try {
    await load(sheetOf(seed, start));
  } catch {
    say("The samples could not be drawn.");
    return;
  }
  if (seed !== by("seed").value || start !== first) return;
  box.classList.remove("drawing");
  box.replaceChildren();
  for (let i = 0; i < model.shown; i++) {
    const tile = document.createElement("button");
    tile.className = "tile";
    tile.title = tile.dataset.name = `seed${seed}_${start + i}`;
    showPart(tile, sheetOf(seed, start), i, model.shown);
    tile.addEventListener("click", () => choose(tile));
    box.append(tile);
  }
  markChosen();
}

function markChosen() {
  for (const tile of document.querySelectorAll("button.tile")) {
    tile.classList.toggle("chosen", [chosen.from, chosen.to].includes(tile.dataset.name));
  }
}

function choose(tile) {
  goTo(chosen.to || tile.dataset.name, tile.dataset.name, model.steps);
}

// The place that the slider is at, as its name: a sample's own at both ends.
function placeName() {
  if (chosen.step === 0 || chosen.from === chosen.to) return chosen.from;
  return chosen.step === model.steps ? chosen.to : `${chosen.from}-${chosen.to}-${chosen.step}of${model.steps}`;
}

async function goTo(from, to, step) {
  Object.assign(chosen, {from, to, step});
  by("slider").value = step;
  by("slider").disabled = from === to;
  by("keep").disabled = true;
  markChosen();
  by("from-name").textContent = from.replace("seed", "").replace("_", " · ");
  by("to-name").textContent = to.replace("seed", "").replace("_", " · ");
  const url = `/way/${from}-${to}-0of${model.steps}.png`;
  by("picture").classList.add("drawing");
  say("drawing …");
  try {
    await load(url);
  } catch {
    say("The way could not be drawn.");
    return;
  }
  if (chosen.from !== from || chosen.to !== to) return;
  by("picture").classList.remove("drawing");
  showPart(by("from"), url, 0, model.steps + 1);
  showPart(by("to"), url, model.steps, model.steps + 1);
  by("picture").dataset.url = url;
  move();
}

function move() {
  chosen.step = +by("slider").value;
  showPart(by("picture"), by("picture").dataset.url, chosen.step, model.steps + 1);
  by("keep").disabled = false;
  say(chosen.from === chosen.to ? "Click a second sample to walk to it." : placeName());
}

async function change(method, name) {
  const answer = await fetch(`/favourites/${name}`, {method});
  if (!answer.ok) {
    say(await answer.text());
    return;
  }
  fillFavourites(await answer.json());
}

function fillFavourites(names) {
  by("favourites").replaceChildren();
  for (const name of names) {
    const card = document.createElement("div"), image = new Image(), button = document.createElement("button");
    card.className = "favourite";
    image.src = `/favourites/${name}.png`;
    image.alt = image.title = name;
    image.addEventListener("click", () => {
      const [from, to, place] = name.split("-");
      goTo(from, to || from, place ? parseInt(place) : 0);
    });
    button.textContent = "×";
    button.title = "remove it and its picture";
    button.addEventListener("click", () => change("DELETE", name));
    card.append(image, button);
    by("favourites").append(card);
  }
}

by("name").textContent = model.name;
by("facts").textContent = model.facts;
by("folder").textContent = model.folder;
by("slider").max = model.steps;
by("slider").disabled = by("keep").disabled = true;
by("slider").addEventListener("input", move);
by("keep").addEventListener("click", () => change("PUT", placeName()));
by("seed").addEventListener("change", () => {
  by("seed").value = Math.min(Math.max(Math.floor(+by("seed").value) || 0, 0), 2 ** 32 - 1);
  first = 0;
  fillSamples();
});
by("previous").addEventListener("click", () => { first = Math.max(0, first - model.shown); fillSamples(); });
by("next").addEventListener("click", () => { first += model.shown; fillSamples(); });
showPart(by("picture"), "", 0, 2);
showPart(by("from"), "", 0, 2);
showPart(by("to"), "", 0, 2);
fillFavourites(model.favourites);
fillSamples();
