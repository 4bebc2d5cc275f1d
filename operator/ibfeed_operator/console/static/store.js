// What the server has sent, and what follows from it. No DOM in here.

import { digits } from "./format.js";

export const SAMPLE_MS = 2000; // between two points of a sparkline, as the server has it
export const SAMPLES = 60;
export const QUIET_MS = 60_000;
const KEEP_MS = 600_000; // of the rates and the sinks' lags
const MOST_HAPPENINGS = 4000;
const BROKEN = new Set(["refused", "silent", "unassigned"]);

export class Store {
  constructor() {
    this.reset();
  }

  reset() {
    this.offset = 0; // the server's clock less ours, in ms
    this.feeds = [];
    this.contracts = new Map(); // "feed/conid" -> contract
    this.sinks = [];
    this.lags = new Map(); // sink -> [[ms, records]]
    this.kafka = {};
    this.kafkaMs = 0; // the newest record's time on Kafka
    this.lagMs = null;
    this.rates = [[], []]; // seconds since 1970, updates a second
    this.happenings = [];
    this.sampledMs = 0;
    this.version = 0; // of the set of contracts and of what the map shows
  }

  now() {
    return Date.now() + this.offset;
  }

  hello({ now, user, namespaces }) {
    this.reset();
    this.offset = now - Date.now();
    this.user = user;
    this.namespaces = namespaces;
  }

  setFeeds(feeds) {
    this.feeds = feeds;
    const keys = new Set(feeds.map((feed) => feed.key));
    for (const [id, contract] of this.contracts) if (!keys.has(contract.feed)) this.contracts.delete(id);
    this.version++;
  }

  setContracts({ feed, rows, gone }) {
    for (const conid of gone) this.contracts.delete(`${feed}/${conid}`);
    for (const [conid, symbol, worker, state, partition, epoch, standby, lastMs, message] of rows) {
      const id = `${feed}/${conid}`;
      const known = this.contracts.get(id) ?? { id, feed, conid, rate: 0, samples: [], turn: 0 };
      Object.assign(known, { symbol, worker, state, partition, epoch, standby, message });
      known.lastMs = Math.max(known.lastMs ?? 0, lastMs);
      this.contracts.set(id, known);
    }
    this.version++;
  }

  setSinks(sinks) {
    this.sinks = sinks;
    for (const sink of sinks) if (sink.lag !== null) this.#noteLag(sink);
  }

  #noteLag(sink) {
    const lags = this.lags.get(sink.key) ?? [];
    lags.push([this.now(), sink.lag]);
    while (lags.length && lags[0][0] < this.now() - KEEP_MS) lags.shift();
    this.lags.set(sink.key, lags);
  }

  setSparklines(feeds) {
    for (const [feed, lines] of Object.entries(feeds)) {
      for (const [conid, samples] of Object.entries(lines)) {
        const contract = this.contracts.get(`${feed}/${conid}`);
        if (contract) contract.samples = samples;
      }
    }
  }

  setQuotes({ now, kafka, feeds }) {
    // The smallest difference seen is the one with the least time on the way.
    this.offset = Math.max(this.offset, now - Date.now());
    if (kafka) this.kafkaMs = kafka;
    this.lagMs = kafka ? this.now() - kafka : null;
    for (const [feed, rows] of Object.entries(feeds)) {
      for (const [conid, price, bid, ask, volume, eventMs, rate] of rows) {
        const contract = this.contracts.get(`${feed}/${conid}`);
        if (!contract) continue;
        if (contract.price !== undefined && price !== contract.price) contract.turn = Math.sign(price - contract.price);
        Object.assign(contract, { price, bid, ask, volume, rate });
        contract.digits = Math.max(contract.digits ?? 0, digits(price), digits(bid), digits(ask));
        contract.lastMs = Math.max(contract.lastMs, eventMs);
        contract.changed = true;
      }
    }
    this.#sample();
  }

  #sample() {
    const now = this.now();
    if (now - this.sampledMs < SAMPLE_MS) return;
    this.sampledMs = now;
    for (const contract of this.contracts.values()) {
      if (contract.price === undefined) continue;
      contract.samples.push(contract.price);
      if (contract.samples.length > SAMPLES) contract.samples.shift();
      contract.changed = true;
    }
    const [times, rates] = this.rates;
    times.push(now / 1000);
    rates.push(this.rate());
    if (times[0] < (now - KEEP_MS) / 1000) [times.shift(), rates.shift()];
  }

  addHistory(happenings) {
    this.happenings.push(...happenings);
    if (this.happenings.length > MOST_HAPPENINGS) this.happenings.splice(0, this.happenings.length - MOST_HAPPENINGS);
  }

  rate() {
    let sum = 0;
    for (const contract of this.contracts.values()) sum += contract.rate;
    return sum;
  }

  // "fresh", "recent", "quiet" or "broken", by which a contract is coloured.
  freshness(contract) {
    if (BROKEN.has(contract.state)) return "broken";
    const ms = this.now() - contract.lastMs;
    return ms < 3000 ? "fresh" : ms < QUIET_MS ? "recent" : "quiet";
  }
}
