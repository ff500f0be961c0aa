"use strict";

// How old a page is; of a run that should have written it anew long ago, that it was probably interrupted.
const RELOAD_SECONDS = 15;
const news = document.getElementById("news");
const going = "going" in news.dataset;
const overdue = () => going && Date.now() / 1000 - news.dataset.updated > news.dataset.due;
const late = overdue();

function roughly(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

function tellAge() {
  const age = Math.max(0, Date.now() / 1000 - news.dataset.updated);
  // A page in use is not loaded anew, so that its silence says nothing: it has to be loaded first.
  if (overdue() && !late) location.reload();
  const clock = new Date(news.dataset.updated * 1000).toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
  news.textContent = going ? `updated ${roughly(age)} ago` : `written ${clock}`;
  document.getElementById("late").hidden = !late;
  document.getElementById("silence").textContent = roughly(age);
  for (const pill of document.querySelectorAll(".pill.training")) {
    pill.textContent = late ? "no news" : "training";
    pill.classList.toggle("late", late);
  }
}

tellAge();
setInterval(tellAge, 5000);
// `looking` of another script says that the page is in use and must stay as it is.
if (going) setInterval(() => {
  if (!document.hidden && !(window.looking && looking())) location.reload();
}, RELOAD_SECONDS * 1000);
