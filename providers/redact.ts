/** Keeps credentials out of what people and logs get to see. */
const placeholder = "[redacted]";

/** Fly's own token forms, whoever they belong to: macaroons and the older personal tokens. */
const tokenPattern = /\b(?:fm1[ra]|fm2|fo1)_[A-Za-z0-9+/=_-]+/g;
const authorizationPattern = /\b(Bearer|FlyV1|Basic)\s+[A-Za-z0-9+/=._,~-]{8,}/gi;

/** The same text with every given secret, and everything that looks like a token, blotted out. */
export function redact(text: string, secrets: readonly string[] = []): string {
  // Longest first: a secret that contains another must not leave its tail behind.
  const known = secrets.filter((secret) => secret.length > 0).toSorted((a, b) => b.length - a.length);
  return known
    .reduce((rest, secret) => rest.replaceAll(secret, placeholder), text)
    .replace(authorizationPattern, `$1 ${placeholder}`)
    .replace(tokenPattern, placeholder);
}
