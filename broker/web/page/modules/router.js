// Which view an address is. Links within the page change the address without loading the page again.

const VIEWS = [
  [/^\/$/, "live"],
  [/^\/coincidences\/([^/]+)$/, "coincidence"],
  [/^\/triggers\/([^/]+)$/, "trigger"],
  [/^\/upload$/, "upload"],
];

/** Name of the view, the id in the address and its parameters. */
export function route(location) {
  for (const [pattern, name] of VIEWS) {
    const found = pattern.exec(location.pathname);
    if (found) return { name, id: found[1] && decodeURIComponent(found[1]), query: new URLSearchParams(location.search) };
  }
  return { name: "missing", query: new URLSearchParams() };
}

export const to = {
  coincidence: (id) => `/coincidences/${encodeURIComponent(id)}`,
  trigger: (id) => `/triggers/${encodeURIComponent(id)}`,
};

/** Go to an address of the page. */
export function go(path, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  dispatchEvent(new Event("routed"));
}

/** Tell of each change. */
export function listen(changed) {
  addEventListener("popstate", changed);
  addEventListener("routed", changed);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.target || link.dataset.outside !== undefined || link.hash) return;
    if (link.origin !== location.origin || route(link).name === "missing") return;
    event.preventDefault();
    if (link.pathname + link.search !== location.pathname + location.search) go(link.pathname + link.search);
  });
}
