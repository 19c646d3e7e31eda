// What the console does in the browser beyond links and forms. Every page works without it,
// save that live pages then show what was true when they were loaded.
//
// A page says what it wants in data attributes:
//   data-socket, data-after   events of a run: connect, and catch up after that number
//   data-stages               run numbers of a pipeline's stages that the page knows
//   data-on="status step"     "refresh" this htmx element when such an event arrives
//   data-charts               address of the numbers; [data-panel] inside names the metrics, its
//                             data-shape piles them; data-step is where a click on a step leads
//   data-follow               keep the newest line in view while the reader is at the end
//   data-auto                 submit this filter form when a menu changes
//   data-confirm              ask before this form is sent
//   data-copy                 copy the text of the element it selects
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const REFRESH_MS = 700;

  // --- Live run events -------------------------------------------------------------------
  const last = { at: null };
  let numBroken = 0;

  class RunSocket {
    constructor(element) {
      this.element = element;
      this.after = Number(element.dataset.after || 0);
      this.tries = 0;
      this.isBroken = false;
      this.connect();
    }

    connect() {
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}${this.element.dataset.socket}?after=${this.after}`);
      socket.onopen = () => { this.tries = 0; this.broken(false); };
      socket.onmessage = (event) => this.take(JSON.parse(event.data));
      socket.onclose = (event) => this.again(event.code);
    }

    take(frame) {
      // Frames are gap-free; what was already seen before a reconnect is passed over.
      const rows = frame.rows.filter((row) => row.seq > this.after);
      if (!rows.length) return;
      this.after = rows[rows.length - 1].seq;
      last.at = new Date();
      this.element.dispatchEvent(new CustomEvent("kos:rows", { detail: rows, bubbles: true }));
      // A pipeline's next stage brings other charts and another log: the page is drawn anew.
      const known = (this.element.dataset.stages || "").split(" ");
      if (this.element.dataset.stages && rows.some((row) => row.kind === "stage" && !known.includes(String(row.data.run)))) return location.reload();
      wake(new Set(rows.map((row) => row.kind)));
    }

    again(code) {
      if (code === 4401 || code === 4403) return say(code === 4401 ? "Signed out: sign in again to go on." : "This run is not yours to watch.");
      this.broken(true);
      const wait = Math.min(10000, 400 * 2 ** this.tries++) * (0.7 + 0.6 * Math.random());
      setTimeout(() => this.connect(), wait);
    }

    broken(isBroken) {
      if (isBroken !== this.isBroken) numBroken += isBroken ? 1 : -1;
      this.isBroken = isBroken;
      const at = (last.at || loaded).toLocaleTimeString("en-GB");
      say(numBroken ? `Reconnecting, showing data up to ${at}` : "");
      for (const pill of all("[data-live]")) {
        pill.className = `pill ${numBroken ? "warn" : "ok"}`;
        pill.textContent = numBroken ? "△ reconnecting" : "● live";
      }
    }
  }

  const loaded = new Date();

  function say(text) {
    for (const strip of all("[data-strip]")) {
      strip.textContent = text;
      strip.hidden = !text;
    }
  }

  // Fragments fetch themselves at most once in REFRESH_MS, however fast events come.
  const due = new Set();
  let timer = null;

  function wake(kinds) {
    kinds.forEach((kind) => due.add(kind));
    timer ??= setTimeout(() => {
      timer = null;
      const kindsDue = new Set(due);
      due.clear();
      for (const element of all("[data-on]")) {
        if (element.dataset.on.split(" ").some((kind) => kindsDue.has(kind))) htmx.trigger(element, "refresh");
      }
    }, REFRESH_MS);
  }

  // --- Charts ----------------------------------------------------------------------------
  const probe = document.createElement("span");
  probe.hidden = true;

  function colour(token, share = 100) {
    // Tokens are light-dark() pairs: only a computed colour can be drawn on a canvas.
    probe.style.color = share === 100 ? `var(${token})` : `color-mix(in srgb, var(${token}) ${share}%, var(--surface))`;
    return getComputedStyle(probe).color;
  }

  const DASHES = [[], [], [], [5, 3], [2, 3], [8, 3, 2, 3]];
  const words = (name) => name.replaceAll(/[_/]/g, " ");
  const short = (value) => (value == null ? "–" : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString().replace("-", "\u2212"));

  // A name that ends in /* stands for every metric below it.
  const expand = (patterns, known) => patterns.flatMap((pattern) => (pattern.endsWith("/*")
    ? known.filter((name) => name.startsWith(pattern.slice(0, -1))).sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    : known.includes(pattern) ? [pattern] : [])).slice(0, 12);

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

  const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

  class Charts {
    constructor(section) {
      this.section = section;
      this.steps = [];
      this.series = {};
      this.panels = all("[data-panel]", section).map((figure) => ({ figure, names: figure.dataset.panel.split(" "), plot: null, shown: "" }));
      const source = section.closest("[data-run]") || document.body;
      source.addEventListener("kos:rows", (event) => this.add(event.detail));
      this.load();
    }

    async load() {
      const answer = await fetch(this.section.dataset.charts);
      if (!answer.ok) return;
      const data = await answer.json();
      // Live rows may have arrived meanwhile: they are newer and stay.
      const late = this.steps.map((step, place) => [step, Object.fromEntries(Object.keys(this.series).map((name) => [name, this.series[name][place]]))]);
      this.steps = data.steps;
      this.series = data.series;
      late.forEach(([step, metrics]) => this.put(step, metrics));
      this.draw();
    }

    add(rows) {
      const done = rows.filter((row) => row.kind === "step");
      done.forEach((row) => this.put(row.data.step, row.data.metrics));
      if (done.length) this.draw();
    }

    put(step, metrics) {
      // A step done again after a crash replaces its first try.
      let place = this.steps.indexOf(step);
      if (place < 0) {
        place = this.steps.findIndex((other) => other > step);
        if (place < 0) place = this.steps.length;
        this.steps.splice(place, 0, step);
        Object.values(this.series).forEach((values) => values.splice(place, 0, null));
      }
      for (const [name, value] of Object.entries(metrics)) {
        this.series[name] ??= this.steps.map(() => null);
        this.series[name][place] = value;
      }
    }

    draw() {
      const note = this.section.querySelector("[data-steps]");
      if (note) note.textContent = this.steps.length ? `step ${this.steps[this.steps.length - 1]}` : "waiting for the first step";
      this.panels.forEach((panel) => this.drawPanel(panel));
    }

    drawPanel(panel) {
      const known = Object.keys(this.series).filter((name) => this.series[name].some((value) => value != null));
      let names = expand(panel.names, known);
      panel.figure.classList.toggle("off", !names.length);
      if (!names.length) return;
      // A pile has its largest part below.
      if (panel.figure.dataset.shape) names = names.toSorted((a, b) => sum(this.series[b]) - sum(this.series[a]));
      const rows = names.map((name) => this.series[name]);
      // What is partly negative does not add up to a whole: it is drawn as lines.
      const isPiled = panel.figure.dataset.shape !== undefined && rows.flat().every((value) => value == null || value >= 0);
      // One step has no area, so it is a bar.
      const shape = !isPiled ? "lines" : this.steps.length < 2 ? "bars" : panel.figure.dataset.shape;
      const drawn = isPiled ? rows.map((_, place) => this.steps.map((_, at) => sum(rows.slice(0, place + 1).map((row) => row[at])))) : rows;
      // Piles are drawn from the whole down, each part over the rest.
      const data = [this.steps, ...(isPiled ? drawn.toReversed() : drawn)];
      panel.rows = rows;
      const latest = isPiled ? drawn.at(-1).at(-1) : rows[0].findLast((value) => value != null);
      panel.figure.querySelector("[data-value]").textContent = short(latest);
      const box = panel.figure.querySelector(".plot");
      box.setAttribute("aria-label", `${panel.figure.querySelector("h3").textContent} over ${this.steps.length} steps, now ${short(latest)}`);
      const shown = `${shape} ${names.join()}`;
      if (panel.plot && panel.shown === shown) {
        panel.plot.setData(data);
        return this.drawValues(panel, null);
      }
      panel.plot?.destroy();
      panel.shown = shown;
      this.drawLegend(panel, names);
      this.drawValues(panel, null);
      panel.plot = new uPlot(options(names, shape, box.clientWidth, (place) => this.drawValues(panel, place)), data, box);
      if (this.section.dataset.step) this.link(panel.plot);
    }

    // A click on a step leads to what was sampled in it.
    link(plot) {
      plot.over.classList.add("linked");
      plot.over.addEventListener("click", () => {
        const step = plot.data[0][plot.cursor.idx];
        if (step != null) location.href = this.section.dataset.step.replace("/0/", `/${step}/`);
      });
    }

    drawLegend(panel, names) {
      const said = labels(names);
      panel.figure.querySelector("[data-legend]").replaceChildren(...names.map((name, place) => {
        const item = document.createElement("li");
        const text = document.createElement("span");
        const value = document.createElement("b");
        text.textContent = said[place];
        value.className = "num";
        item.className = `k${(place % 6) + 1}`;
        item.append(text, value);
        return item;
      }));
    }

    // The numbers under the cursor, beside their names; the newest ones without it.
    drawValues(panel, place) {
      if (panel.rows.length < 2) return;
      all("[data-legend] b", panel.figure).forEach((box, number) => {
        box.textContent = short(place == null ? panel.rows[number].findLast((value) => value != null) : panel.rows[number][place]);
      });
    }

    redraw() {
      for (const panel of this.panels) {
        panel.plot?.destroy();
        panel.plot = null;
      }
      this.draw();
    }

    resize() {
      for (const panel of this.panels) panel.plot?.setSize({ width: panel.figure.querySelector(".plot").clientWidth, height: HEIGHT });
    }
  }

  const HEIGHT = 150;

  function options(names, shape, width, told) {
    const axis = { stroke: colour("--ink3"), font: "11px Plex, sans-serif", grid: { stroke: colour("--line"), width: 0.6 }, ticks: { show: false } };
    const isPiled = shape !== "lines";
    const lines = names.map((name, place) => {
      const ink = colour(`--c${(place % 6) + 1}`);
      const line = { label: words(name), stroke: ink, width: 1.6, dash: DASHES[place % DASHES.length], spanGaps: true, points: { show: (plot) => plot.data[0].length < 2 } };
      if (isPiled) Object.assign(line, { fill: colour(`--c${(place % 6) + 1}`, 62), dash: [], width: shape === "bars" ? 0 : 1, points: { show: false } });
      if (shape === "bars") line.paths = uPlot.paths.bars({ size: [0.72, 48] });
      return line;
    });
    const edge = shape === "bars" ? 0.5 : 0;
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 6, 0, 0],
      cursor: { sync: { key: "steps" }, points: { size: 5 } },
      hooks: { setCursor: [(plot) => told(plot.cursor.idx)] },
      scales: {
        x: { time: false, ...(edge && { range: (plot, low, high) => [low - edge, high + edge] }) },
        ...(isPiled && { y: { range: (plot, low, high) => [0, high > 0 ? high * 1.05 : 1] } }),
      },
      axes: [{ ...axis, size: 22, space: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000] }, { ...axis, size: 56, space: 28, values: (plot, ticks) => ticks.map((tick) => short(tick)) }],
      series: [{}, ...(isPiled ? lines.reverse() : lines)],
    };
  }

  // --- Small things ----------------------------------------------------------------------
  function follow(list) {
    let atEnd = true;
    const toEnd = () => { if (list.scrollHeight > list.clientHeight) list.scrollTop = list.scrollHeight; };
    list.addEventListener("scroll", () => { atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 40; });
    new MutationObserver(() => { if (atEnd) toEnd(); }).observe(list, { childList: true });
    toEnd();
  }

  function copy(button) {
    const source = document.querySelector(button.dataset.copy);
    navigator.clipboard.writeText(source.value ?? source.textContent).then(() => toast("Copied.", "success"));
  }

  function toast(text, level = "") {
    const box = document.createElement("div");
    box.className = `toast ${level}`;
    box.textContent = text;
    document.getElementById("toasts").append(box);
    setTimeout(() => box.remove(), 4000);
  }

  function ask(form) {
    const dialog = document.createElement("dialog");
    const text = document.createElement("p");
    const row = document.createElement("div");
    row.className = "row";
    text.textContent = form.dataset.confirm;
    const button = (label, style, then) => {
      const made = document.createElement("button");
      made.type = "button";
      made.className = `btn ${style}`;
      made.textContent = label;
      made.onclick = () => { dialog.close(); then(); };
      row.append(made);
    };
    button(form.querySelector("button").textContent.trim(), "d p", () => form.submit());
    button("Keep it", "", () => {});
    dialog.append(text, row);
    dialog.onclose = () => dialog.remove();
    document.body.append(dialog);
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (close) close.closest("[data-toast]").remove();
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") all("details.menu[open]").forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]");
    if (form) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.confirm) {
      event.preventDefault();
      ask(event.target);
    }
  });
  // The theme changes at once; the form tells the server, so that the next page has it too.
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-theme-form]");
    if (!form || !event.submitter) return;
    event.preventDefault();
    const theme = event.submitter.value;
    document.documentElement.dataset.theme = theme;
    all("button", form).forEach((button) => button.setAttribute("aria-pressed", button === event.submitter));
    const body = new FormData(form);
    body.set("theme", theme);
    fetch(form.action, { method: "POST", body, redirect: "manual" });
    repaint();
  });

  let charts = [];
  const repaint = () => charts.forEach((chart) => chart.redraw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  document.addEventListener("DOMContentLoaded", () => {
    document.body.append(probe);
    // The run's page draws charts before it listens, so no live step is missed.
    charts = all("[data-charts]").map((section) => new Charts(section));
    all("[data-socket]").forEach((element) => new RunSocket(element));
    all("[data-follow]").forEach(follow);
    document.querySelector("[data-focus]")?.focus();
    document.querySelector(".nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    let resizing = null;
    addEventListener("resize", () => {
      clearTimeout(resizing);
      resizing = setTimeout(() => charts.forEach((chart) => chart.resize()), 120);
    });
    setTimeout(() => all("[data-toast]:not(.error, .warning)").forEach((box) => box.remove()), 7000);
  });

  window.kos = { toast, words };
})();
