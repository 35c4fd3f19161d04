/** Writes docs/certificates.md from the faults that image/pop/acme/faults_test.go tries at a real authority: `npm run docs`. A test compares. */
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";

export const certificatesPath = new URL("../../docs/certificates.md", import.meta.url);

const Fault = z.object({ says: z.string(), orders: z.number(), do: z.string() });

const faults = z
  .record(z.string(), Fault)
  .parse(JSON.parse(readFileSync(new URL("../../image/pop/acme/testdata/faults.json", import.meta.url), "utf8")));

const cell = (text: string): string => text.replaceAll("|", "\\|");

/** What stands in a sentence for the tests' own names. */
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

export const certificatesPage = (): string => `# Certificates that do not come

<!-- Written by tools/docs/certificates.ts from image/pop/acme/testdata/faults.json, which image/pop/acme/faults_test.go tries: \`npm run docs\`. -->

How PoPs get certificates from an authority (ACME) is in [secrets.md](secrets.md#certificates). Here is what keeps one from coming: ${Object.keys(faults).length} faults, each with what
\`npx fly-pops status\` and \`/healthz\` say of it, and how many requests for an order the authority gets before the pause. Each was tried at a real authority: that the
sentence is this one, that there are so many requests, that another start brings no more, and that the certificate comes once the fault is over. The last good
certificate serves in any case.

| fault | health says | requests for an order | what to do |
| --- | --- | --: | --- |
${Object.entries(faults)
  .map(([name, it]) => `| ${cell(name)} | ${cell(example(it.says))} | ${it.orders} | ${cell(it.do)} |`)
  .join("\n")}

Requests beyond the first are refused nonces and internal errors, which are sent again at once.

## What needs nobody

| what happens | the PoP | orders |
| --- | --- | --- |
| the authority revoked the certificate, or wants it renewed early (ARI) | asks for the window every six hours, or when the authority says, and orders at once when it is over | one |
| the process or the machine ends anywhere in an order | goes on with that order | none more |
| the authority has forgotten the order | says \`the order in progress cannot be taken up again\`, and makes another after the pause | one more |
| the authority has forgotten the account | makes it again, with the same key | one more |
| the authority's request meets a PoP that is just restarting | makes another after 10 seconds, a third after a minute, then after 5, 10, 20 minutes ...; never more than four an hour | one more |
| another PoP does not answer challenges | asks it again every three seconds, five times, before it orders | none more |
| nonces are refused now and then | takes new ones | none more |
| a name of several leads elsewhere, or CAA forbids it | waits while there is time, then orders for the others | one more |
| PoPs share (\`certificates.acme.share\`) and the one that orders is away | the next one orders two minutes later | none more |
| two PoPs order at the same moment | do not know of each other: accounts, keys and orders are each PoP's own | one a PoP |
| a site is removed | keeps its certificate, key and order for 30 days, for a rollback, and removes them then; what nginx serves and accounts are never removed | none |

## Once it is put right

PoPs look at names and CAA records again within five minutes, and order then. After an order that failed they wait for the pause that status shows. To wait no longer:

\`\`\`sh
npx fly-pops certificates renew www.example.org
\`\`\`

It says first what that costs. It orders in one PoP after the other, ends at the first failure, and refuses what the authority would count too often: a sixth certificate within a week for the
same names at Let's Encrypt (those of all PoPs together), a fifth failed validation within an hour, and anything before the time the authority has said.
`;

if (import.meta.main) writeFileSync(certificatesPath, certificatesPage());
