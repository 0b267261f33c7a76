// What is wrong with the pages of a site on disk, as JSON.
//
//   node check.mjs CHROMIUM SITE SETTINGS
//
// SETTINGS is JSON: `pages` (paths below SITE), `allowed` (axe findings that are let pass: a list
// of rule and selector), `narrow` (pixels), `shots` (a folder for pictures; none where absent).
// Printed: for every page its script errors, console messages, missing files and images, requests
// that leave the site, axe-core's serious and critical findings in light and dark, elements that
// make it wider than a narrow screen, and controls that cannot be focused.
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { address, axeSource, openBrowser, openPage, setTheme, still, visit } from "./browser.mjs";

const [chromium, root, text] = process.argv.slice(2);
const { pages, allowed = [], narrow = 420, shots } = JSON.parse(text);
const source = axeSource();

/** Serious and critical findings; in dark mode colours only, as nothing else has changed. */
async function axe(page, theme) {
  await setTheme(page, theme);
  return page.evaluate(
    async ({ allowed, theme }) => {
      // With `preload` axe asks for style sheets, which a page from disk may not.
      const only = theme === "dark" ? { runOnly: ["color-contrast"] } : {};
      // Frames of slices may not run scripts of ours; they are titled, which is checked here.
      const found = await axe.run(document, { ...only, preload: false, resultTypes: ["violations"], iframes: false });
      const passes = (rule, element) =>
        allowed.findIndex((entry) => entry.rule === rule && element?.matches(entry.selector));
      const used = new Set();
      const findings = [];
      for (const { id, impact, nodes } of found.violations) {
        if (!["serious", "critical"].includes(impact)) continue;
        for (const node of nodes) {
          const element = document.querySelector([node.target].flat(3)[0]);
          const entry = passes(id, element);
          if (entry >= 0) used.add(entry);
          else {
            const why = node.failureSummary.split("\n").slice(1).join(" ").trim();
            const html = node.html.slice(0, 200);
            findings.push({ rule: id, impact, theme, target: String(node.target), html, why });
          }
        }
      }
      return { findings, used: [...used] };
    },
    { allowed, theme },
  );
}

const brokenImages = (page) =>
  page.evaluate(() =>
    [...document.images]
      .filter((image) => !image.complete || image.naturalWidth === 0)
      .map((image) => image.getAttribute("src") ?? "an image without src"),
  );

/** Elements that stick out on the right of a page that scrolls sideways. */
const tooWide = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const clips = (element) => {
      for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
        if (getComputedStyle(up).overflowX !== "visible") return true;
      return false;
    };
    const out = [...document.body.querySelectorAll("*")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width && box.right > width + 1 && box.left < 5_000 && !clips(element);
    });
    const shown = out.filter((element) => !out.some((other) => element.contains(other) && other !== element));
    return (shown.length ? shown : [document.documentElement]).map((element) =>
      `${element.tagName.toLowerCase()}.${element.className}: ${Math.round(element.getBoundingClientRect().right)} px`,
    );
  });

/** Visible controls that do not take the focus, and ones that are out of the order of tabs. */
const unreachable = (page) =>
  page.evaluate(() => {
    const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary";
    const bad = [];
    for (const element of document.querySelectorAll(controls)) {
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: false })) continue;
      if (element.disabled) continue;
      element.focus({ preventScroll: true });
      if (document.activeElement !== element || element.tabIndex < 0)
        bad.push(element.outerHTML.slice(0, 160));
    }
    document.activeElement?.blur();
    return bad;
  });

async function picture(page, name, kind) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  const file = `${name.replace(/\.html$/, "").replaceAll("/", "-")}-${kind}.png`;
  // Chromium draws no picture of a page as long as the book: its first screen does then.
  await page
    .screenshot({ path: join(shots, file), fullPage: true })
    .catch(() => page.screenshot({ path: join(shots, file) }));
}

async function check(browser, name) {
  const { context, page, seen } = await openPage(browser, root);
  try {
    return { ...(await look(page, name)), ...seen };
  } catch (error) {
    seen.errors.push(`the page could not be looked at: ${error}`);
    return seen;
  } finally {
    await context.close();
  }
}

async function look(page, name) {
  await visit(page, address(root, name));
  const images = await brokenImages(page);
  const unfocused = await unreachable(page);
  await page.evaluate(source);
  const light = await axe(page, "light");
  await picture(page, name, "light");
  const dark = await axe(page, "dark");
  await picture(page, name, "dark");
  await setTheme(page, "light");
  await page.setViewportSize({ width: narrow, height: 900 });
  await still(page);
  const wide = await tooWide(page);
  await picture(page, name, "narrow");
  const used = [...new Set([...light.used, ...dark.used])];
  return { images, axe: [...light.findings, ...dark.findings], used, wide, unfocused };
}

const browser = await openBrowser(chromium);
const report = Object.fromEntries(pages.map((name) => [name, null]));
const waiting = [...pages];

/** Look at one page after the other, as long as there are any. */
async function worker() {
  for (let name; (name = waiting.shift()); ) report[name] = await check(browser, name);
}

try {
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
