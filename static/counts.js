// The counts beside the links of the rail, asked for now and then while a page stays open.
(() => {
  "use strict";
  const COUNT_MS = 20000;

  async function count() {
    const nav = document.querySelector("#nav[data-counts]");
    if (!nav || document.hidden) return;
    try {
      const answer = await fetch(nav.dataset.counts, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      for (const [name, number] of Object.entries(await answer.json())) {
        document.querySelectorAll(`[data-badge="${name}"]`).forEach((box) => {
          box.textContent = number;
          box.hidden = !number;
        });
      }
    } catch {
      // Not connected: the page says so where it matters, and the next try comes anyway.
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    setInterval(count, COUNT_MS);
    document.addEventListener("visibilitychange", count);
  });
})();
