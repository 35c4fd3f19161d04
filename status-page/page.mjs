/** Draws each picture that is sent (picture.ts). Elements are kept from one to the next: focus, selection and motion stay. */

const byId = (id) => document.getElementById(id);

/** How a phase looks and reads. */
const phases = {
  serving: ["good", "serving"],
  drained: ["busy", "drained"],
  updating: ["busy", "updating"],
  checking: ["busy", "waiting for checks"],
  starting: ["busy", "starting"],
  restarting: ["busy", "restarting"],
  stopping: ["busy", "stopping"],
  leaving: ["off", "leaving"],
  stopped: ["off", "stopped"],
  failing: ["bad", "checks fail"],
  failed: ["bad", "failed"],
  unreachable: ["bad", "host silent"],
  missing: ["bad", "missing"],
};

const none = "–";
const rate = (value) =>
  value === null ? none : value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
const percent = (value) => (value === null ? none : `${(value * 100).toFixed(value > 0.995 || value === 0 ? 0 : 1)} %`);
const megabytes = (bytes) => Math.round(bytes / 2 ** 20);
const memory = (it) => (it === null ? none : `${megabytes(it.usedBytes)} of ${megabytes(it.limitBytes)} MB`);
const milliseconds = (seconds) =>
  seconds === null ? none : seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
const day = (at) => new Date(at).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
/** With the day where it is not today's. */
const time = (at, now) => `${day(at) === day(now) ? "" : `${day(at)} `}${new Date(at).toLocaleTimeString("en-GB")}`;

/** Sets text only where it differs: a screen reader and a selection notice every write. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Children of `parent`, one a key, in this order; `draw` fills a new or kept one in. */
function list(parent, items, keyOf, create, draw) {
  const kept = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const key = keyOf(item);
    const child = kept.get(key) ?? create(item);
    kept.delete(key);
    child.dataset.key = key;
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
    draw(child, item);
  });
  for (const child of kept.values()) child.remove();
}

const recent = [];

function drawNumbers({ totals, pops }) {
  put(byId("requests"), rate(totals.requestsPerSecond));
  put(byId("hits"), percent(totals.hitRate));
  put(byId("serving"), `${totals.serving} of ${pops.length}`);
  put(byId("connections"), String(totals.connections ?? none));
  byId("connectionstile").hidden = totals.connections === null;
  byId("errorstile").hidden = totals.errorsPerSecond === null;
  byId("errors").className = totals.errorsPerSecond > 0 ? "bad" : "";
  put(byId("errors"), rate(totals.errorsPerSecond));
  byId("hitbar").style.transform = `scaleX(${totals.hitRate ?? 0})`;
  list(
    byId("pips"),
    pops,
    (pop) => pop.name,
    () => make("i"),
    (pip, pop) => {
      pip.className = phases[pop.phase][0];
    },
  );
  recent.push(totals.requestsPerSecond ?? 0);
  if (recent.length > 60) recent.shift();
  const most = Math.max(...recent, 1);
  const points = recent.map(
    (value, at) => `${(120 * (at + 60 - recent.length)) / 59},${(27 - (25 * value) / most).toFixed(1)}`,
  );
  byId("spark").firstElementChild.setAttribute("points", points.join(" "));
}

/** PoPs of one region are one place of the map, which looks like the worst of them. */
function places(pops) {
  const order = ["good", "off", "busy", "bad"];
  const found = new Map();
  for (const pop of pops.filter(({ place }) => place !== null)) {
    const known = found.get(pop.region) ?? { ...pop.place, pops: [], look: "good" };
    const look = phases[pop.phase][0];
    if (order.indexOf(look) > order.indexOf(known.look)) known.look = look;
    known.pops.push(pop);
    found.set(pop.region, known);
  }
  return [...found.values()];
}

const isSmall = () => matchMedia("(max-width: 40rem)").matches;

