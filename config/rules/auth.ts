/** Rules of log-ins. */
import { type Mistake, mistake } from "../mistakes.ts";
import { serviceParts } from "../service-url.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";

type Site = NonNullable<NonNullable<Sketch["file"]["sites"]>[number]>;

const sitesOf = ({ file }: Pick<Sketch, "file">): { site: Site; index: number }[] =>
  (file.sites ?? []).flatMap((site, index) => (site === undefined ? [] : [{ site, index }]));

/** Visitors log in in one way, and its keys are said of it. */
export const authKinds = ({ file, unclear }: Sketch): Mistake[] =>
  sitesOf({ file }).flatMap(({ site, index }): Mistake[] => {
    const at = ["sites", index, "auth"];
    const { auth } = site;
    if (auth === undefined) return [];
    const has = (["basic", "forward"] as const).filter((kind) => kind in auth || unclear(...at, kind));
    if (has.length === 2) return [mistake(at, "has basic and forward: takes exactly one of them.")];
    // A key that is misspelt may be the one that is missing.
    if (has.length === 0 && Object.keys(auth).every((key) => key === "headers"))
      return [mistake(at, "has neither basic nor forward: takes exactly one of them.")];
    if (has[0] === "basic" && "headers" in auth)
      return [mistake([...at, "headers"], "stands beside basic: only a service of forward has headers to pass on.")];
    return twins(auth.headers ?? [], [...at, "headers"]);
  });

const twins = (names: readonly (string | undefined)[], at: Path): Mistake[] =>
  names.flatMap((name, index) => {
    const first = names.findIndex((other) => other?.toLowerCase() === name?.toLowerCase());
    return name === undefined || first === index
      ? []
      : [mistake([...at, index], `is ${name}: headers[${first}] is the same header.`)];
  });

/** What one visitor may see is stored for nobody else. */
export const authFits = ({ file }: Sketch): Mistake[] =>
  sitesOf({ file }).flatMap(({ site, index }) => {
    if (!("auth" in site)) return [];
    const why =
      site.auth?.forward === undefined
        ? "requests with a password bypass it."
        : "what the origin answers to one visitor would be stored for all who log in.";
    const stores = (site.paths ?? []).flatMap((rule, at) =>
      rule?.cache !== undefined && rule.cache !== false && rule.auth !== false
        ? [["sites", index, "paths", at, "cache"]]
        : [],
    );
    return [
      ...(site.cache === undefined ? [] : [mistake(["sites", index, "auth"], `cannot be combined with cache: ${why}`)]),
      ...stores.map((path) =>
        mistake(
          path,
          `cannot be combined with sites[${index}].auth: ${why} Where nobody has to log in, write auth: false.`,
        ),
      ),
    ];
  });

/** A path is opened where there is something to open. */
export const openPaths = ({ file, unclear }: Sketch): Mistake[] =>
  sitesOf({ file }).flatMap(({ site, index }) =>
    "auth" in site || unclear("sites", index, "auth")
      ? []
      : (site.paths ?? []).flatMap((rule, at) =>
          rule?.auth === false
            ? [
                mistake(
                  ["sites", index, "paths", at, "auth"],
                  "stands in a site without auth, where nobody has to log in anyway.",
                ),
              ]
            : [],
        ),
  );

/** The log-in service of a site, where it stands. */
export function serviceOf(keys: object, holder: Path): { url: string; path: Path }[] {
  const { auth } = keys as Pick<Site, "auth">;
  if (typeof auth !== "object" || auth.forward === undefined) return [];
  return [{ url: serviceParts(auth.forward).origin, path: [...holder, "auth", "forward"] }];
}
