/** Rules for site logins. */
import { type ConfigIssue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import { serviceParts } from "../service-url.ts";
import type { ValidPart } from "../valid-part.ts";

type Site = NonNullable<NonNullable<ValidPart["file"]["sites"]>[number]>;

const sitesOf = ({ file }: Pick<ValidPart, "file">): { site: Site; index: number }[] =>
  (file.sites ?? []).flatMap((site, index) => (site === undefined ? [] : [{ site, index }]));

/** A site has exactly one way to log in, and only keys of that way. */
export const checkAuthKind = ({ file, isInvalid }: ValidPart): ConfigIssue[] =>
  sitesOf({ file }).flatMap(({ site, index }): ConfigIssue[] => {
    const at = ["sites", index, "auth"];
    const { auth } = site;
    if (auth === undefined) return [];
    const has = (["basic", "forward"] as const).filter((kind) => kind in auth || isInvalid(...at, kind));
    if (has.length === 2) return [issue(at, "has both basic and forward: use exactly one.")];
    // An unknown key may be a misspelt `basic` or `forward`: that is reported already.
    if (has.length === 0 && Object.keys(auth).every((key) => key === "headers"))
      return [issue(at, "has neither basic nor forward: use exactly one.")];
    if (has[0] === "basic" && "headers" in auth)
      return [issue([...at, "headers"], "cannot be used with basic: only a forward service sends headers to pass on.")];
    return checkDuplicateHeaders(auth.headers ?? [], [...at, "headers"]);
  });

const checkDuplicateHeaders = (names: readonly (string | undefined)[], at: Path): ConfigIssue[] =>
  names.flatMap((name, index) => {
    const first = names.findIndex((other) => other?.toLowerCase() === name?.toLowerCase());
    return name === undefined || first === index
      ? []
      : [issue([...at, index], `is ${name}: headers[${first}] is the same header.`)];
  });

/** Responses that depend on who is logged in must not be cached. */
export const checkAuthWithCache = ({ file }: ValidPart): ConfigIssue[] =>
  sitesOf({ file }).flatMap(({ site, index }) => {
    if (!("auth" in site)) return [];
    const why =
      site.auth?.forward === undefined
        ? "requests with a password bypass the cache."
        : "a response for one visitor would be served to everyone who logs in.";
    const stores = (site.paths ?? []).flatMap((rule, at) =>
      rule?.cache !== undefined && rule.cache !== false && rule.auth !== false
        ? [["sites", index, "paths", at, "cache"]]
        : [],
    );
    return [
      ...(site.cache === undefined ? [] : [issue(["sites", index, "auth"], `cannot be combined with cache: ${why}`)]),
      ...stores.map((path) =>
        issue(path, `cannot be combined with sites[${index}].auth: ${why} For paths without login, set auth: false.`),
      ),
    ];
  });

/** `auth: false` in a rule needs a site with `auth`. */
export const checkAuthExemptions = ({ file, isInvalid }: ValidPart): ConfigIssue[] =>
  sitesOf({ file }).flatMap(({ site, index }) =>
    "auth" in site || isInvalid("sites", index, "auth")
      ? []
      : (site.paths ?? []).flatMap((rule, at) =>
          rule?.auth === false
            ? [
                issue(
                  ["sites", index, "paths", at, "auth"],
                  "has no effect: the site has no auth, so no visitor has to log in.",
                ),
              ]
            : [],
        ),
  );

/** The login service of a site, with its path in the file. */
export function authServiceOf(keys: object, holder: Path): { url: string; path: Path }[] {
  const { auth } = keys as Pick<Site, "auth">;
  if (typeof auth !== "object" || auth.forward === undefined) return [];
  return [{ url: serviceParts(auth.forward).origin, path: [...holder, "auth", "forward"] }];
}
