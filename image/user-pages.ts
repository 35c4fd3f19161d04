/** Checks the files that a stack file's `errorPages`, `robots` and `spa` name. Each function throws an error whose message is a complete sentence. Pure. */
import { pageStatuses } from "./render/error-pages.ts";

/** Crawlers are known to ignore what comes after this. https://developers.google.com/crawling/docs/robots-txt/robots-txt-spec */
const robotsKb = 500;

/** @param names paths within the directory */
export function checkErrorPages(names: readonly string[], what: string, dir: string): void {
  const isPage = (name: string): boolean => pageStatuses.some((status) => name === `${status}.html`);
  const other = names.find((name) => !isPage(name));
  if (other !== undefined)
    throw new Error(
      `${what}: ${dir} holds ${other}: takes ${pageStatuses.map((status) => `${status}.html`).join(", ")}. A browser may not be able to fetch anything else when it shows the page, so put styles and pictures into the page itself.`,
    );
}

export function checkRobots(content: Buffer, what: string, file: string): void {
  if (content.includes(0)) throw new Error(`${what}: ${file} is not a text file.`);
  if (content.length > robotsKb * 1024)
    throw new Error(
      `${what}: ${file} has ${Math.ceil(content.length / 1024)} KB: crawlers read ${robotsKb} KB at most.`,
    );
}

/** @param names paths within the packed directory */
export function checkSpa(names: readonly string[], host: string, dir: string): void {
  if (!names.includes("index.html"))
    throw new Error(
      `site ${host}: spa: ${dir} holds no index.html, which is the response for every path of a single-page application.`,
    );
}
