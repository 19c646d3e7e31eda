// The form that starts a run. It works without this: what is here puts faults beside their
// fields while one types, finds knobs, takes changes back, and asks before typed knobs are lost.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const form = document.getElementById("run-form");
  if (!form) return;
  const $ = (id) => document.getElementById(id);

  // --- Faults and changes, as the server told them last ------------------------------------
  function mark() {
    const faults = new Map();
    for (const link of all("#ready [data-problem]")) {
      const said = link.parentElement.querySelector("span").textContent;
      faults.set(link.dataset.problem, [...(faults.get(link.dataset.problem) || []), said]);
    }
    for (const box of all(".knob", form)) {
      const control = box.querySelector("input, select, textarea");
      const error = box.querySelector(".error");
      if (!control || !error) continue;
      const said = (faults.get(control.id) || []).join(" ");
      if (error.textContent.trim() !== said) error.textContent = said;
      control.toggleAttribute("aria-invalid", false);
      if (said) control.setAttribute("aria-invalid", "true");
      const others = (control.getAttribute("aria-describedby") || "").split(" ").filter((id) => id && id !== error.id);
      control.setAttribute("aria-describedby", [...others, ...(said ? [error.id] : [])].join(" "));
    }
    const changed = new Set(($("changes-list")?.dataset.changed || "").split(" "));
    for (const box of all(".knob", form)) box.classList.toggle("changed", changed.has(box.querySelector("input, select, textarea")?.id));
  }

  // Which of the ways to say it is open stays so when they are drawn anew.
  let way = "rest";
  document.addEventListener("toggle", (event) => { if (event.target.dataset?.way && event.target.open) way = event.target.dataset.way; }, true);

  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail?.ctx?.sourceElement !== form) return;
    mark();
    const shown = document.querySelector(`[data-way="${way}"]`);
    if (shown) shown.open = true;
  });

  // --- Links to a knob open what it is folded into -----------------------------------------
  function show(id) {
    const goal = $(id);
    if (!goal) return false;
    for (let box = goal.parentElement; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    goal.scrollIntoView({ block: "center" });
    goal.focus({ preventScroll: true });
    return true;
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && $(link.hash.slice(1)) && show(link.hash.slice(1))) {
      event.preventDefault();
      const menu = link.closest("details.menu");
      if (menu) menu.open = false;
    }
  });

  // --- A knob goes back to its start ---------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-reset]");
    if (!button) return;
    const control = form.elements[button.dataset.reset];
    if (!control) return;
    event.preventDefault();
    if (control.type === "checkbox") control.checked = Boolean(button.dataset.value);
    else control.value = button.dataset.value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // --- Finding a knob ------------------------------------------------------------------------
  const filter = $("knob-filter");
  const wasOpen = new Map();

  function seek() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const folds = all("details.part, details.more, details.fold", form);
    if (!words.length) {
      form.removeAttribute("data-sought");
      all(".out", form).forEach((box) => box.classList.remove("out"));
      wasOpen.forEach((open, box) => { box.open = open; });
      wasOpen.clear();
      $("knob-found").textContent = "";
      $("knob-none").hidden = true;
      return;
    }
    if (!wasOpen.size) folds.forEach((box) => wasOpen.set(box, box.open));
    form.setAttribute("data-sought", "");
    const knobs = all(".knob", form);
    let found = 0;
    for (const box of knobs) {
      const control = box.querySelector("input, select, textarea");
      // Not the whole text: a menu's choices are no names of knobs.
      const said = all("label, .help", box).map((part) => part.textContent).join(" ");
      const text = `${said} ${control?.name.replaceAll(/[-_]/g, " ")} ${control?.name}`.toLowerCase();
      const isHit = words.every((word) => text.includes(word));
      box.classList.toggle("out", !isHit);
      found += isHit;
    }
    for (const box of all("fieldset.part, details.part, details.more, details.fold, .entries > li", form)) box.classList.toggle("out", !box.querySelector(".knob:not(.out)"));
    folds.forEach((box) => { box.open = !box.classList.contains("out"); });
    $("knob-found").textContent = `${found} of ${knobs.length}`;
    $("knob-none").hidden = found > 0;
  }
  if (filter) {
    filter.hidden = false;
    filter.addEventListener("input", seek);
    filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && filter.value) { filter.value = ""; seek(); event.stopPropagation(); }
      if (event.key === "Enter") { event.preventDefault(); all(".knob:not(.out) :is(input, select, textarea)", form)[0]?.focus(); }
    });
  }

  // --- What was typed is not lost unasked, and a run is started once -------------------------
  let isDirty = false;
  let isLeaving = false;
  form.addEventListener("input", () => { isDirty = true; });
  form.addEventListener("knobs", () => { isDirty = true; });
  addEventListener("beforeunload", (event) => { if (isDirty && !isLeaving) event.preventDefault(); });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-stays")) {
      // A download: the page stays, so what was typed is still to be lost.
      isLeaving = true;
      setTimeout(() => { isLeaving = false; }, 1000);
      return;
    }
    if (form.dataset.isSent) return event.preventDefault();
    isLeaving = true;
    form.dataset.isSent = "yes";
    // Only the looks: a disabled button would not be sent.
    $("start")?.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => {
    isLeaving = false;
    delete form.dataset.isSent;
    $("start")?.removeAttribute("aria-disabled");
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey) { event.preventDefault(); form.requestSubmit($("start")); }
  });
})();
