// The page: connects the stream to the store, and the store to what is drawn. It shows, and changes nothing.

import { age, count, setText, time } from "./format.js";
import { Detail, Sinks } from "./charts.js";
import { FeedMap } from "./map.js";
import { QUIET_MS, Store } from "./store.js";
import { redeemFragment, signIn, signOut, Stream } from "./stream.js";
import { Table } from "./table.js";
import { TimeLine } from "./timeline.js";

const SLOW_MS = 2000; // between two drawings of the map, the time line and the order of the table
const THEMES = ["", "light", "dark"];
const get = (id) => document.getElementById(id);

const store = new Store();
const detail = new Detail(store);
const table = new Table(store, (contract) => detail.show(contract));
const map = new FeedMap(store, choose);
const timeline = new TimeLine(store);
const sinks = new Sinks(store);
const stream = new Stream(handle, tell, askToSignIn);

let drawnAt = 0;
let drawnVersion = -1;

const handlers = {
  hello: (data) => {
    store.hello(data);
    timeline.reset();
    detail.show(null);
  },
  feeds: (data) => store.setFeeds(data),
  contracts: (data) => store.setContracts(data),
  sinks: (data) => store.setSinks(data),
  kafka: (data) => (store.kafka = data),
  sparklines: (data) => store.setSparklines(data),
  quotes: (data) => store.setQuotes(data),
  history: (data) => store.addHistory(data),
};

function handle(name, data) {
  handlers[name](data);
  if (name === "quotes") requestAnimationFrame(draw);
}

function draw() {
  const now = Date.now();
  const other = store.version !== drawnVersion;
  if (other || now - drawnAt >= SLOW_MS) {
    [drawnAt, drawnVersion] = [now, store.version];
    table.list();
    map.draw(table.chosen);
    timeline.draw();
    sinks.draw();
  } else table.draw();
  timeline.log();
  detail.draw();
  figures();
  performance.mark("ibfeed-drawn");
}

function figures() {
  const quiet = [...store.contracts.values()].filter((one) => one.worker && store.now() - one.lastMs > QUIET_MS).length;
  const sum = (pick) => store.feeds.reduce((all, feed) => all + pick(feed), 0);
  const workers = (wanted) => sum((feed) => feed.workers.filter(wanted).length);
  const accounts = store.feeds.flatMap((feed) => feed.accounts.map((one) => [`${feed.namespace}/${feed.source}/${one.index}`, one]));
  const distinct = [...new Map(accounts).values()];
  setText(get("figure-rate"), count(store.rate()));
  setText(get("figure-lag"), store.lagMs === null ? "–" : age(store.lagMs));
  get("figure-lag").dataset.kafkaMs = store.kafkaMs;
  setText(get("figure-contracts"), `${sum((feed) => feed.publishing)}/${sum((feed) => feed.wanted)}`);
  setText(get("figure-quiet"), count(quiet));
  setText(get("figure-workers"), `${workers((one) => one.session === "Streaming")}/${workers(() => true)}`);
  setText(get("figure-accounts"), `${distinct.filter((one) => one.state === "held").length}/${distinct.length}`);
  setText(get("clock"), `${time(store.now())} UTC`);
  const troubles = Object.values(store.kafka);
  banner(troubles.join(" "));
}

function banner(text) {
  get("banner").hidden = !text;
  setText(get("banner"), text);
}

function tell(level, text, problem = "") {
  get("pulse").dataset.level = level;
  setText(get("pulse"), text);
  if (problem) banner(problem);
}

function choose(chosen) {
  const same = table.chosen && chosen && table.chosen.feed === chosen.feed && table.chosen.worker === chosen.worker;
  table.chosen = same ? null : chosen;
  get("clear-filter").hidden = !table.chosen;
  setText(get("clear-filter"), table.chosen ? `${table.chosen.worker} ✕` : "");
  get("clear-filter").setAttribute("aria-label", table.chosen ? `Show all workers, not only ${table.chosen.worker}` : "");
  table.list();
  map.draw(table.chosen);
}

function theme(name) {
  localStorage.setItem("theme", name);
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  setText(get("theme"), { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" }[name]);
  for (const part of [map, table, sinks, detail]) part.theme();
  if (drawnVersion >= 0) map.draw(table.chosen);
}

function nextTheme() {
  theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme") ?? "") + 1) % THEMES.length]);
}

function askToSignIn(problem = "") {
  stream.close();
  store.reset();
  tell("down", "Signed out");
  banner("");
  shown(false);
  setText(get("sign-in-problem"), typeof problem === "string" ? problem : "");
  get("token").focus();
}

// Of the two mains one is there, and with the page the header's figures.
function shown(page) {
  for (const name of ["page", "figures", "clock", "sign-out"]) get(name).hidden = !page;
  get("sign-in").hidden = page;
}

function start() {
  shown(true);
  stream.open();
}

const keys = {
  "/": () => get("find").focus(),
  g: () => get("grid").focus(),
  m: () => (document.querySelector(".tile") ?? get("map")).focus(),
  t: nextTheme,
  "?": () => get("keys").showModal(),
  Escape: () => {
    get("find").value = table.find = "";
    choose(null);
    detail.show(null);
  },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.ctrlKey || event.metaKey || event.altKey || get("keys").open || get("page").hidden) return;
  if (!(event.key in keys) || (typing && event.key !== "Escape")) return;
  event.preventDefault();
  keys[event.key]();
});
get("find").addEventListener("input", (event) => {
  table.find = event.target.value;
  table.list();
});
get("clear-filter").addEventListener("click", () => choose(null));
get("theme").addEventListener("click", nextTheme);
get("sign-out").addEventListener("click", async () => {
  await signOut();
  askToSignIn();
});
get("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = get("token").value.trim();
  get("token").value = "";
  try {
    await signIn(token);
    start();
  } catch (error) {
    askToSignIn(error.message);
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(localStorage.getItem("theme") ?? ""));

theme(localStorage.getItem("theme") ?? "");
try {
  await redeemFragment();
  start();
} catch (error) {
  askToSignIn(error.message);
}
