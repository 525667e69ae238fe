// The status page of Px shows each status that /events sends. All text goes in as text, never as HTML.
"use strict";

const RECENT_SECONDS = 300; // so long a problem counts in the summary
const SILENT_SECONDS = 12; // Px sends a status every 2 s
const LIMITS = { active: 25, problems: 10 }; // rows that a table shows at first
const STATE_CLASSES = { "in use": "good", ready: "soft", down: "bad" };
const MARKS = { good: "✓", warn: "!", bad: "✕", wait: "…" };
// What a status lacks until the workers have reported.
const BLANK = { problems: [], active: [], active_groups: [], traffic: { seconds: 10, end: 0, up: [], down: [], requests: [] } };
const HOPS = { direct: "On the direct way", "": "In Px itself", client: "At a client of Px" };
const UNKNOWN = ["soft", "not known"];

const $ = (id) => document.getElementById(id);
let status = null; // the last status
let feed = null; // the EventSource while this page is live
let heardAt = 0, openedAt = 0, lostAt = 0, retry = 0, failures = 0;
let isPaused = false, pointerX = null;
const expanded = new Set(); // the tables that show all rows

// Texts

const now = () => Date.now() / 1000;
const sum = (values) => values.reduce((total, value) => total + value, 0);
const list = (names) => names.join(", ").replace(/, (?!.*, )/, " and ");
const number = (value = 0) => value.toLocaleString("en");
const count = (value, thing) => `${number(value)} ${thing}${value === 1 ? "" : "s"}`;
const round = (value) => value.toFixed(value && value < 9.95 ? 1 : 0);

function bytes(value = 0) {
  let power = 0;
  for (; value >= 999.5 && power < 4; power++) value /= 1000;
  return `${power ? round(value) : Math.round(value)}\u00a0${["B", "kB", "MB", "GB", "TB"][power]}`;
}

// Return the two largest units of a duration.
function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    if (rest >= size || parts.length || size === 1) parts.push([Math.floor(rest / size), unit]);
    rest %= size;
  }
  return parts.slice(0, 2).filter(([amount], place) => amount || !place).map((part) => part.join(" ")).join(" ");
}

