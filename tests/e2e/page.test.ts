// The admin page in a real browser: it shows what is there, tells of a lost server within two seconds, and can be read on
// a small screen and in the dark. TANDEM_PICTURE=FILE writes the README's picture.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromiumMissing, type Page, startChromium } from "../support/chromium.ts";
import { Client } from "../support/client.ts";
import { freePort, label, type Spawned, spawnMemcached } from "../support/memcached.ts";
import { spawnTandem, tandemPath } from "../support/tandem.ts";

const missing = chromiumMissing();
if (missing !== "") console.log(`tests/e2e/page.test.ts: not run: ${missing}`);

const badges = (word: string): string => `[...document.querySelectorAll("table .badge.${word}")].length`;

describe.if(missing === "")("the page", () => {
  const running: Spawned[] = [];
  const servers: Spawned[] = [];
  let browser: Browser, page: Page, origin: string, client: Client;
  let asking = true;
  let load: Promise<void>;

  beforeAll(async () => {
    for (let i = 0; i < 4; i++) servers.push(await spawnMemcached());
    running.push(...servers);
    const place = `127.0.0.1:${await freePort()}`;
    origin = `http://${place}`;
    const flags = servers.flatMap((server, i) => [i < 2 ? "-s" : "-b", label(server)]);
    const tandem = await spawnTandem([...flags, "--admin", place]);
    running.push(tandem);
    client = await Client.open(tandem.port);
    load = (async () => {
      for (let i = 0; asking; i = (i + 1) % 500) {
        // About a thousand requests a second: the browser needs the cores.
        if (i % 10 === 0) await new Promise((next) => setTimeout(next, 30));
        await client.ask(`set key${i} 0 0 5\r\nvalue\r\n`);
        for (let k = 0; k < 3; k++) await client.ask(`get key${(i + k * 7) % 600}\r\n`);
      }
    })();
    browser = await startChromium();
    page = await browser.open(`${origin}/`);
    await page.shape(1180, 1150, false);
  }, 60_000);

  afterAll(async () => {
    asking = false;
    await load?.catch(() => {});
    client?.close();
    await browser?.close();
    for (const each of running) await each.stop();
  });

  test("renders servers, rings, pairs, rates and events, asks nobody else, complains of nothing", async () => {
    await page.until(`${badges("up")} === 4`, 10_000);
    // Rates need two reports.
    await page.until(`Number(document.querySelector("#tiles b").textContent) > 0`, 10_000);
    const found = await page.evaluate<Record<string, unknown>>(`({
      arcs: document.querySelectorAll(".rings circle").length, pairs: document.querySelectorAll(".pair").length,
      live: document.querySelector("#live").textContent, events: document.querySelectorAll("#events li").length > 3,
      commands: [...document.querySelectorAll("td")].map((td) => td.textContent).filter((text) => text === "get" || text === "set"),
    })`);
    expect(found).toEqual({ arcs: 4, pairs: 4, live: "ready", events: true, commands: ["get", "set"] });
    expect(page.complaints).toEqual([]);
    expect(page.asked.filter((url) => !url.startsWith(origin) && !/^(data|about):/.test(url))).toEqual([]);
  });

  test("360 px and the dark: nothing sticks out, light letters on dark ground", async () => {
    await page.shape(360, 740, true);
    await page.until(`matchMedia("(prefers-color-scheme: dark)").matches && innerWidth === 360`, 5000);
    const widths = await page.evaluate<number[]>(`[document.documentElement.scrollWidth, innerWidth]`);
    expect(widths[0]).toBe(widths[1]!);
    const light = await page.evaluate<number[]>(`[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]
      .map((color) => /\\d+/.exec(color)).map(Number)`);
    expect(light[0]! - light[1]!).toBeGreaterThan(150);
    await page.shape(1180, 1150, false);
  });

  test("a killed server shows within two seconds, with why, and the load goes on", async () => {
    const ms = page.until(`${badges("down")} === 1 && document.querySelector("#events").textContent.includes("server is down")`, 2000);
    await servers[0]!.stop();
    console.log(`shown after ${Math.round(await ms)} ms`);
    await page.until(`[...document.querySelectorAll(".pair .badge")].filter(({ textContent }) => textContent === "backup leads").length === 2`, 2000);
    const picture = process.env["TANDEM_PICTURE"];
    if (picture !== undefined) {
      await page.until("history.p99.length > 12", 20_000);
      writeFileSync(picture, await page.picture());
    }
    const odd = await Client.open(running.at(-1)!.port);
    expect(await odd.ask("bogus\r\n")).toBe("ERROR");
    odd.close();
    await page.until(`/Errors told to clients[^]*unknown command/.test(document.querySelector("#pools").textContent)`, 5000);
    await page.shape(360, 740, true);
    await page.until("document.documentElement.scrollWidth === innerWidth", 5000);
    expect(page.complaints).toEqual([]);
  }, 40_000);

  test("a change of rings shows: its step and how far it is, whom it waits for and how long, also on a small screen in the dark", async () => {
    const dir = mkdtempSync(join(tmpdir(), "tandem-page-"));
    const [a, b, x] = await Promise.all([spawnMemcached(), spawnMemcached(), spawnMemcached()]);
    running.unshift(a, b, x);
    const path = join(dir, "tandem.toml"), place = `127.0.0.1:${await freePort()}`;
    const settings = (...primaries: Spawned[]): void => writeFileSync(path,
      `servers = [${primaries.map((each) => `"${label(each)}"`)}]\nbackups = ["${label(x)}"]\nrefill_rate = 25\ntransition = "10m"\ntimeout = "500ms"\n`);
    settings(a);
    const tandem = await spawnTandem(["-c", path, "--admin", place]);
    const own = await browser.open(`http://${place}/`);
    const keys = await Client.open(tandem.port);
    try {
      for (let i = 0; i < 400; i++) expect(await keys.ask(`set key${i} 0 0 5\r\nvalue\r\n`)).toBe("STORED");
      await own.until(`${badges("up")} === 2`, 10_000);
      expect(await own.evaluate<boolean>(`document.querySelector("#pools").textContent.includes("Rings change")`)).toBe(false);
      settings(a, b);
      tandem.kill("SIGHUP");
      await own.until(`document.querySelector(".step.now")?.textContent === "filling" && /: \\d+ of \\d+ keys/.test(document.querySelector(".steps").parentElement.textContent)`, 10_000);
      await own.until(`parseFloat(document.querySelector(".steps ~ .bar i").style.width) > 0`, 10_000);
      expect(await own.evaluate<number>(`document.querySelectorAll(".step.past").length`)).toBe(4);

      b.kill("SIGSTOP");
      await own.until(`document.querySelector(".waits")?.textContent === "Waits for ${label(b)}, which is down; at most 10 min 0 s, or until tandem transition end"`, 10_000);
      await own.shape(360, 740, true);
      await own.until(`matchMedia("(prefers-color-scheme: dark)").matches && innerWidth === 360`, 5000);
      const [sticksOut, ...light] = await own.evaluate<number[]>(`[document.documentElement.scrollWidth - innerWidth,
        ...[".waits", ".step.now", ".step"].map((name) => getComputedStyle(document.querySelector(name)).color).concat(getComputedStyle(document.querySelector(".card")).backgroundColor)
          .map((color) => Number(/\\d+/.exec(color)))]`);
      expect(sticksOut).toBe(0);
      for (const letters of light.slice(0, -1)) expect(letters - light.at(-1)!).toBeGreaterThan(100);
      const picture = process.env["TANDEM_PICTURE_RINGS"];
      if (picture !== undefined) writeFileSync(picture, await own.picture());

      const ended = new Promise((done) => spawn(tandemPath(), ["transition", "end", "--admin", place]).once("exit", done));
      expect(await ended).toBe(0);
      await own.until(`document.querySelector(".steps") === null`, 5000);
      expect(own.complaints).toEqual([]);
    } finally {
      keys.close();
      await tandem.stop();
      rmSync(dir, { recursive: true });
    }
  }, 60_000);
});
