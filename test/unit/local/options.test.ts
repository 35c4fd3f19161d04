import { expect, test } from "vitest";
import { parseCommand, usage } from "../../../local/options.ts";

const up = { name: "up", ports: {}, from: "cdg", homelab: true };

test.each([
  [[], up],
  [["up"], up],
  [["--no-homelab"], { ...up, homelab: false }],
  [["up", "--no-homelab", "--from", "nrt"], { ...up, homelab: false, from: "nrt" }],
  [["--http-port=81", "--registry-port", "65535"], { ...up, ports: { http: 81, registry: 65_535 } }],
  [["down"], { name: "down", all: false }],
  [["down", "--all"], { name: "down", all: true }],
  [["status"], { name: "status", how: "text" }],
  [["status", "--json"], { name: "status", how: "json" }],
  [["status", "--open"], { name: "status", how: "page" }],
  [["logs"], { name: "logs", pop: undefined, follow: false }],
  [["logs", "cdg-1", "-f"], { name: "logs", pop: "cdg-1", follow: true }],
  [["down", "--help"], { name: "help" }],
])("%j is understood", (argv, command) => {
  expect(parseCommand(argv)).toEqual(command);
});

test.each([
  [["upp"], `"upp" is not a command.\n${usage}`],
  [["toString"], `"toString" is not a command.\n${usage}`],
  [["--homelab"], `Unknown option '--homelab'.\n${usage}`],
  [["--no-homelab=yes"], `Option '--no-homelab' does not take an argument.\n${usage}`],
  [["down", "--no-homelab"], "--no-homelab means nothing to down: it is an option of up. Nothing was done."],
  [["--all"], "--all means nothing to up: it is an option of down. Nothing was done."],
  [["logs", "--json"], "--json means nothing to logs: it is an option of status. Nothing was done."],
  [["status", "--from", "cdg"], "--from means nothing to status: it is an option of up. Nothing was done."],
  [["status", "--json", "--open"], "--json and --open exclude each other: a page is for people."],
  [["down", "all"], `"all" after down is not understood.\n${usage}`],
  [["up", "cdg-1"], `"cdg-1" after up is not understood.\n${usage}`],
  [["logs", "cdg-1", "ewr-1"], `"ewr-1" after logs is not understood.\n${usage}`],
  [["--http-port", "0"], '--http-port is "0": it takes a port from 1 to 65535.'],
  [["--https-port", "65536"], '--https-port is "65536": it takes a port from 1 to 65535.'],
  [["--api-port", "1e3"], '--api-port is "1e3": it takes a port from 1 to 65535.'],
  [["--from", "paris"], '--from is "paris": it takes the code of the Fly region that you visit from, e.g. cdg or nrt.'],
])("%j is refused", (argv, sentence) => {
  expect(() => parseCommand(argv)).toThrow(new Error(sentence));
});