function clock(time) {
  const date = new Date(time * 1000), text = date.toLocaleTimeString("en-GB");
  if (date.toDateString() === new Date().toDateString()) return text;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${text}`;
}

// Elements

function make(name, kind, text) {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  if (text) node.textContent = text;
  return node;
}

// Replace the children of an element if what they show has changed; else leave focus and selection alone.
function update(element, shown, build) {
  const source = JSON.stringify(shown);
  if (element.source !== source) element.replaceChildren(...build());
  element.source = source;
}

// Show parts, each a text or [class, text, tooltip].
function fill(element, ...parts) {
  update(element, parts, () => parts.map((part) => {
    if (!Array.isArray(part)) return part;
    const node = make("span", part[0], part[1]);
    if (part[2]) node.title = part[2];
    return node;
  }));
}

function fillList(element, pairs) {
  update(element, pairs, () => pairs.flatMap(([name, text]) => [...(name ? [make("dt", "", name)] : []), make("dd", "", text)]));
}

// Show rows, each a key and the parts of its cells. Rows of the same key keep their elements.
function fillTable(id, rows, more = "") {
  const table = $(id), body = table.tBodies[0], limit = expanded.has(id) ? Infinity : LIMITS[id] ?? Infinity;
  const known = new Map([...body.rows].map((row) => [row.key, row]));
  rows.slice(0, limit).forEach(([key, ...cells], place) => {
    const row = known.get(key) ?? makeRow(key, table.tHead.rows[0].cells);
    known.delete(key);
    cells.forEach((parts, column) => fill(row.cells[column], ...parts));
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  known.forEach((row) => row.remove());
  table.hidden = !rows.length;
  if (!LIMITS[id]) return;
  $(`${id}-empty`).hidden = rows.length;
  const button = $(`${id}-all`);
  button.hidden = rows.length <= LIMITS[id];
  button.textContent = expanded.has(id) ? "Show fewer" : `Show all ${rows.length}`;
  fill($(`${id}-more`), more);
}

function makeRow(key, heads) {
  const row = make("tr");
  row.key = key;
  row.setAttribute("role", "row");
  row.append(...[...heads].map((head, column) => {
    const cell = make(column ? "td" : "th", head.className);
    cell.setAttribute("role", column ? "cell" : "rowheader");
    if (column) cell.dataset.name = head.textContent;
    else cell.scope = "row";
    return cell;
  }));
  return row;
}

// The summary

// Return a level, a verdict and what is not right. A screen reader reads out each new verdict, so it has no figures.
function judge({ upstreams, problems, counters }) {
  const down = upstreams.filter((each) => each.state === "down"), blocked = upstreams.find((each) => each.blocked);
  const recent = problems.filter((each) => now() - each.last < RECENT_SECONDS);
  const points = [];
  const add = (kind, hop, text) => {
    if (!text || points.some((point) => point[1].includes(text))) return;
    points.push([kind, hop && hop !== "direct" && !text.includes(hop) ? `${hop}: ${text}` : text]);
  };
  upstreams.forEach((each) => add("bad", each.upstream, each.blocked));
  upstreams.forEach((each) => add("warn", each.upstream, each.ticket.startsWith("no new") && each.ticket));
  recent.slice(0, 3).forEach((each) => add("warn", each.hop, `${each.cause} ${each.hint}`.trim()));
  if (down.length && down.length === upstreams.length) {
    return ["bad", `Px cannot reach ${down.length > 1 ? "any of its upstreams" : "its upstream"}`, points];
  }
  if (blocked) return ["bad", `Px does not log in as ${blocked.identity} for now`, points];
  if (down.length) return ["warn", `Px works, but cannot reach ${down[0].upstream}`, points];
  if (points.length) return ["warn", "Px works, but something failed in the last minutes", points];
  return ["good", counters.requests ? "Px is all right" : "Px is ready; no client has used it yet", points];
}

function renderSummary() {
  const [level, verdict, points] = lostAt ? ["bad", "Px does not answer any more", []] : judge(status);
  const { counters, started, uptime_seconds: uptime, listen } = status;
  setVerdict(level, verdict);
  fill($("facts"), lostAt
    ? `This page tries again by itself. If Px has ended, start it; px --status says whether it runs. The figures are from ${clock(heardAt)}.`
    : `Running since ${clock(started).slice(0, -3)} (${duration(uptime)}), listening on ${list(listen)}; `
      + `${count(counters.requests, "request")} so far, ${counters.errors ? count(counters.errors, "error") : "no errors"}.`);
  update($("points"), points, () => points.map(([kind, text]) => make("li", kind, text)));
}

function setVerdict(level, text) {
  $("mark").className = level;
  fill($("mark"), MARKS[level]);
  fill($("verdict"), text);
  document.title = level === "good" ? text : `${MARKS[level]} ${text}`;
}

// The traffic

// Return the slots since the start of Px.
function readTraffic({ traffic, uptime_seconds: uptime }) {
  const { seconds, end, up, down, requests } = traffic;
  const ran = Math.min(down.length, Math.ceil(uptime / seconds) + 1);
  const [ups, downs, asked] = [up, down, requests].map((values) => values.slice(values.length - ran));
  return { seconds, ran, ups, downs, asked, timeOf: (place) => end - (ran - place) * seconds };
}

function renderTraffic() {
  const traffic = readTraffic(status), { seconds, ran, ups, downs, asked, timeOf } = traffic;
  const both = downs.map((value, place) => value + ups[place]), most = Math.max(0, ...both);
  const text = most ? `In the last ${ran * seconds < 3600 ? duration(ran * seconds) : "hour"}: `
    + `${bytes(sum(downs))} down, ${bytes(sum(ups))} up, ${count(sum(asked), "request")}; `
    + `busiest at ${clock(timeOf(both.indexOf(most)))}, with ${bytes(most / seconds)}/s.` : "No traffic in the last hour.";
  fill($("plot-text"), text);
  if ($("plot").clientWidth && ran) drawPlot(traffic, text, $("plot").clientWidth, $("plot").clientHeight);
  if (!$("traffic-details").open) return;
  const size = (ran * seconds > 900 ? 300 : 60) / seconds, rows = [];
  for (let to = ran; to > 0; to -= size) {
    const from = Math.max(0, to - size), total = (values) => sum(values.slice(from, to));
    rows.push([to, [`${clock(timeOf(from)).slice(0, -3)} to ${clock(timeOf(to)).slice(0, -3)}`], [bytes(total(downs))], [bytes(total(ups))], [number(total(asked))]]);
  }
  fillTable("traffic", rows);
}

function drawPlot({ seconds, ran, ups, downs, asked, timeOf }, summary, width, height) {
  const minutes = Math.min(60, Math.max(10, Math.ceil(ran * seconds / 600) * 10)), step = width * seconds / minutes / 60;
  const floor = height - 66, foot = height - 18, left = width - ran * step, most = Math.max(1, ...asked);
  const fresh = Math.min(seconds, Math.max(5, now() - timeOf(ran - 1))); // the newest slot has not ended yet
  const rateOf = (values, place) => values[place] / (place === ran - 1 ? fresh : seconds);
  const high = Math.max(1000, ...downs.flatMap((_, place) => [rateOf(downs, place), rateOf(ups, place)])), power = 10 ** Math.floor(Math.log10(high));
  const top = power * [1, 2, 5, 10].find((factor) => factor * power >= high);
  const x = (place) => (left + place * step).toFixed(1), y = (rate) => (floor - rate / top * (floor - 16)).toFixed(1);
  const line = (values) => values.map((_, place) => `${place ? "L" : "M"}${x(place + 0.5)} ${y(rateOf(values, place))}`).join("");
  const bar = (value, place) => (value ? `M${x(place)} ${foot}v${-Math.ceil(value / most * 32)}h${Math.max(0.6, step - 0.5).toFixed(1)}V${foot}Z` : "");
  const root = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const draw = (name, attributes, text) => {
    const node = document.createElementNS(root.namespaceURI, name);
    Object.entries(attributes).forEach((pair) => node.setAttribute(...pair));
    root.append(node);
    if (text) node.textContent = text;
  };
  const path = (kind, d) => draw("path", { class: kind, d });
  const label = (across, down, anchor, text) => draw("text", { x: across, y: down, "text-anchor": anchor }, text);
  const form = { width, height, role: "img", "aria-labelledby": "plot-title plot-desc" };
  Object.entries(form).forEach((pair) => root.setAttribute(...pair));
  draw("title", { id: "plot-title" }, "Traffic over the last hour");
  draw("desc", { id: "plot-desc" }, summary);
  path("grid", `M0 ${y(top)}H${width}M0 ${y(top / 2)}H${width}M0 ${floor}H${width}M0 ${foot}H${width}`);
  path("down area", `${line(downs)}V${floor}H${x(0.5)}Z`);
  path("down", line(downs));
  path("up", line(ups));
  path("requests", asked.map(bar).join(""));
  [top, top / 2].forEach((rate) => label(0, y(rate) - 4, "start", `${bytes(rate)}/s`));
  label(0, floor + 13, "start", `${count(most, "request")} in ${seconds} s`);
  [["start", 0], ["middle", 0.5], ["end", 1]].forEach(([anchor, part]) =>
    label(width * part, height - 3, anchor, part < 1 ? `${minutes * (1 - part)} min ago` : "now"));
  const pointed = pointerX === null ? -1 : Math.floor((pointerX - left) / step), isPointed = pointed >= 0 && pointed < ran;
  const shownRate = (values) => (isPointed ? rateOf(values, pointed) : sum(values.slice(-2)) / (fresh + (ran > 1 ? seconds : 0)));
  if (isPointed) path("pointer", `M${x(pointed + 0.5)} 0V${foot}`);
  $("plot").replaceChildren(root);
  fill($("moment"), isPointed ? `at ${clock(timeOf(pointed))}` : "now");
  fill($("rate-down"), `${bytes(shownRate(downs))}/s`);
  fill($("rate-up"), `${bytes(shownRate(ups))}/s`);
  fill($("rate-requests"), `${round(shownRate(asked))}/s`);
}

// The tables

function renderActive({ active, active_groups: groups, active_total: total, open_connections: idle, listen }) {
  const rows = [...groups].sort((one, other) => one.since - other.since).map(({ since, count: size, up, down, ...common }) => {
    const { kind, method, target, route, client, program, user } = common;
    const who = [user, client && `from ${client}`].filter(Boolean).join(" ");
    return [
      JSON.stringify(common),
      [target, ["line soft", `${count(size, kind === "tunnel" ? "tunnel" : `${method} request`)}${describeRoute(route)}`]],
      program || !who ? [program || UNKNOWN, ...(who ? [["line soft", who]] : [])] : [who],
      [["", duration(now() - since), `since ${clock(since)}`]],
      [bytes(down)],
      [bytes(up)],
    ];
  });
  fillTable("active", rows, total > active.length ? `${number(total - active.length)} more are open.` : "");
  fill($("active-empty"), "No request or tunnel is open. ", ...(idle ? [`${count(idle, "client connection")} ${idle > 1 ? "are" : "is"} idle.`]
    : [`Programs use Px if their proxy is http://${listen[0]}: `, ["code", "px --env"], " prints the settings."]));
}

