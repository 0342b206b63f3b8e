// Draws the charts and connects them with the lists above them. Without this script the tables hold the same numbers.
"use strict";
{
  const text = { labelColor: "currentColor", titleColor: "currentColor", labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
  const config = {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    title: { color: "currentColor", fontSize: 12, fontWeight: 500 },
    axis: { ...text, gridColor: "currentColor", gridOpacity: 0.12, domain: false, ticks: false, labelPadding: 6, titlePadding: 10 },
    legend: { ...text, orient: "top", symbolSize: 90, labelLimit: 260 },
    rule: { color: "currentColor" },
    text: { color: "currentColor" },
  };

  // Names beside the marks of the front, where there is room: Vega's own placement, which Vega-Lite does not offer.
  const named = (vega) => {
    const files = vega.marks.find((mark) => mark.name === "files_marks");
    if (files !== undefined) vega.marks.push({
      type: "text",
      name: "names",
      aria: false,
      interactive: false,
      from: { data: files.name },
      encode: { enter: { fill: { value: "currentColor" }, font: { value: config.font }, fontSize: { value: 11 } },
                update: { text: { signal: "datum.datum.state == 'front' ? datum.datum.name : ''" } } },
      transform: [{
        type: "label", size: { signal: "[max(width, 1), max(height, 1)]" },
        anchor: ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"], offset: [4],
      }],
    });
    return vega;
  };

  // In a section, every list sets the parameter of its name, and what belongs to another choice is hidden.
  const follow = async (section, views) => {
    const lists = [...section.querySelectorAll("select[data-signal]")];
    for (const list of lists) {
      const signal = list.dataset.signal;
      for (const part of section.querySelectorAll(`[data-${signal}]`)) {
        part.hidden = lists.some((other) => (part.dataset[other.dataset.signal] ?? other.value) !== other.value);
      }
      for (const view of views.filter((view) => signal in view.getState().signals)) await view.signal(signal, list.value).runAsync();
    }
  };

  const draw = async (section) => {
    const views = [];
    for (const plot of section.querySelectorAll("[data-spec]")) {
      const spec = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
      const drawn = await vegaEmbed(plot, spec, {
        mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, ast: true, config, patch: named,
        tooltip: { disableDefaultStyle: true },
        logLevel: 1, // errors: an axis without numbers gives an empty chart, of which Vega warns and the page tells
      });
      views.push(drawn.view);
    }
    for (const list of section.querySelectorAll("select[data-signal]")) list.addEventListener("change", () => follow(section, views));
    await follow(section, views);
    section.dataset.drawn = views.length;
  };

  // The page is there before its charts, and between two of them it answers.
  const idle = () => new Promise((done) => setTimeout(done));
  addEventListener("load", async () => {
    for (const section of document.querySelectorAll("section:has([data-spec], select[data-signal])")) {
      await idle();
      await draw(section);
    }
  });
}
