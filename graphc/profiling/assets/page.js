"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const detail = document.getElementById("detail");
  const tip = document.getElementById("tip");
  // A pointer this near to a point of the roofline means it.
  const REACH = 26;

  const kernelOf = (key) => {
    const [step, row] = key.split("-");
    return data[step][Number(row)];
  };

  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  function sourceLine(line) {
    const mark = line.indexOf("# ");
    const nodes = [document.createTextNode(mark < 0 ? line : line.slice(0, mark))];
    if (mark >= 0) nodes.push(element("span", line.slice(mark), "comment"));
    return [...nodes, document.createTextNode("\n")];
  }

  // Scrolls the list around a row, not the page.
  function reveal(row) {
    const list = row.closest(".bars, .scroll");
    if (!list) return;
    const { top, bottom } = row.getBoundingClientRect();
    const frame = list.getBoundingClientRect();
    if (top < frame.top || bottom > frame.bottom) {
      list.scrollTop += top - frame.top - frame.height / 2;
    }
  }

  function show(key) {
    const kernel = kernelOf(key);
    for (const each of document.querySelectorAll(".chosen")) each.classList.remove("chosen");
    for (const each of document.querySelectorAll(`[data-kernel="${key}"]`)) {
      if (each.classList.contains("live")) continue;
      each.classList.add("chosen");
      reveal(each);
    }
    detail.querySelector("h2").textContent = `${kernel.name} (${key.split("-")[0]})`;
    const figures = kernel.figures.flatMap(([n, v]) => [element("dt", n), element("dd", v)]);
    detail.querySelector("dl").replaceChildren(...figures);
    const lines = kernel.lines.map(({ file, line, text }) => {
      const item = element("li", "");
      item.append(element("b", `${file}:${line}`), text);
      return item;
    });
    detail.querySelector(".lines").replaceChildren(...lines);
    const source = data.sources[kernel.source].trimEnd().split("\n").flatMap(sourceLine);
    detail.querySelector("code").replaceChildren(...source);
    detail.hidden = false;
    detail.scrollTop = 0;
    document.body.classList.add("with-detail");
  }

  function close() {
    detail.hidden = true;
    document.body.classList.remove("with-detail");
    for (const each of document.querySelectorAll(".chosen")) each.classList.remove("chosen");
  }

  function showTip(event, title, text) {
    tip.replaceChildren(element("b", title), text);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - width - 6);
    const below = event.clientY + 16;
    tip.style.left = `${Math.max(6, left)}px`;
    tip.style.top = `${below + height > innerHeight ? event.clientY - height - 10 : below}px`;
  }

  function nearest(chart, event) {
    const { left, width } = chart.getBoundingClientRect();
    const scale = chart.viewBox.baseVal.width / width;
    const top = chart.getBoundingClientRect().top;
    const x = (event.clientX - left) * scale;
    const y = (event.clientY - top) * scale;
    let found = null;
    let least = REACH * scale;
    for (const point of chart.querySelectorAll(".point")) {
      const far = Math.hypot(point.cx.baseVal.value - x, point.cy.baseVal.value - y);
      // On a tie the later one, which is drawn above.
      if (far <= least) [found, least] = [point, far];
    }
    return found;
  }

  for (const chart of document.querySelectorAll("svg.roofline")) {
    let near = null;
    const leave = () => {
      if (near) near.classList.remove("near");
      near = null;
      tip.hidden = true;
    };
    chart.addEventListener("pointermove", (event) => {
      leave();
      near = nearest(chart, event);
      if (!near) return;
      near.classList.add("near");
      const key = near.dataset.kernel;
      const kernel = kernelOf(key);
      showTip(event, `${kernel.name} (${key.split("-")[0]})`, kernel.brief);
    });
    chart.addEventListener("pointerleave", leave);
    chart.addEventListener("click", (event) => {
      const point = nearest(chart, event);
      if (point) show(point.dataset.kernel);
    });
  }

  for (const map of document.querySelectorAll("svg.arena, svg.threads")) {
    map.addEventListener("pointermove", (event) => {
      const text = event.target.dataset.text;
      tip.hidden = true;
      if (text) showTip(event, text.slice(0, text.indexOf(":")), text.slice(text.indexOf(":") + 2));
    });
    map.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  document.querySelector("#kernels details").addEventListener("toggle", () => {
    const rows = data.unfusedCells.map((cells, number) => {
      const row = element("tr", "");
      row.dataset.kernel = `unfused-${number}`;
      row.append(...[data.unfused[number].name, ...cells].map((text) => element("td", text)));
      return row;
    });
    document.querySelector("table.unfused tbody").replaceChildren(...rows);
  }, { once: true });

  document.querySelector("main").addEventListener("click", (event) => {
    if (event.target.closest("svg.roofline")) return;
    const chosen = event.target.closest("[data-kernel]");
    if (chosen) show(chosen.dataset.kernel);
  });
  // The graph has a card of its own; a kernel chosen there is shown here as well if there is room.
  const hasRoom = matchMedia("(min-width: 1100px)");
  document.addEventListener("graphc:select", (event) => {
    if (!hasRoom.matches) return;
    const row = data.fused.findIndex((kernel) => kernel.name === event.detail.kernel);
    if (row >= 0) show(`fused-${row}`);
  });
  detail.querySelector(".close").addEventListener("click", close);
  // Where there is room beside the charts, the kernel that takes most time is shown at first.
  if (hasRoom.matches && data.first) show(data.first);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
})();
