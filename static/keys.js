// The keys, and the sheet that lists them. Every page works without them.
//
//   The single keys below stay silent while somebody types, in a dialog, on a button, with a
//   modifier held, and where the user has turned them off.
//
//   data-go="r"     a link that "g r" follows
//   data-key="n"    a link or button that "n" presses; a field that it focuses
//   data-rows       a list whose rows j and k walk through; x ticks one, Enter opens it. Without
//                   one the page's first table is taken
//   data-own-keys   a page that has j, k and the rest for itself (review.js)
//   data-sheet      what opens the sheet
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const GO_MS = 1500;

  const usesKeys = () => document.body.dataset.keys === "on";
  const hasOwnKeys = () => one("[data-own-keys], [data-review], [data-item]") !== null;

  // --- The sheet of keys ---------------------------------------------------------------------
  function openSheet() {
    const sheet = one("#shortcuts");
    if (sheet && !sheet.open) sheet.showModal();
  }

  // --- Lists ---------------------------------------------------------------------------------
  const list = () => one("[data-rows]") || one("main table.t tbody");
  const rows = () => (list() ? [...list().children].filter((row) => one("a[href]", row)) : []);
  const current = () => rows().find((row) => row.hasAttribute("data-at"));

  function go(by) {
    const found = rows();
    if (!found.length) return false;
    const at = found.indexOf(current());
    const next = found[Math.max(0, Math.min(found.length - 1, at < 0 ? (by > 0 ? 0 : found.length - 1) : at + by))];
    found.forEach((row) => row.toggleAttribute("data-at", row === next));
    one("a[href]", next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    return true;
  }

  function tick() {
    const box = current() && one("input[type=checkbox]", current());
    if (!box) return false;
    box.click();
    return true;
  }

  function open() {
    if (!current() || current().contains(document.activeElement)) return false;
    one("a[href]", current()).click();
    return true;
  }

  function search() {
    const box = one("[data-search]");
    if (box) box.focus();
    else document.dispatchEvent(new Event("kos:palette"));
    return true;
  }

  function leave() {
    const row = current();
    if (!row) return false;
    row.removeAttribute("data-at");
    document.activeElement?.blur();
    return true;
  }

  const SINGLE = {
    j: () => go(1),
    k: () => go(-1),
    x: tick,
    Enter: open,
    "/": search,
    "?": () => { openSheet(); return true; },
    Escape: leave,
  };
  // What a page with keys of its own leaves to us.
  const SHARED = ["/"];

  function press(key) {
    const found = all(`[data-key="${CSS.escape(key)}"]`).find((element) => !element.closest("[hidden]") && !element.disabled);
    if (!found) return false;
    if (found.matches("input:not([type=checkbox], [type=radio]), select, textarea")) found.focus();
    else found.click();
    return true;
  }

  // --- g, then a letter ----------------------------------------------------------------------
  let going = null;

  function begin() {
    document.body.toggleAttribute("data-going", true);
    going = setTimeout(end, GO_MS);
  }

  function end() {
    clearTimeout(going);
    going = null;
    document.body.removeAttribute("data-going");
  }

  function arrive(key) {
    end();
    const link = one(`[data-go="${CSS.escape(key)}"]`);
    if (link) location.href = link.href;
  }

  // --- Guards --------------------------------------------------------------------------------
  const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable], [role=textbox], [role=combobox], [role=listbox], [role=option]";

  function isBusy(event) {
    const target = event.target instanceof Element ? event.target : document.body;
    return one("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey || event.isComposing
      || target.closest(TYPING) || target.closest("button, summary, [role=button], [type=radio]")
      || one("[data-rows][aria-busy=true], [data-rows].htmx-request");
  }

  function isOurs(key) {
    return SINGLE[key] && (!hasOwnKeys() || SHARED.includes(key));
  }

  function take(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  // In the capture phase: a page with keys of its own must not hear the letter after "g".
  document.addEventListener("keydown", (event) => {
    if (!usesKeys() || isBusy(event)) return end();
    if (going) {
      take(event);
      return arrive(event.key);
    }
    if (event.key === "g") {
      take(event);
      return begin();
    }
    const isDone = (isOurs(event.key) && SINGLE[event.key]()) || (!hasOwnKeys() && press(event.key));
    if (isDone) take(event);
  }, true);
  document.addEventListener("kos:sheet", openSheet);

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-sheet]")) {
      event.preventDefault();
      return openSheet();
    }
    if (event.target.closest("[data-shut]")) return event.target.closest("dialog").close();
    // A click beside a dialog is a click on its backdrop, which is the dialog itself.
    if (event.target === one("#shortcuts")) event.target.close();
  });

  document.addEventListener("DOMContentLoaded", () => {
    if (!usesKeys()) localStorage.setItem("kos.review.single", "off");
  });
})();