/** Beside its dot, where no other label or dot is. */
function arrange(all) {
  const letters = isSmall() ? 2 : 1; // page.css has them twice as large there
  const taken = all.map(({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  return all.map((place) => {
    const text = place.pops.length > 1 ? `${place.region} ×${place.pops.length}` : place.region;
    const width = text.length * 8 * letters;
    const aside = 5 + 6 * letters + (place.pops.length > 1 ? 7 * letters : 0);
    const spots = [
      { x: place.x + aside, y: place.y + 4.5 * letters, anchor: "start", left: place.x + aside },
      { x: place.x - aside, y: place.y + 4.5 * letters, anchor: "end", left: place.x - aside - width },
      { x: place.x, y: place.y - 1 - aside, anchor: "middle", left: place.x - width / 2 },
      { x: place.x, y: place.y + aside + 11 * letters, anchor: "middle", left: place.x - width / 2 },
    ].map((spot) => ({ ...spot, right: spot.left + width, top: spot.y - 12 * letters, bottom: spot.y + 3 * letters }));
    const isFree = (a) =>
      taken.every((b) => a.right < b.left || b.right < a.left || a.bottom < b.top || b.bottom < a.top);
    const spot = spots.find(isFree) ?? spots[0];
    taken.push(spot);
    return { ...place, text, spot };
  });
}

/** Replicas of a region stand around its place, a dot each. */
function drawDots(group, x, y, here) {
  const apart = here.length === 1 ? 0 : (isSmall() ? 11 : 7) * Math.max(1, here.length / 5);
  list(
    group,
    here,
    ({ name }) => name,
    () => make("svg:circle", { r: "6" }),
    (dot, pop) => {
      const turn = (2 * Math.PI * here.indexOf(pop)) / here.length + Math.PI;
      dot.setAttribute("class", `dot ${phases[pop.phase][0]}`);
      dot.setAttribute("cx", (x + apart * Math.cos(turn)).toFixed(1));
      dot.setAttribute("cy", (y + apart * Math.sin(turn)).toFixed(1));
    },
  );
}

function drawMap({ pops, visitors }) {
  const all = arrange(places(pops));
  list(
    byId("pops"),
    all,
    ({ region }) => region,
    () => make("svg:g", {}, make("svg:circle", { class: "halo" }), make("svg:g"), make("svg:text"), make("svg:title")),
    (group, { x, y, look, text, spot, pops: here, city }) => {
      const [halo, dots, label, title] = group.children;
      group.setAttribute("class", `pop ${look}`);
      const busy = here.reduce((sum, pop) => sum + (pop.requestsPerSecond ?? 0), 0);
      halo.setAttribute("r", String(Math.min(12 + 5 * Math.log10(1 + busy), 30)));
      halo.setAttribute("cx", x);
      halo.setAttribute("cy", y);
      drawDots(dots, x, y, here);
      label.setAttribute("x", spot.x);
      label.setAttribute("y", spot.y);
      label.setAttribute("text-anchor", spot.anchor);
      put(label, text);
      put(title, `${city}: ${here.map((pop) => `${pop.name} ${phases[pop.phase][1]}`).join(", ")}`);
    },
  );
  // Visitors' own lines, to where their connections are.
  const lines =
    visitors === null
      ? []
      : all.filter(({ pops: here }) => here.some((pop) => pop.connections > 0 || pop.requestsPerSecond > 0));
  list(
    byId("lines"),
    lines.filter(({ region }) => region !== visitors.region),
    ({ region }) => region,
    () => make("svg:path"),
    (line, { x, y }) => {
      const lift = Math.min(90, Math.hypot(x - visitors.x, y - visitors.y) / 3);
      line.setAttribute(
        "d",
        `M${visitors.x} ${visitors.y}Q${(x + visitors.x) / 2} ${Math.min(y, visitors.y) - lift} ${x} ${y}`,
      );
    },
  );
}

function drawRollout({ rollout: { done, of, image }, pops }) {
  const moving = pops.filter(({ phase }) => phase !== "serving");
  byId("rollout").hidden = done === of;
  byId("rolloutbar").max = Math.max(of, 1);
  byId("rolloutbar").value = done;
  const now = moving.map(({ name, phase }) => `${name} ${phases[phase][1]}`).join(", ");
  put(byId("rollouttext"), `${done} of ${of} serve image ${image}${now === "" ? "" : `; now: ${now}`}`);
}

function drawTable({ pops }) {
  const columns = 8;
  list(
    byId("rows"),
    pops,
    (pop) => pop.name,
    () => make("tr", {}, make("th", { scope: "row" }), ...Array.from({ length: columns }, () => make("td"))),
    (row, pop) => {
      const [look, word] = phases[pop.phase];
      const cells = [...row.children];
      if (!cells[1].firstElementChild) cells[1].append(make("span"));
      if (!cells[8].firstElementChild) cells[8].append(make("code"));
      cells[1].firstElementChild.className = `state ${look}`;
      for (const at of [4, 5, 6, 7]) cells[at].className = "n";
      const texts = [
        pop.name,
        word,
        pop.place === null ? pop.region : `${pop.place.city} (${pop.region})`,
        `${pop.checks.passing}/${pop.checks.all}`,
        rate(pop.requestsPerSecond),
        percent(pop.hitRate),
        String(pop.connections ?? none),
        memory(pop.memory),
        pop.image,
      ];
      texts.forEach((text, at) => {
        put(cells[at].firstElementChild ?? cells[at], text);
      });
    },
  );
  const reasons = pops.flatMap((pop) => pop.reasons);
  list(
    byId("reasons"),
    reasons,
    (text) => text,
    () => make("li"),
    put,
  );
}

function drawSites({ at, sites }) {
  byId("sites").hidden = sites.length === 0;
  list(
    byId("siterows"),
    sites,
    ({ site }) => site,
    () => make("tr", {}, make("th", { scope: "row" }), ...Array.from({ length: 5 }, () => make("td"))),
    (row, { site, requestsPerSecond, errorsPerSecond, hitRate, p95Seconds, certificate }) => {
      const left = certificate === null ? null : certificate.ends - at;
      const hours = left === null ? null : Math.floor(left / 3_600_000);
      const end =
        hours === null ? none : hours < 0 ? "ended" : hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
      // As cli/certificate-expiry.ts has it.
      const lifetime =
        certificate === null || certificate.begins === null ? 56 * 86_400_000 : certificate.ends - certificate.begins;
      const texts = [
        site,
        rate(requestsPerSecond),
        rate(errorsPerSecond),
        percent(hitRate),
        milliseconds(p95Seconds),
        certificate?.selfSigned ? `${end}, self-signed` : end,
      ];
      const cells = [...row.children];
      for (const cell of cells.slice(1, 5)) cell.className = "n";
      cells[2].className = errorsPerSecond > 0 ? "n bad" : "n";
      cells[5].className = left !== null && left < lifetime / 8 ? "bad" : "";
      texts.forEach((text, column) => {
        put(cells[column], text);
      });
    },
  );
}

function drawEvents({ at: now, events }) {
  list(
    byId("events"),
    events,
    ({ at, text }) => `${at} ${text}`,
    () => make("li", {}, make("time"), make("span")),
    (item, { at, text }) => {
      put(item.firstElementChild, time(at, now));
      put(item.lastElementChild, text);
    },
  );
}

/** Changes of state in a sentence, for those who do not see the map; numbers that move all the time are not read out. */
let known;
function announce({ pops }) {
  const now = new Map(pops.map(({ name, phase }) => [name, phases[phase][1]]));
  if (known !== undefined) {
    const changed = [...now]
      .filter(([name, word]) => known.get(name) !== word)
      .map(([name, word]) => `${name} ${word}`);
    const gone = [...known.keys()].filter((name) => !now.has(name)).map((name) => `${name} is gone`);
    if (changed.length + gone.length > 0) put(byId("changes"), [...changed, ...gone].join(", "));
  }
  known = now;
}

let gone = "No answer";
function summarize({ head, pops, totals }) {
  const summary = byId("summary");
  gone = head.gone;
  document.title = `fly-pops, ${head.title}`;
  put(byId("title"), head.title);
  put(byId("about"), head.about.join(" · "));
  const whole = totals.serving === pops.length;
  if (head.problem !== null) {
    summary.className = "bad";
    put(summary, head.problem);
    return;
  }
  summary.className = pops.length > 0 && totals.serving === 0 ? "bad" : whole && pops.length > 0 ? "good" : "busy";
  put(
    summary,
    pops.length === 0
      ? head.none
      : whole
        ? `All ${pops.length} PoPs serve`
        : `${totals.serving} of ${pops.length} PoPs serve`,
  );
}

const stream = new EventSource("events");
stream.onmessage = ({ data }) => {
  const picture = JSON.parse(data);
  for (const draw of [summarize, drawNumbers, drawMap, drawRollout, drawSites, drawTable, drawEvents, announce])
    draw(picture);
};
// The browser tries again by itself.
stream.onerror = () => {
  byId("summary").className = "bad";
  put(byId("summary"), gone);
};
