// Keeps a page up to date over the live feed. What a row measures is written into it at once; when a state has
// changed, or on the page of one endpoint, the page is fetched anew, so that only the server knows how it looks.
"use strict";

const FEED = new URL(document.currentScript.dataset.feed, document.baseURI);
FEED.protocol = FEED.protocol === "https:" ? "wss:" : "ws:";
const PAUSE = 1500; // milliseconds between two fetches at least
const LONGEST_WAIT = 30000; // milliseconds before connecting again

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
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${Number(seconds.toPrecision(3))} s`;
}

// As the server does: never rounded up to what it is not.
function percent(share) {
  if (share === null) return "–";
  return share >= 1 ? "100 %" : `${(Math.floor(share * 10000) / 100).toFixed(2)} %`;
}

function observed(endpoint) {
  const only = document.querySelector("main").dataset.endpoint;
  if (only !== undefined) {
    if (only === endpoint.name) refresh();
    return;
  }
  const row = rows.get(endpoint.name);
  if (!row || row.dataset.state !== endpoint.state || row.dataset.flags !== endpoint.flags.join(" ")) {
    refresh();
    return;
  }
  row.querySelector(".uptime").textContent = percent(endpoint.uptime["24h"]);
  row.querySelector(".latency").textContent = span(endpoint.latency);
  row.querySelector(".why").textContent = endpoint.reason.code === "ok" ? "" : printable(endpoint.reason.message);
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

async function replace() {
  if (document.activeElement?.closest("main form")) return; // somebody writes in it
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = document.activeElement?.getAttribute("href");
  document.title = fresh.title;
  document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
  if (focused) document.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  index();
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
