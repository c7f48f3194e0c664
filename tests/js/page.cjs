// Opens a page in Chromium, uses it as a reader would, and prints what it found: node page.cjs CHROMIUM PAGE [WIDTH]
"use strict";
const fs = require("node:fs");
const { chromium } = require("playwright-core");

const [executablePath, file, width = "1400"] = process.argv.slice(2);
const found = { errors: [], requests: [] };

async function read(page) {
  return page.evaluate(() => {
    const text = (selector) => (document.querySelector(selector) || { textContent: "" }).textContent;
    const all = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);
    return {
      title: document.title, verdict: text("#verdict"), tiles: all(".tile"), rows: all(".suspects tbody tr"),
      stack: text("#stack-body"), frames: all(".frames li"), own: text(".frames li.own"), range: text("#range-growth"), total: text("#flame-total"),
      rss: all("#rss-table tbody tr"), missing: all("#missing-list li"), about: text("#about-body"), keys: text("#chart-keys"),
      threads: text("#threads-body"), snapshots: all("#snapshots-body tbody tr").length,
      selected: [...document.querySelectorAll('.suspects tr[aria-selected="true"]')].map((row) => row.textContent),
      background: getComputedStyle(document.body).backgroundColor, theme: document.documentElement.dataset.theme,
      empty: [...document.querySelectorAll("main section")].filter((one) => !one.hidden && one.textContent.trim().length < 12).map((one) => one.id),
      wide: document.documentElement.scrollWidth, overlaps: overlaps(),
    };

    // What of an element its scrolling ancestors show.
    function visible(one) {
      let { left, right, top, bottom } = one.getBoundingClientRect();
      for (let above = one.parentElement; above; above = above.parentElement) {
        if (getComputedStyle(above).overflow === "visible") continue;
        const box = above.getBoundingClientRect();
        left = Math.max(left, box.left); right = Math.min(right, box.right);
        top = Math.max(top, box.top); bottom = Math.min(bottom, box.bottom);
      }
      return { left, right, top, bottom };
    }

    // Pairs of texts of the chart's frame, tiles and head that lie on each other.
    function overlaps() {
      const boxes = [...document.querySelectorAll("h1, h2, .facts, .tile dd, .tile dt, .note, .said, .sentence, .fix, .legend > span, .keys > span, th, .frames li, .pairs dd, .pairs dt")]
        .filter((one) => one.offsetParent !== null && one.getBoundingClientRect().width > 1)
        .map((one) => [one, visible(one)]);
      const found = [];
      boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
        if (a.contains(b) || b.contains(a)) return;
        const w = Math.min(p.right, q.right) - Math.max(p.left, q.left), h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (w > 2 && h > 3) found.push(a.textContent.slice(0, 40) + " | " + b.textContent.slice(0, 40));
      }));
      return found;
    }
  });
}

// How much of the call tree's picture has a colour.
const inked = (page, isMark) => page.evaluate((isMark) => {
  const canvas = document.querySelector("#flame canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b, a] = pixels.slice(i, i + 4);
    if (isMark ? r > 190 && g < 80 && b > 110 && b < 170 : a > 0) count++;
  }
  return count;
}, isMark);

