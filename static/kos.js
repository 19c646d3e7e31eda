// What every page of the console does in the browser beyond links and forms. Every page works
// without it. Live pages load live.js too, pages with charts charts.js.
//
// A page says what it wants in data attributes:
//   data-auto                 submit this filter form when a menu changes
//   data-confirm              ask before this form is sent
//   data-copy                 copy the text of the element it selects
//   data-close                put away the message it stands in
//   data-focus                where the page begins for the keyboard
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const sure = new WeakSet();

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

  // The question stands before the form goes; the button that was pressed goes with it.
  function ask(form, pressed) {
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
    button(pressed.textContent.trim(), "d p", () => { sure.add(form); form.requestSubmit(pressed); });
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
    const form = event.target;
    if (!form.dataset.confirm || sure.delete(form)) return;
    event.preventDefault();
    ask(form, event.submitter ?? form.querySelector("button"));
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
    document.dispatchEvent(new CustomEvent("kos:theme"));
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelector("[data-focus]")?.focus();
    document.querySelector(".nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    setTimeout(() => all("[data-toast]:not(.error, .warning)").forEach((box) => box.remove()), 7000);
  });

  window.kos = { toast };
})();
