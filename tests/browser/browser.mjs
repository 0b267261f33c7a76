// What the scripts of this folder share: a browser, a site on disk, and what a page asks for.
//
// Packages are looked for in node_modules beside this file, then below NODE_PATH, which `import`
// does not know of.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");

export const axeSource = () => readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/** Address of a page below the site's folder; `page` may end in "#anchor" or "?query". */
export function address(root, page) {
  return pathToFileURL(resolve(root)).href + "/" + page;
}

export function openBrowser(executablePath) {
  // Containers have no user namespaces for the sandbox; the pages are our own.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** A tab that writes down what goes wrong in it. Nothing outside of the site is let through. */
export async function openPage(browser, root, options = {}) {
  const inside = address(root, "");
  const leaves = (url) => !/^(data|blob|about):/.test(url) && !url.startsWith(inside);
  const context = await browser.newContext({
    viewport: { width: 1300, height: 900 },
    colorScheme: "light",
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  const page = await context.newPage();
  const seen = { errors: [], console: [], failed: [], external: [] };
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (message) => {
    if (["warning", "error"].includes(message.type())) seen.console.push(message.text());
  });
  page.on("request", (request) => {
    if (leaves(request.url())) seen.external.push(request.url());
  });
  page.on("requestfailed", (request) => {
    if (!leaves(request.url())) seen.failed.push(request.url());
  });
  await context.route((url) => leaves(url.href), (route) => route.abort());
  return { context, page, seen };
}

/** Load a page to its end: formulas are set, images further down are loaded. */
export async function visit(page, url) {
  await page.goto(url, { waitUntil: "load", timeout: 60_000 });
  await page.evaluate(async () => {
    await window.MathJax?.startup?.promise;
    for (const image of document.images) image.loading = "eager";
    const decoded = [...document.images].map((image) => image.decode().catch(() => null));
    const patience = new Promise((done) => setTimeout(done, 5_000));
    await Promise.race([Promise.all(decoded), patience]);
  });
  await page.waitForLoadState("networkidle");
}

/** Wait until nothing moves any more: side bars slide out when a window becomes narrow. */
export function still(page) {
  return page.evaluate(async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await frame();
    const ended = Promise.allSettled(document.getAnimations().map((one) => one.finished));
    const patience = new Promise((done) => setTimeout(done, 2_000));
    await Promise.race([ended, patience]);
  });
}

export function setTheme(page, theme) {
  return page.evaluate((theme) => {
    // Colours on their way from one theme to the other belong to neither.
    if (!document.getElementById("at-once")) {
      const still = "*, ::before, ::after { transition: none !important }";
      document.head.insertAdjacentHTML("beforeend", `<style id="at-once">${still}</style>`);
    }
    document.documentElement.dataset.theme = theme;
    document.documentElement.dataset.mode = theme;
  }, theme);
}
