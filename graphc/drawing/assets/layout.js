"use strict";
// Places what is visible of a diagram. Runs in the page and, for the first view, before it is written.
var graphcLayout = (() => {
  // Pixels. Text is monospaced, so its width is known without drawing it.
  const CHARACTER = { label: 7.3, detail: 6.1, value: 6.7 };
  const LINE = 13;
  const PADDING = 9;
  const SMALL_HEIGHT = 24;
  const CIRCLE = 34;
  const LONGEST_IN_CIRCLE = 3;
  const VALUE_GAP = 4;
  const HEADER_PADDING = 20;
  const HEADER_HEIGHT = 22;
  const BOX_PADDING = 10;
  const PORT = 2;
  const MARGIN = 14;
  const CUT_KINDS = new Set(["parameter", "state", "update"]);
  const LONGEST_NAME = 17;
  // Network simplex gives the best ranks, but takes too long for more nodes than this.
  const MOST_FOR_SIMPLEX = 400;

  const widest = (lines, width) => Math.max(0, ...lines.map((line) => line.length)) * width;

  // Long names of states are cut in their middle; the card has them whole.
  function shortened(node) {
    const { label, kind } = node;
    if (!CUT_KINDS.has(kind) || label.length <= LONGEST_NAME) return label;
    const half = (LONGEST_NAME - 1) / 2;
    return `${label.slice(0, Math.ceil(half))}\u2026${label.slice(-Math.floor(half))}`;
  }

  function nodeSize(node, textbook) {
    const label = shortened(node);
    if (textbook && node.kind === "op" && label.length <= LONGEST_IN_CIRCLE) {
      return { width: CIRCLE, height: CIRCLE, shape: "circle", label, details: [] };
    }
    const details = textbook && node.kind !== "box" ? [] : node.details || [];
    const width = Math.max(
      label.length * CHARACTER.label,
      widest(details, CHARACTER.detail),
    );
    return {
      width: Math.max(width + 2 * PADDING, SMALL_HEIGHT),
      height: SMALL_HEIGHT + LINE * details.length,
      shape: "rect",
      label,
      details,
    };
  }

  // The nodes and edges that are seen when the boxes of `view.boxing` in `view.collapsed` are shut.
  function visible(diagram, view) {
    const collapsed = new Set(view.collapsed);
    const boxOf = (node) => (view.boxing && node.boxes ? node.boxes[view.boxing] : undefined);
    const inside = new Map();
    for (const node of diagram.nodes) {
      const box = boxOf(node);
      if (box !== undefined) inside.set(box, (inside.get(box) || 0) + 1);
    }
    const boxes = (diagram.boxes || []).filter((box) => inside.has(box.id));
    const shut = boxes.filter((box) => collapsed.has(box.id));
    const stands = new Map();
    const nodes = [];
    for (const node of diagram.nodes) {
      const box = boxOf(node);
      stands.set(node.id, collapsed.has(box) ? box : node.id);
      if (!collapsed.has(box)) nodes.push({ ...node, box });
    }
    for (const box of shut) {
      const count = inside.get(box.id);
      const details = [count === 1 ? "1 node" : `${count} nodes`];
      nodes.push({ ...box, kind: "box", details, key: box.id });
    }
    return {
      nodes,
      boxes: boxes.filter((box) => !collapsed.has(box.id)),
      edges: visibleEdges(diagram.edges, stands),
    };
  }

  const nameOf = ({ source, target, value, gradient, operand }) =>
    [source, target, ...value, "/", ...gradient, "/", value.length ? operand : 0].join("\n");

  function visibleEdges(edges, stands) {
    const found = new Map();
    for (const edge of edges) {
      const source = stands.get(edge.source);
      const target = stands.get(edge.target);
      if (source === target) continue;
      const isWhole = source === edge.source && target === edge.target;
      const value = isWhole ? edge.value || [] : [];
      const gradient = isWhole ? edge.gradient || [] : [];
      const operand = isWhole ? edge.operand || 0 : 0;
      const use = { source, target, value, gradient, operand };
      const name = nameOf(use);
      if (!found.has(name)) found.set(name, use);
    }
    return [...found.values()];
  }

  // Values stand above and below a horizontal edge; the words of a vertical one interrupt it.
  function labelSize(edge, horizontal) {
    const { value, gradient } = edge;
    if (!value.length && !gradient.length) return {};
    const lines = horizontal ? 2 * Math.max(value.length, gradient.length) : value.length;
    const width = widest([...value, ...gradient], CHARACTER.value) + 2 * VALUE_GAP;
    return { width, height: lines * LINE + 2 * VALUE_GAP, labelpos: "c" };
  }

  function settings(count, horizontal, isCompound) {
    return {
      rankdir: horizontal ? "LR" : "TB",
      nodesep: horizontal ? 14 : 16,
      edgesep: 10,
      ranksep: isCompound ? 60 : horizontal ? 24 : 28,
      ranker: count > MOST_FOR_SIMPLEX ? "tight-tree" : "network-simplex",
    };
  }

  // Lays out items of {id, width, height}, and boxes around them where `parents` names one.
  // -> {width, height, at: id -> place, routes: for each edge its points and its label's place}
  function run(items, edges, horizontal, boxes = [], parents = new Map()) {
    if (!items.length) return { width: 0, height: 0, at: new Map(), routes: [] };
    const isCompound = boxes.length > 0;
    const graph = new dagre.graphlib.Graph({ compound: isCompound, multigraph: true });
    graph.setGraph(settings(items.length, horizontal, isCompound));
    for (const box of boxes) graph.setNode(box.id, {});
    for (const { id, width, height } of items) {
      graph.setNode(id, { width, height });
      if (parents.has(id)) graph.setParent(id, parents.get(id));
    }
    edges.forEach((edge, number) => {
      graph.setEdge(edge.source, edge.target, {
        ...labelSize(edge, horizontal),
        minlen: edge.ranks || 1,
      }, String(number));
    });
    dagre.layout(graph);
    const { width, height } = graph.graph();
    const at = new Map([...items, ...boxes].map(({ id }) => [id, pick(graph.node(id))]));
    const routes = edges.map((edge, number) => {
      const laid = graph.edge({ v: edge.source, w: edge.target, name: String(number) });
      const between = laid.points.slice(1, -1).map(({ x, y }) => ({ x, y }));
      return { between, label: laid.width === undefined || !laid.width ? undefined : pick(laid) };
    });
    return { width, height, at, routes };
  }

  const pick = ({ x, y, width, height }) => ({ x, y, width, height });
  const titleWidth = (box) => box.label.length * CHARACTER.value + HEADER_PADDING;

  // -> {width, height, horizontal, nodes, boxes, edges}: centres and sizes of nodes and boxes, and
  // the points of edges, in pixels.
  function place(diagram, view) {
    const seen = visible(diagram, view);
    const horizontal = Boolean(diagram.textbook);
    seen.nodes = seen.nodes.map((node) => ({ ...drawn(node), ...nodeSize(node, diagram.textbook) }));
    seen.owners = new Map(seen.nodes.map((node) => [node.id, node.box || node.id]));
    const placed = isAcyclic(seen) ? placeNested(seen, horizontal) : placeTogether(seen, horizontal);
    return withMargin({ ...placed, horizontal });
  }

  // What is drawn of a node; its card is made from the diagram.
  function drawn({ id, kind, key, kernels, tint, boxing, box }) {
    return { id, kind, key, kernel: kernels && kernels[0], tint, boxing, box };
  }

  // Whether no box depends on itself through others.
  function isAcyclic({ edges, owners }) {
    const next = new Map([...owners.values()].map((owner) => [owner, new Set()]));
    const waiting = new Map([...next.keys()].map((owner) => [owner, 0]));
    for (const { source, target } of edges) {
      const [from, to] = [owners.get(source), owners.get(target)];
      if (from === to || next.get(from).has(to)) continue;
      next.get(from).add(to);
      waiting.set(to, waiting.get(to) + 1);
    }
    const ready = [...waiting.keys()].filter((owner) => waiting.get(owner) === 0);
    let done = 0;
    while (ready.length) {
      done += 1;
      for (const owner of next.get(ready.pop())) {
        waiting.set(owner, waiting.get(owner) - 1);
        if (waiting.get(owner) === 0) ready.push(owner);
      }
    }
    return done === waiting.size;
  }

  // All nodes in one layout that keeps those of a box together.
  function placeTogether({ nodes, boxes, edges }, horizontal) {
    const needed = new Map(boxes.map((box) => [box.id, titleWidth(box)]));
    const items = nodes.map(({ id, width, height, box }) => {
      // The first node of a box is given room for the box's title.
      const room = Math.max(width, needed.get(box) || 0);
      needed.delete(box);
      return { id, width: room, height };
    });
    const parents = new Map(nodes.filter((node) => node.box).map((node) => [node.id, node.box]));
    const laid = run(items, edges, horizontal, boxes, parents);
    const placed = nodes.map((node) => {
      const { x, y } = laid.at.get(node.id);
      return { ...node, x, y };
    });
    const at = new Map(placed.map((node) => [node.id, node]));
    return {
      width: laid.width,
      height: laid.height,
      nodes: placed,
      boxes: boxes.map(({ notes, kernels, ...box }) => ({ ...box, ...laid.at.get(box.id) })),
      edges: edges.map((edge, i) => routed(edge, laid.routes[i], at, horizontal)),
    };
  }

  function routed(edge, { between, label }, at, horizontal) {
    const [source, target] = [at.get(edge.source), at.get(edge.target)];
    const first = between[0] || target;
    const last = between[between.length - 1] || source;
    const points = [rim(source, first, horizontal), ...between, rim(target, last, horizontal)];
    return { ...edge, label, points };
  }

  function rim(node, towards, horizontal) {
    const along = horizontal ? "x" : "y";
    const half = (horizontal ? node.width : node.height) / 2;
    const sign = towards[along] >= node[along] ? 1 : -1;
    return { x: node.x, y: node.y, [along]: node[along] + sign * half };
  }

  function withMargin(placed) {
    const moved = (number) => Math.round((number + MARGIN) * 10) / 10;
    const shifted = (thing) => thing && { ...thing, x: moved(thing.x), y: moved(thing.y) };
    return {
      ...placed,
      width: placed.width + 2 * MARGIN,
      height: placed.height + 2 * MARGIN,
      nodes: placed.nodes.map(shifted),
      boxes: placed.boxes.map(shifted),
      edges: placed.edges.map((edge) => ({
        ...edge,
        label: shifted(edge.label),
        points: withoutStraight(edge.points.map(shifted), shifted(edge.label)),
      })),
    };
  }

  // The points without those between two others on a line along the flow; labels keep theirs.
  function withoutStraight(points, label) {
    const isKept = ({ x, y }, i) => {
      const [before, after] = [points[i - 1], points[i + 1]];
      if (!before || !after || (label && x === label.x && y === label.y)) return true;
      return !(before.x === x && x === after.x) && !(before.y === y && y === after.y);
    };
    return points.filter(isKept);
  }

  // --- box by box ----------------------------------------------------------------------------

  // The inside of each box for itself, then the boxes. Where a value enters or leaves a box, its
  // inside has a port, a node without extent.
  function placeNested(seen, horizontal) {
    const { nodes, boxes, edges, owners } = seen;
    const insides = new Map(boxes.map((box) => [box.id, inside(box, seen, horizontal)]));
    const outer = new Map();
    for (const edge of edges) {
      const [source, target] = [owners.get(edge.source), owners.get(edge.target)];
      if (source === target) continue;
      const name = crossing(edge, owners);
      if (!outer.has(name)) outer.set(name, { ...edge, source, target });
    }
    const items = boxes.map(({ id }) => ({ id, ...insides.get(id).size }));
    items.push(...nodes.filter((node) => !node.box));
    const laid = run(items, [...outer.values()], horizontal);
    const routes = new Map([...outer.keys()].map((name, i) => [name, laid.routes[i]]));
    const at = new Map();
    for (const node of nodes) {
      const place = node.box ? insides.get(node.box).absolute(node.id, laid) : laid.at.get(node.id);
      at.set(node.id, { ...node, x: place.x, y: place.y });
    }
    return {
      width: laid.width,
      height: laid.height,
      nodes: [...at.values()],
      boxes: boxes.map(({ notes, kernels, ...box }) => ({ ...box, ...laid.at.get(box.id) })),
      edges: edges.map((edge) => {
        const owner = owners.get(edge.source);
        if (owner === owners.get(edge.target)) {
          return routed(edge, insides.get(owner).route(edge, laid), at, horizontal);
        }
        const { between, label } = routes.get(crossing(edge, owners));
        const leaving = insides.has(owner) ? insides.get(owner).leave(edge, laid) : [];
        const enters = insides.get(owners.get(edge.target));
        const entering = enters ? enters.enter(edge, laid) : [];
        return routed(edge, { between: [...leaving, ...between, ...entering], label }, at, horizontal);
      }),
    };
  }

  // Uses of one value in one box come there by one edge, unless each has words of its own.
  function crossing(edge, owners) {
    return nameOf({ ...edge, target: owners.get(edge.target) });
  }

  // The number of edges on the longest path to each item.
  function depthsOf(items, edges) {
    const readers = new Map(items.map(({ id }) => [id, []]));
    const waiting = new Map(items.map(({ id }) => [id, 0]));
    for (const { source, target } of edges) {
      readers.get(source).push(target);
      waiting.set(target, waiting.get(target) + 1);
    }
    const depths = new Map(items.map(({ id }) => [id, 0]));
    const ready = [...waiting.keys()].filter((id) => waiting.get(id) === 0);
    while (ready.length) {
      const id = ready.pop();
      for (const reader of readers.get(id)) {
        depths.set(reader, Math.max(depths.get(reader), depths.get(id) + 1));
        waiting.set(reader, waiting.get(reader) - 1);
        if (waiting.get(reader) === 0) ready.push(reader);
      }
    }
    return depths;
  }

  function inside(box, { nodes, edges, owners }, horizontal) {
    const items = nodes.filter((node) => node.box === box.id);
    const own = edges.filter((edge) => items.length && owners.get(edge.source) === box.id);
    const inner = own.filter((edge) => owners.get(edge.target) === box.id);
    const links = inner.map((edge) => ({ name: nameOf(edge), ...edge }));
    const ports = new Map();
    const link = (name, source, target, ranks) =>
      links.push({ name, source, target, ranks, value: [], gradient: [] });
    const depths = depthsOf(items, inner);
    const deepest = Math.max(0, ...depths.values());
    for (const edge of edges) {
      const [from, to] = [owners.get(edge.source), owners.get(edge.target)];
      if (from === to || (from !== box.id && to !== box.id)) continue;
      const port = from === box.id ? `out\n${edge.source}` : `in\n${crossing(edge, owners)}`;
      if (from === box.id && ports.has(port)) continue;
      ports.set(port, { id: port, width: PORT, height: PORT });
      // Ports lie above and below all nodes, so that no edge crosses one on its way to the frame.
      if (from === box.id) link(port, edge.source, port, deepest + 1 - depths.get(edge.source));
      else link(`${port}\n${edge.target}`, port, edge.target, depths.get(edge.target) + 1);
    }
    const laid = run([...items, ...ports.values()], links, horizontal);
    const size = {
      width: Math.max(laid.width, titleWidth(box)) + 2 * BOX_PADDING,
      height: laid.height + 2 * BOX_PADDING + HEADER_HEIGHT,
    };
    const indent = { x: (size.width - laid.width) / 2, y: BOX_PADDING + HEADER_HEIGHT };
    const corner = (outer) => {
      const { x, y } = outer.at.get(box.id);
      return { x: x - size.width / 2 + indent.x, y: y - size.height / 2 + indent.y };
    };
    const moved = (thing, outer) => {
      const { x, y } = corner(outer);
      return thing && { ...thing, x: thing.x + x, y: thing.y + y };
    };
    const routes = new Map(links.map((each, i) => [each.name, laid.routes[i]]));
    const through = (name, outer) => routes.get(name).between.map((point) => moved(point, outer));
    // The place on the frame that is nearest to a port along the flow.
    const frame = (port, outer, sign) => {
      const point = moved(laid.at.get(port), outer);
      const centre = outer.at.get(box.id);
      return horizontal
        ? { x: centre.x + (sign * size.width) / 2, y: point.y }
        : { x: point.x, y: centre.y + (sign * size.height) / 2 };
    };
    return {
      size,
      absolute: (id, outer) => moved(laid.at.get(id), outer),
      route(edge, outer) {
        const name = nameOf(edge);
        return { between: through(name, outer), label: moved(routes.get(name).label, outer) };
      },
      leave(edge, outer) {
        const port = `out\n${edge.source}`;
        return [...through(port, outer), moved(pick(laid.at.get(port)), outer), frame(port, outer, 1)];
      },
      enter(edge, outer) {
        const port = `in\n${crossing(edge, owners)}`;
        const rest = through(`${port}\n${edge.target}`, outer);
        return [frame(port, outer, -1), moved(pick(laid.at.get(port)), outer), ...rest];
      },
    };
  }

  return { place, visible };
})();
