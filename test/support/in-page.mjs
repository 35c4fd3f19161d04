/** What tests run inside a page of the browser: each function goes there as text, so none may use another. */

export const matches = (selector, wanted) =>
  new RegExp(wanted).test(document.querySelector(selector)?.textContent ?? "");

export const isHidden = (element) => element.hidden;
export const progressOf = (bar) => [bar.value, bar.max];
export const hasScope = (all) => all.every((cell) => cell.getAttribute("scope") === "col");
export const pageWidth = () => document.documentElement.scrollWidth;
export const activeClass = () => document.activeElement?.className;

/** Names of elements that have an animation or a transition. */
export const moving = (all) =>
  all
    .filter((element) => {
      const { animationName, transitionDuration } = getComputedStyle(element);
      return animationName !== "none" || transitionDuration.split(", ").some((it) => it !== "0s");
    })
    .map((element) => element.tagName);

/** Begins to keep the texts of the live region: each is there for a moment only. */
export const keepChanges = () => {
  const region = document.querySelector("#changes");
  globalThis.reported = [];
  new MutationObserver(() => globalThis.reported.push(region.textContent)).observe(region, {
    childList: true,
    characterData: true,
    subtree: true,
  });
};
export const keptChanges = () => globalThis.reported.join("; ");

/** Texts whose colour is too near to what is behind them, https://www.w3.org/TR/WCAG22/#contrast-minimum. */
export const faintTexts = () => {
  const rgb = (css) => (css.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (css) =>
    rgb(css)
      .slice(0, 3)
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    if (!element) return "rgb(255, 255, 255)";
    const colour = getComputedStyle(element).backgroundColor;
    return rgb(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.textContent.trim() === "" || element.closest("[hidden], title")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(element.closest("svg") ? style.fill : style.color), luminance(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${node.textContent} ${contrast.toFixed(2)}`);
  }
  return found;
};

/** Names of PoPs whose name or state is not wholly within the window's width. */
export const cutOff = () =>
  [...document.querySelectorAll("#rows tr")]
    .filter((row) =>
      [row.children[0], row.querySelector(".state")].some((element) => {
        const { left, right, width, height } = element.getBoundingClientRect();
        return width === 0 || height === 0 || left < 0 || right > window.innerWidth;
      }),
    )
    .map((row) => row.children[0].textContent);

/** Centres of the dots of the map that lie on one another. */
export const sharedDots = () => {
  const centres = [...document.querySelectorAll("#pops .dot")].map(
    (dot) => `${dot.getAttribute("cx")} ${dot.getAttribute("cy")}`,
  );
  return centres.filter((it, at) => centres.indexOf(it) !== at);
};
