// What a reader does with a site on disk, as JSON: one entry for each thing tried.
//
//   node interact.mjs CHROMIUM SITE SETTINGS
//
// SETTINGS is JSON; each key is a thing to try, and its value says where: `search` {page, words},
// `copy` and `fold` {page, selector}, `theme` {page}, `follow` {page, text}, `formula` {page}, `explorer`
// {page, presses}. All is done with the keyboard alone.
import { address, openBrowser, openPage, visit } from "./browser.mjs";

const [chromium, root, text] = process.argv.slice(2);
const settings = JSON.parse(text);

/** Titles and addresses that the book's own search finds. */
async function search(page, { page: name, words }) {
  await visit(page, address(root, name));
  await page.keyboard.press("Control+k");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
  await page.waitForURL(/search\.html\?q=/);
  await page.waitForSelector("#search-results ul.search li a", { timeout: 20_000 });
  return page.$$eval("#search-results ul.search > li > a", (links) =>
    links.map((link) => [link.textContent, link.getAttribute("href")]),
  );
}

/** What is in the clipboard after the button has been pressed, and what it should be. */
async function copy(page, { page: name, selector }) {
  await visit(page, address(root, name));
  const button = page.locator(selector).first();
  const expected = await button.evaluate((element) => {
    const target = document.querySelector(element.dataset.clipboardTarget);
    return element.dataset.copy ?? target?.textContent ?? null;
  });
  await button.focus();
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  return { expected, copied };
}

/** Whether what is folded opens and closes again by keyboard. */
async function fold(page, { page: name, selector }) {
  await visit(page, address(root, name));
  const box = page.locator(selector).first();
  const height = async () => {
    await page.waitForTimeout(400);
    return (await box.boundingBox()).height;
  };
  const heights = [await height()];
  await box.locator("summary, button").first().focus();
  for (const key of ["Enter", "Enter"]) {
    await page.keyboard.press(key);
    heights.push(await height());
  }
  return heights;
}

/** Colours of the page's background, one after each press of the theme's button. */
async function theme(page, { page: name }) {
  await visit(page, address(root, name));
  const colours = [];
  for (let press = 0; press < 4; press += 1) {
    colours.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await page.locator("button.theme-switch-button:visible").first().focus();
    await page.keyboard.press("Enter");
    await page.waitForTimeout(300);
  }
  return colours;
}

/** Where a link inside the page leads, and whether its heading is then on the screen. */
async function follow(page, { page: name, text }) {
  await visit(page, address(root, name));
  await page.getByRole("link", { name: text }).first().focus();
  await page.keyboard.press("Enter");
  const seen = () => {
    const heading = document.getElementById(location.hash.slice(1))?.querySelector("h1, h2");
    const top = heading?.getBoundingClientRect().top ?? -1;
    return top >= 0 && top < window.innerHeight;
  };
  const arrived = await page.waitForFunction(seen, null, { timeout: 10_000 }).then(() => true, () => false);
  return page.evaluate((seen) => {
    const heading = document.getElementById(location.hash.slice(1))?.querySelector("h1, h2");
    return { anchor: location.hash, heading: heading?.textContent, seen };
  }, arrived);
}

/** How many formulas have been set. */
async function formula(page, { page: name }) {
  await visit(page, address(root, name));
  return page.locator("mjx-container svg").count();
}

/** What an explorer shows at first, and after each press of an arrow key in its first group. */
async function explorer(page, { page: name, presses }) {
  await visit(page, address(root, name));
  const shown = () =>
    page.evaluate(() => {
      const cells = [...document.querySelectorAll(".explore-variant")];
      const visible = cells.filter((cell) => cell.checkVisibility());
      const of = (selector, read) =>
        visible.flatMap((cell) => [...cell.querySelectorAll(selector)].map(read));
      return {
        images: of("img", (image) => image.getAttribute("src")),
        alts: of("img", (image) => image.alt),
        tables: of("table", (table) => table.textContent),
        texts: of("p", (paragraph) => paragraph.textContent),
        commands: of("pre", (block) => block.textContent),
        status: document.querySelector(".explore-status").textContent,
        hash: location.hash,
      };
    });
  const found = [await shown()];
  await page.locator(".explore-form input:checked").first().focus();
  for (let press = 0; press < presses; press += 1) {
    await page.keyboard.press("ArrowDown");
    found.push(await shown());
  }
  return found;
}

const tried = { search, copy, fold, theme, follow, formula, explorer };
const browser = await openBrowser(chromium);
const report = {};
try {
  for (const [name, where] of Object.entries(settings)) {
    const { context, page, seen } = await openPage(browser, root);
    try {
      report[name] = { found: await tried[name](page, where), seen };
    } catch (error) {
      report[name] = { failed: String(error).split("\n")[0], seen };
    }
    await context.close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
