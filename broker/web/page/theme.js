// Before anything is painted, so that nobody is dazzled: a theme that was chosen here comes before the system's.
(() => {
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") ?? "auto";
  } catch { /* storage may be forbidden */ }
  document.documentElement.dataset.theme = chosen;
})();
