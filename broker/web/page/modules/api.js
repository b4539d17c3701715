// The interface, asked. An error is a `Problem` with the service's own words.

const BASE = "/api/v1";

/** What the service answered instead of what was asked for; status 0 if it did not answer at all. */
export class Problem extends Error {
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }

  /** Whether somebody must sign in, or with another token. */
  get refused() {
    return this.status === 401 || this.status === 403;
  }
}

/** A problem of an answer. */
export function problemOf(status, text) {
  try {
    const told = JSON.parse(text);
    return new Problem(status, told.detail ?? told.title, told.errors ?? []);
  } catch {
    return new Problem(status, `the service answered with status ${status}`);
  }
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the service cannot be reached");
  }
  if (!response.ok) throw problemOf(response.status, await response.text());
  return response.status === 204 ? null : response.json();
}

/** Ask for a path below /api/v1; parameters that are empty are left out. */
export function get(path, parameters = {}, options = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value != null));
  return send(`${BASE}${path}${query.size ? `?${query}` : ""}`, options);
}

/** All parts of a list, each as it comes. */
export async function* parts(path, parameters = {}, options = {}) {
  let cursor = null;
  do {
    const part = await get(path, { ...parameters, cursor }, options);
    yield part;
    cursor = part.next;
  } while (cursor);
}

/** Withdraw an uploaded map. */
export const withdraw = (id) => send(`${BASE}/skymaps/${encodeURIComponent(id)}`, { method: "DELETE" });

/** Make the page's cookie of a token. */
export const signIn = (token) =>
  send("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });

/** Forget it. */
export const signOut = () => send("/session", { method: "DELETE" });

let document_ = null;

/** The interface's own document: what its fields mean is told there, and nowhere else. */
export function openApi() {
  document_ ??= get("/openapi.json").catch((error) => {
    document_ = null;
    throw error;
  });
  return document_;
}

/** The properties of a model of the document. */
export async function propertiesOf(model) {
  return (await openApi()).components.schemas[model]?.properties ?? {};
}

/** Upload a form, telling how much is sent: `fetch` does not say. */
export function upload(form, replaced, onprogress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(replaced ? "PUT" : "POST", `${BASE}/skymaps${replaced ? `/${encodeURIComponent(replaced)}` : ""}`);
    request.upload.onprogress = (event) => onprogress(event.lengthComputable ? event.loaded / event.total : null);
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText));
      else reject(problemOf(request.status, request.responseText));
    };
    request.onerror = () => reject(new Problem(0, "the service cannot be reached"));
    if (form instanceof FormData) request.send(form);
    else {
      request.setRequestHeader("Content-Type", "application/json");
      request.send(JSON.stringify(form));
    }
  });
}