function describeRoute(route) {
  if (!route) return "";
  return route.startsWith("direct") ? `, ${route}` : ` via ${route.replace("http://", "")}`;
}

function renderUpstreams({ upstreams, discovered_proxy: discovered, noproxy }) {
  const rule = discovered.includes("PAC script") ? "by the PAC script, for each URL" : "the one that served last; if it cannot be reached, the next in this order";
  fillList($("choice"), [
    [discovered ? "Found" : "Named", discovered || "in the settings of Px"],
    ...(upstreams.length > 1 ? [["Chosen", rule]] : []),
    ...(noproxy ? [["Directly", noproxy]] : []),
  ]);
  fillTable("upstreams", upstreams.map(({ upstream, state, state_text: stateText, latency_ms: latency, offers, why, ...login }, place) => {
    const known = [offers?.length && `offers ${list(offers)}`, latency != null && `connects in ${round(latency)} ms`];
    return [place, [upstream, ["line soft", known.filter(Boolean).join("; ")]], [[STATE_CLASSES[state], stateText], ["soft", why ? `: ${why}` : ""]], describeLogin(login)];
  }));
}

function describeLogin({ has_logged_in: isIn, identity, method, ticket, blocked }) {
  const parts = [isIn ? `${identity}${method && ` by ${method}`}` : ["soft", identity ? `not yet, as ${identity}` : "none"]];
  if (ticket) parts.push([ticket.startsWith("no new") ? "line warn" : "line soft", ticket]);
  if (blocked) parts.push(["line bad", blocked]);
  return parts;
}

