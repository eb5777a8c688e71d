// Keeps a page up to date over the live feed. What a row measures is written into it at once; when a state has
// changed, or on the page of one endpoint, the page is fetched anew, so that only the server knows how it looks.
"use strict";

const FEED = new URL(document.currentScript.dataset.feed, document.baseURI);
FEED.protocol = FEED.protocol === "https:" ? "wss:" : "ws:";
const PAUSE = 1500; // milliseconds between two fetches at least
const LONGEST_WAIT = 30000; // milliseconds before connecting again
const MINUTE = 60000; // milliseconds: how old a page may say that it is, and how long something lasts

let rows = new Map();
let status = "";
let wait = 1000;
let fetching = false;
let wanted = false;

function index() {
  rows = new Map([...document.querySelectorAll("tr[data-name]")].map((row) => [row.dataset.name, row]));
  say(status);
}

function say(text) {
  status = text;
  const live = document.getElementById("live");
  const before = live.parentNode.textContent.length > live.textContent.length ? " · " : "";
  const shown = text && before + text;
  if (live.textContent !== shown) live.textContent = shown;
}

// As the server does: what is not printable is shown as an escape.
function printable(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (each) => "\\u" + each.codePointAt(0).toString(16).padStart(4, "0"));
}

function span(seconds) {
  if (seconds === null) return "–";
  return seconds < 1 ? `${Number((seconds * 1000).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;
}

// As the server does: never rounded up to what it is not.
function percent(share) {
  if (share === null) return "–";
  return share >= 1 ? "100 %" : `${(Math.floor(share * 10000) / 100).toFixed(2)} %`;
}

function observed(endpoint) {
  const shown = document.querySelector("main").dataset;
  if (shown.endpoint === endpoint.name) refresh();
  if (shown.overview === undefined) return;
  const row = rows.get(endpoint.name);
  if (!row || row.dataset.state !== endpoint.state || row.dataset.flags !== endpoint.flags.join(" ")) {
    refresh();
    return;
  }
  ["24h", "7d", "30d", "90d"].forEach((window, index) => {
    row.querySelectorAll(".uptime")[index].textContent = percent(endpoint.uptime[window]);
  });
  row.querySelector(".latency").textContent = span(endpoint.latency);
  row.querySelector(".why").textContent = endpoint.reason.code === "ok" ? "" : printable(endpoint.reason.message);
  draw(row, endpoint);
}

// The bar and the line of a row, as drawing.py makes them: a status is a letter of the bar.
const STATUSES = { u: "up", g: "degraded", x: "unknown", d: "down" };
const MIDDLES = { u: [11], g: [14], x: [11], d: [4, 18] };
const PITCH = 4;

function draw(row, endpoint) {
  const bar = row.querySelector(".bar");
  if (endpoint.observed_at <= (bar.dataset.at ?? "")) return; // it is there
  bar.dataset.at = endpoint.observed_at;
  const cells = bar.viewBox.baseVal.width / PITCH;
  const letter = Object.keys(STATUSES).find((each) => STATUSES[each] === endpoint.status);
  bar.dataset.letters = ((bar.dataset.letters ?? "") + letter).slice(-cells);
  drawBar(bar, bar.dataset.letters, cells);
  const spark = row.querySelector(".spark");
  if (spark) drawSpark(spark, endpoint.latency, cells);
}

function drawBar(bar, letters, cells) {
  const paths = {};
  const empty = cells - letters.length;
  if (empty) paths.none = `M0 11h${empty * PITCH}`;
  let at = empty;
  for (const [run] of letters.matchAll(/(.)\1*/g)) {
    const status = STATUSES[run[0]];
    for (const middle of MIDDLES[run[0]]) paths[status] = `${paths[status] ?? ""}M${at * PITCH} ${middle}h${run.length * PITCH}`;
    at += run.length;
  }
  bar.replaceChildren(...Object.entries(paths).map(([status, path]) => {
    const element = document.createElementNS(bar.namespaceURI, "path");
    element.setAttribute("class", status);
    element.setAttribute("d", path);
    return element;
  }));
  const counted = Object.entries(STATUSES).map(([letter, status]) => [letters.split(letter).length - 1, status]);
  bar.setAttribute("aria-label", counted.reverse().filter(([count]) => count).map((each) => each.join(" ")).join(", "));
}

function drawSpark(spark, seconds, cells) {
  const line = spark.firstElementChild;
  const points = (line.getAttribute("points").match(/\d+,\d+/g) ?? []).map((each) => each.split(",").map(Number));
  const moved = points.map(([x, y]) => [x - 1, y]).filter(([x]) => x >= 0);
  if (seconds !== null) moved.push([cells - 1, Math.round(seconds * 10000)]);
  const top = Math.max(1, ...moved.map(([, y]) => y));
  line.setAttribute("points", moved.join(" "));
  spark.setAttribute("viewBox", `0 ${-top} ${cells - 1} ${top}`);
}

async function refresh() {
  wanted = true;
  if (fetching) return;
  fetching = true;
  while (wanted) {
    wanted = false;
    await replace().catch(() => {}); // the feed says when the monitor is back
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  fetching = false;
}

// Does somebody write in a form of the page? It stays as it is then.
function isWrittenIn() {
  if (document.activeElement?.closest("main form")) return true;
  return [...document.querySelectorAll("main form input")].some((each) => each.value !== each.defaultValue);
}

async function replace() {
  if (isWrittenIn()) return;
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (isWrittenIn()) return; // since it was asked for
  const focused = document.activeElement?.getAttribute("href");
  const inTable = Boolean(document.activeElement?.closest("table")); // an incident above it leads to the same page
  document.title = fresh.title;
  const before = document.querySelector("main");
  const after = document.adoptNode(fresh.querySelector("main"));
  keepNewer(after);
  before.replaceWith(after);
  document.dispatchEvent(new Event("replaced"));
  const links = focused ? [...document.querySelectorAll(`a[href="${CSS.escape(focused)}"]`)] : [];
  links.find((each) => Boolean(each.closest("table")) === inTable)?.focus();
  index();
}

// What was drawn here while the page was on its way, and is not in it yet.
function keepNewer(fresh) {
  for (const row of fresh.querySelectorAll("tr[data-name]")) {
    const bar = row.querySelector(".bar");
    const known = rows.get(row.dataset.name)?.querySelector(".bar");
    if (!bar || !known || (known.dataset.at ?? "") <= (bar.dataset.at ?? "")) continue;
    bar.replaceWith(known);
    row.querySelector(".spark")?.replaceWith(rows.get(row.dataset.name).querySelector(".spark"));
  }
}

function connect() {
  const feed = new WebSocket(FEED);
  let opened = false;
  feed.onopen = () => {
    opened = true;
    wait = 1000;
    say("live");
    refresh(); // what happened while nobody listened
  };
  feed.onmessage = (message) => {
    const { type, data } = JSON.parse(message.data);
    if (type === "observation") observed(data);
    else refresh();
  };
  feed.onclose = () => {
    say(opened ? "not live: the connection was lost" : "not live");
    setTimeout(connect, wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  };
}

index();
connect();
setInterval(refresh, MINUTE);
