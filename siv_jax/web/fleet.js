// Which members are shown, and in which order. The page stays as it is while it is sorted or filtered.
const tools = ["filter", "only", "order"].map((id) => document.getElementById(id));

function arrange() {
  const [filter, only, order] = tools.map((tool) => tool.value);
  const members = [...document.querySelectorAll(".member")];
  const share = (member) => Number(member.dataset.share);
  for (const member of members) {
    const named = member.dataset.name.toLowerCase().includes(filter.toLowerCase());
    const finished = share(member) >= 100;
    member.hidden = !named || (only === "finished" && !finished) || (only === "unfinished" && finished);
  }
  // Stable, so that members of the same share stay in the order of their names.
  members.sort((a, b) => Number(a.dataset.place) - Number(b.dataset.place));
  if (order !== "name") members.sort((a, b) => (order === "most" ? share(b) - share(a) : share(a) - share(b)));
  document.querySelector(".members").append(...members);
}

function looking() {
  return tools[0] !== null && (tools[0].value !== "" || tools[1].value !== "" || tools[2].value !== "name");
}

document.querySelectorAll(".member").forEach((member, place) => { member.dataset.place = place; });
if (tools[0]) for (const tool of tools) tool.addEventListener("input", arrange);
