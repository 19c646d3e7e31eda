// The drawn lineage opens where its root stands, also after a piece of it was opened.
(() => {
  "use strict";
  const show = () => {
    const pan = document.querySelector(".pan");
    const here = pan?.querySelector("[data-here]");
    if (!here) return;
    const box = here.getBoundingClientRect(), frame = pan.getBoundingClientRect();
    pan.scrollLeft += box.left - frame.left - (frame.width - box.width) / 2;
    pan.scrollTop += box.top - frame.top - (frame.height - box.height) / 2;
  };
  // What was opened keeps the place that was looked at.
  let kept = null;
  document.addEventListener("htmx:before:request", () => {
    const pan = document.querySelector(".pan");
    kept = pan && { left: pan.scrollLeft, top: pan.scrollTop };
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const pan = document.querySelector(".pan");
    if (!pan || !event.target.closest?.("#lineage, main")) return;
    if (kept) { pan.scrollLeft = kept.left; pan.scrollTop = kept.top; } else show();
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show); else show();
})();
