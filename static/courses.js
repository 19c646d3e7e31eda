// The curriculum designer's numbers as curves whose points are dragged, or moved by the arrow keys.
// A point is a cell of the table: it is read from there and written back, and the server goes on
// from what the table says. Without this one types into the cells.
(() => {
  "use strict";
  const table = document.querySelector("table.course");
  const board = document.getElementById("course-board");
  if (!table || !board) return;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 300;
  const HEIGHT = 130;
  const EDGE = { left: 14, right: 14, top: 24, bottom: 22 };
  const APART = 0.01; // the least between two moments
  const SLACK = 4; // pixels before a drag is one, and its direction is known

  const made = (name, attributes = {}, parent = null) => {
    const one = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    parent?.append(one);
    return one;
  };
  const numberOf = (input) => (input.value.trim() === "" || Number.isNaN(Number(input.value)) ? null : Number(input.value));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const said = (value) => String(Number(value.toPrecision(6)));
  const rounded = (value, step) => Number((Math.round(value / step) * step).toFixed(4));

  const moments = [...table.querySelectorAll("input.moment")];
  const written = new Set();
  let isWriting = false;

  function write(input, value) {
    const text = value === null ? "" : said(value);
    if (input.value === text) return;
    input.value = text;
    written.add(input);
  }
  // The form hears of it once, however many cells a key or a drag has moved.
  function tell() {
    if (!written.size) return;
    isWriting = true;
    for (const input of written) input.dispatchEvent(new Event("input", { bubbles: true }));
    isWriting = false;
    written.clear();
  }

  class Graph {
    constructor(row) {
      this.label = row.querySelector("th").textContent.trim();
      const name = row.dataset.number;
      this.isCount = /free|maximum/.test(name);
      this.step = this.isCount ? 10 : 0.01;
      this.bound = name === "gate" ? 1 : null;
      this.inputs = [...row.querySelectorAll("td input")];
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.className = "small mid";
      caption.textContent = this.label;
      this.svg = made("svg", { class: "course-graph", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": `${this.label} over the training` });
      for (const at of [0, 0.5, 1]) {
        made("line", { class: "grid", x1: this.x(at), x2: this.x(at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }, this.svg);
        const text = made("text", { x: this.x(at), y: HEIGHT - 6, "text-anchor": at === 0 ? "start" : at === 1 ? "end" : "middle" }, this.svg);
        text.textContent = ["start", "half way", "end"][at * 2];
      }
      this.line = made("polyline", {}, this.svg);
      this.points = this.inputs.map((input, place) => new Point(this, input, moments[place - 1] || null));
      figure.append(caption, this.svg);
      board.append(figure);
      this.rescale();
    }

    x(progress) { return EDGE.left + progress * (WIDTH - EDGE.left - EDGE.right); }
    y(value) { return HEIGHT - EDGE.bottom - (value / this.most) * (HEIGHT - EDGE.top - EDGE.bottom); }
    progressAt(x) { return (x - EDGE.left) / (WIDTH - EDGE.left - EDGE.right); }
    valueAt(y) { return ((HEIGHT - EDGE.bottom - y) / (HEIGHT - EDGE.top - EDGE.bottom)) * this.most; }

    // Where the curve has knots, in order: the start, and every moment that says a value.
    knots() {
      const found = this.points.map((point) => [point.progress, numberOf(point.input)]);
      return found.filter(([at, value]) => at !== null && value !== null).sort((one, other) => one[0] - other[0]);
    }

    at(progress) {
      const knots = this.knots();
      const next = knots.findIndex(([at]) => at >= progress);
      if (next < 0) return knots.length ? knots[knots.length - 1][1] : 0;
      if (next === 0) return knots[0][1];
      const [[from, low], [to, high]] = [knots[next - 1], knots[next]];
      return low + ((high - low) * (progress - from)) / (to - from || 1);
    }

    // Room above the largest value, so that there is somewhere to drag to.
    rescale() {
      const largest = Math.max(0, ...this.knots().map(([, value]) => value));
      this.most = this.bound ?? (Math.max(largest, this.step * 10) * 1.3);
      this.draw();
    }

    draw() {
      const knots = this.knots();
      const ends = knots.length ? [[0, knots[0][1]], ...knots, [1, knots[knots.length - 1][1]]] : [];
      this.line.setAttribute("points", ends.map(([at, value]) => `${this.x(at).toFixed(1)},${this.y(value).toFixed(1)}`).join(" "));
      this.points.forEach((point) => point.draw());
    }
  }

  class Point {
    constructor(graph, input, moment) {
      Object.assign(this, { graph, input, moment, drag: null });
      this.group = made("g", { class: "handle", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0 }, graph.svg);
      made("circle", { class: "reach", r: 13 }, this.group);
      made("circle", { class: "dot", r: 5 }, this.group);
      this.text = made("text", { "text-anchor": "middle", "aria-hidden": "true" }, this.group);
      this.group.addEventListener("pointerdown", (event) => this.grab(event));
      this.group.addEventListener("pointermove", (event) => this.pull(event));
      this.group.addEventListener("pointerup", () => this.release());
      this.group.addEventListener("pointercancel", () => this.restore());
      this.group.addEventListener("keydown", (event) => this.press(event));
    }

    get progress() {
      const at = this.moment ? numberOf(this.moment) : 0;
      return at !== null && at >= 0 && at <= 1 ? at : null;
    }

    // An empty cell lies where the line between its neighbours goes through.
    get value() { return numberOf(this.input) ?? this.graph.at(this.progress ?? 1); }

    draw() {
      const { graph, group, progress, value } = this;
      group.toggleAttribute("hidden", progress === null);
      if (progress === null) return;
      const isEmpty = numberOf(this.input) === null;
      const where = this.moment ? `at ${said(progress)} of the training` : "at the start";
      group.setAttribute("transform", `translate(${graph.x(progress).toFixed(1)} ${clamp(graph.y(value), EDGE.top, HEIGHT).toFixed(1)})`);
      group.classList.toggle("empty", isEmpty);
      group.setAttribute("aria-label", `${graph.label}, ${where}`);
      group.setAttribute("aria-valuenow", said(value));
      group.setAttribute("aria-valuemax", said(Math.max(graph.most, value)));
      group.setAttribute("aria-valuetext", isEmpty ? `${said(rounded(value, graph.step))}, between its neighbours` : said(value));
      this.text.textContent = isEmpty ? "" : said(value);
      this.text.setAttribute("y", -10);
      this.text.setAttribute("text-anchor", progress < 0.08 ? "start" : progress > 0.92 ? "end" : "middle");
    }

    setValue(value) {
      write(this.input, clamp(rounded(value, this.graph.step), 0, this.graph.bound ?? Infinity));
    }

    // Moments keep their order: one stops short of the next.
    setProgress(progress) {
      if (!this.moment) return;
      const others = moments.filter((one) => one !== this.moment).map(numberOf).filter((at) => at !== null);
      const low = Math.max(0, ...others.filter((at) => at < this.progress)) + APART;
      const high = Math.min(1 + APART, ...others.filter((at) => at > this.progress)) - APART;
      if (low <= high) write(this.moment, clamp(rounded(progress, APART), low, high));
    }

    grab(event) {
      if (event.button) return;
      const { x, y } = this.place(event);
      this.group.setPointerCapture(event.pointerId);
      this.drag = { x, y, way: "", value: this.input.value, moment: this.moment?.value };
    }

    // Along one axis at a time: a hand that lifts a value would else shift the moment of them all.
    pull(event) {
      if (!this.drag) return;
      const { x, y } = this.place(event);
      const [across, along] = [Math.abs(x - this.drag.x), Math.abs(y - this.drag.y)];
      if (!this.drag.way && Math.max(across, along) < SLACK) return;
      this.drag.way ||= across > along && this.moment ? "moment" : "value";
      if (this.drag.way === "moment") this.setProgress(this.graph.progressAt(x));
      else this.setValue(this.graph.valueAt(y));
      graphs.forEach((graph) => graph.draw());
    }

    release() {
      if (!this.drag) return;
      this.drag = null;
      tell();
      graphs.forEach((graph) => graph.rescale());
    }

    restore() {
      if (!this.drag) return;
      this.input.value = this.drag.value;
      if (this.moment) this.moment.value = this.drag.moment;
      this.drag = null;
      written.clear();
      graphs.forEach((graph) => graph.draw());
    }

    press(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const times = event.shiftKey ? 10 : 1;
      const { step } = this.graph;
      const moves = {
        ArrowUp: () => this.setValue(this.value + step * times),
        ArrowDown: () => this.setValue(this.value - step * times),
        ArrowRight: () => this.setProgress(this.progress + APART * times),
        ArrowLeft: () => this.setProgress(this.progress - APART * times),
        Delete: () => this.moment && write(this.input, null),
        Backspace: () => this.moment && write(this.input, null),
        Escape: () => this.restore(),
      };
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      move();
      tell();
      graphs.forEach((graph) => graph.rescale());
    }

    place(event) {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.graph.svg.getScreenCTM().inverse());
      return { x, y };
    }
  }

  const graphs = [...table.querySelectorAll("tr[data-number]")].map((row) => new Graph(row));
  table.addEventListener("input", () => { if (!isWriting) graphs.forEach((graph) => graph.rescale()); });
  board.closest("[data-board]").hidden = false;
})();
