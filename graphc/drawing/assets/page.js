"use strict";
// The tabs of the page: one stage is shown, and the address names it.
(() => {
  const tabs = [...document.querySelectorAll("nav button")];
  function show(name) {
    for (const tab of tabs) {
      const isShown = tab.dataset.panel === name;
      tab.setAttribute("aria-selected", String(isShown));
      document.getElementById(tab.dataset.panel).hidden = !isShown;
    }
    document.dispatchEvent(new CustomEvent("graphc:shown"));
  }
  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      history.replaceState(null, "", `#${tab.dataset.panel}`);
      show(tab.dataset.panel);
    });
  }
  const wanted = location.hash.slice(1);
  const known = tabs.some((tab) => tab.dataset.panel === wanted);
  show(known ? wanted : tabs[0].dataset.panel);
})();
