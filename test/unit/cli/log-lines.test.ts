import { expect, test } from "vitest";
import { lineJson, lineText, matchesFilter, parseLine, parseSince } from "../../../cli/log-lines.ts";

const entry = (message: string, level = "info") => ({
  timestamp: "2026-03-01T02:00:00.5Z",
  region: "cdg",
  instance: "3d8d91",
  level,
  message,
});
const line = (message: string, level?: string) => {
  const read = parseLine(entry(message, level), "cdg-1");
  if (!read) throw new Error(`left out: ${message}`);
  return read;
};
const request = (over: Record<string, unknown> = {}) =>
  `[nginx\t] ${JSON.stringify({ time: "2026-03-01T02:00:00+00:00", host: "www.example.org", uri: "/", status: 200, agent: "curl/8", ...over })}`;

test.each([
  ["[nginx\t] hello", "nginx", "[nginx] hello"],
  ["[luggage-blog\t] [x] y", "luggage-blog", "[luggage-blog] [x] y"],
  ["\x1b]0;process-compose: 6e38//\x07[postInit\t] done", "postInit", "[postInit] done"],
  ["26-11-29 01:22:53.515 INF Scheduler started", "process-compose", "26-11-29 01:22:53.515 INF Scheduler started"],
  ["Machine started in 512ms", null, "Machine started in 512ms"],
  ["[1795915373] unbound[115:0] info: start", "1795915373", "[1795915373] unbound[115:0] info: start"],
  ["", null, ""],
])("%j is of %s", (message, process, text) => {
  expect(line(message).process).toBe(process);
  expect(lineText(line(message))).toBe(text);
});

test.each([
  ["2026/11/29 01:17:07 [v1] magicsock: peermtu: peer MTU status is false"],
  ["2026/11/29 01:17:07 wg: [v2] Device closing"],
  ['2026/11/29 01:17:07 [v\0JSON]1{"Hostinfo":{}}'],
])("tailscaled's debug line %j is left out, and the same words of another process are not", (message) => {
  expect(parseLine(entry(`[tailscaled\t] ${message}`), "cdg-1")).toBeUndefined();
  expect(parseLine(entry(`[luggage-blog\t] ${message}`), "cdg-1")).toBeDefined();
});

test.each([
  "magicsock: disco: node [abc] d:1 now using 192.0.2.1:41641 mtu=1360",
  "health(warnable=no-derp-home): error: no relay",
  "Switching ipn state NoState -> Running",
])("tailscaled's %j stays", (message) => {
  expect(parseLine(entry(`[tailscaled\t] 2026/11/29 01:17:07 ${message}`), "cdg-1")).toBeDefined();
});

test.each([
  ["\x1b[2J\x1b[31mred\x1b[0m", "red"],
  ["a\0b\x07c\x7fd", "abcd"],
  ["\u009b31mx", "x"],
  ["evil\u202egnp.exe", "evilgnp.exe"],
  ["one\ttwo\r\nthree", "one twothree"],
  ["Grüße 東京 👋", "Grüße 東京 👋"],
])("of %j a terminal gets %j", (message, text) => {
  expect(line(message).message).toBe(text);
});

test("a request is an object, without what a visitor hides behind an escape", () => {
  const { fields, ...reported } = lineJson(line(request({ agent: "x\x1b]0;title\x07y\0\u009b2J" }))) as {
    fields: Record<string, unknown>;
  };
  expect(reported).toEqual({
    time: "2026-03-01T02:00:00.5Z",
    pop: "cdg-1",
    region: "cdg",
    machine: "3d8d91",
    level: "info",
    process: "nginx",
  });
  expect(fields).toMatchObject({ host: "www.example.org", status: 200, agent: "xy" });
});

test.each(["[nginx\t] {not json", "[nginx\t] [1,2]", "[nginx\t] 5"])("%j stays text", (message) => {
  expect(lineJson(line(message))).toMatchObject({ message: message.slice("[nginx\t] ".length) });
});

const chosen = (wanted: Parameters<typeof matchesFilter>[0], messages: string[]) =>
  messages.filter((message) => matchesFilter(wanted)(line(message)));