function renderProblems({ problems }) {
  fillTable("problems", problems.map(({ hop, status: code, cause, hint, kind, count: times, first, last }) => [
    `${hop} ${kind}`,
    [cause, ...(hint ? [["fix", hint]] : []), ["line soft", `${HOPS[hop] ?? `At ${hop}`}${code ? `; the client got ${code}` : ""}`]],
    [number(times)],
    [["", `${duration(now() - last)} ago`, clock(last)], ...(times > 1 ? [["soft", `, first ${duration(now() - first)} ago`, clock(first)]] : [])],
  ]));
}

function renderAbout({ version, pid, workers, config, socks, tunnels, clients_log_in: hasLogin, counters, open_connections: connections, open_tunnels: open }) {
  fillList($("about"), [
    ["Version", `${version}, process ${pid}, ${count(workers.length, "worker")}`],
    ["px.ini", config || "none"],
    ...(socks?.length ? [["SOCKS5 on", list(socks)]] : []),
    ...(tunnels ?? []).map((each) => ["Tunnel", `${list(each.listen)} to ${each.target}`]),
    ["Clients", hasLogin ? "log in at Px" : "need no login"],
    ["Open", `${count(connections, "connection")}, ${count(open, "tunnel")}`],
    ["So far", ["connection", "request", "tunnel", "error"].map((thing) => count(counters[`${thing}s`], thing)).join(", ")],
    ["Logins", `${number(counters.logins_accepted)} accepted, ${number(counters.logins_refused)} refused`],
    ["Bytes", `${bytes(counters.received_bytes)} from clients, ${bytes(counters.sent_bytes)} to clients`],
  ]);
}

