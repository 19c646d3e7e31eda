// One chart: what it draws, its legend, its table. charts.js says when.
(() => {
  "use strict";
  const { nearest, smoothed } = window.kos.curves;
  const { HEIGHT, options, isNear, short, AXES } = window.kos.plots;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const TABLE_ROWS = 200;
  const words = (name) => name.replaceAll(/[_/]/g, " ");
  const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
  const latest = (values) => values.findLast((value) => value != null);

  function made(tag, text = "", className = "") {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  // Names without the path they share: "length/output", "length/output/p90" are "mean", "p90".
  function labels(names) {
    const paths = names.map((name) => name.split("/"));
    let shared = 0;
    if (names.length > 1) while (paths.every((path) => path[shared] !== undefined && path[shared] === paths[0][shared])) shared++;
    return paths.map((path) => {
      const rest = path.slice(shared).join("/");
      return rest === "" ? "mean" : words(/^\d+$/.test(rest) ? path.slice(-2).join("/") : rest);
    });
  }

  // A run that is not there yet, or has ended, has no number under the cursor.
  function valueAt(xs, ys, x) {
    const slack = (xs[xs.length - 1] - xs[0]) / xs.length;
    return x < xs[0] - slack || x > xs[xs.length - 1] + slack ? null : ys[nearest(xs, x)];
  }

  class Panel {
    constructor(charts, figure) {
      this.charts = charts;
      this.figure = figure;
      this.patterns = figure.dataset.panel.split(" ");
      this.shape = figure.dataset.shape ?? "";
      this.marks = JSON.parse(figure.dataset.marks || "[]");
      this.box = figure.querySelector(".plot");
      this.title = figure.querySelector("h3").textContent;
      this.plot = null;
      this.isSeen = false;
      this.isAsked = false;
      const button = figure.querySelector("[data-table]");
      button.hidden = false;
      button.addEventListener("click", () => this.toggleTable(button));
      this.rows = made("div", "", "wrap rows");
      this.rows.hidden = true;
      this.box.after(this.rows);
    }

    get isMean() {
      return this.shape !== "";
    }

    // What is drawn: a metric each, or with several runs a run each.
    lines() {
      const { sources } = this.charts;
      if (sources.length > 1 || sources[0].slot) {
        return sources.filter((source) => source.isShown).flatMap((source) => source.names(this.patterns).slice(0, 1).map((name) => ({ source, name, label: source.label, slot: source.slot, dash: source.slot - 1 })));
      }
      const names = sources[0].names(this.patterns);
      const said = labels(names);
      return names.map((name, place) => ({ source: sources[0], name, label: said[place], slot: (place % 6) + 1, dash: place % 6 }));
    }

    get isKnown() {
      return this.charts.sources.some((source) => source.names(this.patterns).length);
    }

    see(isSeen) {
      this.isSeen = isSeen;
      if (!isSeen) return;
      if (!this.isAsked) this.load();
      else if (this.isStale) this.draw();
    }

    load() {
      this.isAsked = true;
      const points = this.shape === "bars" ? 100 : this.shape ? 300 : Math.min(2000, Math.max(600, 3 * this.box.clientWidth));
      this.charts.fetch(this, { kind: this.isMean ? "mean" : "whole", points });
    }

    draw() {
      this.isStale = !this.isSeen;
      if (this.isStale) return;
      const { settings, axis, view } = this.charts;
      let lines = this.lines().map((line) => ({ ...line, curve: line.source.curve(line.name, this.isMean) })).filter((line) => line.curve?.steps.length);
      if (!lines.length) return this.clear();
      // What is partly negative does not add up to a whole: it is drawn as lines.
      const isPiled = this.isMean && lines.every((line) => line.curve.values.every((value) => value == null || value >= 0));
      // A pile has its largest part below.
      if (isPiled) lines = lines.toSorted((a, b) => sum(b.curve.values) - sum(a.curve.values));
      const isLog = settings.isLog && !isPiled && lines.every((line) => line.curve.values.some((value) => value > 0));
      const isSmooth = settings.smooth > 0 && !isPiled;
      // Where several steps share a pixel, their mean is the line and their range lies behind it.
      const isBacked = !isPiled && (isSmooth || lines.some((line) => line.curve.isThinned));
      for (const line of lines) {
        line.xs = this.charts.xs(line.source, line.curve);
        line.raw = isLog ? line.curve.values.map((value) => (value > 0 ? value : null)) : line.curve.values;
        line.ys = isSmooth ? smoothed(line.curve, settings.smooth) : isPiled ? line.raw : line.curve.means;
        if (isLog) line.ys = line.ys.map((value) => (value > 0 ? value : null));
      }
      this.lined = lines;
      const data = isPiled ? this.piled(lines) : uPlot.join([...(isBacked ? lines.map((line) => [line.xs, line.raw]) : []), ...lines.map((line) => [line.xs, line.ys])]);
      // One step has no area, so it is a bar.
      const shape = !isPiled ? "lines" : data[0].length < 2 ? "bars" : this.shape;
      this.sumUp(lines);
      const key = [shape, axis, isLog, isBacked, data[0].length < 2, ...lines.map((line) => `${line.source.address} ${line.name}`)].join();
      if (!this.plot || this.key !== key) this.build(key, lines, data, { shape, isLog, isBacked });
      else this.plot.setData(data, !view);
      if (view) this.plot.batch(() => this.plot.setScale("x", { min: view[0], max: view[1] }));
      this.tell(null);
      if (!this.rows.hidden) this.fillTable();
    }

    build(key, lines, data, look) {
      this.plot?.destroy();
      this.key = key;
      const { charts } = this;
      const given = { ...look, lines, axis: charts.axis, width: this.box.clientWidth, isSingle: data[0].length < 2, marks: look.shape === "lines" ? this.marks : [] };
      const hooks = { cursor: (plot) => this.tell(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null) };
      this.drawLegend(lines);
      this.plot = new uPlot(options({ ...given, hooks, select: (from, to) => charts.zoom([from, to]), reset: () => charts.zoom(null) }), data, this.box);
      if (charts.stepAddress) this.link(this.plot);
    }

    // Piles are drawn from the whole down, each part over the rest.
    piled(lines) {
      const joined = uPlot.join(lines.map((line) => [line.xs, line.ys]));
      const parts = joined.slice(1);
      const piles = parts.map((_, place) => joined[0].map((_, at) => sum(parts.slice(0, place + 1).map((part) => part[at]))));
      return [joined[0], ...piles.toReversed()];
    }

    // The one sentence that stands for the picture, and the number above it.
    sumUp(lines) {
      const counts = lines.map((line) => line.curve.count);
      const first = lines[0].curve.values.find((value) => value != null);
      const told = lines.slice(0, 6).map((line) => `${line.label ? `${line.label} ` : ""}${short(latest(line.curve.values))}`).join(", ");
      this.box.setAttribute("aria-label", lines.length === 1
        ? `${this.title} over ${Math.max(...counts).toLocaleString("en")} steps, from ${short(first)} to ${short(latest(lines[0].curve.values))}`
        : `${this.title} over ${Math.max(...counts).toLocaleString("en")} steps, now ${told}`);
      // Of several runs none is the panel's own number: each stands in the legend.
      this.figure.classList.toggle("several", lines[0].source.slot > 0);
    }

    clear() {
      this.plot?.destroy();
      this.plot = null;
      this.figure.querySelector("[data-legend]").replaceChildren();
      this.figure.querySelector("[data-value]").textContent = "–";
    }

    // A click on a step leads to what was sampled in it; a drag or a double click does not.
    link(plot) {
      let from = 0;
      let waiting = null;
      plot.over.classList.add("linked");
      plot.over.addEventListener("mousedown", (event) => { from = event.clientX; });
      plot.over.addEventListener("dblclick", () => clearTimeout(waiting));
      plot.over.addEventListener("click", (event) => {
        clearTimeout(waiting);
        if (Math.abs(event.clientX - from) > 4 || plot.cursor.left < 0) return;
        const { curve, xs } = this.lined[0];
        const step = curve.steps[nearest(xs, plot.posToVal(plot.cursor.left, "x"))];
        const go = () => { location.href = this.charts.stepAddress.replace("/0/", `/${step}/`); };
        if (this.charts.view) waiting = setTimeout(go, 300);
        else go();
      });
    }

    drawLegend(lines) {
      const items = lines.map(({ label, slot, dash }) => {
        const item = made("li", "", `k${slot}${dash > 2 ? " dashed" : ""}`);
        item.append(made("span", label || this.title), made("b", "", "num"));
        return item;
      });
      const values = lines.flatMap((line) => line.curve.values).filter((value) => value != null);
      const [low, high] = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
      const marks = this.marks.filter(({ value }) => isNear(value, low, high)).map(({ label }) => made("li", label, "mark"));
      this.figure.querySelector("[data-legend]").replaceChildren(...(lines.length > 1 || lines[0].source.slot ? items : []), ...marks);
    }

    // The numbers under the cursor; the newest ones without it.
    tell(x) {
      if (!this.lined) return;
      const values = this.lined.map(({ xs, ys, curve }) => (x == null ? latest(curve.values) : valueAt(xs, ys, x)));
      const boxes = all("[data-legend] b", this.figure);
      boxes.forEach((box, place) => { box.textContent = short(values[place]); });
      const isWhole = this.isMean && this.lined.length > 1 && this.key?.startsWith("lines") === false;
      this.figure.querySelector("[data-value]").textContent = short(isWhole ? sum(values) : values[0]);
      this.figure.querySelector("[data-where]").textContent = x == null ? "" : AXES[this.charts.axis].said(x);
    }

    toggleTable(button) {
      this.rows.hidden = !this.rows.hidden;
      this.box.hidden = !this.rows.hidden;
      button.setAttribute("aria-pressed", !this.rows.hidden);
      if (!this.rows.hidden) this.fillTable();
      else this.resize();
    }

    // The same numbers as rows, newest first; of very many every few.
    fillTable() {
      if (!this.lined) return;
      const { view, axis } = this.charts;
      const shown = this.lined[0].xs.filter((x) => !view || (x >= view[0] && x <= view[1]));
      const every = Math.ceil(shown.length / TABLE_ROWS);
      const xs = shown.filter((_, place) => (shown.length - 1 - place) % every === 0).reverse();
      const table = made("table", "", "t");
      const count = Math.max(...this.lined.map((line) => line.curve.count));
      const part = xs.length < count ? `, ${xs.length} of ${count.toLocaleString("en")} steps; the download has all` : "";
      table.append(made("caption", `${this.title}${part}`));
      const head = table.createTHead().insertRow();
      for (const text of [axis === "step" ? "Step" : "Time", ...this.lined.map((line) => line.label || this.title)]) {
        const cell = made("th", text, "num");
        cell.scope = "col";
        head.append(cell);
      }
      const body = table.createTBody();
      for (const x of xs) {
        const row = body.insertRow();
        const name = made("th", AXES[axis].said(x).replace(/^(step|after) /, ""), "num");
        name.scope = "row";
        row.append(name, ...this.lined.map((line) => made("td", short(valueAt(line.xs, line.ys, x)), "num")));
      }
      this.rows.tabIndex = 0;
      this.rows.setAttribute("role", "region");
      this.rows.setAttribute("aria-label", `${this.title} as a table`);
      this.rows.replaceChildren(table);
    }

    resize() {
      const width = this.box.clientWidth;
      if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    }
  }

  Object.assign(window.kos, { Panel });
})();
