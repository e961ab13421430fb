"use strict";
// Every .graph-panel of the page comes to life: pan, zoom, search, collapse, cards, linked hover.
(() => {
  const ZOOM_STEP = 1.25;
  const SMALLEST_SCALE = 0.02;
  const LARGEST_SCALE = 6;
  // A first view is not shown smaller than this, so of a large graph a part is seen.
  const READABLE_SCALE = 0.4;
  const READABLE_VALUES_SCALE = 0.8;
  const LARGEST_FITTED_SCALE = 1.4;
  // Titles of boxes are drawn at least so large, in pixels of the screen, where they fit.
  const HEADER_SIZE = 11;
  const HEADER_CHARACTER = 0.62;
  // Laying out more nodes than the first takes so long that it is said before; more than the second
  // are refused.
  const MANY_NODES = 250;
  const MOST_NODES = 2500;
  const HEADER_LARGEST = 22;
  const CLICK_DISTANCE = 4;
  // So long the page has to show what was said before it is busy.
  const PAINT_MILLISECONDS = 30;

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    Object.assign(made, properties);
    made.append(...children.filter((child) => child !== undefined));
    return made;
  }

  const dataOf = (root) => JSON.parse(root.querySelector("script").textContent);

  // The sources of a diagram, or of that which holds them for it.
  function sourcesOf(diagram) {
    if (!diagram.sources && diagram.sources_in) {
      const [panel, number] = diagram.sources_in;
      diagram.sources = dataOf(document.getElementById(panel))[number].diagram.sources;
    }
    return diagram.sources || {};
  }

  // One diagram: what is visible of it, and where the eye is.
  class View {
    constructor(panel, data, name) {
      this.panel = panel;
      this.diagram = data.diagram;
      this.name = name;
      this.state = { boxing: data.view.boxing, collapsed: new Set(data.view.collapsed) };
      this.placed = data.layout;
      this.nodes = new Map(this.diagram.nodes.map((node) => [node.id, node]));
      this.boxes = new Map((this.diagram.boxes || []).map((box) => [box.id, box]));
      this.canvas = element("div", { className: "graph-canvas", tabIndex: 0 });
      this.element = element(
        "figure",
        { className: "graph-view" },
        element("figcaption", { textContent: this.diagram.title }),
        this.canvas,
      );
      this.pointers = new Map();
      this.listen();
    }

    draw() {
      this.canvas.innerHTML = graphcSvg.text(this.placed, { name: this.name });
      this.svg = this.canvas.firstElementChild;
      this.svg.removeAttribute("width");
      this.svg.removeAttribute("height");
      this.svg.removeAttribute("viewBox");
      this.moving = this.svg.querySelector(".moving");
      this.headers = [...this.svg.querySelectorAll(".header")];
    }

    // --- what is visible ---------------------------------------------------------------------

    // Calls `done` with whether there was a new layout.
    relayout(anchor, done) {
      const view = { boxing: this.state.boxing, collapsed: [...this.state.collapsed] };
      const count = graphcLayout.visible(this.diagram, view).nodes.length;
      if (count > MOST_NODES) {
        this.panel.say(`${count} nodes are too many to lay out at once; open single boxes`);
        done(false);
      } else if (count > MANY_NODES) {
        this.panel.say(`laying out ${count} nodes \u2026`);
        setTimeout(() => this.show(view, anchor, done), PAINT_MILLISECONDS);
      } else {
        this.show(view, anchor, done);
      }
    }

    show(view, anchor, done) {
      const before = anchor && this.placeOf(anchor);
      this.placed = graphcLayout.place(this.diagram, view);
      this.panel.say("");
      this.draw();
      const after = anchor && this.placeOf(anchor);
      if (before && after) {
        // The box that was clicked stays under the pointer.
        this.x += (before.x - after.x) * this.scale;
        this.y += (before.y - after.y) * this.scale;
        this.move();
      } else {
        this.fit(true);
      }
      this.panel.mark();
      done(true);
    }

    placeOf(box) {
      const all = [...this.placed.boxes, ...this.placed.nodes];
      const found = all.find((each) => each.id === box);
      return found && { x: found.x, y: found.y - found.height / 2 };
    }

    change(apply, anchor) {
      const before = { boxing: this.state.boxing, collapsed: new Set(this.state.collapsed) };
      apply(this.state);
      this.relayout(anchor, (isNew) => {
        if (!isNew) this.state = before;
      });
    }

    toggle(box) {
      this.change((state) => {
        if (!state.collapsed.delete(box)) state.collapsed.add(box);
      }, box);
    }

    boxesOf(boxing) {
      return [...this.boxes.values()].filter((box) => box.boxing === boxing);
    }

    // --- pan and zoom ------------------------------------------------------------------------

    // The whole graph; with `readable` no smaller than can be read, from its beginning.
    fit(readable = false) {
      const { clientWidth, clientHeight } = this.canvas;
      if (!clientWidth) return;
      const { width, height, horizontal, nodes } = this.placed;
      const whole = Math.min(clientWidth / width, clientHeight / height);
      const least = horizontal ? READABLE_VALUES_SCALE : READABLE_SCALE;
      this.scale = clamp(readable ? Math.max(whole, least) : whole, SMALLEST_SCALE, LARGEST_FITTED_SCALE);
      const along = horizontal ? "x" : "y";
      const first = nodes.reduce((a, b) => (b[along] < a[along] ? b : a), nodes[0] || { x: 0, y: 0 });
      // What does not fit begins at its edge, and across that with the first node in the middle.
      const placed = (room, size, at) => {
        const missing = room - size * this.scale;
        return missing >= 0 ? missing / 2 : clamp(room / 2 - at * this.scale, missing, 0);
      };
      this.x = placed(clientWidth, width, horizontal ? 0 : first.x);
      this.y = placed(clientHeight, height, horizontal ? first.y : 0);
      this.move();
    }

    move() {
      this.moving.setAttribute("transform", `translate(${this.x},${this.y}) scale(${this.scale})`);
      for (const header of this.headers) {
        const most = header.dataset.width / (header.textContent.length * HEADER_CHARACTER);
        const size = Math.max(HEADER_SIZE, Math.min(HEADER_SIZE / this.scale, most, HEADER_LARGEST));
        header.style.fontSize = `${size}px`;
        header.setAttribute("y", Number(header.dataset.top) + size + 2);
      }
    }

    zoom(factor, at) {
      const scale = clamp(this.scale * factor, SMALLEST_SCALE, LARGEST_SCALE);
      const centre = at || { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
      this.x = centre.x - ((centre.x - this.x) * scale) / this.scale;
      this.y = centre.y - ((centre.y - this.y) * scale) / this.scale;
      this.scale = scale;
      this.move();
    }

    centre(id) {
      const found = [...this.placed.nodes, ...this.placed.boxes].find((each) => each.id === id);
      if (!found) return;
      this.scale = Math.max(this.scale, 0.9);
      this.x = this.canvas.clientWidth / 2 - found.x * this.scale;
      this.y = this.canvas.clientHeight / 2 - found.y * this.scale;
      this.move();
    }

    listen() {
      const { canvas } = this;
      const local = (event) => {
        const { left, top } = canvas.getBoundingClientRect();
        return { x: event.clientX - left, y: event.clientY - top };
      };
      canvas.addEventListener(
        "wheel",
        (event) => {
          event.preventDefault();
          this.zoom(Math.exp(-clamp(event.deltaY, -200, 200) * 0.002), local(event));
        },
        { passive: false },
      );
      canvas.addEventListener("pointerdown", (event) => {
        this.pointers.set(event.pointerId, local(event));
        this.pressed = { ...local(event), target: event.target };
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (this.pointers.has(event.pointerId)) this.drag(event.pointerId, local(event));
        else this.panel.hover(this, event.target, event);
      });
      const release = (event) => {
        this.pointers.delete(event.pointerId);
        const { pressed } = this;
        if (!pressed || event.type !== "pointerup") return;
        const { x, y } = local(event);
        if (Math.hypot(x - pressed.x, y - pressed.y) <= CLICK_DISTANCE) {
          this.panel.click(this, pressed.target, event);
        }
        this.pressed = undefined;
      };
      canvas.addEventListener("pointerup", release);
      canvas.addEventListener("pointercancel", release);
      canvas.addEventListener("pointerleave", (event) => {
        if (!this.pointers.size) this.panel.hover(this, undefined, event);
      });
      canvas.addEventListener("keydown", (event) => {
        const keys = { "+": () => this.zoom(ZOOM_STEP), "-": () => this.zoom(1 / ZOOM_STEP) };
        keys["0"] = () => this.fit();
        if (keys[event.key]) keys[event.key]();
      });
    }

    // One finger or the mouse pans, two fingers zoom.
    drag(id, point) {
      const before = this.pointers.get(id);
      const others = [...this.pointers.keys()].filter((each) => each !== id);
      this.pointers.set(id, point);
      if (others.length) {
        const other = this.pointers.get(others[0]);
        const apart = (p) => Math.hypot(p.x - other.x, p.y - other.y);
        this.zoom(apart(point) / Math.max(apart(before), 1), other);
        this.pressed = undefined;
        return;
      }
      this.x += point.x - before.x;
      this.y += point.y - before.y;
      this.move();
    }
  }

  class Panel {
    constructor(root) {
      this.root = root;
      this.name = root.id;
      this.started = false;
      root.graphPanel = this;
    }

    // Nothing is drawn before it can be seen.
    start() {
      if (this.started) return;
      this.started = true;
      const data = dataOf(this.root);
      this.views = data.map((each, i) => new View(this, each, `${this.name}-${i}`));
      this.card = element("aside", { className: "graph-card", hidden: true });
      const frame = element("div", { className: "graph-views" });
      frame.append(...this.views.map((view) => view.element));
      this.root.append(this.toolbar(), frame, this.card);
      for (const view of this.views) {
        view.draw();
        view.fit(true);
      }
    }

    toolbar() {
      this.search = element("input", { type: "search", placeholder: "Search", ariaLabel: "Search" });
      this.search.addEventListener("input", () => this.mark());
      this.search.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.next();
      });
      this.found = element("output", { className: "graph-found" });
      const button = (text, title, act) => {
        const made = element("button", { type: "button", textContent: text, title });
        made.addEventListener("click", act);
        return made;
      };
      const all = (act) => () => this.views.forEach(act);
      const shut = (view) =>
        view.change((state) => {
          state.boxing = state.boxing || "layer";
          state.collapsed = new Set(view.boxesOf(state.boxing).map((box) => box.id));
          this.boxing.value = state.boxing;
        });
      const open = (view) => view.change((state) => state.collapsed.clear());
      return element(
        "div",
        { className: "graph-toolbar" },
        this.search,
        this.found,
        this.boxingChoice(),
        button("Collapse", "Draw each box as one node", all(shut)),
        button("Expand", "Open all boxes", all(open)),
        button("\u2212", "Zoom out", all((view) => view.zoom(1 / ZOOM_STEP))),
        button("+", "Zoom in", all((view) => view.zoom(ZOOM_STEP))),
        button("Fit", "Show the whole graph", all((view) => view.fit())),
      );
    }

    boxingChoice() {
      const boxings = new Set(this.views.flatMap((v) => [...v.boxes.values()].map((b) => b.boxing)));
      const names = { group: "kernels", layer: "layers" };
      this.boxing = element("select", { ariaLabel: "Boxes" });
      this.boxing.append(element("option", { value: "", textContent: "no boxes" }));
      for (const boxing of boxings) {
        this.boxing.append(element("option", { value: boxing, textContent: `by ${names[boxing]}` }));
      }
      this.boxing.value = this.views[this.views.length - 1].state.boxing || "";
      this.boxing.addEventListener("change", () => {
        for (const view of this.views) {
          const wanted = this.boxing.value;
          const has = view.boxesOf(wanted).length > 0;
          view.change((state) => {
            state.boxing = has ? wanted : undefined;
          });
        }
      });
      return this.boxing;
    }

    say(text) {
      this.found.textContent = text;
    }

    // --- search --------------------------------------------------------------------------------

    // Marks what has the words in its name, type, line, source or kernel; box by box where shut.
    mark() {
      const wanted = this.search.value.trim().toLowerCase();
      this.hits = [];
      for (const view of this.views) {
        const matching = new Set();
        for (const node of wanted ? view.diagram.nodes : []) {
          const words = [node.label, node.text, node.type, node.line, node.source_line];
          if ([...words, ...(node.kernels || [])].join(" ").toLowerCase().includes(wanted)) {
            matching.add(node.id);
            if (view.state.boxing && node.boxes) matching.add(node.boxes[view.state.boxing]);
          }
        }
        view.svg.classList.toggle("searched", wanted !== "");
        for (const drawn of view.svg.querySelectorAll(".node")) {
          const isHit = matching.has(drawn.dataset.node);
          drawn.classList.toggle("hit", isHit);
          if (isHit) this.hits.push([view, drawn.dataset.node]);
        }
      }
      if (wanted) this.say(`${this.hits.length} found`);
      else if (this.found.textContent.endsWith(" found")) this.say("");
      this.current = -1;
    }

    next() {
      if (!this.hits || !this.hits.length) return;
      this.current = (this.current + 1) % this.hits.length;
      const [view, id] = this.hits[this.current];
      view.centre(id);
    }

    // --- cards ---------------------------------------------------------------------------------

    hover(view, target, event) {
      const drawn = target && target.closest("[data-node], [data-box]");
      if (drawn === this.hovered) {
        if (drawn && !this.pinned) this.placeCard(event);
        return;
      }
      this.hovered = drawn;
      this.link(drawn);
      if (this.pinned) return;
      if (!drawn) {
        this.card.hidden = true;
        return;
      }
      this.fill(view, drawn);
      this.placeCard(event);
    }

    click(view, target, event) {
      const box = target.closest(".header, .node.box");
      if (box) {
        view.toggle(box.dataset.box);
        return;
      }
      const drawn = target.closest("[data-node], [data-box]");
      const isNode = drawn && drawn.dataset.node;
      this.pinned = Boolean(isNode);
      this.card.classList.toggle("pinned", this.pinned);
      this.card.hidden = !this.pinned;
      if (!isNode) return;
      this.fill(view, drawn);
      this.placeCard(event);
      const kernel = drawn.dataset.kernel || null;
      const detail = { kernel, node: drawn.dataset.node };
      this.root.dispatchEvent(new CustomEvent("graphc:select", { bubbles: true, detail }));
    }

    // The same value is marked in all views; the edges of the node that is pointed at, too.
    link(drawn) {
      for (const each of this.root.querySelectorAll(".linked")) each.classList.remove("linked");
      if (!drawn || !drawn.dataset.node) return;
      const same = (name, value) => `[${name}="${CSS.escape(value)}"]`;
      const marked = [drawn];
      if (drawn.dataset.key) {
        marked.push(...this.root.querySelectorAll(`.node${same("data-key", drawn.dataset.key)}`));
      }
      const id = drawn.dataset.node;
      const ends = `.edge${same("data-source", id)}, .edge${same("data-target", id)}`;
      marked.push(...drawn.ownerSVGElement.querySelectorAll(ends));
      for (const each of marked) each.classList.add("linked");
    }

    fill(view, drawn) {
      const node = view.nodes.get(drawn.dataset.node);
      const shown = node || view.boxes.get(drawn.dataset.box || drawn.dataset.node);
      const rows = [
        element("h4", {}, shown.label, element("small", { textContent: shown.kind || shown.boxing })),
      ];
      const row = (name, text, tag = "span") => {
        if (!text) return;
        rows.push(element("p", {}, element("b", { textContent: name }), element(tag, {}, text)));
      };
      row("type", shown.type);
      row("op", shown.text);
      row("line", shown.line);
      if (shown.source_line) rows.push(element("pre", { textContent: shown.source_line }));
      if (shown.value) rows.push(element("pre", { className: "value", textContent: shown.value }));
      for (const note of shown.notes || []) rows.push(element("p", { textContent: note }));
      const close = element("button", { type: "button", textContent: "\u00d7", title: "Close" });
      close.addEventListener("click", () => this.unpin());
      this.card.replaceChildren(close, ...rows, ...this.sources(view.diagram, shown));
      this.card.hidden = false;
    }

    // The generated source of the kernels, lines that come from the user's line marked.
    sources(diagram, shown) {
      const known = sourcesOf(diagram);
      return (shown.kernels || [])
        .filter((name) => known[name])
        .map((name, i) => {
          const code = element("pre", { className: "source" });
          for (const line of known[name].split("\n")) {
            const isOfLine = shown.line && line.includes(`# ${shown.line}:`);
            code.append(element(isOfLine ? "mark" : "span", { textContent: line }), "\n");
          }
          const title = element("summary", { textContent: `kernel ${name}` });
          return element("details", { open: i === 0 }, title, code);
        });
    }

    placeCard(event) {
      const { card } = this;
      const gap = 16;
      const { innerWidth, innerHeight } = window;
      const { offsetWidth, offsetHeight } = card;
      const isRight = event.clientX + gap + offsetWidth > innerWidth;
      const left = isRight ? event.clientX - gap - offsetWidth : event.clientX + gap;
      card.style.left = `${clamp(left, 4, Math.max(innerWidth - offsetWidth - 4, 4))}px`;
      card.style.top = `${clamp(event.clientY + gap, 4, Math.max(innerHeight - offsetHeight - 4, 4))}px`;
    }

    unpin() {
      this.pinned = false;
      this.card.classList.remove("pinned");
      this.card.hidden = true;
    }

    // --- for the page around -------------------------------------------------------------------

    // Shows the kernel of that name in every view; false where it is in none.
    focusKernel(name) {
      this.start();
      this.search.value = name;
      this.mark();
      this.next();
      return this.hits.length > 0;
    }
  }

  const panels = [...document.querySelectorAll(".graph-panel")].map((root) => new Panel(root));
  const startVisible = () => {
    for (const panel of panels) if (panel.root.offsetParent !== null) panel.start();
  };
  // A page that shows a hidden panel says so with this event.
  document.addEventListener("graphc:shown", startVisible);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const panel of panels) if (panel.started) panel.unpin();
  });
  startVisible();
})();
