// Goes through the slides of a page on disk with the space bar, as JSON: for every slide its
// heading and how far it reaches, in the slides' own pixels, and what the page asked for.
//
//   node slides.mjs CHROMIUM SITE SETTINGS
//
// SETTINGS is JSON: `page`, below SITE; `print` for the pages that `?print-pdf` lays out as well.
import { address, openBrowser, openPage } from "./browser.mjs";

const [chromium, root, text] = process.argv.slice(2);
const { page: name, print = false } = JSON.parse(text);

const ready = async (page, query = "") => {
  await page.goto(address(root, name) + query, { waitUntil: "load" });
  await page.waitForFunction(() => window.Reveal?.isReady());
  await page.evaluate(() => window.MathJax.startup.promise);
};

const reach = (page) =>
  page.evaluate(() => {
    const slide = Reveal.getCurrentSlide();
    const frame = document.querySelector(".slides").getBoundingClientRect();
    const boxes = [...slide.querySelectorAll("*")]
      .map((element) => element.getBoundingClientRect())
      .filter((box) => box.width && box.height);
    const scale = Reveal.getScale();
    return {
      heading: slide.querySelector("h1, h2, h3")?.textContent ?? null,
      bottom: Math.round(Math.max(0, ...boxes.map((box) => (box.bottom - frame.top) / scale))),
      right: Math.round(Math.max(0, ...boxes.map((box) => (box.right - frame.left) / scale))),
    };
  });

const browser = await openBrowser(chromium);
try {
  const { page, seen } = await openPage(browser, root, { viewport: { width: 1280, height: 720 } });
  await ready(page);
  const slides = [await reach(page)];
  while (!(await page.evaluate(() => Reveal.isLastSlide()))) {
    await page.keyboard.press("Space");
    slides.push(await reach(page));
  }
  const formulas = await page.locator("mjx-container").count();
  let pages = null;
  if (print) {
    await ready(page, "?print-pdf");
    await page.waitForSelector(".pdf-page");
    pages = await page.locator(".pdf-page").count();
  }
  console.log(JSON.stringify({ slides, formulas, pages, ...seen }));
} finally {
  await browser.close();
}
