// What a page that watches runs does in the browser: it hears their events and asks for the parts
// that changed. Without it the page shows what was true when it was loaded.
//
//   data-socket, data-after   events of a run: connect, and catch up after that number; each batch
//                             is told to the page as "kos:rows"
//   data-stages               run numbers of a pipeline's stages that the page knows
//   data-on="status step"     "refresh" this htmx element when such an event arrives
//   data-live, data-strip     where it says that it listens, or has lost the line
//   data-follow               keep the newest line in view while the reader is at the end
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const REFRESH_MS = 700;

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
      // A socket that is refused opens too: what counts is that it was not closed at once.
      socket.onopen = () => setTimeout(() => {
        if (socket.readyState !== WebSocket.OPEN) return;
        this.tries = 0;
        this.broken(false);
      }, 300);
      socket.onmessage = (event) => this.take(JSON.parse(event.data));
      socket.onclose = (event) => this.again(event.code, event.reason);
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

    // 1013 and 4429 with a reason: every seat is taken, and to ask often would not free one.
    again(code, reason) {
      const isFull = Boolean(reason) && (code === 1013 || code === 4429);
      if (code === 4401 || code === 4403) return say(code === 4401 ? "Signed out: sign in again to go on." : "This run is not yours to watch.");
      this.broken(true);
      if (isFull) say(reason);
      const wait = (isFull ? 20000 : Math.min(10000, 400 * 2 ** this.tries++)) * (0.7 + 0.6 * Math.random());
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

  // --- Following a log -------------------------------------------------------------------
  function follow(list) {
    let atEnd = true;
    const toEnd = () => { if (list.scrollHeight > list.clientHeight) list.scrollTop = list.scrollHeight; };
    list.addEventListener("scroll", () => { atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 40; });
    new MutationObserver(() => { if (atEnd) toEnd(); }).observe(list, { childList: true });
    toEnd();
  }

  document.addEventListener("DOMContentLoaded", () => {
    all("[data-socket]").forEach((element) => new RunSocket(element));
    all("[data-follow]").forEach(follow);
  });
})();