(async () => {
  const browser = await chromium.launch({ executablePath, timeout: 300000, args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  const page = await browser.newPage({ viewport: { width: Number(width), height: 900 }, colorScheme: "light" });
  page.setDefaultTimeout(300000);
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) found.errors.push(message.text()); });
  page.on("pageerror", (error) => found.errors.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith("file:") && !request.url().startsWith("data:") && !request.url().startsWith("blob:")) found.requests.push(request.url()); });
  await page.addInitScript(() => {
    window.policyBroken = [];
    document.addEventListener("securitypolicyviolation", (event) => window.policyBroken.push(event.violatedDirective + " " + event.blockedURI));
  });
  await page.goto("file://" + file);
  await page.waitForSelector("html[data-ready]", { state: "attached" });
  found.first = await read(page);
  found.inked = await inked(page, false);

  // The second line of the table by mouse, the first one by keyboard.
  const rows = page.locator(".suspects tbody tr");
  if (await rows.count() > 1) {
    await rows.nth(1).click();
    found.second = await read(page);
    await rows.nth(0).locator("button").focus();
    await page.keyboard.press("Enter");
    found.again = await read(page);
  }

  // Search: marks in the picture, a figure above it.
  const own = (await page.locator(".frames li.own").first().evaluate((one) => one.firstChild.textContent));
  await page.fill("#flame-search", own);
  await page.waitForFunction(() => document.querySelector("#flame-total").textContent.includes("match"));
  found.search = await page.textContent("#flame-total");
  found.marked = await inked(page, true);
  await page.fill("#flame-search", "no such function anywhere");
  await page.waitForFunction(() => document.querySelector("#flame-total").textContent.includes("no frame"));
  await page.fill("#flame-search", "");
  await page.waitForFunction(() => !document.querySelector("#flame-total").textContent.includes("match"));
  found.unmarked = await inked(page, true);

  // Every view, every colour, both ways, by keyboard; none may throw or be empty.
  found.views = {};
  for (const view of ["live", "growth", "old", "allocated"]) {
    const button = page.locator(`#flame-controls button[data-value="${view}"]`);
    if (await button.count() === 0) continue;
    await button.click();
    found.views[view] = await page.textContent("#flame-total");
    for (const colour of await page.locator("#flame-colour option").evaluateAll((all) => all.map((one) => one.value))) {
      await page.selectOption("#flame-colour", colour);
    }
  }
  await page.locator('#flame-controls button[data-value="live"]').click();
  await page.check("#flame-invert");
  await page.check("#flame-hide");
  found.inverted = await inked(page, false);
  await page.uncheck("#flame-invert");
  await page.uncheck("#flame-hide");
  await page.focus("#flame canvas");
  for (const key of ["Home", "ArrowDown", "ArrowDown", "Enter", "ArrowUp", "ArrowRight", "Escape"]) await page.keyboard.press(key);
  found.spoken = await page.textContent("#flame .skip");
  await page.locator("#flame-table summary").click();
  if (await page.locator("#chart-table summary").isVisible()) await page.locator("#chart-table summary").click();
  found.treeTable = await page.locator("#flame-table tbody tr").count();
  found.treeNames = await page.locator("#flame-table tbody td:first-child").allTextContents();
  found.chartTable = await page.locator("#chart-table tbody tr").count();

  // The range: dragged over the chart, then chosen by name.
  if (await page.locator("#range-a").count() > 0) {
    const over = await page.locator("#chart .u-over").boundingBox();
    await page.locator("#chart").scrollIntoViewIfNeeded();
    const place = await page.locator("#chart .u-over").boundingBox();
    await page.mouse.move(place.x + place.width * 0.2, place.y + place.height / 2);
    await page.mouse.down();
    await page.mouse.move(place.x + place.width * 0.4, place.y + place.height / 2, { steps: 5 });
    await page.mouse.move(place.x + place.width * 0.5, place.y + place.height / 2, { steps: 5 });
    await page.mouse.up();
    found.dragged = await read(page);
    found.draggedTo = await page.evaluate(() => [document.querySelector("#range-a").value, document.querySelector("#range-b").value].map(Number));
    found.isSane = over !== null;
    await page.click("#range-all");
    found.whole = await read(page);
    const last = await page.locator("#range-b option").last().getAttribute("value");
    found.ranges = [];
    for (const [a, b] of [[0, 1], [1, Number(last)], [Math.floor(last / 3), Math.ceil(last / 2) + 1]]) {
      if (a >= b || b > last) continue;
      await page.click("#range-all");
      await page.selectOption("#range-b", String(b));
      if (a > 0) await page.selectOption("#range-a", String(a));
      found.ranges.push([a, b, await page.textContent("#range-growth")]);
    }
    await page.click("#chart-lines");
    await page.click("#chart-stacked");
    // Six buttons; each is drawn, and what does not go together is taken back.
    await page.selectOption("#range-a", "1");
    found.looks = [];
    for (const name of ["log", "linear", "delta", "log", "stacked", "delta", "absolute", "stacked"]) {
      await page.click("#chart-" + name);
      found.looks.push(await page.evaluate((name) => {
        const pressed = [...document.querySelectorAll('#timeline .controls [aria-pressed="true"]')].map((one) => one.id.slice(6)).join(" ");
        const canvas = document.querySelector("#chart canvas"), pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let inked = 0;
        for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 0) inked++;
        return { name, pressed, inked, resident: document.querySelector("#legend b:nth-of-type(1)").textContent, legend: document.querySelector("#legend").textContent };
      }, name));
      if (process.env.LEAKSCOPE_PICTURES) await page.locator("#timeline").screenshot({ path: process.env.LEAKSCOPE_PICTURES + "/chart-" + name + ".png" });
    }
    await page.click("#range-all");
  }

  found.files = {};
  for (const kind of ["csv", "folded"]) {
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("#download-" + kind)]);
    found.files[kind] = { name: file.suggestedFilename(), text: fs.readFileSync(await file.path(), "utf8") };
  }

  await page.click("#theme");
  found.dark = await read(page);
  found.inkedDark = await inked(page, false);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.reload();
  await page.waitForSelector("html[data-ready]", { state: "attached" });
  found.system = await read(page);

  found.inert = await page.evaluate(() => ({
    hacked: window.hacked === undefined, images: document.images.length, scripts: document.scripts.length, frames: document.querySelectorAll("iframe, object, embed, link[href]:not([rel=icon])").length,
    policy: window.policyBroken, listeners: document.querySelectorAll("[onerror], [onload], [onclick]").length,
    policyHolds: (() => { const script = document.createElement("script"); script.textContent = "window.hacked = 1"; document.body.append(script); return window.hacked === undefined; })(),
  }));
  await browser.close();
  // The policy's own complaint about the last experiment is wanted.
  found.errors = found.errors.filter((text) => !text.includes("Content Security Policy") || !text.includes("script-src"));
  console.log(JSON.stringify(found));
})().catch((error) => { console.error(error); process.exit(1); });
