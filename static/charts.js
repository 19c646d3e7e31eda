// Line charts of the numbers of runs.
//
//   data-charts               a section of panels; its value is the address of the numbers, or the
//                             runs are the [data-source] inside it: address, data-label, data-slot,
//                             data-start (when it began); [data-eye] in one shows and hides it
//   data-panel                one chart: the names of its metrics; data-shape piles them, data-marks
//                             are levels to draw, data-words what the filter reads
//   data-step                 where a click on a step leads; 0 stands for the step
//   data-chart-controls       a form of axis, smooth, log, from, to and find that rules the section
//
// A panel is drawn when it comes into view. Dragging over one zooms all, a double click shows all.
(() => {
  "use strict";
  const { Source } = window.kos.curves;
  const { Panel } = window.kos;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const LIVE_MS = 250;
  const STORE = "kos.charts";

  class Charts {
    constructor(section) {
      this.section = section;
      const elements = all("[data-source]", section);
      this.sources = elements.length ? elements.map((element) => new Source(element, element.dataset.source)) : [new Source(section, section.dataset.charts)];
      this.stepAddress = section.dataset.step;
      this.view = null;
      this.panels = all("[data-panel]", section).map((figure) => new Panel(this, figure));
      this.controls = section.querySelector("[data-chart-controls]");
      this.settings = { axis: "step", smooth: 0, isLog: false };
      if (this.controls) this.rule();
      this.listen();
      this.watch();
    }

    get axis() {
      return this.settings.axis === "step" ? "step" : this.sources[0].slot ? "since" : "time";
    }

    xs(source, curve) {
      if (this.axis === "step") return curve.steps;
      return this.axis === "time" ? curve.at : curve.at.map((at) => at - (source.start || curve.at[0]));
    }

    listen() {
      for (const source of this.sources) {
        const told = source.element.closest("[data-run]") || document.body;
        told.addEventListener("kos:rows", (event) => {
          const rows = event.detail.filter((row) => row.kind === "step");
          if (!rows.length) return;
          // The first step tells which charts there are.
          if (!this.panels.length) return location.reload();
          if (source.add(rows)) this.showKnown();
          this.note(rows[rows.length - 1].data.step);
          this.wake();
        });
      }
    }

    // Steps may come by the hundred a second; they are drawn four times a second.
    wake() {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        if (this.sources.some((source) => source.isLong)) return this.reload();
        this.panels.forEach((panel) => { if (panel.isAsked) panel.draw(); });
      }, LIVE_MS);
    }

    watch() {
      const seen = new IntersectionObserver((entries) => {
        for (const { target, isIntersecting } of entries) this.panels.find((panel) => panel.figure === target).see(isIntersecting);
      }, { rootMargin: "120px" });
      const sized = new ResizeObserver((entries) => {
        for (const { target } of entries) this.panels.find((panel) => panel.box === target).resize();
      });
      this.panels.forEach((panel) => {
        seen.observe(panel.figure);
        sized.observe(panel.box);
      });
    }

    async fetch(panel, what) {
      try {
        await Promise.all(this.sources.map((source) => source.want(panel.patterns, what)));
      } catch (error) {
        this.say(`${error.message}. Reload the page to try again.`);
        return;
      }
      this.showKnown();
      this.note(Math.max(...this.sources.map((source) => source.lastStep)));
      panel.draw();
      if (this.view) this.sharpen();
    }

    reload() {
      this.sources.forEach((source) => source.forget());
      this.panels.forEach((panel) => {
        panel.isAsked = false;
        if (panel.isSeen) panel.load();
      });
    }

    // A panel whose metrics nobody has said yet stands back.
    showKnown() {
      if (this.sources.every((source) => source.isEmpty)) return;
      this.panels.forEach((panel) => panel.figure.classList.toggle("off", !panel.isKnown));
    }

    note(step) {
      const note = this.section.querySelector("[data-steps]");
      if (note) note.textContent = step >= 0 ? `step ${step.toLocaleString("en")}` : "waiting for the first step";
    }

    say(text) {
      const note = this.section.querySelector("[data-steps]");
      if (note) note.textContent = text;
    }

    zoom(range) {
      this.view = range && range[1] > range[0] ? range : null;
      this.sharpen();
      this.panels.forEach((panel) => { if (panel.isAsked) panel.draw(); });
      this.tellRange();
    }

    // Ask for what the view leaves room for: the steps in it, as exact as they are.
    sharpen() {
      for (const source of this.sources) {
        if (!source.look(this.view, (one, curve) => this.xs(one, curve))) continue;
        for (const [kind, isMean] of [["detail", false], ["closer", true]]) {
          const panels = this.panels.filter((panel) => panel.isSeen && panel.isMean === isMean);
          if (!panels.length) continue;
          const points = isMean ? 300 : 2000;
          source.want(panels.flatMap((panel) => panel.patterns), { kind, points }).then(() => panels.forEach((panel) => panel.draw()), () => {});
        }
      }
    }

    // --- Controls ---
    rule() {
      const { controls } = this;
      let kept = {};
      try {
        kept = JSON.parse(localStorage.getItem(STORE) || "{}");
      } catch {
        // Without a store they last as long as the page.
      }
      this.settings = { axis: kept.axis === "time" ? "time" : "step", smooth: Math.min(0.999, Math.max(0, Number(kept.smooth) || 0)), isLog: Boolean(kept.isLog) };
      controls.hidden = false;
      controls.addEventListener("submit", (event) => event.preventDefault());
      controls.addEventListener("input", (event) => this.change(event.target));
      all("button[name=axis]", controls).forEach((button) => button.addEventListener("click", () => this.set({ axis: button.value })));
      controls.querySelector("[data-reset]").addEventListener("click", () => this.zoom(null));
      this.tellSettings();
      this.tellRange();
      const find = document.querySelector("[data-find]");
      find?.addEventListener("input", () => this.find(find.value));
      find?.form?.addEventListener("submit", (event) => event.preventDefault());
      if (find?.value) this.find(find.value);
      all("[data-eye]", this.section).forEach((button) => this.eye(button));
    }

    change(field) {
      if (field.name === "smooth" || field.name === "smooth_number") this.set({ smooth: Math.min(0.999, Math.max(0, Number(field.value) || 0)) }, field);
      if (field.name === "log") this.set({ isLog: field.checked });
      if (field.name === "from" || field.name === "to") {
        const { from, to } = this.controls.elements;
        if (from.value === "" && to.value === "") return this.zoom(null);
        const last = Math.max(...this.sources.map((source) => source.lastStep));
        const range = [Number(from.value || 0), Number(to.value || last)];
        if (range[1] > range[0]) this.zoom(range);
      }
    }

    set(changed, field) {
      const isOther = changed.axis && changed.axis !== this.settings.axis;
      Object.assign(this.settings, changed);
      try {
        localStorage.setItem(STORE, JSON.stringify(this.settings));
      } catch {
        // As above.
      }
      // A range of steps is no range of hours.
      if (isOther) {
        this.view = null;
        this.sources.forEach((source) => source.look(null));
        this.tellRange();
      }
      this.tellSettings(field);
      this.panels.forEach((panel) => { if (panel.isAsked) panel.draw(); });
    }

    tellSettings(typed) {
      const { smooth, smooth_number: number, log } = this.controls.elements;
      if (typed !== smooth) smooth.value = this.settings.smooth;
      if (typed !== number) number.value = this.settings.smooth;
      log.checked = this.settings.isLog;
      all("button[name=axis]", this.controls).forEach((button) => button.setAttribute("aria-pressed", button.value === this.settings.axis));
    }

    tellRange() {
      if (!this.controls) return;
      const { from, to } = this.controls.elements;
      const isStep = this.axis === "step";
      for (const [field, value] of [[from, this.view?.[0]], [to, this.view?.[1]]]) {
        field.disabled = !isStep;
        if (document.activeElement !== field) field.value = isStep && value != null ? Math.round(value) : "";
      }
      this.controls.querySelector("[data-reset]").disabled = !this.view;
    }

    // Panels with every word of `text` in their names; sections without one stand back.
    find(text) {
      const asked = text.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { figure } of this.panels) figure.hidden = !asked.every((word) => figure.dataset.words.toLowerCase().includes(word));
      for (const part of all("details.section", this.section)) {
        const count = all("[data-panel]:not([hidden])", part).length;
        part.hidden = !count;
        if (asked.length && count) part.open = true;
      }
      const count = this.panels.filter(({ figure }) => !figure.hidden).length;
      const note = document.querySelector("[data-found]");
      if (note) note.textContent = asked.length ? (count ? `${count} of ${this.panels.length} charts` : "No chart has these words in its name.") : "";
    }

    // Showing and hiding a run; the address remembers which are hidden.
    eye(button) {
      const source = this.sources.find((one) => one.element.contains(button));
      const key = source.element.dataset.run;
      const hidden = new Set(new URLSearchParams(location.search).get("hide")?.split(","));
      const show = (isShown) => {
        source.isShown = isShown;
        button.setAttribute("aria-pressed", isShown);
        source.element.classList.toggle("hidden-run", !isShown);
      };
      button.hidden = false;
      show(!hidden.has(key));
      button.addEventListener("click", () => {
        show(!source.isShown);
        const address = new URL(location.href);
        const gone = this.sources.filter((one) => !one.isShown).map((one) => one.element.dataset.run);
        if (gone.length) address.searchParams.set("hide", gone.join(","));
        else address.searchParams.delete("hide");
        history.replaceState(null, "", address);
        this.panels.forEach((panel) => { if (panel.isAsked) panel.draw(); });
      });
    }

    repaint() {
      this.panels.forEach((panel) => {
        panel.key = "";
        if (panel.isAsked) panel.draw();
      });
    }
  }

  let charts = [];
  const repaint = () => charts.forEach((chart) => chart.repaint());
  document.addEventListener("kos:theme", repaint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  document.addEventListener("DOMContentLoaded", () => { charts = all("[data-charts]").map((section) => new Charts(section)); });
})();
