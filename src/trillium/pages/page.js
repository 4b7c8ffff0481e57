(() => {
  "use strict";
  const root = document.documentElement;

  // Light and dark: what the system says, until somebody chooses.
  const button = document.querySelector(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = {
    get() { try { return localStorage.getItem("trillium-theme"); } catch { return null; } },
    set(theme) { try { localStorage.setItem("trillium-theme", theme); } catch { /* then not */ } },
  };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };
  const chosen = kept.get();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    kept.set(root.dataset.theme);
    name();
  });
  system.addEventListener("change", name);
  name();

  // Tables: a click on a column's name sorts by it, a second one the other way round.
  const words = new Intl.Collator(undefined, { numeric: true });
  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? words.compare(a, b) : x - y;
  };
  for (const head of document.querySelectorAll("table.sortable thead th[data-column]")) {
    const sort = document.createElement("button");
    sort.type = "button";
    sort.className = "sort";
    sort.append(...head.childNodes);
    head.append(sort);
    sort.addEventListener("click", () => {
      const table = head.closest("table");
      const column = Number(head.dataset.column);
      const before = head.getAttribute("aria-sort");
      const falls = before ? before === "ascending" : head.dataset.first === "down";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const body = table.tBodies[0];
      const key = (row) => row.cells[column].dataset.value ?? "";
      const rows = Array.from(body.rows).sort((one, two) => {
        const a = key(one), b = key(two);
        // What is not known stays at the end, whichever way it is sorted.
        if (a === "" || b === "") return (a === "") - (b === "");
        return falls ? compare(b, a) : compare(a, b);
      });
      body.append(...rows);
    });
  }

  // Plots: what is under the pointer says its numbers.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let shown = null;
  const hide = () => {
    if (shown) shown.classList.remove("on");
    shown = null;
    tip.hidden = true;
  };
  const tell = (target, left, top) => {
    if (target !== shown) {
      if (shown) shown.classList.remove("on");
      shown = target;
      shown.classList.add("on");
      tip.textContent = target.dataset.tip;
      tip.hidden = false;
    }
    const box = tip.getBoundingClientRect();
    const right = left + 14;
    const x = right + box.width > innerWidth - 8 ? left - box.width - 14 : right;
    const below = top + 16;
    const y = below + box.height > innerHeight - 8 ? top - box.height - 12 : below;
    tip.style.left = `${Math.max(6, x)}px`;
    tip.style.top = `${Math.max(6, y)}px`;
  };
  const show = (event) => {
    const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    if (target) tell(target, event.clientX, event.clientY); else hide();
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("pointerleave", hide);
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // The same by keyboard: a plot is one stop of Tab, and the arrows go through its numbers.
  for (const plot of document.querySelectorAll("svg.area")) {
    const targets = Array.from(plot.querySelectorAll("[data-tip]"));
    if (!targets.length) continue;
    const last = targets.length - 1;
    const next = { ArrowRight: (at) => at + 1, ArrowLeft: (at) => at - 1, Home: () => 0, End: () => last };
    let at = -1;
    plot.setAttribute("tabindex", "0");
    plot.setAttribute("aria-keyshortcuts", "ArrowRight ArrowLeft Home End");
    plot.addEventListener("keydown", (event) => {
      if (!Object.hasOwn(next, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      at = Math.min(Math.max(next[event.key](at), 0), last);
      const box = targets[at].getBoundingClientRect();
      tell(targets[at], box.left + box.width / 2, box.top + box.height / 2);
    });
    plot.addEventListener("blur", hide);
  }
})();
