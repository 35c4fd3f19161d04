/** What every HTTP client here has to decide alike. */

/** A proxy of the house cannot reach our own loopback. */
export function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}

/** The value of a body that is JSON, the text of one that is not; undefined for none. */
export function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
