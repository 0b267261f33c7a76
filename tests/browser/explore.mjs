// What a reader does with the explorer of a page on disk, as JSON.
//
//   node explore.mjs CHROMIUM SITE SETTINGS
//
// SETTINGS is JSON: `page`, a path below SITE; `id`, of its explorer; `presses`, keys that are pressed
// one after the other from the first choice on; `hash`, an address to open; `shots`, a folder for
// pictures, none where absent. Printed: what is shown and what can be chosen at first, after every key,
// after opening the address, with scripts switched off and on paper; and what went wrong.
import { join } from "node:path";
import { address, openBrowser, openPage, setTheme, still, visit } from "./browser.mjs";

const [chromium, root, text] = process.argv.slice(2);
const { page: name, id, presses = [], hash = "", shots } = JSON.parse(text);

/** Variants with anything to be seen, each with its figures, texts and commands; and the choices. */
const look = (page) =>
  page.evaluate((id) => {
    const seen = (element) => element.getClientRects().length > 0;
    const variants = {};
    for (const element of document.querySelectorAll(`[class*="${id}-"]`)) {
      const tag = [...element.classList].find((one) => one.includes(`${id}-`)).replace("tag_", "");
      variants[tag] ??= { shown: 0, hidden: 0, alt: [], text: "", tables: 0, commands: [] };
      const variant = variants[tag];
      if (!seen(element)) {
        variant.hidden += 1;
        continue;
      }
      variant.shown += 1;
      variant.alt.push(...[...element.querySelectorAll("img")].map((image) => image.alt));
      variant.text += element.innerText + "\n";
      variant.tables += element.querySelectorAll("table").length;
      const commands = [...element.querySelectorAll(".highlight pre")];
      variant.commands.push(...commands.map((one) => one.innerText.trim()));
    }
    const form = document.querySelector(`#${id} form`);
    const choices = [...(form?.querySelectorAll("fieldset") ?? [])].map((fieldset) => ({
      legend: fieldset.querySelector("legend").innerText,
      disabled: fieldset.disabled,
      values: [...fieldset.querySelectorAll("input")].map((input) => ({
        label: input.labels[0].innerText,
        checked: input.checked,
        disabled: input.disabled,
      })),
    }));
    return {
      variants,
      choices,
      form: form ? seen(form) : false,
      status: form?.querySelector("[role=status]").innerText ?? null,
      link: form?.querySelector("a").getAttribute("href") ?? null,
      hash: window.location.hash,
    };
  }, id);

const picture = async (page, what) => {
  if (!shots) return;
  await page.evaluate((id) => document.getElementById(id)?.scrollIntoView({ behavior: "instant" }), id);
  await still(page);
  await page.screenshot({ path: join(shots, `explorer-${what}.png`) });
};

const browser = await openBrowser(chromium);
const found = {};

const { context, page, seen } = await openPage(browser, root);
await visit(page, address(root, name));
found.first = await look(page);
await picture(page, "light");
await page.focus(`#${id} input:not(:disabled):checked`);
found.presses = [];
for (const key of presses) {
  await page.keyboard.press(key);
  found.presses.push(await look(page));
}
await setTheme(page, "dark");
await picture(page, "dark");
await page.emulateMedia({ media: "print" });
found.print = await look(page);
found.seen = seen;
await context.close();

const opened = await openPage(browser, root);
await visit(opened.page, address(root, name) + hash);
found.opened = await look(opened.page);
await opened.page.evaluate(() => (window.location.hash = "#elsewhere"));
found.elsewhere = await look(opened.page);
await opened.context.close();

const narrow = await openPage(browser, root, { viewport: { width: 420, height: 900 } });
await visit(narrow.page, address(root, name));
await picture(narrow.page, "narrow");
found.sticksOut = await narrow.page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  const inside = [...document.querySelectorAll(".brainalign-explorer, .brainalign-explorer *")];
  return inside.filter((one) => one.getBoundingClientRect().right > width + 1).map((one) => one.className);
});
await narrow.context.close();

const plain = await openPage(browser, root, { javaScriptEnabled: false });
await plain.page.goto(address(root, name), { waitUntil: "load" });
found.withoutScripts = await plain.page.evaluate((id) => {
  const cells = [...document.querySelectorAll(`[class*="${id}-"]`)];
  return cells.filter((one) => one.getClientRects().length > 0).length + "/" + cells.length;
}, id);
await plain.context.close();

await browser.close();
console.log(JSON.stringify(found));
