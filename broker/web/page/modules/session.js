// Who is signed in: a token typed once becomes a cookie that no script can read.

import { signIn, signOut } from "./api.js";
import { make } from "./dom.js";

export class Session {
  constructor(night, button) {
    this.night = night;
    this.button = button;
    this.dialog = this.made();
    document.body.append(this.dialog);
    button.addEventListener("click", () => this.ask());
    night.addEventListener("change", () => this.shown());
  }

  get owner() {
    return this.night.status?.owner ?? "";
  }

  shown() {
    const { owner } = this;
    this.button.textContent = owner || "Sign in";
    this.button.title = owner ? `Signed in as ${owner}` : "Sign in with a token";
    this.who.textContent = owner ? `Signed in as ${owner}, may ${this.night.status.scopes.join(" and ")}.`
      : "A token is made on the service's machine with starcross token make.";
    this.out.hidden = !owner;
  }

  ask() {
    this.shown();
    this.trouble.textContent = "";
    this.token.value = "";
    if (!this.dialog.open) this.dialog.showModal();
  }

  made() {
    this.token = make("input", { type: "password", id: "token", autocomplete: "current-password", required: true,
      spellcheck: "false", "aria-describedby": "token-error", placeholder: "st_…" });
    this.trouble = make("p", { class: "field-error", id: "token-error", role: "alert" });
    this.who = make("p", {});
    this.out = make("button", { type: "button", onclick: () => this.leave() }, "Sign out");
    return make("dialog", { "aria-labelledby": "session-title" },
      make("form", { method: "dialog", onsubmit: (event) => this.enter(event) },
        make("h2", { id: "session-title" }, "Sign in"), this.who,
        make("input", { type: "text", name: "username", autocomplete: "username", hidden: true }),
        make("label", { for: "token" }, "Token"), this.token, this.trouble,
        make("p", { class: "buttons" }, make("button", { type: "submit", class: "primary" }, "Sign in"), this.out,
          make("button", { type: "button", onclick: () => this.dialog.close() }, "Close"))));
  }

  async enter(event) {
    event.preventDefault();
    try {
      await signIn(this.token.value.trim());
    } catch (error) {
      this.trouble.textContent = error.message;
      return;
    }
    this.dialog.close();
    await this.night.restart();
  }

  async leave() {
    await signOut().catch(() => null);
    this.dialog.close();
    await this.night.restart();
  }
}
