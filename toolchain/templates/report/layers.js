// One file's layers at a time, and every layer lit in the table and in the graph at once. Without this script all files are listed.
"use strict";
{
  const files = [...document.querySelectorAll("details.layers")];

  const light = (file, layer) => {
    for (const one of file.querySelectorAll(".lit")) one.classList.remove("lit");
    if (layer === undefined) return;
    for (const one of file.querySelectorAll(`[data-layer="${layer}"], [data-from="${layer}"], [data-to="${layer}"]`)) one.classList.add("lit");
  };

  // Scrolls the graph and nothing else; the page stays where the reader is.
  const reveal = (graph, layer) => {
    const box = graph.querySelector(`[data-layer="${layer}"]`);
    if (box === null) return;
    const [at, frame] = [box.getBoundingClientRect(), graph.getBoundingClientRect()];
    if (at.top < frame.top || at.bottom > frame.bottom) graph.scrollTop += at.top - (frame.top + frame.bottom) / 2;
  };

  const connect = (file) => {
    const [graph, table] = [file.querySelector(".graph"), file.querySelector("table")];
    if (graph === null) return;
    const layer = (event) => event.target.closest("[data-layer]")?.dataset.layer;
    const follow = (event) => { light(file, layer(event)); reveal(graph, layer(event)); };
    table.addEventListener("mousemove", follow); // not mouseover: what scrolls away under a resting mouse is not pointed at
    table.addEventListener("focusin", follow);
    table.addEventListener("click", (event) => { if (event.target.closest("a")) event.preventDefault(); }); // lit already
    graph.addEventListener("mousemove", (event) => light(file, layer(event)));
    graph.addEventListener("click", (event) => table.querySelector(`tr[data-layer="${layer(event)}"]`)?.scrollIntoView({ block: "center" }));
    file.addEventListener("mouseleave", () => light(file));
  };

  // What noscript holds is the page's own text, escaped like the rest of it.
  const unfold = (file) => {
    const folded = file.querySelector(":scope > noscript");
    if (folded === null) return;
    folded.insertAdjacentHTML("afterend", folded.textContent);
    folded.remove();
    connect(file);
    file.dispatchEvent(new Event("unfolded", { bubbles: true }));
  };

  const show = (id) => {
    for (const file of files) {
      file.open = file.id === id;
      file.classList.toggle("picked", file.open);
      file.classList.toggle("other", !file.open);
      if (file.open) unfold(file);
    }
  };

  for (const file of files) if (file.open) connect(file);
  if (files.length > 1) {
    const choice = document.querySelector(".layers-choice");
    const select = choice.querySelector("select");
    choice.hidden = false;
    select.addEventListener("change", () => show(select.value));
    show(select.value);
    addEventListener("beforeprint", () => files.forEach(unfold));
  }
}