test("--process: its lines, and what process-compose says of it", () => {
  const of = [
    "[nginx\t] x",
    '26-11-29 01:22:53.000 INF Started command=["/usr/bin/runas","nginx"] process=nginx',
    "26-11-29 01:22:53.000 INF Restarting nginx in 10 second(s)... Restarts: 1",
    "26-11-29 01:22:53.000 INF nginx is waiting for unbound to start",
  ];
  const others = [
    "[unbound\t] nginx",
    "26-11-29 01:22:53.000 INF Exited exit_code=0 process=nginx-reload",
    '26-11-29 01:22:53.000 INF Started command=["nginx"] process=other',
    "Machine with nginx started",
  ];
  expect(chosen({ process: "nginx" }, [...of, ...others])).toEqual(of);
});

test("--site: connections to a site whose TLS is passed through", () => {
  const connection = (site: string) =>
    `[nginx\t] {"time":"2026-03-01T02:00:00+00:00","client":"192.0.2.7","port":443,"site":"${site}","status":200,"sent":1,"received":1,"seconds":1.0,"target":"100.64.0.1:443"}`;
  const of = [connection("git.example.org")];
  expect(chosen({ site: "git.example.org" }, [...of, connection("code.example.org"), connection("")])).toEqual(of);
});

test("--site: requests to it by whatever case, and nginx's errors about it", () => {
  const of = [
    request(),
    request({ host: "WWW.example.org" }),
    '[nginx\t] 2026/03/01 02:00:00 [error] 1#1: *5 connect() failed (111: Connection refused), client: 192.0.2.7, server: www.example.org, request: "GET / HTTP/1.1"',
  ];
  const others = [
    request({ host: "example.org" }),
    request({ host: "other.example", agent: 'host: "www.example.org"' }),
    "[nginx\t] 2026/03/01 02:00:00 [error] 1#1: no host",
    "[luggage-blog\t] server: www.example.org, x",
  ];
  expect(chosen({ site: "www.EXAMPLE.org" }, [...of, ...others])).toEqual(of);
});

test("--errors: failures of all processes", () => {
  const of = [
    request({ status: 502 }),
    "[nginx\t] 2026/03/01 02:00:00 [error] 1#1: *5 upstream timed out",
    "[nginx\t] 2026/03/01 02:00:00 [emerg] 1#1: bind() failed",
    "26-11-29 01:22:53.000 INF Exited exit_code=1 process=secrets",
    "[unbound\t] [1] unbound[1:0] error: SERVFAIL <a. A IN>",
    "[secrets\t] pop-secrets: sops file open /etc/pop/sealed.yaml: cannot open",
    "[tailscaled\t] 2026/11/29 01:22:53 health(warnable=x): error: Tailscale is stopped.",
    '[luggage-blog\t] {"level":"error","msg":"no"}',
  ];
  const others = [
    request({ status: 404, uri: "/error-failed", agent: "fatal" }),
    "[nginx\t] 2026/03/01 02:00:00 [notice] 1#1: signal process started",
    "26-11-29 01:22:53.000 INF Exited exit_code=0 process=postInit",
    "[unbound\t] [1] unbound[1:0] info: start of service",
    '[luggage-blog\t] {"level":"info","msg":"no error"}',
  ];
  expect(chosen({ errors: true }, [...of, ...others])).toEqual(of);
  expect(matchesFilter({ errors: true })(line("boom", "error"))).toBe(true);
  expect(chosen({ errors: true, process: "nginx", site: "www.example.org" }, of)).toEqual([of[0]]);
});

const now = Date.parse("2026-03-01T02:00:00Z");
test.each([
  ["90s", now - 90_000],
  ["10m", now - 600_000],
  ["2h", now - 7_200_000],
  ["7d", now - 604_800_000],
  ["2026-03-01T01:00:00Z", now - 3_600_000],
  ["2026-02-28", Date.parse("2026-02-28")],
  ["10", undefined],
  ["-10m", undefined],
  ["10 m", undefined],
  ["yesterday", undefined],
  ["2026", undefined],
  ["", undefined],
])("since %j", (text, at) => {
  expect(parseSince(text, now)).toBe(at);
});
