// The palette: Ctrl+K anywhere, or a link with data-palette. Without JavaScript that link leads to
// the page of search.
//
//   data-act        what a find does at once: theme:dark, keys
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const KEPT = 8;
  const LATE_MS = 3000;

  // --- Recent pages of one thing, on this browser alone --------------------------------------
  const store = () => `kos.recent.${document.body.dataset.user}`;

  function recent() {
    try {
      return JSON.parse(localStorage.getItem(store())) || [];
    } catch {
      return [];
    }
  }

  function remember() {
    const number = /^\/([a-z-]+)\/(?:[a-z-]+\/)*\d+\//.exec(location.pathname);
    if (!number || !document.body.dataset.user || document.body.dataset.failed !== undefined) return;
    const url = location.pathname;
    const title = document.title.replace(/ · Kos$/, "");
    const kept = recent().filter((page) => page.url !== url && page.url !== one(".crumbs a")?.pathname);
    localStorage.setItem(store(), JSON.stringify([{ url, title, kind: number[1] }, ...kept].slice(0, KEPT)));
  }

  function forget() {
    Object.keys(localStorage).filter((key) => key.startsWith("kos.recent.")).forEach((key) => localStorage.removeItem(key));
  }

  // --- The palette ---------------------------------------------------------------------------
  const palette = () => one("#palette");
  const field = () => one("#palette-q");
  const options = () => all("#palette [role=option]:not([aria-disabled])").filter((option) => !option.closest("[hidden]"));

  function openPalette() {
    if (!palette() || palette().open) return;
    all("dialog[open]").forEach((dialog) => dialog.close());
    field().value = "";
    answered = null;
    isEnterDue = false;
    showRecent();
    palette().showModal();
    htmx.trigger(field(), "palette");
  }

  function showRecent() {
    const box = one("#recent");
    const pages = field().value.trim() ? [] : recent().filter((page) => page.url !== location.pathname);
    box.hidden = !pages.length;
    if (!pages.length) return box.replaceChildren();
    const list = document.createElement("div");
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Recent");
    const head = document.createElement("div");
    head.className = "found-kind";
    head.textContent = "Recent";
    head.setAttribute("aria-hidden", "true");
    pages.slice(0, 5).forEach((page, place) => {
      const link = document.createElement("a");
      const title = document.createElement("span");
      const note = document.createElement("span");
      Object.assign(link, { id: `recent-${place}`, className: "found", href: page.url, tabIndex: -1 });
      link.setAttribute("role", "option");
      link.setAttribute("aria-selected", "false");
      title.className = "found-title";
      title.textContent = page.title;
      note.className = "mut clip";
      note.textContent = page.kind;
      link.append(title, note);
      list.append(link);
    });
    box.replaceChildren(head, list);
  }

  function choose(option) {
    options().forEach((other) => other.setAttribute("aria-selected", String(other === option)));
    if (!option) return field().removeAttribute("aria-activedescendant");
    field().setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  const chosen = () => one("#palette [role=option][aria-selected=true]");

  function step(by) {
    const list = options();
    if (!list.length) return;
    const at = list.indexOf(chosen());
    choose(list[(at + by + list.length) % list.length]);
  }

  function act(name) {
    if (palette()?.open) palette().close();
    const [what, value] = name.split(":");
    if (what === "theme") one(`[data-theme-form] button[value=${value}]`)?.click();
    if (what === "keys") document.dispatchEvent(new Event("kos:sheet"));
  }

  // Whoever types and presses Enter at once means what they typed, not what was there before.
  let answered = null;
  let isEnterDue = false;

  const isAnswered = () => answered === field().value.trim().replace(/\s+/g, " ");

  function answer() {
    const target = one("#found");
    answered = target?.dataset.words ?? "";
    choose(options()[0]);
    if (isEnterDue && isAnswered()) {
      isEnterDue = false;
      if (chosen()) follow(chosen());
    }
  }

  function follow(option) {
    if (option.dataset.act) return act(option.dataset.act);
    location.href = option.href;
  }

  function inPalette(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (moves[event.key]) {
      event.preventDefault();
      step(moves[event.key]);
    } else if (event.key === "Enter" && !isAnswered()) {
      event.preventDefault();
      isEnterDue = true;
      // Where no answer comes, the page of all finds is asked instead.
      setTimeout(() => { if (isEnterDue) field().form.submit(); }, LATE_MS);
    } else if (event.key === "Enter" && chosen()) {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) window.open(chosen().href);
      else follow(chosen());
    }
  }

  // In the capture phase: while the palette is open no other key on the page is heard.
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (palette()?.open) palette().close();
      else openPalette();
    } else if (palette()?.open) {
      inPalette(event);
    }
  }, true);
  document.addEventListener("kos:palette", openPalette);

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-palette]");
    if (opener && palette() && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      return openPalette();
    }
    // A click beside a dialog is a click on its backdrop, which is the dialog itself.
    if (event.target === palette()) return event.target.close();
    const find = event.target.closest("a[data-act]");
    if (find) {
      event.preventDefault();
      act(find.dataset.act);
    }
  });
  document.addEventListener("mousemove", (event) => {
    const option = event.target.closest?.("#palette [role=option]:not([aria-disabled])");
    if (option && option !== chosen()) choose(option);
  });
  document.addEventListener("input", (event) => {
    if (event.target !== field()) return;
    isEnterDue = false;
    showRecent();
  });
  document.addEventListener("htmx:after:swap", () => { if (palette()?.open) answer(); });
  document.addEventListener("submit", (event) => { if (event.target.matches("[data-sign-out]")) forget(); });
  document.addEventListener("DOMContentLoaded", remember);
})();
