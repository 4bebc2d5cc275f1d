// The time line: a lane for each worker with its sessions; logins, moves and gaps as marks. And the same as a list.

import { age, element, time } from "./format.js";
import { tone } from "./map.js";

const MOST_LINES = 200;
const TICKS = 6;
const WORDS = { login: "login", move: "move", gap: "gap" };

export class TimeLine {
  constructor(store) {
    this.store = store;
    this.lanes = document.getElementById("lanes");
    this.list = document.getElementById("events");
    this.span = document.getElementById("span");
    this.span.addEventListener("change", () => this.draw());
    this.listed = 0;
  }

  reset() {
    this.list.replaceChildren();
    this.listed = 0;
  }

  draw() {
    const to = this.store.now();
    const from = to - Number(this.span.value) * 60_000;
    const place = (ms) => ((Math.min(Math.max(ms, from), to) - from) / (to - from)) * 100;
    const lanes = new Map();
    for (const feed of this.store.feeds) for (const worker of feed.workers) lanes.set(`${feed.key} ${worker.name}`, []);
    for (const one of this.store.happenings) lanes.get(`${one.feed} ${one.worker}`)?.push(one);
    const rows = [...lanes].map(([key, own]) => this.#lane(key, own, from, to, place));
    const axis = element("div", { class: "axis" });
    for (let step = 0; step <= TICKS; step++) {
      const mark = element("span", { text: time(from + ((to - from) * step) / TICKS).slice(0, 5) });
      mark.style.left = `${(step / TICKS) * 100}%`;
      axis.append(mark);
    }
    this.lanes.replaceChildren(...rows, element("div", { class: "lane" }, element("span"), axis));
  }

  #lane(key, own, from, to, place) {
    const track = element("div", { class: "track" });
    const sessions = own.filter((one) => one.kind === "session").sort((a, b) => a.at_ms - b.at_ms);
    sessions.forEach((one, number) => {
      const end = sessions[number + 1]?.at_ms ?? to;
      if (end < from) return;
      const bar = element("i", { class: `session ${tone(one.text)}`, title: `${time(one.at_ms)} ${one.text}` });
      bar.style.left = `${place(one.at_ms)}%`;
      bar.style.width = `${place(end) - place(one.at_ms)}%`;
      track.append(bar);
    });
    for (const one of own) {
      if (one.kind === "session" || Math.max(one.at_ms, one.end_ms ?? 0) < from) continue;
      const mark = element("i", { class: `mark ${one.kind}`, title: `${time(one.at_ms)} ${one.text}` });
      mark.style.left = `${place(one.at_ms)}%`;
      if (one.kind === "gap") mark.style.width = `max(4px, ${place(one.end_ms ?? one.at_ms) - place(one.at_ms)}%)`;
      track.append(mark);
    }
    const [feed, worker] = key.split(" ");
    return element("div", { class: "lane" }, element("span", { class: "name", text: worker, title: `${feed} ${worker}` }), track);
  }

  #words(one) {
    if (one.kind === "login") return `${one.worker} ${one.text}`;
    return one.kind === "gap" && one.end_ms ? `${one.text} (${age(one.end_ms - one.at_ms)})` : one.text;
  }

  // Write what is new into the list, the latest on top.
  log() {
    const fresh = this.store.happenings.filter((one) => one.seq > this.listed && one.kind in WORDS);
    this.listed = this.store.happenings.at(-1)?.seq ?? 0;
    // A gap is known once it has ended; those of the last hour come in the order of Kafka's partitions.
    fresh.sort((a, b) => (a.end_ms ?? a.at_ms) - (b.end_ms ?? b.at_ms));
    for (const one of fresh) {
      this.list.prepend(element("li", { "data-kind": one.kind },
        element("time", { text: time(one.end_ms ?? one.at_ms) }), element("b", { text: WORDS[one.kind] }),
        element("span", { text: this.#words(one) })));
    }
    while (this.list.children.length > MOST_LINES) this.list.lastChild.remove();
  }
}