// The form

async function explain(event) {
  event.preventDefault();
  const place = $("explanation"), url = $("url").value.trim();
  place.textContent = `Looking for the way to ${url} …`;
  try {
    const answer = await fetch(`/explain?url=${encodeURIComponent(url)}`);
    if (!answer.ok) throw new Error((await answer.text()).replace(/^Px: .*\n/, ""));
    const shown = make("dl");
    fillList(shown, (await answer.json()).lines);
    place.replaceChildren(shown);
  } catch (error) {
    place.textContent = error instanceof TypeError ? "Px does not answer." : error.message;
  }
}

// The feed

function render() {
  if (!status) return;
  $("columns").hidden = false;
  $("columns").classList.toggle("stale", lostAt);
  for (const part of [renderSummary, renderTraffic, renderActive, renderUpstreams, renderProblems, renderAbout]) part(status);
}

function renderFeed() {
  fill($("live"), isPaused ? `Paused at ${clock(heardAt)}` : lostAt ? `No answer for ${duration(now() - (heardAt || lostAt))}` : "Live");
  fill($("pause"), isPaused ? "Continue" : "Pause");
}

function receive(event) {
  status = { ...BLANK, ...JSON.parse(event.data) };
  status.counters.requests = (status.counters.requests ?? 0) - (status.counters.pages ?? 0); // those for this page
  heardAt = now();
  lostAt = 0;
  failures = 0;
  render();
  renderFeed();
}

function connect() {
  disconnect();
  openedAt = now();
  feed = new EventSource("/events");
  feed.onmessage = receive;
  feed.onerror = lose;
}

function disconnect() {
  clearTimeout(retry);
  feed?.close();
  feed = null;
}

function lose() {
  disconnect();
  retry = setTimeout(connect, Math.min(10, 2 ** failures / 4) * 1000);
  if (!failures++) return; // Px reads its configuration anew, perhaps
  lostAt ||= now();
  if (status) render();
  else setVerdict("bad", "Px does not answer");
  renderFeed();
}

// Connect, unless nobody looks: a hidden page costs Px nothing.
function follow() {
  disconnect();
  if (!isPaused && !document.hidden) connect();
  renderFeed();
}

function tick() {
  if (feed && now() - Math.max(openedAt, heardAt) > SILENT_SECONDS) lose();
  renderFeed();
}

$("pause").onclick = () => { isPaused = !isPaused; follow(); };
$("explain").onsubmit = explain;
$("traffic-details").ontoggle = render;
$("plot").onpointermove = (event) => { pointerX = event.clientX - $("plot").getBoundingClientRect().left; render(); };
$("plot").onpointerleave = () => { pointerX = null; render(); };
for (const id of Object.keys(LIMITS)) $(`${id}-all`).onclick = () => { expanded.delete(id) || expanded.add(id); render(); };
document.onvisibilitychange = follow;
new ResizeObserver(() => {
  $("active").classList.toggle("stacks", $("plot").clientWidth < 560);
  render();
}).observe($("plot"));
for (const id of ["summary", "feed"]) $(id).hidden = false;
setVerdict("wait", "Asking Px");
follow();
setInterval(tick, 1000);
