/** Writes docs/certificates.md from the faults that image/pop/acme/faults_test.go tries at a real authority: `npm run docs`. A test compares. */
import { readFileSync } from "node:fs";
import { z } from "zod";

export const certificatesPath = new URL("../../docs/certificates.md", import.meta.url);

const Fault = z.object({ says: z.string(), orders: z.number(), do: z.string() });

const faults = z
  .record(z.string(), Fault)
  .parse(JSON.parse(readFileSync(new URL("../../image/pop/acme/testdata/faults.json", import.meta.url), "utf8")));

const cell = (text: string): string => text.replaceAll("|", "\\|");

/** Replaces the tests' own names by names for documentation. */
const example = (text: string): string =>
  text
    .replaceAll("www.example.test", "www.example.org")
    .replaceAll("example.test", "example.org")
    .replaceAll("pebble.test", "letsencrypt.org")
    .replaceAll("elsewhere.test", "other-ca.example")
    .replaceAll("127.0.0.1:9", "ca.example.org")
    .replaceAll("127.0.0.1", "ca.example.org")
    .replaceAll("in 200ms", "in 20s")
    .replaceAll("/nowhere.pem", "/etc/pop/acme-ca.pem")
    .replaceAll("planted planted", "...")
    .replaceAll("planted", "...")
    .replaceAll("it has [", "it has [...]");

export const certificatesPage = (): string => `# Certificates that do not arrive

<!-- Written by tools/docs/certificates.ts from image/pop/acme/testdata/faults.json, which image/pop/acme/faults_test.go tries: \`npm run docs\`. -->

[secrets.md](secrets.md#certificates) describes how PoPs get certificates from an authority (ACME). This page lists what keeps a certificate from arriving:
${Object.keys(faults).length} faults. Each has the sentence of \`npx fly-pops status\` and \`/healthz\`, and the number of requests for an order that the authority
gets before the pause. Each was tried with a real authority. The test checks the sentence, the number of requests, that another start sends no more, and that
the certificate arrives when the fault is over. The last valid certificate is served in all cases.

| fault | health says | requests for an order | what to do |
| --- | --- | --: | --- |
${Object.entries(faults)
  .map(([name, it]) => `| ${cell(name)} | ${cell(example(it.says))} | ${it.orders} | ${cell(it.do)} |`)
  .join("\n")}

Requests beyond the first were rejected for their nonce, or met an internal error. They are sent again at once.

## What needs no operator

| what happens | what the PoP does | orders |
| --- | --- | --- |
| the authority revoked the certificate, or wants it renewed early (ARI) | asks for the window every six hours, or when the authority says, and orders at once when it is over | one |
| the process or the machine ends anywhere in an order | continues that order | none |
| the authority has forgotten the order | says \`the order in progress cannot be taken up again\`, and places another one after the pause | one more |
| the authority has forgotten the account | creates it again, with the same key | one more |
| the authority's request arrives at a PoP that is just restarting | places another order after 10 seconds, a third after a minute, then after 5, 10, 20 minutes and so on; never more than four an hour | one more |
| another PoP does not answer challenges | asks it again every three seconds, five times, before it orders | none |
| nonces are rejected occasionally | takes new ones | none |
| one of several names points elsewhere, or CAA forbids it | waits while there is time, then orders for the others | one more |
| PoPs share (\`certificates.acme.share\`) and the one that orders is down | the next one orders two minutes later | none |
| two PoPs order at the same moment | do not notice each other: each PoP has its own accounts, keys and orders | one per PoP |
| a site is removed | keeps its certificate, key and order for 30 days, for a rollback, and then removes them; files that nginx serves, and accounts, are never removed | none |

## When the fault is fixed

PoPs check names and CAA records again within five minutes, and then order. After a failed order they wait for the pause that status shows. To order at once:

\`\`\`sh
npx fly-pops certificates renew www.example.org
\`\`\`

The command first says what that uses up. It orders in one PoP after the other and stops at the first failure. It refuses what the authority would count too
often:

- a sixth certificate within a week for the same names at Let's Encrypt, for all PoPs together
- a fifth failed validation within an hour
- anything before the time that the authority stated
`;
