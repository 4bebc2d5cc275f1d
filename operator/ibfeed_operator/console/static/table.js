// The contracts: a grid of which only the rows in view exist, so that a thousand cost as little as thirty.

import { age, color, count, element, price, setText, sharp } from "./format.js";

const ROW = 26; // px, as in style.css
const SPARK = [104, 20];
const COLUMNS = [
  ["symbol", "Symbol", (c) => c.symbol],
  ["worker", "Worker", (c) => c.worker],
  ["partition", "Part.", (c) => c.partition],
  ["state", "State", (c) => c.state],
  ["price", "Last", (c) => c.price ?? -Infinity],
  ["bid", "Bid", (c) => c.bid ?? -Infinity],
  ["ask", "Ask", (c) => c.ask ?? -Infinity],
  ["rate", "Rate/s", (c) => c.rate],
  ["age", "Age", (c) => -c.lastMs],
  ["trend", "2 min", null],
];

export class Table {
  // open(contract) is called when a row is chosen.
  constructor(store, open) {
    Object.assign(this, { store, open, sort: "symbol", down: false, chosen: null, find: "", active: 0 });
    this.grid = document.getElementById("grid");
    this.body = document.getElementById("grid-body");
    this.space = document.getElementById("grid-space");
    this.rows = []; // the pool, top to bottom
    this.listed = [];
    this.#head();
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    this.grid.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(this.body);
  }

  #head() {
    const head = document.getElementById("grid-head");
    this.heads = COLUMNS.map(([name, title, value]) => {
      const cell = element("div", { role: "columnheader", class: `c-${name}` });
      if (!value) return cell.append(title), cell;
      const button = element("button", { type: "button", text: title });
      button.addEventListener("click", () => {
        this.down = this.sort === name && !this.down;
        this.sort = name;
        this.list();
      });
      cell.append(button);
      return cell;
    });
    head.append(...this.heads);
    this.grid.setAttribute("aria-colcount", COLUMNS.length);
  }

  // List again: contracts, filter or order have changed.
  list() {
    const words = this.find.toLowerCase().split(/\s+/).filter(Boolean);
    const value = COLUMNS.find(([name]) => name === this.sort)[2];
    const at = this.listed[this.active]?.id;
    this.listed = [...this.store.contracts.values()].filter(
      (contract) =>
        (!this.chosen || (contract.feed === this.chosen.feed && contract.worker === this.chosen.worker)) &&
        words.every((word) => `${contract.symbol} ${contract.worker} ${contract.state} ${contract.feed}`.toLowerCase().includes(word)),
    );
    const turn = this.down ? -1 : 1;
    this.listed.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return (x < y ? -turn : x > y ? turn : 0) || (a.symbol < b.symbol ? -1 : 1);
    });
    this.active = Math.max(0, this.listed.findIndex((contract) => contract.id === at));
    this.grid.setAttribute("aria-rowcount", this.listed.length + 1);
    this.heads.forEach((cell, place) => {
      const own = COLUMNS[place][0] === this.sort;
      cell.setAttribute("aria-sort", own ? (this.down ? "descending" : "ascending") : "none");
    });
    this.space.style.height = `${this.listed.length * ROW}px`;
    setText(document.getElementById("count"), `${count(this.listed.length)} of ${count(this.store.contracts.size)}`);
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.body.scrollTop / ROW) - 2);
    const shown = Math.min(this.listed.length - first, Math.ceil(this.body.clientHeight / ROW) + 4);
    while (this.rows.length < shown) this.rows.push(this.#row());
    this.rows.forEach((row, place) => {
      row.node.hidden = place >= shown;
      if (place < shown) this.#fill(row, this.listed[first + place], first + place);
    });
    const active = this.listed[this.active];
    this.grid.setAttribute("aria-activedescendant", active ? `row-${active.feed}/${active.conid}` : "");
  }

  #row() {
    const cells = COLUMNS.map(([name]) => element("div", { role: "gridcell", class: `c-${name}` }));
    const canvas = element("canvas", { "aria-hidden": "true" });
    cells.at(-1).append(canvas);
    const node = element("div", { role: "row", class: "line" }, ...cells);
    const row = { node, cells, canvas };
    node.addEventListener("click", () => {
      this.active = row.place;
      this.open(this.listed[row.place]);
      this.draw();
    });
    this.space.append(node);
    return row;
  }

  #fill(row, contract, place) {
    const fresh = this.store.freshness(contract);
    const other = row.contract !== contract;
    const texts = [
      contract.symbol, contract.worker || "–", String(contract.partition), contract.state,
      price(contract.price, contract.digits), price(contract.bid, contract.digits), price(contract.ask, contract.digits),
      contract.rate ? contract.rate.toFixed(1) : "0", contract.lastMs ? age(this.store.now() - contract.lastMs) : "never",
    ];
    texts.forEach((text, column) => setText(row.cells[column], text));
    row.node.dataset.fresh = fresh;
    row.cells[4].dataset.turn = contract.turn;
    if (other || row.place !== place) {
      row.node.style.transform = `translateY(${place * ROW}px)`;
      row.node.id = `row-${contract.feed}/${contract.conid}`;
      row.node.setAttribute("aria-rowindex", place + 2);
      row.node.title = contract.message;
    }
    row.node.setAttribute("aria-selected", String(place === this.active));
    if (other || contract.changed || this.stale) this.#spark(row.canvas, contract.samples);
    contract.changed = false;
    Object.assign(row, { contract, place });
  }

  #spark(canvas, samples) {
    const [width, height] = SPARK;
    const context = sharp(canvas, width, height);
    if (samples.length < 2) return;
    const [low, high] = [Math.min(...samples), Math.max(...samples)];
    const step = width / 59;
    const y = (value) => (high === low ? height / 2 : height - 2 - ((value - low) / (high - low)) * (height - 4));
    context.strokeStyle = this.line;
    context.lineWidth = 1.2;
    context.beginPath();
    samples.forEach((value, place) => context.lineTo(width - (samples.length - place) * step, y(value)));
    context.stroke();
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.target !== this.grid) return;
    if (event.key === "Enter" && this.listed[this.active]) this.open(this.listed[this.active]);
    else if (event.key in steps) {
      this.active = Math.min(Math.max(0, this.active + steps[event.key]), this.listed.length - 1);
      const top = this.active * ROW;
      if (top < this.body.scrollTop) this.body.scrollTop = top;
      else if (top + ROW > this.body.scrollTop + this.body.clientHeight) this.body.scrollTop = top + ROW - this.body.clientHeight;
      this.draw();
    } else return;
    event.preventDefault();
  }

  theme() {
    this.line = color("--line");
    this.stale = true;
    this.draw();
    this.stale = false;
  }
}
