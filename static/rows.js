// Picking rows of a list: how many are picked, all at once, and which actions that allows. Without
// it rows are picked and acted on all the same; the server says what does not fit.
//
//   data-bulk             the form of the actions; boxes belong to it by their form attribute
//   data-picked           where it says how many are picked
//   data-between="2 6"    a button for no fewer and no more
//   data-all="runs"       the box that picks all boxes of this name
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  let last = null;

  const boxes = (name) => all(`tbody input[name="${CSS.escape(name)}"]`);

  function count() {
    for (const form of all("[data-bulk]")) {
      const picked = all(`tbody input[form="${form.id}"]:checked`).length;
      const note = form.querySelector("[data-picked]");
      if (note) note.textContent = picked;
      for (const button of all("[data-between]", form)) {
        const [low, high] = button.dataset.between.split(" ").map(Number);
        button.disabled = picked < low || picked > high;
        button.title = button.disabled ? `Pick ${low} to ${high}` : "";
      }
    }
    for (const whole of all("[data-all]")) {
      const own = boxes(whole.dataset.all);
      const picked = own.filter((box) => box.checked).length;
      whole.checked = picked > 0 && picked === own.length;
      whole.indeterminate = picked > 0 && picked < own.length;
    }
  }

  document.addEventListener("change", (event) => {
    if (event.target.dataset.all) boxes(event.target.dataset.all).forEach((box) => { box.checked = event.target.checked; });
    count();
  });
  // With Shift held, everything between the last box and this one.
  document.addEventListener("click", (event) => {
    const box = event.target.closest?.("tbody input[type=checkbox]");
    if (!box) return;
    if (event.shiftKey && last?.isConnected && last !== box) {
      const own = boxes(box.name);
      const [from, to] = [own.indexOf(last), own.indexOf(box)].sort((a, b) => a - b);
      own.slice(from, to + 1).forEach((one) => { one.checked = box.checked; });
      count();
    }
    last = box;
  });
  document.addEventListener("reset", () => setTimeout(count));
  // A row that is drawn anew stays the one the keys are at; an open menu stays open.
  htmx.config.morphIgnore = [...(htmx.config.morphIgnore || []), "data-at", "open"];
  document.addEventListener("htmx:after:swap", count);
  document.addEventListener("DOMContentLoaded", count);
})();
