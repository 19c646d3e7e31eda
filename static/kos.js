// What the console does in the browser beyond links and forms. Every page works without it,
// save that live pages then show what was true when they were loaded.
//
// A page says what it wants in data attributes:
//   data-socket, data-after   events of a run: connect, and catch up after that number
//   data-stages               run numbers of a pipeline's stages that the page knows
//   data-on="status step"     "refresh" this htmx element when such an event arrives
//   data-charts               address of the numbers; [data-panel] inside names the metrics
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

  function colour(token) {
    // Tokens are light-dark() pairs: only a computed colour can be drawn on a canvas.
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  }

  const DASHES = [[], [], [], [5, 3], [2, 3], [8, 3, 2, 3]];
  const words = (name) => name.replaceAll(/[_/]/g, " ");
  const short = (value) => (value == null ? "–" : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString().replace("-", "\u2212"));

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
      const names = panel.names.filter((name) => (this.series[name] || []).some((value) => value != null));
      panel.figure.classList.toggle("off", !names.length);
      if (!names.length) return;
      const data = [this.steps, ...names.map((name) => this.series[name])];
      const latest = this.series[names[0]].findLast((value) => value != null);
      panel.figure.querySelector("[data-value]").textContent = short(latest);
      const box = panel.figure.querySelector(".plot");
      box.setAttribute("aria-label", `${panel.figure.querySelector("h3").textContent} over ${this.steps.length} steps, now ${short(latest)}`);
      if (panel.plot && panel.shown === names.join()) return panel.plot.setData(data);
      panel.plot?.destroy();
      panel.shown = names.join();
      this.drawLegend(panel, names);
      panel.plot = new uPlot(options(names, box.clientWidth), data, box);
    }

    drawLegend(panel, names) {
      panel.figure.querySelector("[data-legend]").replaceChildren(...names.map((name, place) => {
        const item = document.createElement("li");
        const label = document.createElement("span");
        label.textContent = words(name);
        item.className = `k${place + 1}`;
        item.append(label);
        return item;
      }));
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

  function options(names, width) {
    const axis = { stroke: colour("--ink3"), font: "11px Plex, sans-serif", grid: { stroke: colour("--line"), width: 0.6 }, ticks: { show: false } };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 6, 0, 0],
      cursor: { sync: { key: "steps" }, points: { size: 5 } },
      scales: { x: { time: false } },
      axes: [{ ...axis, size: 22, space: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000] }, { ...axis, size: 56, space: 28, values: (plot, ticks) => ticks.map((tick) => short(tick)) }],
      series: [{}, ...names.map((name, place) => ({ label: words(name), stroke: colour(`--c${place + 1}`), width: 1.6, dash: DASHES[place], spanGaps: true, points: { show: (plot) => plot.data[0].length < 2 } }))],
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
