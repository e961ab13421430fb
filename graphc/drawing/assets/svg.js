"use strict";
// A placed diagram as SVG text.
var graphcSvg = (() => {
  const LINE = 13;
  const GOLDEN_ANGLE = 137.508;

  const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // Control characters have no place in XML, not even escaped.
  const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
  const escaped = (text) =>
    String(text).replace(/[&<>"]/g, (mark) => ENTITIES[mark]).replace(CONTROLS, "\ufffd");
  const rounded = (number) => Math.round(number * 10) / 10;
  const hue = (tint) => Math.round((tint * GOLDEN_ANGLE + 210) % 360);

  function colour(tint, opacity) {
    if (tint === undefined) return "";
    const hsl = `hsl(${hue(tint)},60%,50%)`;
    return ` style="fill:${hsl};fill-opacity:${opacity};stroke:${hsl}"`;
  }

  // Straight through its label, and in curves that leave and arrive along the flow.
  function path(edge, horizontal) {
    const points = [];
    for (const point of edge.points) {
      const { label } = edge;
      if (label && point.x === label.x && point.y === label.y) {
        const { x, y, width, height } = label;
        const [dx, dy] = horizontal ? [width / 2, 0] : [0, height / 2];
        points.push({ x: x - dx, y: y - dy }, { x: x + dx, y: y + dy });
      } else {
        points.push(point);
      }
    }
    const shown = ({ x, y }) => `${rounded(x)},${rounded(y)}`;
    let text = `M${shown(points[0])}`;
    for (let i = 1; i < points.length; i += 1) {
      const [a, b] = [points[i - 1], points[i]];
      const middle = horizontal ? (a.x + b.x) / 2 : (a.y + b.y) / 2;
      const first = horizontal ? { x: middle, y: a.y } : { x: a.x, y: middle };
      const second = horizontal ? { x: middle, y: b.y } : { x: b.x, y: middle };
      const isStraight = horizontal ? a.y === b.y : a.x === b.x;
      text += isStraight ? `L${shown(b)}` : `C${shown(first)} ${shown(second)} ${shown(b)}`;
    }
    return text;
  }

  function edgeText(edge, placed, name) {
    const ends = `data-source="${escaped(edge.source)}" data-target="${escaped(edge.target)}"`;
    const d = path(edge, placed.horizontal);
    return `<g class="edge" ${ends}><path d="${d}" marker-end="url(#${name}-arrow)"/></g>`;
  }

  // Words stand above all edges; those of a vertical edge interrupt it.
  function edgeWords(edge, placed) {
    const parts = [];
    if (edge.label) {
      const { x, y, width, height } = edge.label;
      if (!placed.horizontal) {
        const [left, top] = [rounded(x - width / 2), rounded(y - height / 2)];
        const size = `width="${rounded(width)}" height="${rounded(height)}"`;
        parts.push(`<rect class="ground" x="${left}" y="${top}" ${size}/>`);
      }
      const count = edge.value.length;
      const first = placed.horizontal ? y - 5 - LINE * (count - 1) : y + 4 - (LINE * (count - 1)) / 2;
      const above = edge.value.map((line, i) => [line, first + LINE * i]);
      const below = edge.gradient.map((line, i) => [line, y + LINE + LINE * i]);
      for (const [line, at] of above) parts.push(words("value", x, at, line));
      for (const [line, at] of below) parts.push(words("gradient", x, at, line));
    }
    return parts.join("");
  }

  function words(kind, x, y, text) {
    return `<text class="${kind}" x="${rounded(x)}" y="${rounded(y)}">${escaped(text)}</text>`;
  }

  function nodeText(node, titles) {
    const { x, y, width, height } = node;
    const corner = { input: 12, parameter: 12, state: 12, constant: 12, output: 12, update: 12 };
    const shape =
      node.shape === "circle"
        ? `<circle cx="${rounded(x)}" cy="${rounded(y)}" r="${width / 2}"${colour(node.tint, 0.18)}/>`
        : `<rect x="${rounded(x - width / 2)}" y="${rounded(y - height / 2)}" ` +
          `width="${rounded(width)}" height="${height}" ` +
          `rx="${corner[node.kind] || 5}"${colour(node.tint, 0.18)}/>`;
    const top = y + 4 - (LINE * node.details.length) / 2;
    const label = words("label", x, top, node.label);
    const detail = node.details.map((line, i) => words("detail", x, top + LINE * (i + 1), line)).join("");
    const title = titleText(titles, node.id);
    const box = node.kind === "box" ? ` data-box="${escaped(node.id)}"` : "";
    const kernel = node.kernel ? ` data-kernel="${escaped(node.kernel)}"` : "";
    return (
      `<g class="node ${node.kind}" data-node="${escaped(node.id)}" ` +
      `data-key="${escaped(node.key || "")}"${box}${kernel}>${title}${shape}${label}${detail}</g>`
    );
  }

  // What a browser shows on hover where no script does.
  function titleText(titles, id) {
    const whole = titles && titles.get(id);
    if (!whole) return "";
    const { label, text, type, line, source_line: written, kernels, value, notes } = whole;
    const head = type ? `${text || label} : ${type}` : text || label;
    const where = [line, written].filter(Boolean).join("  ");
    const made = kernels ? `kernel ${kernels.join(", ")}` : "";
    const lines = [head, where, made, value, ...(notes || [])];
    return `<title>${escaped(lines.filter(Boolean).join("\n"))}</title>`;
  }

  function boxText(box, titles) {
    const { x, y, width, height } = box;
    const left = rounded(x - width / 2);
    const top = rounded(y - height / 2);
    const title = titleText(titles, box.id);
    return (
      `<g class="box ${box.boxing}" data-box="${escaped(box.id)}">${title}` +
      `<rect x="${left}" y="${top}" width="${rounded(width)}" height="${rounded(height)}" rx="8"` +
      `${colour(box.tint, 0.07)}/></g>`
    );
  }

  // Titles of boxes stand above all else, so that they can be drawn larger from afar.
  function headerText(box) {
    const left = rounded(box.x - box.width / 2 + 8);
    const top = rounded(box.y - box.height / 2);
    return (
      `<text class="header" data-box="${escaped(box.id)}" data-width="${rounded(box.width - 14)}" ` +
      `data-top="${top}" x="${left}" y="${top + 13}">${escaped(box.label)}</text>`
    );
  }

  // options: name, unique in the page; diagram: given where nodes are to carry their hover text;
  // style: CSS for a drawing that stands alone.
  function text(placed, options) {
    const { name, diagram } = options;
    const whole = diagram && [...diagram.nodes, ...(diagram.boxes || [])];
    const titles = whole && new Map(whole.map((each) => [each.id, each]));
    const size = `width="${rounded(placed.width)}" height="${rounded(placed.height)}"`;
    const box = `viewBox="0 0 ${rounded(placed.width)} ${rounded(placed.height)}"`;
    const arrow =
      `<defs><marker id="${name}-arrow" class="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" ` +
      `markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0.8L8,4L0,7.2z"/></marker></defs>`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" class="graph-drawing${placed.horizontal ? " textbook" : ""}" ${size} ${box}>`,
      options.style ? `<style>${options.style}</style>` : "",
      arrow,
      options.style ? '<rect class="ground" width="100%" height="100%"/>' : "",
      '<g class="moving">',
      ...placed.boxes.map((each) => boxText(each, titles)),
      ...placed.edges.map((edge) => edgeText(edge, placed, name)),
      ...placed.edges.map((edge) => edgeWords(edge, placed)),
      ...placed.nodes.map((node) => nodeText(node, titles)),
      ...placed.boxes.map(headerText),
      "</g></svg>",
    ].join("\n");
  }

  return { text };
})();
