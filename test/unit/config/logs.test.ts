import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const dns = { forward: [{ zone: "tail.example", servers: ["100.100.100.100"] }] };
const parse = (keys: object) =>
  parseConfig({
    app: "my-edge",
    regions: { cdg: {} },
    sites: [{ host: "www.example.org", origin: "http://web:8080", aliases: ["example.org"] }],
    dns,
    ...keys,
  });

const mistakes = (keys: object) => mistakesIn(() => parse(keys));

const logsOf = (logs: object) => parse({ logs }).image.logs;

describe("logs", () => {
  test.each([
    [{ anonymize: true }, { anonymize: true }],
    [{ syslog: "udp://loki.tail.example:1514" }, { syslog: { host: "loki.tail.example", port: 1514 } }],
    [{ syslog: "UDP://Loki.Tail.Example" }, { syslog: { host: "loki.tail.example", port: 514 } }],
    [{ syslog: "udp://tail.example:80/" }, { syslog: { host: "tail.example", port: 80 } }],
    [{ syslog: "udp://100.64.0.7:514" }, { syslog: { host: "100.64.0.7", port: 514 } }],
    [{ syslog: "udp://192.168.1.2" }, { syslog: { host: "192.168.1.2", port: 514 } }],
    [{ syslog: "udp://[fd7a:115c:a1e0::5]:1514" }, { syslog: { host: "fd7a:115c:a1e0::5", port: 1514 } }],
    [{ sampleCached: "10%" }, { sampleCached: 10 }],
    [{ sampleCached: "0.05%" }, { sampleCached: 0.05 }],
    [{ sampleCached: "0%" }, { sampleCached: 0 }],
  ])("%j is part of the image's spec", (logs, reported) => {
    expect(logsOf(logs)).toEqual(reported);
  });

  test.each([{}, { anonymize: false }, { sampleCached: "100%" }, { sampleCached: "100.00%" }])(
    "%j changes nothing",
    (logs) => {
      expect(parse({ logs })).toEqual(parse({}));
    },
  );

  test.each<[object, string]>([
    [{ anonymize: "yes" }, 'logs.anonymize is "yes": expected true or false.'],
    [
      { anonymise: true },
      "logs.anonymise: unknown key; did you mean anonymize? Allowed keys: anonymize, syslog, sampleCached.",
    ],
    [
      { syslog: "loki.tail.example:1514" },
      'logs.syslog is "loki.tail.example:1514": needs a scheme, as in udp://loki.tail.example:1514.',
    ],
    [
      { syslog: "tcp://loki.tail.example:1514" },
      'logs.syslog is "tcp://loki.tail.example:1514": must use udp: nginx sends syslog over UDP only.',
    ],
    [
      { syslog: "udp://loki.tail.example/push" },
      'logs.syslog is "udp://loki.tail.example/push": expected a host and a port, without path, as in udp://loki.tail.example:1514.',
    ],
    [
      { syslog: "udp://loki.tail.example:70000" },
      'logs.syslog is "udp://loki.tail.example:70000": expected a port from 1 to 65535.',
    ],
    [
      { syslog: "udp://loki tail" },
      'logs.syslog is "udp://loki tail": expected a URL such as https://web.tail.example:8443.',
    ],
    [
      { syslog: "udp://logs.example.com:514" },
      "logs.syslog leads to logs.example.com, which may be reached over the internet, and syslog messages are not encrypted. Use a host in the tailnet (tailnet.domain), a host in a zone of dns.forward, or a private address.",
    ],
    [
      { syslog: "udp://nottail.example" },
      "logs.syslog leads to nottail.example, which may be reached over the internet, and syslog messages are not encrypted. Use a host in the tailnet (tailnet.domain), a host in a zone of dns.forward, or a private address.",
    ],
    [
      { syslog: "udp://203.0.113.9" },
      "logs.syslog leads to 203.0.113.9, which may be reached over the internet, and syslog messages are not encrypted. Use a host in the tailnet (tailnet.domain), a host in a zone of dns.forward, or a private address.",
    ],
    ...["10", "101%", "-1%", "1.234%", "ten%"].map(
      (given) =>
        [
          { sampleCached: given },
          `logs.sampleCached is "${given}": expected a percentage from 0% to 100%, two decimals at most, as in 10%.`,
        ] as [object, string],
    ),
    [
      { sampleCached: 10 },
      "logs.sampleCached is 10: expected a percentage from 0% to 100%, two decimals at most, as in 10%.",
    ],
  ])("%j is refused by one sentence", (logs, sentence) => {
    expect(mistakes({ logs })).toEqual([sentence]);
  });

  test("credentials in the URL are refused, and not repeated", () => {
    const said = mistakes({ logs: { syslog: "udp://ada:lovelace@loki.tail.example" } }).join();
    expect(said).toContain("logs.syslog");
    expect(said).not.toContain("lovelace");
  });
});

describe("nginx", () => {
  test("files are part of the image's spec, by host, in one spelling", () => {
    expect(
      parse({ nginx: { http: "./nginx//http.conf", sites: { "WWW.example.org.": "nginx/./www.conf" } } }).image.nginx,
    ).toEqual({ http: "nginx/http.conf", sites: { "www.example.org": "nginx/www.conf" } });
    expect(parse({ nginx: { http: "./http.conf" } }).image.nginx).toEqual({ http: "http.conf", sites: {} });
  });

  test.each([{}, { sites: {} }])("%j is the same as no key", (nginx) => {
    expect(parse({ nginx })).toEqual(parse({}));
  });

  const path =
    "expected a file within the project whose path has letters, digits, dots, dashes and _ only and ends with .conf, as in ./nginx/http.conf.";
  test.each<[object, string]>([
    [
      { http: "/etc/http.conf" },
      'nginx.http is "/etc/http.conf": expected a file relative to the project: an absolute path differs from machine to machine.',
    ],
    ...[
      "../http.conf",
      "./http.txt",
      "./a b.conf",
      "./*.conf",
      "./a;b.conf",
      "./$pop.conf",
      "./.conf",
      './a".conf',
    ].map((given): [object, string] => [{ http: given }, `nginx.http is ${JSON.stringify(given)}: ${path}`]),
    [
      { http: ["./a.conf"] },
      "nginx.http is a list: expected a .conf file within the project, as in ./nginx/http.conf.",
    ],
    [{ htpp: "./a.conf" }, "nginx.htpp: unknown key; did you mean http? Allowed keys: http, sites."],
    [
      { sites: { "ww.example.org": "./a.conf" } },
      'nginx.sites["ww.example.org"] is not a site of this file; did you mean www.example.org?',
    ],
    [{ sites: { "other.test": "./a.conf" } }, 'nginx.sites["other.test"] is not a site of this file.'],
    [
      { sites: { "example.org": "./a.conf" } },
      'nginx.sites["example.org"] names an alias. Use the site\'s host, www.example.org.',
    ],
    [
      { sites: { "www.example.org": "./a.conf", "WWW.EXAMPLE.ORG": "./b.conf" } },
      'nginx.sites["WWW.EXAMPLE.ORG"] names the same site twice: case and a final dot are ignored.',
    ],
    [
      { sites: { "www.example.org": true } },
      'nginx.sites["www.example.org"] is true: expected a .conf file within the project, as in ./nginx/http.conf.',
    ],
  ])("%j is refused by one sentence", (nginx, sentence) => {
    expect(mistakes({ nginx })).toEqual([sentence]);
  });
});
