import { afterAll, beforeAll } from "vitest";
import { caching } from "./serving/caching.ts";
import { headers } from "./serving/headers.ts";
import { inside } from "./serving/inside.ts";
import { close, open } from "./serving/lab.ts";
import { names } from "./serving/names.ts";
import { severalOrigins } from "./serving/origins.ts";
import { packed } from "./serving/packed.ts";
import { proxied } from "./serving/proxied.ts";

// One PoP serves them all: a boot costs more than most of these tests.
beforeAll(open);
afterAll(close);

caching();
proxied();
headers();
severalOrigins();
names();
packed();
inside();
