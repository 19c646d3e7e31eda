// Reviewing by keys, and drafts kept as they are made. Without this file the page is a plain
// form: nothing is lost but the keys and the draft.
//
//   data-review               the form; data-renew is where its claim is renewed
//   data-item                 a rubric item; data-save is where its verdict is kept
//   data-note, data-quote     its reason and its evidence
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const RENEW_MS = 120000;
  const STORE = "kos.review.single";
  const VERDICTS = { 1: 0, 2: 1, 3: 2 };
  let place = 0;
  let isLeaving = false;

  const form = () => one("[data-review]");
  const items = () => all("[data-item]");
  const token = () => one("[name=csrfmiddlewaretoken]").value;
  const usesSingleKeys = () => localStorage.getItem(STORE) !== "off";

  function say(text) {
    const line = one("[data-saved]");
    if (line) line.textContent = text;
  }

  // --- Moving ------------------------------------------------------------------------------
  function go(to, { focus = true, scroll = true } = {}) {
    const list = items();
    if (!list.length) return;
    place = Math.max(0, Math.min(list.length - 1, to));
    list.forEach((item, number) => item.toggleAttribute("aria-current", number === place));
    list[place].setAttribute("aria-current", "true");
    if (focus) list[place].focus({ preventScroll: true });
    if (scroll) list[place].scrollIntoView({ block: "nearest" });
  }

  const current = () => items()[place];

  // --- Verdicts ----------------------------------------------------------------------------
  function choose(number) {
    const radios = all("input[type=radio]", current());
    const radio = radios[VERDICTS[number]];
    if (!radio) return;
    radio.checked = true;
    changed(current());
  }

  function clear() {
    all("input[type=radio]", current()).forEach((radio) => { radio.checked = false; });
    changed(current());
  }

  function count() {
    const board = one("[data-count]");
    const list = items();
    const done = list.filter((item) => one("input[type=radio]:checked", item)).length;
    if (board) board.textContent = `${done} of ${list.length} judged`;
  }

  const waiting = new Map();

  function changed(item) {
    count();
    if (!item.dataset.save) return;
    // Typing sends once it pauses; a verdict goes at once, and one item's words keep their order.
    clearTimeout(waiting.get(item)?.timer);
    waiting.set(item, { timer: setTimeout(() => save(item), 250) });
  }

  async function save(item) {
    waiting.delete(item);
    const body = {
      met: one("input[type=radio]:checked", item)?.value ?? null,
      note: one("[data-note]", item)?.value ?? "",
      quote: one("[data-quote]", item)?.value ?? "",
    };
    try {
      const answer = await send("PUT", item.dataset.save, body);
      if (answer.ok) say("Draft kept.");
      else say((await answer.json()).detail || "The draft could not be kept.");
    } catch {
      say("Not connected: the draft is only on this page.");
    }
  }

  function send(method, url, body) {
    return fetch(url, {
      method,
      headers: { "X-CSRFToken": token(), "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      keepalive: true,
    });
  }

  function evidence() {
    const words = String(getSelection()).trim();
    const field = one("[data-quote]", current());
    if (!words || !field) return say("Select words of the answer first, then press e.");
    field.closest("details").open = true;
    field.value = words;
    changed(current());
    say("Evidence taken.");
  }

  function reason() {
    const field = one("[data-note]", current()) || one("[name=note]");
    if (!field) return;
    const fold = field.closest("details");
    if (fold) fold.open = true;
    field.focus();
  }

  function press(selector) {
    const button = one(selector);
    if (!button || isLeaving) return;
    button.click();
  }

  function submit() {
    const next = one("[data-submit]") || one("[data-next]");
    if (next) press(one("[data-submit]") ? "[data-submit]" : "[data-next]");
  }

  function keys() {
    const dialog = one("#keys");
    one("[data-single]", dialog).checked = usesSingleKeys();
    dialog.showModal();
  }

  const SINGLE = {
    j: () => go(place + 1),
    k: () => go(place - 1),
    0: clear,
    1: () => choose(1),
    2: () => choose(2),
    3: () => choose(3),
    r: reason,
    e: evidence,
    f: () => one("[data-flag]")?.click(),
    s: () => press("[data-skip]"),
    "[": () => press("[data-previous]"),
    "]": () => press(one("[data-following]") ? "[data-following]" : "[data-next]"),
    "?": keys,
  };

  function isTyping(target) {
    return target.closest("textarea, select, input:not([type=radio], [type=checkbox]), [contenteditable], [role=textbox], [role=combobox], [role=listbox]");
  }

  document.addEventListener("keydown", (event) => {
    if (one("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      event.preventDefault();
      return submit();
    }
    if (event.key === "Escape" && isTyping(event.target)) return go(place);
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isLeaving) return;
    const act = SINGLE[event.key];
    if (!act || (event.key !== "?" && !usesSingleKeys())) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-single]")) localStorage.setItem(STORE, event.target.checked ? "on" : "off");
    const item = event.target.closest("[data-item]");
    if (item) changed(item);
  });
  document.addEventListener("input", (event) => {
    const item = event.target.closest("[data-item]");
    if (item && event.target.matches("textarea")) changed(item);
  });
  document.addEventListener("focusin", (event) => {
    const item = event.target.closest("[data-item]");
    const number = items().indexOf(item);
    if (number >= 0 && number !== place) go(number, { focus: false });
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-review]")) return;
    // What waits to be kept goes with the form itself.
    waiting.forEach(({ timer }) => clearTimeout(timer));
    isLeaving = true;
  });
  addEventListener("pageshow", () => { isLeaving = false; });

  document.addEventListener("DOMContentLoaded", () => {
    const button = one("[data-keys]");
    if (button) {
      button.hidden = false;
      button.addEventListener("click", keys);
    }
    if (!items().length) return;
    const open = items().findIndex((item) => one("input[type=radio]", item) && !one("input[type=radio]:checked", item));
    // Where the rubric stands below the answer, the answer is read first.
    const isBeside = getComputedStyle(one(".insp")).position === "sticky";
    go(Math.max(0, open), { focus: isBeside, scroll: isBeside });
    count();
    if (form()) setInterval(() => { if (!document.hidden) send("POST", form().dataset.renew); }, RENEW_MS);
  });
})();
