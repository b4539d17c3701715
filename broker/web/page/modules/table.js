// A table that sorts, and grows as one reads on: thousands of rows are sorted and filtered, but only some are made.

import { make } from "./dom.js";

const ROWS = 100;

export class Table {
  /**
   * @param {object} told
   *   `caption`; `columns` [{key, title, hint, value(row), cell(row), number, from}] (`from`: narrowest width in which it
   *   is shown, as a class); `sort` [key, descending]; `compare(one, other)` for the first order; `row(row)`: attributes.
   */
  constructor(told) {
    Object.assign(this, { rows: [], shown: ROWS, ...told });
    this.headers = this.columns.map((column) => this.header(column));
    this.body = make("tbody");
    this.more = make("button", { type: "button", class: "more", hidden: true, onclick: () => this.grow() });
    this.table = make("table", {},
      make("caption", { class: "hidden" }, this.caption),
      make("thead", {}, make("tr", {}, ...this.headers)), this.body);
    this.element = make("div", { class: "table" }, this.table, this.more);
    this.marked();
  }

  header(column) {
    const classes = [column.number && "number", column.from].filter(Boolean).join(" ");
    if (!column.value) return make("th", { scope: "col", class: classes }, column.title);
    const press = make("button", { type: "button", title: column.hint, onclick: () => this.sortBy(column) }, column.title);
    return make("th", { scope: "col", class: classes, "data-key": column.key }, press);
  }

  sortBy({ key, number }) {
    const [before, down] = this.sort;
    this.sort = key === before ? [key, !down] : [key, Boolean(number)];
    this.marked();
    this.show(this.rows);
  }

  marked() {
    for (const header of this.headers) {
      const { key } = header.dataset;
      if (key === this.sort[0]) header.setAttribute("aria-sort", this.sort[1] ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
  }

  grow() {
    const before = this.body.rows.length;
    this.shown += ROWS;
    this.show(this.rows);
    this.body.rows[before]?.querySelector("a, button")?.focus();
  }

  show(rows) {
    this.rows = rows;
    const ordered = this.ordered();
    const focused = this.body.contains(document.activeElement) && document.activeElement.closest("tr")?.dataset.id;
    this.made ??= new Map();
    const made = new Map();
    for (const row of ordered.slice(0, this.shown)) made.set(row.id, this.line(row));
    this.made = made;
    const lines = [...made.values()].map((one) => one.line);
    // What is unchanged stays in its place, and with it the reader's focus.
    lines.forEach((line, place) => {
      if (this.body.children[place] !== line) this.body.insertBefore(line, this.body.children[place] ?? null);
    });
    while (this.body.children.length > lines.length) this.body.lastChild.remove();
    if (focused && !this.body.contains(document.activeElement)) {
      this.body.querySelector(`tr[data-id="${CSS.escape(focused)}"] a`)?.focus();
    }
    const left = ordered.length - lines.length;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show ${Math.min(left, ROWS)} more of ${left}`;
    this.table.setAttribute("aria-rowcount", String(ordered.length + 1));
    this.visible = ordered;
  }

  line(row) {
    const attributes = { "data-id": row.id, ...this.row?.(row) };
    const key = JSON.stringify([row, attributes]);
    const before = this.made.get(row.id);
    if (before?.key === key) return before;
    const cells = this.columns.map((column) => {
      const classes = [column.number && "number", column.from].filter(Boolean).join(" ") || null;
      const content = column.cell(row);
      return column === this.columns[0]
        ? make("th", { scope: "row", class: classes }, content)
        : make("td", { class: classes }, content);
    });
    return { key, line: make("tr", attributes, ...cells) };
  }

  ordered() {
    const [key, down] = this.sort;
    const column = this.columns.find((one) => one.key === key);
    if (!column) return [...this.rows].sort(this.compare);
    const way = down ? -1 : 1;
    return [...this.rows].sort((one, other) => {
      const [a, b] = [column.value(one), column.value(other)];
      // What is unknown comes last, whichever way it goes.
      if (a === null || b === null) return (a === null) - (b === null);
      return (a < b ? -1 : a > b ? 1 : 0) * way || this.compare?.(one, other) || 0;
    });
  }
}
