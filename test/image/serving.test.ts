import { afterAll, beforeAll } from "vitest";
import { addresses } from "./serving/addresses.ts";
import { cachePolicy } from "./serving/cache-policy.ts";
import { caching } from "./serving/caching.ts";
import { fields } from "./serving/fields.ts";
import { headers } from "./serving/headers.ts";
import { hosts } from "./serving/hosts.ts";
import { inside } from "./serving/inside.ts";
import { keepalive } from "./serving/keepalive.ts";
import { close, open } from "./serving/lab.ts";
import { requestLimits } from "./serving/limits.ts";
import { names } from "./serving/names.ts";
import { operating } from "./serving/operating.ts";
import { severalOrigins } from "./serving/origins.ts";
import { packed } from "./serving/packed.ts";
import { pages } from "./serving/pages.ts";
import { paths } from "./serving/paths.ts";
import { proxied } from "./serving/proxied.ts";
import { requests } from "./serving/requests.ts";
import { standards } from "./serving/standards.ts";
import { streams } from "./serving/streams.ts";
import { visitors } from "./serving/visitors.ts";

// One PoP for all of these tests: a boot takes longer than most of them.
beforeAll(open);
afterAll(close);

// Runs first: the others leave origins behind that have just failed.
keepalive();
caching();
cachePolicy();
visitors();
standards();
proxied();
streams();
fields();
headers();
severalOrigins();
names();
hosts();
requestLimits();
requests();
packed();
pages();
paths();
addresses();
operating();
inside();
