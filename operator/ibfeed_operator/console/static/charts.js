// uPlot's charts: updates a second, or one contract's price. And the sinks with their lags.

import { age, color, count, element, setText, sharp } from "./format.js";
import { SAMPLE_MS } from "./store.js";

const KEEP_S = 600;
const HEIGHT = 150;
const LAG_WIDTH = 64;

export class Detail {
  constructor(store) {
    this.store = store;
    this.root = document.getElementById("chart");
    this.title = document.getElementById("detail-title");
    this.facts = document.getElementById("detail-facts");
    this.contract = null;
    new ResizeObserver(() => this.plot?.setSize({ width: this.root.clientWidth, height: HEIGHT })).observe(this.root);
  }

  // Show a contract; null: all feeds' rate.
  show(contract) {
    this.contract = contract;
    if (contract) {
      const from = this.store.now() / 1000 - (contract.samples.length * SAMPLE_MS) / 1000;
      const times = contract.samples.map((_, place) => from + (place * SAMPLE_MS) / 1000);
      this.data = [times, [...contract.samples], times.map(() => null), times.map(() => null)];
    }
    this.theme();
  }

  theme() {
    this.plot?.destroy();
    const contract = this.contract;
    const series = (label, name, width = 1.5) => ({ label, stroke: color(name), width, spanGaps: true, points: { show: false } });
    const axis = { stroke: color("--dim"), grid: { stroke: color("--edge"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    setText(this.title, contract ? `${contract.symbol}: last, bid and ask` : "All feeds: updates a second");
    this.plot = new uPlot(
      {
        width: this.root.clientWidth || 600,
        height: HEIGHT,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        fmtDate: uPlot.fmtDate,
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { y: { range: (_, low, high) => (contract ? [low - (high - low || 1) * 0.1, high + (high - low || 1) * 0.1] : [0, Math.max(1, high * 1.15)]) } },
        axes: [{ ...axis, values: (_, ticks) => ticks.map((s) => new Date(s * 1000).toISOString().slice(11, 19)), space: 80 }, { ...axis, size: 64 }],
        series: contract
          ? [{}, series("last", "--line", 2), series("bid", "--bid"), series("ask", "--ask")]
          : [{}, { ...series("updates", "--line", 2), fill: color("--fill") }],
      },
      contract ? this.data : this.store.rates,
      this.root,
    );
  }

  draw() {
    const contract = this.contract;
    if (!contract) {
      this.facts.replaceChildren();
      this.plot.setData(this.store.rates);
      return;
    }
    this.#collect(contract);
    this.plot.setData(this.data);
    const facts = {
      Worker: contract.worker || "none", Feed: contract.feed, Partition: contract.partition, Epoch: contract.epoch,
      Standby: contract.standby || "none", State: contract.state, Conid: contract.conid,
      "Last tick": contract.lastMs ? `${age(this.store.now() - contract.lastMs)} ago` : "never", Volume: contract.volume ?? "–",
      ...(contract.message ? { Message: contract.message } : {}),
    };
    this.facts.replaceChildren(...Object.entries(facts).map(([name, value]) =>
      element("div", {}, element("dt", { text: name }), element("dd", { text: String(value) }))));
  }

  #collect(contract) {
    if (contract.price === undefined) return;
    const now = this.store.now() / 1000;
    [now, contract.price, contract.bid, contract.ask].forEach((value, place) => this.data[place].push(value));
    while (this.data[0][0] < now - KEEP_S) for (const list of this.data) list.shift();
  }
}

export class Sinks {
  constructor(store) {
    this.store = store;
    this.body = document.getElementById("sink-rows");
    this.rows = new Map();
  }

  draw() {
    const { sinks } = this.store;
    const keys = sinks.map((sink) => sink.key).join();
    if (keys !== this.keys) this.#build(keys);
    for (const sink of sinks) {
      const { cells, canvas, row } = this.rows.get(sink.key);
      row.title = `${sink.key} to ${sink.destination}: ${sink.message}`;
      const texts = [null, sink.ready === "True" ? "ready" : sink.message || sink.ready,
        sink.lag === null ? "–" : count(sink.lag), sink.latency_ms === null ? "–" : `${(sink.latency_ms / 1000).toFixed(2)} s`];
      texts.forEach((text, place) => text !== null && setText(cells[place], text));
      cells[1].dataset.level = { True: "good", False: "bad" }[sink.ready] ?? "wait";
      this.#spark(canvas, this.store.lags.get(sink.key) ?? []);
    }
  }

  #build(keys) {
    this.keys = keys;
    this.rows.clear();
    this.body.replaceChildren(...this.store.sinks.map((sink) => {
      const canvas = element("canvas", { "aria-hidden": "true" });
      const cells = ["", "level", "right number", "right number"].map((name) => element("td", { class: name }));
      cells[0].append(sink.name);
      const row = element("tr", {}, ...cells, element("td", {}, canvas));
      this.rows.set(sink.key, { cells, canvas, row });
      return row;
    }));
    if (!this.store.sinks.length) {
      this.body.append(element("tr", {}, element("td", { class: "empty", colspan: 5, text: "No IbSink in these namespaces." })));
    }
  }

  #spark(canvas, lags) {
    const context = sharp(canvas, LAG_WIDTH, 20);
    const high = Math.max(1, ...lags.map(([, lag]) => lag));
    context.strokeStyle = this.line;
    context.beginPath();
    const now = this.store.now();
    for (const [ms, lag] of [...lags, ...(lags.length ? [[now, lags.at(-1)[1]]] : [])]) {
      context.lineTo(LAG_WIDTH * (1 - (now - ms) / (KEEP_S * 1000)), 18 - (lag / high) * 16);
    }
    context.stroke();
  }

  theme() {
    this.line = color("--line");
  }
}
