// The map: each feed with its workers and accounts. A worker's squares are its contracts, coloured by their last tick.

import { color, element, plural, setText, sharp } from "./format.js";

const CELL = 7; // px, with the gap
const READY = { True: "ready", False: "not ready", Unknown: "unknown" };
const BROKEN = new Set(["Parked", "BackingOff", "Stopped", "Absent"]);

export const tone = (session) => (session === "Streaming" ? "good" : BROKEN.has(session) ? "bad" : "wait");

export class FeedMap {
  // choose({feed, worker}) is called when a worker, or a feed (worker ""), is chosen for the table.
  constructor(store, choose) {
    Object.assign(this, { store, choose });
    this.root = document.getElementById("feeds");
    this.tiles = new Map(); // "feed worker" -> {tile, canvas, …}
    this.built = "";
  }

  draw(chosen) {
    const shape = JSON.stringify(this.store.feeds.map((f) => [f.key, f.workers.map((w) => w.name), f.accounts.map((a) => a.index)]));
    if (shape !== this.built) this.#build(shape);
    const own = this.#byWorker();
    for (const feed of this.store.feeds) {
      const part = this.parts.get(feed.key);
      part.badge.dataset.level = { True: "good", False: "bad" }[feed.ready] ?? "wait";
      setText(part.badge, READY[feed.ready] ?? feed.ready);
      setText(part.sum, `${feed.publishing} of ${feed.wanted} publishing`);
      setText(part.message, feed.message);
      part.message.title = feed.message;
      for (const worker of feed.workers) this.#drawWorker(feed, worker, own.get(`${feed.key} ${worker.name}`) ?? [], chosen);
      feed.accounts.forEach((account, place) => this.#drawAccount(part.accounts.children[place], account));
    }
  }

  #byWorker() {
    const own = new Map();
    for (const contract of this.store.contracts.values()) {
      const key = `${contract.feed} ${contract.worker}`;
      own.get(key)?.push(contract) ?? own.set(key, [contract]);
    }
    for (const list of own.values()) list.sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
    return own;
  }

  #build(shape) {
    const focused = document.activeElement?.dataset?.tile;
    this.built = shape;
    this.tiles.clear();
    this.parts = new Map();
    this.root.replaceChildren(...this.store.feeds.map((feed) => this.#feed(feed)));
    if (!this.store.feeds.length) {
      this.root.append(element("p", { class: "empty", text: "There is no feed that you may see. Apply an IbFeed, or ask for the role view in its namespace." }));
    }
    if (focused) this.tiles.get(focused)?.tile.focus();
  }

  #feed(feed) {
    const badge = element("span", { class: "pill" });
    const sum = element("span", { class: "dim" });
    const message = element("p", { class: "message" });
    const tiles = element("div", { class: "tiles" });
    const accounts = element("ul", { class: "accounts", "aria-label": `Accounts of ${feed.name}` });
    for (const worker of feed.workers) tiles.append(this.#tile(feed, worker));
    for (const account of feed.accounts) accounts.append(element("li", { text: String(account.index) }));
    this.parts.set(feed.key, { badge, sum, message, accounts });
    const title = element("h3", {}, element("span", { class: "dim", text: `${feed.namespace}/` }), feed.name);
    const line = element("p", { class: "account-line" }, element("span", { class: "dim", text: `Accounts of ${feed.source}` }));
    return element("article", { class: "feed", "aria-label": feed.key },
      element("div", { class: "bar" }, title, badge, sum), message, tiles, ...(feed.accounts.length ? [line, accounts] : []));
  }

  #tile(feed, worker) {
    const key = `${feed.key} ${worker.name}`;
    const name = element("strong", { text: worker.name });
    const account = element("span", { class: "dim number" });
    const session = element("span", { class: "session" });
    const load = element("span", { class: "dim number" });
    const canvas = element("canvas", { "aria-hidden": "true" });
    const tile = element("button", { type: "button", class: "tile", "data-tile": key, "aria-pressed": "false" },
      element("span", { class: "row" }, name, account), element("span", { class: "row" }, session, load), canvas);
    tile.addEventListener("click", () => this.choose({ feed: feed.key, worker: worker.name }));
    this.tiles.set(key, { tile, account, session, load, canvas });
    return tile;
  }

  #drawWorker(feed, worker, contracts, chosen) {
    const key = `${feed.key} ${worker.name}`;
    const { tile, account, session, load, canvas } = this.tiles.get(key);
    tile.dataset.level = tone(worker.session);
    tile.setAttribute("aria-pressed", String(chosen?.feed === feed.key && chosen.worker === worker.name));
    tile.title = worker.message;
    setText(account, worker.account === null ? "no account" : `account ${worker.account}`);
    setText(session, worker.session + (worker.drained ? ", drained" : "") + (worker.kafka === false ? ", no Kafka" : ""));
    setText(load, `${worker.publishing}/${worker.contracts}`);
    const broken = contracts.filter((contract) => this.store.freshness(contract) === "broken").length;
    tile.setAttribute("aria-label",
      `${worker.name}, ${worker.session}, ${account.textContent}, ${plural(worker.contracts, "contract")}, ` +
      `${worker.publishing} publishing${broken ? `, ${broken} in trouble` : ""}. ${worker.message}`);
    const columns = Math.max(1, Math.floor((tile.clientWidth - 18) / CELL));
    const rows = Math.max(1, Math.ceil(contracts.length / columns));
    const context = sharp(canvas, columns * CELL, rows * CELL);
    contracts.forEach((contract, place) => {
      context.fillStyle = this.colors[this.store.freshness(contract)];
      context.fillRect((place % columns) * CELL, Math.floor(place / columns) * CELL, CELL - 1.5, CELL - 1.5);
    });
  }

  #drawAccount(item, account) {
    item.dataset.state = account.state;
    const text = `account ${account.index}: ${account.state}${account.holder ? ` by ${account.holder}` : ""}${account.message ? `; ${account.message}` : ""}`;
    item.title = text;
    item.setAttribute("aria-label", text);
  }

  theme() {
    this.colors = Object.fromEntries(["fresh", "recent", "quiet", "broken"].map((name) => [name, color(`--${name}`)]));
  }
}
