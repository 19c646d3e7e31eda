// The numbers behind the charts: asked for thinned, added to as steps come, smoothed and read.
// A curve is {steps, values, at, means, count}; charts.js draws it.
(() => {
  "use strict";
  const GATHER_MS = 20;
  const MAX_ADDED = 4000;
  // What is asked for anew with every part of the run that is looked at.
  const PARTS = ["detail", "closer"];

  // The place of the last of sorted `xs` that is not beyond `x`; -1 before the first.
  function placeOf(xs, x) {
    let low = 0;
    let high = xs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  function nearest(xs, x) {
    const place = placeOf(xs, x);
    if (place < 0) return 0;
    return place + 1 < xs.length && xs[place + 1] - x < x - xs[place] ? place + 1 : place;
  }

  // An exponential moving average without the pull of its start. Where numbers were left out, the
  // mean of them counts as often as they were many, so that zooming does not bend the line.
  function smoothed(curve, weight) {
    const { steps, means, count } = curve;
    const apart = count > 1 ? (steps[steps.length - 1] - steps[0]) / (count - 1) || 1 : 1;
    let total = 0;
    let share = 0;
    return means.map((value, place) => {
      if (value == null) return null;
      const gap = place ? Math.max(1, (steps[place] - steps[place - 1]) / apart) : 1;
      const keep = weight ** gap;
      total = total * keep + value * (1 - keep);
      share = share * keep + (1 - keep);
      return total / share;
    });
  }

  function read(told) {
    return { ...told, means: told.means ?? told.values, isThinned: told.count > told.steps.length, added: 0 };
  }

  // Of a metric that nobody had said when the page asked.
  const blank = () => read({ steps: [], values: [], at: [], count: 0 });

  // A step done again after a crash replaces its first try.
  function put(curve, step, value, at) {
    const ownMeans = curve.means !== curve.values;
    let place = placeOf(curve.steps, step);
    if (curve.steps[place] !== step) {
      place += 1;
      curve.steps.splice(place, 0, step);
      curve.values.splice(place, 0, value);
      curve.at.splice(place, 0, at);
      if (ownMeans) curve.means.splice(place, 0, value);
      curve.count += 1;
      curve.added += 1;
    } else {
      curve.values[place] = value;
      curve.at[place] = at;
      if (ownMeans) curve.means[place] = value;
    }
  }

  // One run whose numbers are drawn. `whole` has its curves from end to end, `mean` those that are
  // piled up, `detail` and `closer` the part of either that the reader looks at.
  class Source {
    constructor(element, address) {
      this.element = element;
      this.address = address;
      this.label = element.dataset.label ?? "";
      this.slot = Number(element.dataset.slot || 0);
      this.start = Number(element.dataset.start || 0);
      this.isShown = true;
      this.known = [];
      this.sets = { whole: new Map(), mean: new Map(), detail: new Map(), closer: new Map() };
      this.range = null;
      this.asked = new Map();
    }

    get isEmpty() {
      return !this.known.length;
    }

    // The names among the known ones that a panel's patterns stand for, in the panel's order.
    names(patterns) {
      const below = (start) => this.known.filter((name) => name.startsWith(start)).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      return patterns.flatMap((pattern) => (pattern.endsWith("/*") ? below(pattern.slice(0, -1)) : this.known.includes(pattern) ? [pattern] : [])).slice(0, 12);
    }

    curve(name, isMean) {
      const [part, all] = isMean ? ["closer", "mean"] : ["detail", "whole"];
      return (this.range && this.sets[part].get(name)) || this.sets[all].get(name);
    }

    // What panels want in one moment is asked for together.
    want(patterns, { kind = "whole", points = 2000 } = {}) {
      const key = `${kind} ${PARTS.includes(kind) ? this.range : ""}`;
      let ask = this.asked.get(key);
      if (!ask) {
        ask = { names: new Set(), points: 0, range: this.range };
        ask.done = new Promise((done) => { setTimeout(done, GATHER_MS); }).then(() => this.fetch(key, kind, ask));
        this.asked.set(key, ask);
      }
      patterns.forEach((name) => ask.names.add(name));
      ask.points = Math.max(ask.points, points);
      return ask.done;
    }

    async fetch(key, kind, ask) {
      this.asked.delete(key);
      const query = new URLSearchParams([...ask.names].map((name) => ["name", name]));
      query.set("points", ask.points);
      if (kind === "mean" || kind === "closer") query.set("mean", 1);
      if (PARTS.includes(kind)) {
        if (ask.range[0] > 0) query.set("after", ask.range[0] - 1);
        query.set("until", ask.range[1]);
      }
      const answer = await fetch(`${this.address}?${query}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`The numbers did not come: ${answer.status}`);
      const data = await answer.json();
      this.learn(data.names);
      // The reader has looked elsewhere meanwhile.
      if (PARTS.includes(kind) && ask.range !== this.range) return;
      for (const [name, told] of Object.entries(data.curves)) {
        const fresh = read(told);
        // Live rows that came meanwhile are newer and stay.
        const old = PARTS.includes(kind) ? null : this.sets[kind].get(name);
        old?.steps.forEach((step, place) => {
          if (step > fresh.steps[fresh.steps.length - 1]) put(fresh, step, old.values[place], old.at[place]);
        });
        this.sets[kind].set(name, fresh);
      }
    }

    learn(names) {
      const fresh = names.filter((name) => !this.known.includes(name));
      if (fresh.length) this.known = [...this.known, ...fresh].sort();
      return fresh.length > 0;
    }

    // Steps as they come. Returns whether there is a metric that was not there before.
    add(rows) {
      let isNew = false;
      for (const { data, at } of rows) {
        isNew = this.learn(Object.keys(data.metrics)) || isNew;
        const seconds = Date.parse(at) / 1000;
        for (const [name, value] of Object.entries(data.metrics)) {
          for (const set of [this.sets.whole, this.sets.mean]) {
            if (!set.has(name)) set.set(name, blank());
            put(set.get(name), data.step, value, seconds);
          }
        }
      }
      return isNew;
    }

    // Curves that grew long while the page stood open are to be thinned again.
    get isLong() {
      return [...this.sets.whole.values()].some((curve) => curve.added > MAX_ADDED);
    }

    forget() {
      Object.values(this.sets).forEach((set) => set.clear());
    }

    // Look at a part of the run, from one x to another; null is the whole. Returns whether the part
    // has more detail than the page.
    look(range, xOf) {
      PARTS.forEach((kind) => this.sets[kind].clear());
      this.range = null;
      const curves = [...this.sets.whole.values(), ...this.sets.mean.values()].filter((curve) => curve.isThinned);
      if (!range || !curves.length) return false;
      const steps = curves.map((curve) => {
        const xs = xOf(this, curve);
        const from = Math.max(0, placeOf(xs, range[0]));
        const to = Math.min(xs.length - 1, placeOf(xs, range[1]) + 1);
        return [curve.steps[from], curve.steps[to]];
      });
      this.range = [Math.min(...steps.map(([from]) => from)), Math.max(...steps.map(([, to]) => to))];
      return true;
    }

    get lastStep() {
      return Math.max(-1, ...[...this.sets.whole.values(), ...this.sets.mean.values()].map((curve) => curve.steps[curve.steps.length - 1] ?? -1));
    }
  }

  window.kos = Object.assign(window.kos ?? {}, { curves: { Source, nearest, smoothed, placeOf } });
})();
