"use strict";
// Searching and filtering; without it the page shows everything. It reads texts of the page and writes none of
// them anywhere but into the address.
(() => {
  const packages = [...document.querySelectorAll(".package")];
  const search = document.getElementById("search");
  const boxes = [...document.querySelectorAll("input[data-outcome]")];
  const denials = document.getElementById("denials");
  const shown = document.getElementById("shown");
  const texts = new Map();
  const textOf = (element) => {
    if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase());
    return texts.get(element);
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.outcome));
    let count = 0;
    for (const element of packages) {
      const fits = outcomes.has(element.dataset.outcome)
        && (!denials.checked || element.dataset.denials !== "0")
        && words.every((word) => textOf(element).includes(word));
      element.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${packages.length} packages`;
  };
  const fromAddress = () => {
    const wanted = new URLSearchParams(location.hash.slice(1)).get("search");
    if (wanted !== null) search.value = wanted;
    const target = /^#package-\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (target) target.open = true;
    filter();
  };
  const all = (open) => packages.forEach((element) => { if (!element.hidden) element.open = open; });
  search.addEventListener("input", filter);
  search.addEventListener("change", () => {
    history.replaceState(null, "", search.value ? `#${new URLSearchParams({ search: search.value })}` : "#");
  });
  [...boxes, denials].forEach((box) => box.addEventListener("change", filter));
  document.getElementById("open").addEventListener("click", () => all(true));
  document.getElementById("close").addEventListener("click", () => all(false));
  addEventListener("hashchange", fromAddress);
  addEventListener("keydown", (event) => {
    const typing = event.target === search;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && typing) {
      search.value = "";
      filter();
    } else if ((event.key === "j" || event.key === "k") && !typing) {
      const rows = packages.filter((element) => !element.hidden).map((element) => element.firstElementChild);
      const at = rows.indexOf(document.activeElement);
      const next = rows[event.key === "j" ? at + 1 : Math.max(at - 1, 0)];
      if (next) next.focus();
    }
  });
  document.querySelector(".controls").hidden = false;
  fromAddress();
})();
